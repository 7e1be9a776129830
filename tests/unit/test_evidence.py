"""What the runs of a cell add up to, apart from the running itself (tests/functional)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakgrid.detectors.journal import TestEvent
from leakgrid.evidence import once, under_valgrind
from leakgrid.finding import Finding, TestRecord
from leakgrid.signature import Frame, Owner

PASSED = {"t::a": TestRecord("passed", 0.1)}


def finding(name: str = "a", **changes: object) -> Finding:
    base = Finding("memcheck", "definitely-lost", name * 12, Owner.EXTENSION, ("t::a",), 1, 64)
    return replace(base, **changes)


# --- natively and under Valgrind -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        ("failed", "failed-under-valgrind"),
        ("error", "failed-under-valgrind"),
        ("crashed", "crashed-under-valgrind"),
        ("hung", "hung-under-valgrind"),
        ("skipped", "skipped"),
    ],
)
def test_failures_under_valgrind_are_told_apart_from_native_ones(seen, outcome):
    changed = under_valgrind(PASSED, {"t::a": TestEvent(seen, why="because")})
    assert changed == {"t::a": TestRecord(outcome, 0.1, reason="because")}


def test_tests_that_failed_natively_stay_as_they_were():
    failed = {"t::a": TestRecord("failed", reason="natively")}
    assert under_valgrind(failed, {"t::a": TestEvent("crashed")}) == {}


def test_a_test_that_is_missing_under_valgrind_was_not_measured():
    assert under_valgrind(PASSED, {})["t::a"].outcome == "not-run"


def test_a_test_that_passes_under_valgrind_too_is_unchanged():
    assert under_valgrind(PASSED, {"t::a": TestEvent("passed")}) == {}


OWN = frozenset({"/site/x/x.cpython-312-x86_64-linux-gnu.so"})

# --- what importing loses ------------------------------------------------------------------------


def at_import(*owners: Owner) -> Finding:
    frames = tuple(Frame(f"f{i}", "", 0, "x.so", owner) for i, owner in enumerate(owners))
    return finding(kind="lost-at-import", owner=Owner.PYO3, frames=frames)


@pytest.mark.parametrize(
    "asked",
    [(Owner.LIBC, Owner.CPYTHON, Owner.PYO3, Owner.EXTENSION), (Owner.LIBC, Owner.PYO3), ()],
)
def test_what_others_lost_once_while_importing_is_listed_and_not_judged(asked):
    judged, listed = once((at_import(*asked),), OWN)
    assert judged == ()
    (entry,) = listed
    assert entry["id"] == "a" * 12
    assert "cannot grow" in entry["why"]


@pytest.mark.parametrize("owner", [Owner.EXTENSION, Owner.DEPENDENCY])
def test_what_the_extension_lost_while_importing_is_judged(owner):
    found = at_import(Owner.LIBC, owner, Owner.PYO3)
    assert once((found,), OWN) == ((found,), ())


def test_what_another_packages_library_lost_while_importing_is_listed():
    frames = (Frame("???", "", 0, "_pydantic_core.so", Owner.DEPENDENCY),)
    found = finding(kind="lost-at-import", owner=Owner.DEPENDENCY, frames=frames)
    judged, listed = once((found,), OWN)
    assert (judged, [entry["id"] for entry in listed]) == ((), [found.id])


def test_what_tests_lose_is_always_judged():
    found = finding(frames=(Frame("f", "", 0, "x.so", Owner.PYO3),))
    assert once((found,), OWN) == ((found,), ())
