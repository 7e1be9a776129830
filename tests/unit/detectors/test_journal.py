import json

import pytest

from leakgrid.detectors.journal import Journal, describe_exit


def collected(*tests, **changes):
    event = {"event": "collected", "tests": list(tests), "allocator": "malloc", "pid": 7}
    return event | {"fork": True} | changes


def begin(test, batch=0):
    return {"event": "begin", "batch": batch, "test": test}


def end(test, batch=0, **changes):
    event = {"event": "end", "batch": batch, "test": test, "outcome": "passed", "seconds": 0.5}
    return event | {"errors": 0, "why": ""} | changes


def lost(test, batch=0, **changes):
    event = {"event": "lost", "batch": batch, "pid": 9, "test": test, "hung": False, "signal": 0}
    return event | {"exit": None, "seconds": 1.0} | changes


def told(*events) -> Journal:
    journal = Journal()
    for event in events:
        journal.take(event)
    return journal


def test_only_complete_lines_are_taken_in_and_the_rest_later(tmp_path):
    path = tmp_path / "journal"
    lines = [json.dumps(event) + "\n" for event in (collected("a"), begin(0), end(0))]
    journal = Journal()
    assert not journal.read(path)
    path.write_text(lines[0] + lines[1][:10])
    assert journal.read(path)
    assert (journal.collected, journal.running) == (["a"], {})
    path.write_text("".join(lines))
    assert journal.read(path)
    assert journal.tests["a"].outcome == "passed"
    assert not journal.read(path)


def test_a_test_is_running_until_it_ends():
    journal = told(collected("a", "b"), begin(1))
    assert journal.running == {0: "b"}
    journal.take(end(1, errors=3, why="because"))
    assert journal.running == {}
    assert (journal.tests["b"].errors, journal.tests["b"].why) == (3, "because")


def test_a_worker_that_died_is_charged_to_its_test():
    journal = told(collected("a", "b"), begin(0), lost(0, signal=11), begin(1), lost(1, exit=3))
    assert (journal.tests["a"].outcome, journal.tests["a"].why) == ("crashed", "killed by SIGSEGV")
    assert journal.tests["b"].why == "ended the interpreter with exit status 3"
    assert journal.lost_pids == {9}
    assert journal.running == {}


def test_a_hung_test_is_told_apart_from_a_crash():
    assert told(collected("a"), begin(0), lost(0, hung=True)).tests["a"].outcome == "hung"


def test_a_process_that_ends_outside_any_test_is_a_fault_of_the_run():
    journal = told(collected("a"), lost(-1, signal=9))
    assert journal.tests == {}
    assert journal.faults == ["a process of batch 0 ended outside any test: killed by SIGKILL"]


def test_tests_that_were_not_reached_say_so_and_results_stay():
    journal = told(collected("a", "b"), begin(0), end(0), {"event": "gave-up", "tests": [0, 1]})
    assert [journal.tests[name].outcome for name in ("a", "b")] == ["passed", "not-run"]


def test_kinds_of_events_that_are_not_known_are_passed_over():
    assert told({"event": "tomorrows-word", "x": 1}).tests == {}


def test_journals_of_several_processes_add_up():
    whole = Journal()
    whole.merge(told(collected("a", "b"), begin(0), end(0)))
    whole.merge(told(collected("a", "b", pid=8), begin(1), end(1), {"event": "done"}))
    assert whole.tests.keys() == {"a", "b"}
    assert whole.zygotes == [7, 8]
    assert whole.done


def test_batches_of_fresh_processes_keep_their_own_numbers():
    journal = Journal(first_number=5)
    event = {"event": "batch-end", "batch": 0, "pid": 4, "loaded": ["x.so"], "planted": ["malloc"]}
    journal.take(event | {"seen": ["malloc"], "totals": {}})
    assert journal.ends[0].number == 5


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-6, "killed by SIGABRT"),
        (-250, "killed by signal 250"),
        (0, "ended the interpreter with exit status 0"),
    ],
)
def test_an_exit_in_words(code, words):
    assert describe_exit(code) == words
