"""The stages of a cell: what is going on now, and what each of them cost."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told what happens, as it happens; writes to stderr or nowhere."""

    def stage(self, name: str) -> None:
        """A stage began."""

    def tests(self, done: int, total: int) -> None:
        """Tests of this stage that have ended."""

    def note(self, text: str) -> None:
        """Something a person should know although nothing failed."""


class Stages:
    """Measures stages: wall seconds, and CPU seconds of this process and all it waited for."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.timing: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside; a stage entered twice is added up."""
        self.progress.stage(name)
        began, cpu = time.monotonic(), _cpu_seconds()
        try:
            yield
        finally:
            spent = self.timing.setdefault(name, {"seconds": 0.0, "cpu": 0.0})
            spent["seconds"] = round(spent["seconds"] + time.monotonic() - began, 2)
            spent["cpu"] = round(spent["cpu"] + _cpu_seconds() - cpu, 2)


def _cpu_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
