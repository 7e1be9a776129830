"""From records to reports and findings, on what Valgrind really wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leakgrid.detectors.descriptors import parse_log
from leakgrid.detectors.findings import (
    Leak,
    ProcessReport,
    canaries_seen,
    merge,
    merge_suppressed,
    merge_totals,
    read_process,
)
from leakgrid.detectors.records import (
    ClientMessage,
    End,
    ErrorCounts,
    ErrorRecord,
    LeakRecord,
    Preamble,
    Record,
    Stack,
    Status,
)
from leakgrid.detectors.xml_records import read_file
from leakgrid.errors import DataError
from leakgrid.finding import Finding
from leakgrid.signature import Origins, Owner, RawFrame

GOLDEN = Path(__file__).parents[2] / "golden" / "valgrind"
ORIGINS = Origins(frozenset({"/build/x/kinds", "/build/x/fork", "/build/x/crash"}), ("/build/x",))
FINISHED = Status("FINISHED")
END = End(0)


def report(name: str, log: str = "") -> ProcessReport:
    path = GOLDEN / f"{name}.xml"
    records = list(read_file(path))
    lines = (GOLDEN / log).read_text().splitlines() if log else []
    preamble = records[0]
    assert isinstance(preamble, Preamble)
    return read_process(records, ORIGINS, parse_log(lines).get(preamble.pid, ()))


def alone(child: ProcessReport) -> tuple[Finding, ...]:
    return merge(ProcessReport(), [child])


def stack(*functions: str) -> Stack:
    return tuple(RawFrame(name, "/build/x/kinds", "/build/x", "kinds.c", 1) for name in functions)


def message(text: str) -> ClientMessage:
    return ClientMessage(1, f"leakgrid {text}")


def lost(blocks: int, size: int, *functions: str, kind: str = "definitely-lost") -> LeakRecord:
    return LeakRecord(9, 1, kind, blocks, size, stack=stack("malloc", *functions))


def invalid_read(unique: int, *functions: str) -> ErrorRecord:
    return ErrorRecord(unique, 1, "InvalidRead", "Invalid read of size 1", stack(*functions))


# --- one process ---------------------------------------------------------------------------------


def test_memory_errors_belong_to_the_test_that_was_running() -> None:
    tests = {error.kind: error.test for error in report("kinds").errors}
    assert tests["invalid-write"] == "tests/test_a.py::test_read[a b]"
    assert tests["syscall-parameter"] == "tests/test_b.py::test_more"


def test_an_error_outside_every_test_has_none() -> None:
    last = report("kinds").errors[-1]
    assert last.kind == "invalid-read"
    assert last.test == ""


def test_test_names_are_decoded_and_their_error_counts_kept() -> None:
    read = report("kinds")
    assert read.tests == (
        "tests/test_a.py::test_read[a b]",
        "tests/test_a.py::test_leak",
        "tests/test_b.py::test_éncore",
        "tests/test_b.py::test_more",
    )
    assert read.test_errors["tests/test_a.py::test_read[a b]"] == 4
    assert read.test_errors["tests/test_a.py::test_leak"] == 0
    assert read.unnamed_tests() == ()


def test_every_kind_of_error_has_words() -> None:
    assert {error.kind for error in report("kinds").errors} == {
        "invalid-read",
        "invalid-write",
        "invalid-free",
        "mismatched-free",
        "uninitialised-condition",
        "uninitialised-value",
        "syscall-parameter",
        "overlap",
        "fishy-value",
    }


def test_summaries_are_for_people_and_without_addresses() -> None:
    summaries = {error.summary for error in report("kinds").errors}
    assert summaries == {
        "Invalid read of size 1, 0 bytes after a block of size 8",
        "Invalid write of size 4, 4 bytes after a block of size 8",
        "Conditional jump or move depends on uninitialised value(s)",
        "Use of uninitialised value of size 8",
        "Invalid free() / delete / delete[] / realloc(), on thread 1's stack",
        "Invalid free() / delete / delete[] / realloc(), 0 bytes inside a freed block of size 3",
        "Source and destination overlap in strcpy",
        "Syscall param write(buf) points to uninitialised byte(s), "
        "0 bytes inside a block of size 10",
        "Argument 'size' of function malloc has a fishy (possibly negative) value: -3",
        "Mismatched free() / delete / delete [], 0 bytes inside a block of size 20",
    }


def test_leaks_at_exit_are_only_the_definitely_lost_and_the_rest_is_in_the_totals() -> None:
    read = report("kinds")
    assert {leak.kind for leak in read.leaks} == {"definitely-lost"}
    assert sum(leak.blocks for leak in read.leaks) == 5
    assert read.totals["still-reachable"] == {"extension": {"blocks": 1, "bytes": 40_000}}
    assert read.totals["definitely-lost"] == {"extension": {"blocks": 5, "bytes": 1708}}
    assert read.totals["indirectly-lost"] == {"extension": {"blocks": 4, "bytes": 416}}


def test_added_leaks_belong_to_their_test_with_their_deltas() -> None:
    added = {
        (item.test, item.leak.blocks, item.leak.bytes, item.leak.indirect_bytes)
        for item in report("kinds").added
        if item.leak.kind == "definitely-lost"
    }
    assert added == {
        ("tests/test_a.py::test_leak", 1, 500, 0),
        ("tests/test_a.py::test_leak", 1, 312, 208),
        ("tests/test_b.py::test_éncore", 2, 1000, 0),
        ("tests/test_b.py::test_éncore", 1, 312, 208),
    }
    assert {item.phase for item in report("kinds").added} == {"tests"}


def test_the_canary_is_seen_and_is_no_leak() -> None:
    read = report("kinds")
    assert read.canaries == {"leakgrid_canary_malloc"}
    assert all(leak.bytes != 4242 for leak in read.leaks)
    assert canaries_seen([ProcessReport(), read]) == {"leakgrid_canary_malloc"}


@pytest.mark.parametrize("name", ["leakgrid_canary_object", "crate::leakgrid_canary_rust"])
def test_a_canary_may_stand_anywhere_in_a_leaks_stack(name: str) -> None:
    read = read_process([FINISHED, lost(1, 72, "inner", name, "main"), END], ORIGINS)
    assert read.canaries == {name.rpartition(":")[2]}
    assert read.leaks == ()


def test_descriptors_of_the_log_get_their_stacks() -> None:
    read = report("kinds", "kinds.log")
    (passwd,) = [item for item in read.descriptors if item.detail == "/etc/passwd"]
    assert [frame.function for frame in passwd.stack] == ["open", "main"]


def test_descriptors_of_newer_versions_need_no_log() -> None:
    read = report("fd-not-closed")
    assert [(item.number, item.inherited) for item in read.descriptors] == [
        (5, False),
        (6, False),
        (8, True),
    ]
    assert [(error.detector, error.kind, error.occurrences) for error in read.errors] == [
        ("fds", "descriptor-closed-twice", 2),
        ("fds", "descriptor-bad-use", 1),
    ]


def test_a_crash_names_its_signal_and_its_test() -> None:
    read = report("segv")
    assert read.complete
    assert read.running == "t.py::crash"
    assert read.signal is not None
    assert read.signal.name == "SIGSEGV"
    assert read.errors[0].summary == "Invalid write of size 4, through a null pointer"
    assert [leak.bytes for leak in read.leaks] == [500]


def test_a_killed_process_is_incomplete_and_names_the_test_it_was_in() -> None:
    read = read_process(read_file(GOLDEN / "killed.xml"), ORIGINS)
    assert not read.complete
    assert read.running == "t.py::killed"
    assert read.exe == "./killed"
    assert [(error.test, error.occurrences) for error in read.errors] == [("t.py::fine", 1)]


def test_a_hostile_file_is_not_taken_for_a_killed_process() -> None:
    with pytest.raises(DataError):
        read_process(read_file(GOLDEN / "two-in-one.xml"), ORIGINS)


def test_other_peoples_messages_and_unknown_words_are_passed_over() -> None:
    texts = ["hello", "leakgridtest-begin x", "leakgrid", "leakgrid dance a b", "leakgrid test-end"]
    records: list[Record] = [ClientMessage(1, text) for text in texts]
    read = read_process([*records, message("test-end t errors=x"), END], ORIGINS)
    assert read == ProcessReport(complete=True)


def test_a_full_check_in_the_middle_is_not_counted_beside_the_one_at_exit() -> None:
    records: list[Record] = [lost(1, 10, "f"), FINISHED, lost(1, 10, "f"), END]
    read = read_process(records, ORIGINS)
    assert [leak.blocks for leak in read.leaks] == [1]
    assert read.added == ()


def test_unchanged_records_of_an_added_check_are_left_out() -> None:
    record = replace(lost(1, 10, "f"), delta_blocks=0, delta_bytes=0, delta_indirect_bytes=0)
    assert read_process([message("test-begin t"), record], ORIGINS).added == ()


def test_a_repeated_error_names_the_tests_to_run_apart() -> None:
    records: list[Record] = [
        message("test-begin a"),
        invalid_read(1, "f"),
        message("test-end a errors=1"),
        message("test-begin b"),
        message("test-end b errors=2"),
        END,
    ]
    assert read_process(records, ORIGINS).unnamed_tests() == ("b",)


# --- several processes ---------------------------------------------------------------------------


def forked() -> tuple[ProcessReport, list[ProcessReport]]:
    children = [report(f"fork-child{number}", "fork.log") for number in (1, 2)]
    return report("fork-zygote", "fork.log"), children


def by_functions(findings: tuple[Finding, ...], kind: str) -> dict[tuple[str, ...], Finding]:
    return {tuple(f.function for f in item.frames): item for item in findings if item.kind == kind}


def test_inherited_losses_are_counted_once_and_own_ones_in_every_child() -> None:
    leaks = by_functions(merge(*forked()), "definitely-lost")
    blocks = {functions: (leak.blocks, leak.bytes) for functions, leak in leaks.items()}
    assert blocks == {
        ("malloc", "other", "main"): (1, 77),
        ("malloc", "lose", "work", "main"): (3, 1500),
        ("malloc", "lose", "work", "test", "main"): (2, 1000),
        ("malloc", "other", "test", "main"): (1, 77),
    }


def test_an_error_that_the_zygote_showed_is_counted_again_in_the_children() -> None:
    zygote, children = forked()
    (known,) = zygote.errors
    assert known.occurrences == 1
    assert [child.counted for child in children] == [{known.unique: 2}, {known.unique: 2}]
    (finding,) = [item for item in merge(zygote, children) if item.id == known.id]
    assert finding.blocks == 3


def test_inherited_error_counts_alone_add_nothing() -> None:
    zygote = read_process([invalid_read(0, "f"), ErrorCounts({0: 3}), END], ORIGINS)
    child = read_process([ErrorCounts({0: 3}), END], ORIGINS)
    (finding,) = merge(zygote, [child, child])
    assert (finding.blocks, finding.bytes) == (3, 1)


def test_errors_of_several_children_merge_into_one_finding_with_all_their_tests() -> None:
    errors = by_functions(merge(*forked()), "invalid-read")
    assert errors["bad_read", "work", "test", "main"].tests == ("t.py::t1", "t.py::t2")


def test_the_totals_take_off_what_was_inherited() -> None:
    assert merge_totals(*forked()) == {
        "definitely-lost": {"extension": {"blocks": 7, "bytes": 2654}}
    }


def test_suppressions_take_off_what_was_inherited() -> None:
    zygote = ProcessReport(suppressed={"a": 2, "unused": 0})
    children = [ProcessReport(suppressed={"a": 5, "b": 1}), ProcessReport(suppressed={"a": 2})]
    assert merge_suppressed(zygote, children) == {"a": 5, "b": 1}


def test_an_incomplete_child_gives_its_errors() -> None:
    killed = read_process(read_file(GOLDEN / "killed.xml"), ORIGINS)
    (finding,) = alone(killed)
    assert (finding.kind, finding.tests) == ("invalid-read", ("t.py::fine",))


def test_findings_say_owner_kind_and_one_line() -> None:
    (finding,) = alone(read_process([FINISHED, lost(1, 500, "f"), END], ORIGINS))
    assert finding.detector == "memcheck"
    assert finding.owner is Owner.EXTENSION
    assert finding.summary == "500 bytes in 1 block definitely lost"
    assert finding.frames[0].function == "malloc"
    assert not finding.per_call


def test_indirect_bytes_are_part_of_the_definite_record() -> None:
    record = replace(lost(2, 1312, "f"), indirect_bytes=1208)
    indirect = lost(3, 1208, "g", kind="indirectly-lost")
    (finding,) = alone(read_process([FINISHED, record, indirect, END], ORIGINS))
    assert (finding.blocks, finding.bytes) == (2, 1312)
    assert finding.summary == "1,312 bytes in 2 blocks definitely lost (1,208 of them indirectly)"


def test_the_tests_of_added_checks_name_the_leak_at_exit() -> None:
    added = replace(lost(1, 10, "f"), delta_blocks=1, delta_bytes=10, delta_indirect_bytes=0)
    gone = replace(lost(1, 10, "f"), delta_blocks=-1, delta_bytes=-10, delta_indirect_bytes=0)
    records: list[Record] = [
        message("test-begin a%20b"),
        added,
        message("test-end a%20b errors=0"),
        message("test-begin c"),
        gone,
        message("test-end c errors=0"),
        FINISHED,
        lost(1, 10, "f"),
        END,
    ]
    (finding,) = alone(read_process(records, ORIGINS))
    assert finding.tests == ("a b",)


def test_the_same_records_give_the_same_findings_in_the_same_order() -> None:
    zygote, children = forked()
    findings = merge(zygote, children)
    assert findings == merge(zygote, children[::-1])
    assert list(findings) == sorted(findings, key=lambda f: (f.detector, f.kind, f.id))


def test_an_incomplete_zygote_says_too_much_rather_than_too_little() -> None:
    leak = Leak("definitely-lost", "0" * 12, Owner.EXTENSION, (), 1, 10)
    children = [ProcessReport(complete=True, leaks=(leak,))] * 2
    (finding,) = merge(ProcessReport(), children)
    assert finding.blocks == 2


def broken() -> Iterator[Record]:
    yield FINISHED
    raise DataError("broken")


def test_a_broken_document_is_not_swallowed() -> None:
    with pytest.raises(DataError, match="broken"):
        read_process(broken(), ORIGINS)
