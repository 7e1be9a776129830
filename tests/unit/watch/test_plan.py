from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakgrid.matrix import Cell, CellPlan, Matrix, Target
from leakgrid.watch import plan

nox = pytest.importorskip("leakgrid.nox")


def cells(targets: int, pyo3: int, pythons: int) -> list[CellPlan]:
    return [
        CellPlan(Cell(f"t{t}", f"3.{9 + p}", f"0.{20 + v}.0"), Target(f"t{t}"))
        for t in range(targets)
        for v in range(pyo3)
        for p in range(pythons)
    ]


def test_a_cell_has_a_job_of_its_own_while_there_is_room() -> None:
    matrix = Matrix((Target("t0"),), ("3.9",), ("0.20.0",), "t0")
    (job,) = plan.to_dict(plan.jobs(cells(1, 1, 1)), matrix)["include"]
    assert job == {
        "id": "t0-py3.9-pyo3-0.20.0",
        "name": "t0, Python 3.9, PyO3 0.20.0",
        "target": "t0",
        "python": "3.9",
        "pyo3": "0.20.0",
        "pythons": "3.9",
        "sessions": "valgrind(python='3.9', pyo3='0.20.0')",
        "cells": "t0/py3.9-pyo3-0.20.0",
        "count": 1,
    }


def test_cells_of_one_build_share_a_job_first() -> None:
    (one, two) = plan.jobs(cells(1, 2, 3), capacity=2)
    assert [cell.pyo3 for cell in one.cells] == ["0.20.0"] * 3
    assert two.to_dict("other")["pythons"] == "3.9\n3.10\n3.11"
    assert two.to_dict("other")["id"] == "t0-py3.9-pyo3-0.21.0-and-2-more"
    assert two.to_dict("other")["sessions"].splitlines()[2] == (
        "valgrind(python='3.11', pyo3='0.21.0', target='t0')"
    )


def test_excluded_cells_are_no_jobs() -> None:
    left_out = CellPlan(Cell("t", "3.9", "0.20.0"), Target("t"), excluded="why")
    assert plan.jobs([left_out]) == []


def test_sessions_are_named_as_nox_names_them() -> None:
    for item in cells(2, 2, 2):
        assert plan.session(item.cell, "t0") == nox.session_name("valgrind", item, "t0")


@given(st.integers(1, 4), st.integers(1, 20), st.integers(1, 6), st.integers(1, plan.LIMIT + 100))
def test_every_cell_is_in_one_job_and_the_limit_holds(
    targets: int, pyo3: int, pythons: int, capacity: int
) -> None:
    plans = cells(targets, pyo3, pythons)
    planned = plan.jobs(plans, min(capacity, plan.LIMIT))
    assert [cell for job in planned for cell in job.cells] == [item.cell for item in plans]
    assert len(planned) == min(len(plans), capacity, plan.LIMIT)
    ids = [job.to_dict("t0")["id"] for job in planned]
    assert len(set(ids)) == len(ids)
    json.dumps(ids)


@given(st.integers(0, 50), st.integers(1, 9))
def test_the_parts_of_a_plan_are_the_plan(count: int, of: int) -> None:
    plans = cells(1, count, 1)
    parts = [plan.part(plans, number, of) for number in range(1, of + 1)]
    assert [item for part in parts for item in part] == plans
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
