"""Results from many machines become those of one run: which stays, what is missing (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from leakgrid.baseline import python_minor
from leakgrid.errors import DataError
from leakgrid.finding import SCHEMA, CellResult
from leakgrid.matrix import Cell


@dataclass(frozen=True, slots=True)
class Piece:
    """A result, and where it was found (a path, for messages)."""

    place: str
    result: CellResult

    @property
    def cell(self) -> str:
        """The cell's name: ``mrrc/py3.13-pyo3-0.30.1``."""
        result = self.result
        return Cell(result.target, python_minor(result.python), result.pyo3).name


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A cell that several machines have a result of; ``why`` says why ``kept`` is the one."""

    cell: str
    kept: str
    dropped: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return f"{self.cell} was there {len(self.dropped) + 1} times: kept {self.kept} ({self.why})"


@dataclass(frozen=True, slots=True)
class Merged:
    """One result per cell, sorted by name.

    ``missing`` cells were expected and no machine brought them, ``unexpected`` the other way round.
    """

    kept: Mapping[str, Piece]
    duplicates: tuple[Duplicate, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


def merge(
    brought: Collection[Piece], expected: Collection[str] = (), stored: Collection[Piece] = ()
) -> Merged:
    """Of each cell the whole and newest result.

    ``expected`` are the names of a plan's cells, ``stored`` what the store had before.
    """
    by_cell: dict[str, list[Piece]] = {}
    for piece in (*stored, *brought):
        by_cell.setdefault(piece.cell, []).append(piece)
    kept, duplicates = {}, []
    for cell in sorted(by_cell):
        best, *others = sorted(by_cell[cell], key=_rank, reverse=True)
        kept[cell] = best
        if different := [other for other in others if other.result != best.result]:
            places = tuple(other.place for other in different)
            duplicates.append(Duplicate(cell, best.place, places, _why(best, different)))
    came = {piece.cell for piece in brought}
    return Merged(
        kept=kept,
        duplicates=tuple(duplicates),
        missing=tuple(sorted(set(expected) - came)),
        unexpected=tuple(sorted(came - set(expected))) if expected else (),
    )


def check_schemas(schemas: Mapping[str, Any]) -> None:
    """Refuse results of other schemas than this leakgrid's, and mixed ones (place to schema).

    Raises DataError that names every place.
    """
    foreign = {place: schema for place, schema in schemas.items() if schema != SCHEMA}
    if not foreign:
        return
    several = "mixed schemas" if len(foreign) < len(schemas) else "another schema"
    named = "; ".join(f"{place} has {schema!r}" for place, schema in sorted(foreign.items()))
    raise DataError(
        f"the results have {several}, so nothing was merged",
        why=f"this leakgrid reads schema {SCHEMA}; {named}",
        next="Run every machine with the same leakgrid, and merge with that one.",
    )


def planned_cells(plan: Any, place: str) -> tuple[str, ...]:
    """The names of the cells of a plan (what ``leakgrid watch --plan`` prints). Raises DataError.

    Each job of its ``include`` names its ``cells``, separated by blanks.
    """
    try:
        return tuple(name for job in plan["include"] for name in str(job["cells"]).split())
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{place} is no plan",
            why=f"looked for include[].cells: {type(error).__name__} {error}",
            next="Give the file that leakgrid watch --plan FILE wrote.",
        ) from error


def _rank(piece: Piece) -> tuple[bool, str, str]:
    return (not piece.result.partial, piece.result.started, piece.place)


def _why(best: Piece, others: Iterable[Piece]) -> str:
    if any(other.result.partial != best.result.partial for other in others):
        why = "the whole suite ran"
    elif any(other.result.started != best.result.started for other in others):
        why = "the newest"
    else:
        why = "they began at the same time"
    if any(other.result.sources != best.result.sources for other in others):
        why += "; they measured different sources"
    return why
