"""The cells to run, as a matrix for GitHub Actions (pure).

GitHub takes at most 256 jobs of one matrix ("Workflow syntax", ``jobs.<job_id>.strategy.matrix``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from leakgrid.matrix import Cell, CellPlan, Matrix

LIMIT = 256
"""Jobs of one matrix."""


@dataclass(frozen=True, slots=True)
class Job:
    """Cells that one machine evaluates one after the other."""

    cells: tuple[Cell, ...]

    def to_dict(self, default_target: str) -> dict[str, Any]:
        """One entry of the matrix's ``include``; several cells stand in several lines."""
        first = self.cells[0]
        more = f"-and-{len(self.cells) - 1}-more" if len(self.cells) > 1 else ""
        told = f" and {len(self.cells) - 1} more" if more else ""
        return {
            "id": first.name.replace("/", "-") + more,
            "name": f"{first.target}, Python {first.python}, PyO3 {first.pyo3}{told}",
            "target": first.target,
            "python": first.python,
            "pyo3": first.pyo3,
            "pythons": "\n".join(dict.fromkeys(cell.python for cell in self.cells)),
            "sessions": "\n".join(session(cell, default_target) for cell in self.cells),
            "cells": " ".join(cell.name for cell in self.cells),
            "count": len(self.cells),
        }


def session(cell: Cell, default_target: str) -> str:
    """The name of the cell's nox session, as ``nox -l`` shows it."""
    other = "" if cell.target == default_target else f", target={cell.target!r}"
    return f"valgrind(python={cell.python!r}, pyo3={cell.pyo3!r}{other})"


def part(plans: Sequence[CellPlan], number: int, of: int) -> list[CellPlan]:
    """The ``number``-th of so many contiguous parts, 1-based; cells of one build stay together."""
    size, larger = divmod(len(plans), of)
    start = (number - 1) * size + min(number - 1, larger)
    return list(plans[start : start + size + (number <= larger)])


def jobs(plans: Iterable[CellPlan], capacity: int = LIMIT) -> list[Job]:
    """One job for each cell, or as many as ``capacity`` allows with several cells each.

    Cells of the same target and PyO3 share a job first: all but the first of them reuse its build.
    Excluded cells are left out.
    """
    cells = [plan.cell for plan in plans if not plan.excluded]
    if len(cells) <= capacity:
        return [Job((cell,)) for cell in cells]
    builds = [list(same) for _, same in groupby(cells, key=lambda c: (c.target, c.pyo3))]
    if len(builds) > capacity:
        cells = [cell for build in builds for cell in build]
        return [Job(tuple(cells[at:end])) for at, end in _even(len(cells), capacity)]
    # Halve the largest group as long as there is room for another job.
    while len(builds) < capacity:
        largest = max(range(len(builds)), key=lambda at: len(builds[at]))
        build = builds[largest]
        middle = (len(build) + 1) // 2
        builds[largest : largest + 1] = [build[:middle], build[middle:]]
    return [Job(tuple(build)) for build in builds]


def to_dict(planned: Sequence[Job], matrix: Matrix) -> dict[str, Any]:
    """What ``fromJSON`` gets in a workflow."""
    return {"include": [job.to_dict(matrix.default_target) for job in planned]}


def _even(count: int, parts: int) -> list[tuple[int, int]]:
    edges = [count * at // parts for at in range(parts + 1)]
    return list(pairwise(edges))
