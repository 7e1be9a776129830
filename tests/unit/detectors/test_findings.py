"""From records to reports and findings, on what Valgrind really wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leakgrid.detectors.descriptors import parse_log
from leakgrid.detectors.findings import lost_in, merge, merge_suppressed
from leakgrid.detectors.process_report import ProcessReport, read_process
from leakgrid.detectors.records import (
    Auxiliary,
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


def lost(
    blocks: int, size: int, *functions: str, kind: str = "definitely-lost", indirect: int = 0
) -> LeakRecord:
    """What an added leak check reports: ``blocks`` and ``size`` more than at the check before."""
    return LeakRecord(
        unique=9,
        tid=1,
        kind=kind,
        blocks=max(blocks, 0),
        bytes=max(size, 0),
        indirect_bytes=indirect,
        delta_blocks=blocks,
        delta_bytes=size,
        delta_indirect_bytes=indirect,
        stack=stack("malloc", *functions),
    )


def through(size: int, *functions: str) -> LeakRecord:
    """A block that is lost only because another one is."""
    return lost(1, size, *functions, kind="indirectly-lost")


def absolute(record: LeakRecord) -> LeakRecord:
    """The same as a full check, or one at exit, reports it."""
    return replace(record, delta_blocks=None, delta_bytes=None, delta_indirect_bytes=None)


def process(*records: Record) -> ProcessReport:
    return read_process([*records, END], ORIGINS)


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
    assert all(item.leak.bytes != 4242 for item in read.added)


@pytest.mark.parametrize("name", ["leakgrid_canary_object", "crate::leakgrid_canary_rust"])
def test_a_canary_may_stand_anywhere_in_a_leaks_stack(name: str) -> None:
    read = process(lost(1, 72, "inner", name, "main"))
    assert read.canaries == {name.rpartition(":")[2]}
    assert read.added == ()


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


@pytest.mark.parametrize("where", ["somebody's full check", "the check at exit"])
def test_only_relative_checks_count(where: str) -> None:
    before: list[Record] = [FINISHED] if where == "the check at exit" else []
    assert process(*before, absolute(lost(1, 10, "f"))).added == ()


def test_unchanged_records_of_an_added_check_are_left_out() -> None:
    assert process(message("test-begin t"), lost(0, 0, "f")).added == ()


# --- several processes ---------------------------------------------------------------------------


def forked() -> tuple[ProcessReport, list[ProcessReport]]:
    children = [report(f"fork-child{number}", "fork.log") for number in (1, 2)]
    return report("fork-zygote", "fork.log"), children


def by_functions(findings: tuple[Finding, ...], kind: str) -> dict[tuple[str, ...], Finding]:
    return {tuple(f.function for f in item.frames): item for item in findings if item.kind == kind}


def test_losses_of_several_processes_add_up_and_name_all_tests() -> None:
    children = [
        process(message(f"test-begin {test}"), lost(1, size, "f"), message(f"test-end {test}"))
        for test, size in (("a", 500), ("b", 700))
    ]
    (finding,) = merge(ProcessReport(complete=True), children)
    assert (finding.blocks, finding.bytes, finding.tests) == (2, 1200, ("a", "b"))


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


def test_suppressions_take_off_what_was_inherited() -> None:
    zygote = ProcessReport(suppressed={"a": 2, "unused": 0})
    children = [ProcessReport(suppressed={"a": 5, "b": 1}), ProcessReport(suppressed={"a": 2})]
    assert merge_suppressed(zygote, children) == {"a": 5, "b": 1}


def test_an_incomplete_child_gives_its_errors() -> None:
    killed = read_process(read_file(GOLDEN / "killed.xml"), ORIGINS)
    (finding,) = alone(killed)
    assert (finding.kind, finding.tests) == ("invalid-read", ("t.py::fine",))


def test_findings_say_owner_kind_and_one_line() -> None:
    (finding,) = alone(process(lost(1, 500, "f")))
    assert finding.detector == "memcheck"
    assert finding.kind == "definitely-lost"
    assert finding.owner is Owner.EXTENSION
    assert finding.summary == "500 bytes in 1 block definitely lost"
    assert finding.frames[0].function == "malloc"
    assert not finding.per_call


def test_indirect_bytes_are_part_of_the_definite_record() -> None:
    (finding,) = alone(process(lost(2, 1312, "f", indirect=1208), through(1208, "g")))
    assert (finding.blocks, finding.bytes) == (2, 1312)
    assert finding.summary == "1,312 bytes in 2 blocks definitely lost (1,208 of them indirectly)"


def test_a_leak_names_the_tests_after_which_it_was_found() -> None:
    (finding,) = alone(
        process(
            message("test-begin a%20b"),
            lost(1, 10, "f"),
            message("test-end a%20b errors=0"),
            message("test-begin c"),
            lost(0, 0, "f"),
            message("test-end c errors=0"),
            message("test-begin d"),
            lost(2, 20, "f"),
            message("test-end d errors=0"),
        )
    )
    assert finding.tests == ("a b", "d")
    assert (finding.blocks, finding.bytes) == (3, 30)


def test_a_leak_between_two_tests_names_none() -> None:
    (finding,) = alone(process(message("phase tests 0"), lost(1, 10, "f")))
    assert finding.tests == ()


def test_what_a_later_check_finds_again_is_no_leak() -> None:
    taken_back = process(lost(2, 20, "f"), message("phase final"), lost(-2, -20, "f"))
    assert alone(taken_back) == ()


def imported(*records: Record) -> tuple[Record, ...]:
    return (message("phase import"), *records)


def test_what_only_importing_lost_has_a_kind_of_its_own_and_counts_once() -> None:
    fresh = process(*imported(lost(3, 30, "f")), message("phase tests 0"))
    (finding,) = merge(ProcessReport(), [fresh, fresh])
    assert (finding.kind, finding.blocks, finding.bytes) == ("lost-at-import", 3, 30)
    assert finding.tests == ()


def test_what_the_tests_lose_too_is_a_leak_like_any_other() -> None:
    zygote = process(*imported(lost(3, 30, "f")))
    child = process(message("phase tests 0"), message("test-begin t"), lost(1, 10, "f"))
    (finding,) = merge(zygote, [child])
    assert (finding.kind, finding.blocks, finding.tests) == ("definitely-lost", 1, ("t",))


def test_the_zygotes_and_fresh_processes_imports_are_the_same_finding() -> None:
    zygote = process(*imported(lost(3, 30, "f")))
    fresh = merge(ProcessReport(), [zygote])
    assert merge(zygote, [ProcessReport(complete=True)]) == fresh


def test_what_was_lost_through_another_block_is_related_to_it() -> None:
    child = process(
        message("test-begin t"),
        lost(1, 300, "f", indirect=200),
        through(200, "g"),
        message("test-end t errors=0"),
        message("test-begin other"),
        through(50, "h"),
    )
    (finding,) = alone(child)
    (other,) = alone(process(lost(1, 200, "g")))
    assert finding.related == (other.id,)


def cycle(first: str, second: str) -> ProcessReport:
    """Two blocks that point at each other: memcheck takes either for the one that is lost."""
    return process(message("test-begin t"), lost(1, 150, first, indirect=50), through(50, second))


def test_the_same_records_give_the_same_findings_in_the_same_order() -> None:
    zygote, children = forked()
    findings = merge(zygote, children)
    assert findings == merge(zygote, children[::-1])
    assert list(findings) == sorted(findings, key=lambda f: (f.detector, f.kind, f.id))


def test_lost_blocks_are_known_by_the_tests_that_lost_them() -> None:
    child = process(
        message("test-begin a"),
        lost(1, 300, "f", indirect=200),
        through(200, "g"),
        message("test-begin b"),
        lost(1, 100, "f"),
        lost(-1, -7, "gone"),
        lost(4, 40, "kept", kind="still-reachable"),
    )
    assert sorted(lost_in([child]).values()) == [("a",), ("a", "b")]


def test_one_cycle_is_one_finding_whichever_block_was_called_lost() -> None:
    one, other = alone(cycle("f", "g")), alone(cycle("g", "f"))
    assert one[0].id != other[0].id
    assert one[0].related == (other[0].id,)
    (finding,) = merge(ProcessReport(), [cycle("f", "g"), cycle("g", "f")])
    assert (finding.blocks, finding.bytes) == (2, 300)
    assert finding.id in (one[0].id, other[0].id)


def test_a_block_that_is_lost_by_itself_elsewhere_is_no_part_of_a_cycle() -> None:
    chain = process(lost(1, 150, "f", indirect=50), through(50, "g"))
    by_itself = process(lost(1, 50, "g"))
    assert len(merge(ProcessReport(), [chain, by_itself])) == 2


def broken() -> Iterator[Record]:
    yield FINISHED
    raise DataError("broken")


def test_a_broken_document_is_not_swallowed() -> None:
    with pytest.raises(DataError, match="broken"):
        read_process(broken(), ORIGINS)


def undefined(*made: RawFrame) -> bool:
    """Whether a use of an undefined value, made so, counts as CPython's own."""
    origin = Auxiliary("Uninitialised value was created by a heap allocation", made)
    kind, what = "UninitCondition", "Conditional jump or move depends on uninitialised value(s)"
    error = ErrorRecord(1, 1, kind, what, stack("ours"), (origin,))
    (fault,) = process(error).errors
    return fault.foreign


def python(function: str) -> RawFrame:
    return RawFrame(function, "/opt/lib/libpython3.11.so.1.0", "/src/Objects", "longobject.c", 1)


def test_an_undefined_digit_of_an_int_is_cpythons_although_the_extension_asked_for_it() -> None:
    assert undefined(python("_PyLong_New"), python("_PyLong_FromByteArray"), *stack("ours"))


def test_undefined_bytes_that_the_extension_was_to_fill_are_not_cpythons() -> None:
    assert not undefined(python("PyBytes_FromStringAndSize"), *stack("ours"))


def test_undefined_memory_of_the_extension_is_its_own_although_an_int_is_made_of_it() -> None:
    assert not undefined(*stack("malloc", "ours"), python("PyLong_AsLong"))
