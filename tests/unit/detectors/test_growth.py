"""Growth: native findings, and those that memcheck explains."""

from __future__ import annotations

from dataclasses import replace

from leakgrid.detectors import growth
from leakgrid.detectors.process_report import DEFINITE, AddedLeak, Leak
from leakgrid.detectors.suspects import NATIVE_MEMORY, Suspect
from leakgrid.signature import Frame, Owner, owner_of

CALLS = 12
OWN = (
    Frame("malloc", object="libc", owner=Owner.LIBC),
    Frame("known::forget_vec", "src/lib.rs", 5, "known", Owner.EXTENSION),
    Frame("_PyEval_EvalFrameDefault", object="python", owner=Owner.CPYTHON),
)
CPYTHON = (
    Frame("malloc", object="libc", owner=Owner.LIBC),
    Frame("PyList_New", object="python", owner=Owner.CPYTHON),
    Frame("_PyEval_EvalFrameDefault", object="python", owner=Owner.CPYTHON),
)


def memory(test: str, size: float = 512) -> Suspect:
    return Suspect(test, "growth", NATIVE_MEMORY, "native memory", 1, size)


def objects(test: str, name: str = "list") -> Suspect:
    return Suspect(test, "growth", "object", name, 1, 64)


def added(
    test: str, window: int, blocks: int, frames: tuple[Frame, ...] = OWN, kind: str = DEFINITE
) -> AddedLeak:
    leak = Leak(kind, f"{frames[1].function}", owner_of(frames), frames, blocks, blocks * 100)
    return AddedLeak(test, f"explain {window}", leak)


def test_what_grew_in_both_windows_is_explained_per_call() -> None:
    (found,) = growth.explained("t", [added("t", 1, 12), added("t", 2, 12)], CALLS)
    assert (found.blocks, found.bytes) == (1, 100)
    assert found.native


def test_blocks_that_a_stale_pointer_keeps_reachable_count_with_the_lost_ones() -> None:
    some = [added("t", 1, 10), added("t", 1, 2, kind="still-reachable"), added("t", 2, 12)]
    (found,) = growth.explained("t", some, CALLS)
    assert (found.blocks, found.bytes) == (1, 100)
    assert found.found.leak.kind == DEFINITE


def test_a_pool_that_filled_in_the_first_window_is_not() -> None:
    assert growth.explained("t", [added("t", 1, 12)], CALLS) == ()
    assert growth.explained("t", [added("t", 1, 12), added("t", 2, -3)], CALLS) == ()


def test_checks_of_other_phases_and_tests_do_not_count() -> None:
    other = AddedLeak("t", "final", added("t", 1, 12).leak)
    assert growth.explained("t", [other, added("u", 1, 12), added("u", 2, 12)], CALLS) == ()


def test_a_stack_gives_the_finding_its_owner_frames_and_name() -> None:
    stacks = growth.explained("t", [added("t", 1, 12), added("t", 2, 12)], CALLS)
    (finding,), dropped = growth.with_stacks([memory("t")], {"t": stacks})
    assert finding.owner is Owner.EXTENSION
    assert finding.frames == OWN
    assert finding.per_call
    assert dropped == ()


def test_the_same_stack_in_two_tests_is_one_finding() -> None:
    stacks = {
        test: growth.explained(test, [added(test, 1, 12), added(test, 2, 12)], CALLS)
        for test in ("t", "u")
    }
    (finding,), _ = growth.with_stacks([memory("t"), memory("u", 99)], stacks)
    assert finding.tests == ("t", "u")


def test_an_object_from_a_list_of_free_ones_keeps_its_name_without_a_stack() -> None:
    leaks = [added("t", 1, 12, CPYTHON), added("t", 2, 12, CPYTHON)]
    stacks = {"t": growth.explained("t", leaks, CALLS)}
    (finding,), _ = growth.with_stacks([objects("t")], stacks)
    assert "list" in finding.summary
    assert finding.frames == ()


def test_what_doubles_is_kept_although_a_few_calls_did_not_show_it() -> None:
    doubling = replace(memory("t"), doubles=True)
    (finding,), dropped = growth.with_stacks([doubling], {"t": ()})
    assert finding.tests == ("t",)
    assert dropped == ()


def test_lost_memory_counts_whoever_allocated_it() -> None:
    leaks = [added("t", 1, 12, CPYTHON), added("t", 2, 12, CPYTHON)]
    stacks = {"t": growth.explained("t", leaks, CALLS)}
    (finding,), _ = growth.with_stacks([memory("t")], stacks)
    assert finding.frames == CPYTHON


def test_memory_that_only_the_interpreter_still_reaches_is_dropped() -> None:
    leaks = [added("t", n, 12, CPYTHON, "still-reachable") for n in (1, 2)]
    found, dropped = growth.with_stacks([memory("t")], {"t": growth.explained("t", leaks, CALLS)})
    assert found == ()
    assert len(dropped) == 1


def test_a_suspect_that_was_not_repeated_under_memcheck_keeps_its_native_finding() -> None:
    (finding,), dropped = growth.with_stacks([objects("t")], {})
    assert finding.frames == ()
    assert dropped == ()


def test_memory_of_one_size_is_one_finding_and_of_another_size_another() -> None:
    found = growth.findings([memory("a", 512.9), memory("b", 513.2), memory("c", 80)])
    assert sorted(item.tests for item in found) == [("a", "b"), ("c",)]


THROUGH_CPYTHON = (
    Frame("malloc", object="libc", owner=Owner.LIBC),
    Frame("PyUnicode_New", object="python", owner=Owner.CPYTHON),
    Frame("known::name", "src/lib.rs", 9, "known", Owner.EXTENSION),
)


def test_what_may_be_interned_names_counts_where_the_extension_asked_for_memory_itself() -> None:
    doubtful = replace(memory("t"), doubtful=True)
    leaks = [added("t", n, 12, frames) for n in (1, 2) for frames in (OWN, THROUGH_CPYTHON)]
    stacks = {"t": growth.explained("t", leaks, CALLS)}
    (finding,), dropped = growth.with_stacks([doubtful], stacks)
    assert finding.frames == OWN
    assert dropped == ()


def test_what_may_be_interned_names_is_no_finding_otherwise() -> None:
    doubtful = replace(memory("t"), doubtful=True)
    leaks = [added("t", n, 12, THROUGH_CPYTHON) for n in (1, 2)]
    stacks = {"t": growth.explained("t", leaks, CALLS)}
    assert growth.with_stacks([doubtful], stacks) == ((), ())
    assert growth.with_stacks([doubtful], {}) == ((), ())


def test_a_stack_that_grew_far_less_often_than_objects_were_lost_is_not_theirs() -> None:
    leaks = [added("t", n, 1, THROUGH_CPYTHON) for n in (1, 2)]
    stacks = {"t": growth.explained("t", leaks, CALLS)}
    (finding,), _ = growth.with_stacks([objects("t")], stacks)
    assert (finding.frames, finding.bytes) == ((), 64)

    rare = [added("t", n, 4) for n in (1, 2)]  # memory that the extension loses now and then
    stacks = {"t": growth.explained("t", [*leaks, *rare], CALLS)}
    (finding,), _ = growth.with_stacks([objects("t")], stacks)
    assert finding.frames == OWN
