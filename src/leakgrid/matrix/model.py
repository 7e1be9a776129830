"""The values of the matrix: targets, cells, exclusions, tags, and how they expand to cells."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from leakgrid.errors import UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """An extension project under test.

    Exactly one of ``path`` (a folder, relative to the matrix file or absolute) and
    ``requirement`` (an sdist from the index, ``mrrc==0.9.2``) is set.
    ``tests`` are paths below the project's root (empty: what pytest itself finds);
    ``pytest_args`` are passed on to pytest; ``requirements`` are pip requirements that the tests
    need besides pytest; ``env`` holds the target's own environment variables.
    ``pythons`` and ``pyo3`` replace the matrix's own lists where they are set. ``default`` is
    false for a target whose cells run only when they are asked for by name.
    """

    name: str
    path: str = ""
    requirement: str = ""
    tests: tuple[str, ...] = ()
    pytest_args: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    pythons: tuple[str, ...] = ()
    pyo3: tuple[str, ...] = ()
    default: bool = True


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One (target, python, pyo3). ``python`` is a minor version such as ``3.13``."""

    target: str
    python: str
    pyo3: str

    @property
    def name(self) -> str:
        """The name used for files and on the command line: ``mrrc/py3.13-pyo3-0.30.1``."""
        return f"{self.target}/py{self.python}-pyo3-{self.pyo3}"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Cells that are not evaluated, with the reason why.

    ``python`` and ``pyo3`` are version specifiers (``>=3.13``, ``<0.23``); an empty one and an
    empty ``target`` match everything.
    """

    reason: str
    target: str = ""
    python: str = ""
    pyo3: str = ""

    def matches(self, cell: Cell) -> bool:
        """Whether this exclusion rules the cell out."""
        return (
            self.target in ("", cell.target)
            and _within(cell.python.removesuffix("t"), self.python)
            and _within(cell.pyo3, self.pyo3)
        )


@dataclass(frozen=True, slots=True)
class Tag:
    """A named selection of cells; empty fields select everything."""

    name: str
    target: str = ""
    pythons: tuple[str, ...] = ()
    pyo3: tuple[str, ...] = ()

    def selects(self, cell: Cell) -> bool:
        """Whether the cell carries this tag."""
        return (
            self.target in ("", cell.target)
            and (not self.pythons or cell.python in self.pythons)
            and (not self.pyo3 or cell.pyo3 in self.pyo3)
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """What the release watcher follows: version specifiers (empty: every release).

    ``reviewed`` is the day of the last yearly review, None where none is recorded.
    """

    python: str = ""
    pyo3: str = ""
    reviewed: date | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Everything that a matrix file says; ``base`` is the folder that target paths start from."""

    targets: tuple[Target, ...]
    pythons: tuple[str, ...]
    pyo3: tuple[str, ...]
    default_target: str
    exclusions: tuple[Exclusion, ...] = ()
    tags: tuple[Tag, ...] = ()
    watch: Watch = field(default_factory=Watch)
    base: Path = Path()

    def target(self, name: str) -> Target:
        """The target of that name. Raises UsageError when the matrix has none."""
        for target in self.targets:
            if target.name == name:
                return target
        known = [target.name for target in self.targets]
        raise UsageError(
            f"the matrix has no target {name!r}{suggest(name, known)}",
            next=f"Known targets: {', '.join(known)}.",
        )

    def excluded(self, cell: Cell) -> str:
        """Why the cell is excluded; empty when it is not."""
        return next((item.reason for item in self.exclusions if item.matches(cell)), "")


@dataclass(frozen=True, slots=True)
class CellPlan:
    """A cell of the matrix with its target; ``excluded`` is the reason, or empty."""

    cell: Cell
    target: Target
    tags: tuple[str, ...] = ()
    default: bool = True
    excluded: str = ""


def expand(
    matrix: Matrix, *, targets: Collection[str] = (), tags: Collection[str] = ()
) -> tuple[CellPlan, ...]:
    """Every cell of the matrix, excluded ones included with their reason.

    Within a target the cells are ordered by PyO3 and then Python: a build reuses most of the
    build before it when only the Python changes. ``targets`` and ``tags`` narrow the selection;
    an unknown target raises UsageError.
    """
    chosen = [matrix.target(name) for name in targets] if targets else list(matrix.targets)
    plans = [
        _plan(matrix, target, Cell(target.name, python, pyo3))
        for target in chosen
        for pyo3 in sorted(target.pyo3 or matrix.pyo3, key=Version)
        for python in sorted(target.pythons or matrix.pythons, key=_python_key)
    ]
    return tuple(plan for plan in plans if not tags or set(tags) & set(plan.tags))


def suggest(name: str, known: Collection[str]) -> str:
    """``, did you mean X?`` for a misspelt name, or nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]}?" if close else ""


def _plan(matrix: Matrix, target: Target, cell: Cell) -> CellPlan:
    tags = tuple(dict.fromkeys(tag.name for tag in matrix.tags if tag.selects(cell)))
    return CellPlan(cell, target, tags, target.default, matrix.excluded(cell))


def _within(version: str, specifier: str) -> bool:
    """Prereleases count: a matrix that names one wants it judged like any other version."""
    return not specifier or SpecifierSet(specifier).contains(version, prereleases=True)


def _python_key(python: str) -> tuple[Version, bool]:
    return Version(python.removesuffix("t")), python.endswith("t")
