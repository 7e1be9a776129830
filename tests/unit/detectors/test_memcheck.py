"""From what the processes of a run left to what is suspicious, blind and lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid.detectors import memcheck
from leakgrid.detectors.journal import BatchEnd, Journal
from leakgrid.detectors.memcheck import GROUP, MemcheckReport
from leakgrid.detectors.process_report import AddedLeak, Leak, MemoryFault, ProcessReport
from leakgrid.detectors.suite import SuiteRun
from leakgrid.errors import Crashed, TimedOut
from leakgrid.signature import Owner

TESTS = tuple(f"t{i}" for i in range(GROUP + 5))
ALL = ("malloc", "object", "rust")


def leak(phase: str, test: str = "", name: str = "a") -> AddedLeak:
    found = Leak("definitely-lost", name * 12, Owner.EXTENSION, (), 1, 500)
    return AddedLeak(test, phase, found)


def fault(test: str, name: str = "e") -> MemoryFault:
    return MemoryFault(
        1, "memcheck", "invalid-read", name * 12, Owner.EXTENSION, (), "Invalid read", test
    )


def worker(pid: int = 2, **changes) -> ProcessReport:
    facts = {"pid": pid, "tests": TESTS, "canaries": frozenset(["leakgrid_canary_malloc"])}
    return ProcessReport(complete=True, **(facts | changes))


def ended(pid: int = 2, planted=ALL, seen=ALL, loaded=("x.so",), blocks: int = 1) -> BatchEnd:
    return BatchEnd(0, pid, loaded, planted, seen, {"reachable": {"blocks": blocks, "bytes": 8}})


def judged(*reports: ProcessReport, ends=None, lost=(), faults=()) -> MemcheckReport:
    journal = Journal(zygotes=[1], lost_pids=set(lost), faults=list(faults))
    journal.ends = [ended(r.pid) for r in reports if r.pid > 1] if ends is None else list(ends)
    return memcheck._report(journal, {report.pid: report for report in reports}, {"t9": 0.5})


def test_a_lost_block_makes_the_group_of_its_check_suspicious():
    report = judged(worker(added=(leak("tests 0"),)))
    assert report.suspects == (TESTS[:GROUP],)
    assert [finding.id for finding in report.findings] == ["a" * 12]


@pytest.mark.parametrize("phase", ["tests 1", "final"])
def test_what_the_last_check_finds_belongs_to_the_tests_since_the_one_before(phase):
    assert judged(worker(added=(leak(phase),))).suspects == (TESTS[GROUP:],)


def test_what_importing_lost_makes_no_test_suspicious():
    report = judged(ProcessReport(pid=1, added=(leak("import"),)), worker())
    assert [finding.kind for finding in report.findings] == ["lost-at-import"]
    assert report.suspects == ()


def test_a_memory_error_makes_each_test_suspicious_that_had_it():
    report = judged(worker(test_errors={"t3": 2, "t9": 1, "t5": 0}, errors=(fault("t3"),)))
    assert report.suspects == (("t3",), ("t9",))


def test_a_test_in_a_suspicious_group_is_not_repeated_twice():
    report = judged(worker(added=(leak("tests 0"),), test_errors={"t3": 1, TESTS[-1]: 1}))
    assert report.suspects == (TESTS[:GROUP], (TESTS[-1],))


def test_of_a_process_that_died_the_errors_count_and_the_leaks_do_not():
    died = ProcessReport(
        pid=3, tests=("t7",), running="t7", errors=(fault("t7"),), added=(leak("tests 0"),)
    )
    report = judged(worker(), died, ends=[ended()], lost=[3])
    assert report.suspects == (("t7",),)
    assert [finding.kind for finding in report.findings] == ["invalid-read"]


def test_every_process_must_have_seen_every_planted_leak():
    blind = ended(3, seen=("malloc", "object"))
    report = judged(worker(2), worker(3), ends=[ended(2), blind])
    assert report.canary == {"malloc": 2, "object": 2, "rust": 1}
    assert report.blind == ("rust",)


@pytest.mark.parametrize("reports", [[worker(canaries=frozenset())], []], ids=["silent", "no XML"])
def test_a_canary_that_was_counted_but_not_reported_was_not_seen(reports):
    report = judged(*reports, ends=[ended()])
    assert report.blind == ALL
    assert set(report.canary.values()) == {0}


def test_libraries_of_all_processes_and_the_largest_totals_are_told():
    ends = [ended(2, loaded=("x.so",), blocks=4), ended(3, loaded=("y.so",), blocks=9)]
    report = judged(worker(2), worker(3), ends=ends, faults=["it broke"])
    assert report.loaded == {"x.so", "y.so"}
    assert report.totals == {"reachable": {"blocks": 9, "bytes": 8}}
    assert report.faults == ("it broke",)


def test_fresh_processes_that_each_imported_count_imports_once():
    fresh = [worker(pid, added=(leak("import"),)) for pid in (2, 3)]
    journal = Journal(zygotes=[2, 3])
    journal.ends = [ended(2), ended(3)]
    (finding,) = memcheck._report(journal, {report.pid: report for report in fresh}, {}).findings
    assert finding.blocks == 1


def test_there_are_more_batches_than_processes_but_no_more_than_tests():
    seconds = dict.fromkeys(TESTS, 0.1)
    assert len(memcheck.plan_batches(TESTS, seconds, 2)) == 2 * memcheck.BATCHES_PER_JOB
    assert memcheck.plan_batches(["a"], {}, 2) == [["a"]]


@pytest.mark.parametrize(
    ("stopped", "error", "words"),
    [("hung", TimedOut, "hung under Valgrind"), ("crashed", Crashed, "ended under Valgrind")],
)
def test_a_suite_that_is_not_even_collected_says_where_it_stopped(stopped, error, words):
    journal = Journal(collecting="tests/test_a.py")
    suite = SuiteRun(journal, "", "last words", 1.0, 1.0, stopped, log=Path("memcheck.log"))
    with pytest.raises(error, match=f"{words} while importing tests/test_a.py") as caught:
        memcheck._require_collected(suite)
    assert "memcheck.log" in caught.value.next
