"""What a person sees while a cell is being evaluated: progress on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

STAGES = {
    "resolve": "finding the interpreter and PyO3",
    "sources": "getting the sources",
    "stage": "setting PyO3",
    "build": "building the extension",
    "environment": "making the environment",
    "screen": "running the tests natively",
    "repeat": "repeating each test natively",
    "growth": "repeating what grew under Valgrind",
    "memcheck": "running the tests under Valgrind",
    "explain": "running suspects again, with stacks",
    "confirm": "running what is new once more",
}
_PLAIN_PAUSE = 15.0
"""Seconds between two progress lines where stderr is no terminal (a CI log)."""

_FAIR_SHARE, _FAIR_TIME = 0.1, 5.0
"""Tests done (of 1) and seconds spent before what is left is told: the first tests start processes
and import, and where they run side by side none may have ended for long."""


def _estimate(done: float, total: float, spent: float) -> str:
    """``about 60 s left``; empty where too little is done to tell. ``spent`` is in seconds."""
    if spent < _FAIR_TIME or done < total * _FAIR_SHARE:
        return ""
    return f"about {spent / done * (total - done):.0f} s left"


class _Left(ProgressColumn):
    """What is left, where that can be told."""

    def render(self, task: Task) -> Text:
        if task.total is None or not task.completed:
            return Text("")
        return Text(_estimate(task.completed, task.total, task.elapsed or 0.0))


class Live:
    """A progress bar per stage at a terminal; a line per stage, and now and then one, elsewhere."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._bars = Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                _Left(),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def stage(self, name: str) -> None:
        """A stage began."""
        self._stage = STAGES.get(name, name)
        self._began = self._told = time.monotonic()
        if self._bars is not None:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(f"{self._title}: {self._stage}", total=None)
        else:
            self._say(f"{self._title}: {self._stage}")

    def tests(self, done: int, total: int) -> None:
        """Tests of this stage that have ended."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._told > _PLAIN_PAUSE and done:
            self._told = time.monotonic()
            left = _estimate(done, total, self._told - self._began)
            self._say(
                f"{self._title}: {self._stage}: {done} of {total} tests" + (left and f", {left}")
            )

    def note(self, text: str) -> None:
        """Something a person should know although nothing failed."""
        self._say(f"{self._title}: {text}")

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._bars is not None:
            self._bars.console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)
