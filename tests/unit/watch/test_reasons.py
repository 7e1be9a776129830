from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from made import result

from leakgrid.changelog import Note
from leakgrid.finding import CellResult
from leakgrid.matrix import Cell, CellPlan, Target
from leakgrid.registry import CrateVersion
from leakgrid.watch import reasons
from leakgrid.watch.advisories import Advisory, Span
from leakgrid.watch.reasons import Facts, Reason
from leakgrid.watch.releases import news
from leakgrid.watch.surface import Surface

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BEFORE, AFTER = "2026-11-01T00:00:00+00:00", "2026-11-22T00:00:00+00:00"


def plans(*pyo3: str, **changes: Any) -> tuple[CellPlan, ...]:
    return tuple(
        replace(CellPlan(Cell("demo", python, version), Target("demo")), **changes)
        for version in pyo3
        for python in ("3.12", "3.13")
    )


def measured(*pyo3: str, started: str = AFTER, **more: Any) -> dict[str, CellResult]:
    found = {}
    for plan in plans(*pyo3):
        python = {"version": f"{plan.cell.python}.1"}
        made = result(pyo3=plan.cell.pyo3, python=python, started=started, **more)
        found[plan.cell.name] = made
    return found


def facts(**changes: Any) -> Facts:
    base = Facts(NOW, plans("0.29.0"), results=measured("0.29.0"))
    return replace(base, **changes)


def index(*versions: str) -> tuple[CrateVersion, ...]:
    return tuple(CrateVersion(version, yanked=False) for version in versions)


def due(given: Facts) -> list[str]:
    return [reason.key for reason in reasons.due(given)]


def only(given: Facts) -> Reason:
    (reason,) = reasons.due(given)
    return reason


def test_nothing_is_due_where_nothing_changed() -> None:
    same = {"3.12": "3.12.1", "3.13": "3.13.1"}
    seen = news(index("0.29.0"), known=index("0.29.0"), matrix=["0.29.0"])
    assert due(facts(pythons=same, valgrind="3.24.0", news=seen)) == []


def test_a_new_release_asks_for_its_cells_and_tells_the_changelog_up_to_it() -> None:
    seen = news(index("0.29.0", "0.29.1", "0.29.2"), known=None, matrix=["0.29.0"])
    notes = tuple(Note(v, "", "Fixed", f"leak in {v}") for v in ("0.29.0", "0.29.1", "0.29.2"))
    reason = only(facts(plans=plans("0.29.0", "0.29.2"), news=seen, changes=notes))
    assert reason.key == "pyo3:0.29.2"
    assert reason.cells == ("demo/py3.12-pyo3-0.29.2", "demo/py3.13-pyo3-0.29.2")
    assert reason.details == (
        "changelog of 0.29.1: leak in 0.29.1",
        "changelog of 0.29.2: leak in 0.29.2",
    )
    assert "date unknown" in reason.text


def test_a_release_of_the_matrix_is_due_until_each_of_its_cells_has_a_result() -> None:
    both = {"plans": plans("0.29.0", "0.30.1")}
    seen = news(index("0.29.0", "0.30.1"), known=None, matrix=["0.29.0", "0.30.1"])
    results = measured("0.29.0", "0.30.1")
    assert due(facts(**both, news=seen, results=results)) == []
    half = {name: results[name] for name in list(results)[:3]}
    assert due(facts(**both, news=seen, results=measured("0.29.0"))) == ["not-measured:0.30.1"]
    assert due(facts(**both, news=seen, results=half)) == []
    remembered = {"not-measured:0.30.1": BEFORE}
    reason = only(facts(**both, news=seen, results=half, open=remembered))
    assert reason.cells == ("demo/py3.13-pyo3-0.30.1",)


def test_a_fresh_machine_without_results_is_not_told_to_run_everything() -> None:
    seen = news(index("0.29.0", "0.30.1"), known=None, matrix=["0.29.0", "0.30.1"])
    assert due(facts(plans=plans("0.29.0", "0.30.1"), news=seen, results={})) == []


def test_a_new_release_is_remembered_as_not_measured() -> None:
    seen = news(index("0.29.0", "0.30.1"), known=None, matrix=["0.29.0"])
    given = facts(plans=plans("0.29.0", "0.30.1"), news=seen)
    kept = reasons.remembered(given, reasons.due(given))
    assert kept == {"not-measured:0.30.1": "2026-11-23T00:00:00+00:00"}
    later = replace(given, open=kept, now=datetime(2026, 12, 1, tzinfo=UTC))
    assert reasons.remembered(later, reasons.due(later)) == kept


def test_what_is_no_longer_yanked_is_measured_again() -> None:
    before = (CrateVersion("0.29.0", yanked=True),)
    seen = news(index("0.29.0"), known=before, matrix=["0.29.0"])
    assert due(facts(news=seen)) == ["un-yanked:0.29.0"]
    quiet = news(index("0.29.0"), known=index("0.29.0"), matrix=["0.29.0"])
    waiting = facts(news=quiet, open={"un-yanked:0.29.0": AFTER})
    assert due(waiting) == ["un-yanked:0.29.0"]
    assert due(replace(waiting, open={"un-yanked:0.29.0": BEFORE})) == []


def test_an_advisory_younger_than_the_results_is_a_reason() -> None:
    advisory = Advisory("A-1", "boom", "2026-11-10T00:00:00Z", spans=(Span("0.29.0", "0.29.1"),))
    assert due(facts(advisories=(advisory,))) == []
    old = facts(advisories=(advisory,), results=measured("0.29.0", started=BEFORE))
    assert only(old).cells == ("demo/py3.12-pyo3-0.29.0", "demo/py3.13-pyo3-0.29.0")
    assert due(replace(old, reviewed=date(2026, 11, 11))) == []
    assert due(replace(old, reviewed=date(2026, 11, 10))) == ["advisory:A-1"]
    elsewhere = replace(advisory, spans=(Span("0", "0.24.1"),))
    assert due(replace(old, advisories=(elsewhere,))) == []


def test_another_cpython_asks_for_its_own_cells_only() -> None:
    reason = only(facts(pythons={"3.12": "3.12.9", "3.13": "3.13.1"}))
    assert (reason.kind, reason.cells) == ("new-cpython", ("demo/py3.12-pyo3-0.29.0",))
    assert "CPython 3.12.9 is installed, results were made with 3.12.1" in reason.text


def test_another_valgrind_asks_for_what_it_measured() -> None:
    results = measured("0.29.0", toolchain={"valgrind": "3.19.0"})
    assert due(facts(valgrind="3.24.0", results=results)) == ["valgrind:3.24.0"]
    assert due(facts(valgrind="3.19.0", results=results)) == []
    assert due(facts(valgrind="", results=results)) == []


def test_the_surface_is_kept_as_evaluated_until_it_is() -> None:
    was, now = Surface(("pyclass A",)), Surface(("pyclass A", "pyclass B"))
    changed = facts(surfaces={"demo": now}, evaluated={"demo": was})
    found = reasons.due(changed)
    assert [reason.key for reason in found] == ["surface:demo"]
    assert reasons.surfaces_to_keep(changed, found) == {"demo": was}
    settled = replace(changed, open={"surface:demo": BEFORE})
    assert due(settled) == []
    assert reasons.surfaces_to_keep(settled, ()) == {"demo": now}
    assert due(facts(surfaces={"demo": now})) == []


@pytest.mark.parametrize(
    ("day", "expected"),
    [(None, []), (date(2025, 11, 24), []), (date(2025, 11, 23), ["review"])],
)
def test_the_review_is_due_after_a_year(day: date | None, expected: list[str]) -> None:
    assert due(facts(reviewed=day)) == expected


def test_old_results_and_those_without_a_date_are_stale() -> None:
    assert due(facts(max_age=1)) == []
    assert due(facts(results=measured("0.29.0", started=BEFORE), max_age=5)) == ["stale"]
    reason = only(facts(results=measured("0.29.0", started="")))
    assert "without a date" in reason.text


def test_cells_that_are_excluded_or_no_default_are_not_asked_for() -> None:
    for changes in ({"excluded": "why"}, {"default": False}):
        given = facts(plans=plans("0.29.0", **changes), results=measured("0.29.0", started=""))
        assert due(given) == []
