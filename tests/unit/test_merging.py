import pytest
from made import CELL, result

from leakgrid.errors import DataError
from leakgrid.merging import Piece, check_schemas, merge, planned_cells

OLD, NEW = "2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00"


def piece(place: str, **changes) -> Piece:
    return Piece(place, result(**changes))


def test_a_free_threaded_python_is_another_cell():
    merged = merge([piece("a"), piece("b", python={"version": "3.12.1", "abiflags": "t"})])

    assert list(merged.kept) == [CELL, "demo/py3.12t-pyo3-0.29.3"]
    assert not merged.duplicates


def test_of_two_the_newest_is_kept_and_said_so():
    merged = merge([piece("b", started=OLD), piece("a", started=NEW)])

    assert merged.kept[CELL].place == "a"
    assert str(merged.duplicates[0]) == f"{CELL} was there 2 times: kept a (the newest)"


def test_a_whole_result_outranks_a_newer_partial_one():
    merged = merge([piece("whole", started=OLD), piece("part", started=NEW, partial=True)])

    assert merged.kept[CELL].place == "whole"
    assert merged.duplicates[0].why == "the whole suite ran"


def test_the_order_of_the_machines_decides_nothing():
    pieces = [piece("a", started=OLD, verdict="clean"), piece("b", started=OLD, verdict="known")]

    assert merge(pieces).kept == merge(pieces[::-1]).kept


def test_different_sources_under_one_name_are_said():
    merged = merge([piece("a", started=OLD, sources="1"), piece("b", started=NEW, sources="2")])

    assert "different sources" in merged.duplicates[0].why


def test_the_same_result_twice_is_no_duplicate():
    assert not merge([piece("a", started=OLD), piece("b", started=OLD)]).duplicates


def test_what_the_plan_has_and_nobody_brought_is_missing_whatever_is_stored():
    other = "demo/py3.13-pyo3-0.29.3"
    stored = [piece("store", python={"version": "3.13.0"}, started=OLD)]

    merged = merge([piece("a")], [other, CELL], stored)

    assert merged.missing == (other,)
    assert list(merged.kept) == [CELL, other]


def test_what_was_brought_without_being_planned_is_named():
    assert merge([piece("a")], ["demo/py3.13-pyo3-0.29.3"]).unexpected == (CELL,)
    assert merge([piece("a")]).unexpected == ()


def test_mixed_schemas_are_refused_with_every_place():
    with pytest.raises(DataError, match="mixed schemas") as caught:
        check_schemas({"a.json": 1, "b.json": 2, "c.json": None})

    assert "b.json has 2; c.json has None" in str(caught.value)


def test_one_foreign_schema_everywhere_is_no_mixture():
    with pytest.raises(DataError, match="another schema"):
        check_schemas({"a.json": 2})


def test_a_plans_cells_are_those_of_all_its_jobs():
    plan = {"include": [{"cells": "a/x a/y"}, {"cells": "b/z"}]}

    assert planned_cells(plan, "plan.json") == ("a/x", "a/y", "b/z")


@pytest.mark.parametrize(
    "plan", [[], {}, {"include": [{}]}, {"include": 1}, None, {"include": [1]}]
)
def test_what_is_no_plan_is_refused(plan):
    with pytest.raises(DataError, match=r"plan\.json is no plan"):
        planned_cells(plan, "plan.json")
