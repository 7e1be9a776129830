from dataclasses import replace
from datetime import date

from made import CELL, result

from leakgrid.gating import Reason
from leakgrid.watch.issue import Issue
from leakgrid.watch.regressions import wishes

TODAY = date(2026, 11, 23)
REGRESSED = Reason(CELL, "regressed", 1, "regressed: said so")
MISSING = Reason("demo/py3.13-pyo3-0.29.3", "no-result", 3, "there is no result of it")


def wish(reasons, *known: Issue, new=("a" * 12,), target="demo", today=TODAY):
    results = {CELL: replace(result(verdict="regressed"), comparison={"new": new})}
    return wishes(target, reasons, results, {item.version: item for item in known}, today)


def as_issue(made, *, is_open: bool = True) -> Issue:
    return Issue(7, made.version, is_open, made.title, made.body)


def test_a_regression_wishes_for_an_issue_with_its_marker_and_cells():
    (made,) = wish([REGRESSED])

    assert made.version.startswith("regressed-demo-")
    assert made.version.endswith("-20261123")
    assert f"<!-- leakgrid: pyo3 {made.version} -->" in made.body
    assert f"| `{CELL}` | regressed | said so |" in made.body
    assert not made.closed


def test_an_open_issue_is_kept_for_whatever_is_regressed_later():
    (first,) = wish([REGRESSED])
    (later,) = wish([REGRESSED], as_issue(first), new=("b" * 12,), today=date(2026, 12, 1))

    assert later.version == first.version


def test_it_is_closed_only_when_the_gate_has_no_reason_left():
    (first,) = wish([REGRESSED])

    assert wish([MISSING], as_issue(first)) == ()
    (over,) = wish([], as_issue(first))
    assert (over.version, over.closed) == (first.version, True)


def test_an_issue_that_somebody_closed_is_quiet_about_the_same_findings():
    (first,) = wish([REGRESSED])
    closed = as_issue(first, is_open=False)

    assert wish([REGRESSED], closed, today=date(2026, 12, 1)) == ()
    assert wish([REGRESSED], closed, new=("b" * 12,)) != ()


def test_a_regression_that_comes_back_after_it_was_gone_gets_another_issue():
    (first,) = wish([REGRESSED])
    (over,) = wish([], as_issue(first))
    (again,) = wish([REGRESSED], as_issue(over, is_open=False), today=date(2026, 12, 1))

    assert again.version != first.version


def test_other_targets_issues_are_left_alone():
    (other,) = wish([REGRESSED], target="other")

    assert wish([], as_issue(other)) == ()


def test_markdown_in_a_reason_stays_text():
    results = {CELL: result(verdict="regressed", reason="| `x` <script> @everyone")}
    (made,) = wishes("demo", [REGRESSED], results, {}, TODAY)

    assert "|  x script everyone |" in made.body
