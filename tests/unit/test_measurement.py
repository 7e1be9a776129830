"""What runs add up to, apart from the running itself (tests/functional)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakgrid.baseline import accept
from leakgrid.detectors.journal import TestEvent
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.measurement import _once, _under_valgrind, judge_again
from leakgrid.signature import Frame, Owner

PASSED = {"t::a": TestRecord("passed", 0.1)}


def finding(name: str = "a", **changes: object) -> Finding:
    base = Finding("memcheck", "definitely-lost", name * 12, Owner.EXTENSION, ("t::a",), 1, 64)
    return replace(base, **changes)


def result(*findings: Finding, verdict: str = "unbaselined", **changes: object) -> CellResult:
    new = {"new": tuple(item.id for item in findings)}
    base = CellResult("demo", {"version": "3.12.1"}, "0.29.3", verdict, "", tests=PASSED)
    return replace(base, findings=findings, comparison=new, **changes)


# --- a stored result against the baseline of now -------------------------------------------------


def test_what_was_accepted_since_is_known_now():
    stored = result(finding())
    again = judge_again(stored, accept(stored, None, "r"), "demo/x")
    assert again is not None
    assert (again.verdict, again.comparison["known"]) == ("known", ("a" * 12,))
    assert again.tests == stored.tests


def test_what_was_known_and_is_no_longer_accepted_is_measured_again():
    stored = replace(result(finding(), verdict="known"), comparison={"known": ("a" * 12,)})
    assert judge_again(stored, None, "demo/x") is None


def test_what_was_new_before_stays_a_regression():
    stored = result(finding(), verdict="regressed")
    again = judge_again(stored, accept(result(), None, "r"), "demo/x")
    assert again is not None
    assert again.verdict == "regressed"


def test_a_run_that_could_not_be_trusted_is_not_called_clean_afterwards():
    for verdict in ("blind", "interrupted", "crashed", "timed-out"):
        assert judge_again(result(verdict=verdict), None, "demo/x") is None


@pytest.mark.parametrize(("outcome", "verdict"), [("crashed", "crashed"), ("hung", "timed-out")])
def test_a_test_that_died_or_hung_is_judged_the_same_again(outcome, verdict):
    tests = {**PASSED, "t::b": TestRecord(outcome)}
    again = judge_again(result(verdict=verdict, tests=tests), None, "demo/x")
    assert again is not None
    assert again.verdict == verdict


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
    changed = _under_valgrind(PASSED, {"t::a": TestEvent(seen, why="because")})
    assert changed == {"t::a": TestRecord(outcome, 0.1, reason="because")}


def test_tests_that_failed_natively_stay_as_they_were():
    failed = {"t::a": TestRecord("failed", reason="natively")}
    assert _under_valgrind(failed, {"t::a": TestEvent("crashed")}) == {}


def test_a_test_that_is_missing_under_valgrind_was_not_measured():
    assert _under_valgrind(PASSED, {})["t::a"].outcome == "not-run"


def test_a_test_that_passes_under_valgrind_too_is_unchanged():
    assert _under_valgrind(PASSED, {"t::a": TestEvent("passed")}) == {}


# --- what importing loses ------------------------------------------------------------------------


def at_import(*owners: Owner) -> Finding:
    frames = tuple(Frame(f"f{i}", "", 0, "x.so", owner) for i, owner in enumerate(owners))
    return finding(kind="lost-at-import", owner=Owner.PYO3, frames=frames)


@pytest.mark.parametrize(
    "asked",
    [(Owner.LIBC, Owner.CPYTHON, Owner.PYO3, Owner.EXTENSION), (Owner.LIBC, Owner.PYO3), ()],
)
def test_what_others_lost_once_while_importing_is_listed_and_not_judged(asked):
    judged, listed = _once((at_import(*asked),))
    assert judged == ()
    (entry,) = listed
    assert entry["id"] == "a" * 12
    assert "cannot grow" in entry["why"]


@pytest.mark.parametrize("owner", [Owner.EXTENSION, Owner.DEPENDENCY])
def test_what_the_extension_lost_while_importing_is_judged(owner):
    found = at_import(Owner.LIBC, owner, Owner.PYO3)
    assert _once((found,)) == ((found,), ())


def test_what_tests_lose_is_always_judged():
    found = finding(frames=(Frame("f", "", 0, "x.so", Owner.PYO3),))
    assert _once((found,)) == ((found,), ())
