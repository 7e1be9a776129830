"""Targets, cells and the matrix: what is to be evaluated (stdlib and packaging only)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """An extension project under test.

    Exactly one of ``path`` (a folder, relative to the matrix file or absolute) and
    ``requirement`` (an sdist from the index, ``mrrc==0.9.2``) is set.
    ``tests`` are paths below the project's root (empty: what pytest itself finds);
    ``pytest_args`` are passed on to pytest; ``requirements`` are pip requirements that the tests
    need besides pytest; ``env`` holds the target's own environment variables.
    """

    name: str
    path: str = ""
    requirement: str = ""
    tests: tuple[str, ...] = ()
    pytest_args: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


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
