"""What one cell may show, and what of a result counts as measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leakgrid.finding import CellResult, TestRecord
from leakgrid.signature import Frame, Owner, without_version

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted finding; the fields of a Finding, its story as text, and the reason.

    ``blocks`` and ``bytes`` are per call where ``per_call`` is true, else per process.
    ``reproducer`` says in text or code how to see it again, ``link`` is a public report of it; of
    the extension's own findings at least one is there.
    """

    id: str
    detector: str
    kind: str
    owner: Owner
    tests: tuple[str, ...] = ()
    blocks: float = 0
    bytes: float = 0
    per_call: bool = False
    frames: tuple[str, ...] = ()
    reason: str = ""
    related: tuple[str, ...] = ()
    reproducer: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one cell may show. ``tests`` is the number of tests measured at acceptance (0: unknown).

    ``python`` is a minor version such as ``3.13``, ``pyo3`` a full one. ``notes`` are the comments
    that people wrote into the file, by the id of the entry they stand at (empty: the file's head).
    """

    target: str
    python: str
    pyo3: str
    entries: tuple[Accepted, ...] = ()
    tests: int = 0
    schema: int = SCHEMA
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def measured_tests(tests: Mapping[str, TestRecord]) -> int:
    """How many tests were really measured: passed natively and did not end under Valgrind."""
    return sum(record.outcome in ("passed", "xfailed") for record in tests.values())


def is_complete(result: CellResult) -> bool:
    """Whether what is missing in this result is really gone: everything ran to its end."""
    ended = ("crashed", "hung")
    return bool(result.tests) and not (
        result.partial or any(r.outcome.startswith(ended) for r in result.tests.values())
    )


def python_minor(python: Mapping[str, Any]) -> str:
    """The cell's Python of a result: ``{"version": "3.13.0", "abiflags": "t"}`` -> ``3.13t``."""
    version = str(python.get("version", ""))
    minor = ".".join(version.split(".")[:2])
    free_threaded = "t" in str(python.get("abiflags", "")) and not minor.endswith("t")
    return minor + ("t" if free_threaded else "")


def frame_text(frame: Frame) -> str:
    """One frame for a reviewer: the function and where it lies, without lines and versions."""
    place = without_version(frame.file) or frame.object
    return f"{frame.function} [{place}]" if place else frame.function
