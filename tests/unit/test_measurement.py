"""A stored result against the baseline of now; the running itself: tests/functional."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakgrid.baseline import accept
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.measurement import judge_again
from leakgrid.signature import Owner

PASSED = {"t::a": TestRecord("passed", 0.1)}


def finding(name: str = "a", **changes: object) -> Finding:
    base = Finding("memcheck", "definitely-lost", name * 12, Owner.EXTENSION, ("t::a",), 1, 64)
    return replace(base, **changes)


def result(*findings: Finding, verdict: str = "unbaselined", **changes: object) -> CellResult:
    new = {"new": tuple(item.id for item in findings)}
    base = CellResult("demo", {"version": "3.12.1"}, "0.29.3", verdict, "", tests=PASSED)
    return replace(base, findings=findings, comparison=new, **changes)


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
