"""Runs a target's pytest suite inside its cell, natively or under Valgrind, and survives it.

A plan (JSON) goes in, a journal (JSON lines) comes out; the code on the other side of both is
``leakgrid/incell``. Tests that crash or hang are named and the others still run.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leakgrid import process
from leakgrid.detectors.journal import Journal

INCELL = Path(__file__).resolve().parent.parent / "incell"
MOST_LOSSES = 20
"""A batch that lost this many workers is given up, so that a broken suite ends at all."""


@dataclass(frozen=True, slots=True)
class Cellular:
    """What a suite needs to run in its cell.

    ``python`` is the real executable of the cell's environment; ``environ`` its whole environment;
    ``directory`` the root of the staged project; ``libraries`` the absolute paths of the
    extension's shared libraries, ``allocators`` each one's file address of ``__rust_alloc``.
    ``requests`` is the client request library, empty without a C compiler; ``meter`` the one that
    the screen preloads to count the heap's bytes, empty where the C library's own sum has to do.
    ``scratch`` is a short path for temporary files, ``logs`` the folder for the programs' output.
    Times are seconds.
    """

    python: Path
    environ: Mapping[str, str]
    directory: Path
    pytest_args: tuple[str, ...]
    libraries: tuple[str, ...]
    allocators: Mapping[str, int]
    requests: str
    scratch: Path
    logs: Path
    jobs: int
    test_limit: float
    progress: Callable[[int, int], None] | None = None
    meter: str = ""


@dataclass(frozen=True, slots=True)
class Mode:
    """How one run of the suite is made: what stands before python, and what the plan asks for.

    ``leak_checks`` is the number of tests between two leak checks (0: only at a batch's end).
    """

    name: str
    prefix: tuple[str, ...] = ()
    memcheck: bool = False
    leak_checks: int = 0
    limit: float = 60.0
    collect_limit: float = 120.0
    limits: Mapping[str, float] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    screen: Mapping[str, Any] | None = None
    explain: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """One run of the suite: its journals together, and the programs' own output.

    ``said`` are the last lines of the last program. ``stopped`` is empty, or ``crashed`` or
    ``hung`` where not even collecting came to an end.
    """

    journal: Journal
    stderr: str
    said: str
    seconds: float
    cpu_seconds: float
    stopped: str = ""
    ignored: tuple[str, ...] = ()
    log: Path | None = None
    returncode: int | None = None


def run_suite(
    cell: Cellular,
    mode: Mode,
    batches: Sequence[Sequence[str]] | None,
    exclude: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> SuiteRun:
    """Run ``batches`` of node ids (None: everything that is collected, in one batch).

    A file whose import kills or hangs the interpreter is left out (``ignored``) and the rest is
    collected again. Where the collected suite has threads, each batch gets a process of its own.
    """
    runner = _Runner(cell, mode, tuple(exclude))
    runner.expect(batches or ())
    ignored = list(ignore)
    while True:
        journal = runner.one(batches, ignored, fork=True)
        if journal.collected is not None:
            break
        culprit = journal.collecting
        if not culprit or "::" in culprit or culprit in ignored or not _is_file(cell, culprit):
            return runner.result(ignored, stopped="hung" if journal.hung else "crashed")
        ignored.append(culprit)
        runner.note_ignored(culprit, journal)
    if journal.threads:
        runner.fresh(batches if batches is not None else [journal.collected], ignored)
    elif not journal.done:
        runner.abandon(journal)
    return runner.result(ignored)


def _is_file(cell: Cellular, name: str) -> bool:
    return (cell.directory / name).is_file()


class _Runner:
    """The processes of one :func:`run_suite`."""

    def __init__(self, cell: Cellular, mode: Mode, exclude: tuple[str, ...]) -> None:
        self._cell, self._mode, self._exclude = cell, mode, exclude
        self._journal = Journal()
        self._stderr: list[str] = []
        self._seconds = 0.0
        self._cpu = 0.0
        self._said = ""
        self._total = 0
        self._count = 0
        self._returncode: int | None = None
        self._log = cell.logs / f"{mode.name}.log"
        self._log.unlink(missing_ok=True)

    def expect(self, batches: Sequence[Sequence[str]]) -> None:
        """How many tests progress counts to; without batches all that are collected."""
        self._total = sum(map(len, batches))

    def result(self, ignored: Sequence[str], stopped: str = "") -> SuiteRun:
        return SuiteRun(
            journal=self._journal,
            stderr="".join(self._stderr),
            said=self._said,
            seconds=self._seconds,
            cpu_seconds=self._cpu,
            stopped=stopped,
            ignored=tuple(ignored),
            log=self._log,
            returncode=self._returncode,
        )

    def one(
        self,
        batches: Sequence[Sequence[str]] | None,
        ignored: Sequence[str],
        *,
        fork: bool,
        first_number: int = 0,
    ) -> Journal:
        """One process to its end; its journal is merged into the whole and returned."""
        self._count += 1
        stem = self._cell.scratch / f"{self._mode.name}-{self._count}"
        journal_path, plan_path = stem.with_suffix(".journal"), stem.with_suffix(".plan")
        plan_path.write_text(json.dumps(self._plan(journal_path, batches, fork)), encoding="utf-8")
        environ = {
            **self._cell.environ,
            **self._mode.environ,
            "LEAKGRID_PLAN": str(plan_path),
            "PYTHONPATH": _python_path(self._cell.environ),
            "PYTEST_DEBUG_TEMPROOT": str(_directory(self._cell.scratch / "tmp")),
        }
        argv = [
            *self._mode.prefix,
            str(self._cell.python),
            "-m",
            "pytest",
            "-p",
            "leakgrid_incell.plugin",
            *self._cell.pytest_args,
            *(f"--ignore={path}" for path in ignored),
        ]
        journal = Journal(first_number=first_number)
        running = process.start(argv, cwd=self._cell.directory, env=environ, log=self._log)
        self._watch(running, journal, journal_path)
        completed = running.wait()
        journal.read(journal_path)
        journal.returncode = self._returncode = completed.returncode
        self._stderr.append(completed.stderr)
        self._said = completed.tail(15)
        self._seconds += completed.seconds
        self._cpu += completed.cpu_seconds
        self._journal.merge(journal)
        return journal

    def _plan(
        self, journal: Path, batches: Sequence[Sequence[str]] | None, fork: bool
    ) -> dict[str, Any]:
        mode, cell = self._mode, self._cell
        return {
            "journal": str(journal),
            "parent": os.getpid(),
            "library": cell.requests,
            "fork": fork,
            "batches": None if batches is None else [list(batch) for batch in batches],
            "exclude": list(self._exclude),
            "jobs": cell.jobs,
            "memcheck": mode.memcheck,
            "leak_checks": mode.leak_checks,
            "limit": mode.limit,
            "limits": dict(mode.limits),
            "restart": "all" if mode.memcheck else "rest",
            "most_losses": MOST_LOSSES,
            "libraries": list(cell.libraries),
            "allocators": dict(cell.allocators),
            "screen": None if mode.screen is None else dict(mode.screen),
            "explain": None if mode.explain is None else dict(mode.explain),
        }

    def _watch(self, running: process.Running, journal: Journal, path: Path) -> None:
        """Follow the journal until the program ends or nothing happens for too long."""
        while running.poll() is None:
            if journal.read(path):
                self._tell(journal)
            if time.monotonic() - journal.last_event > self._patience(journal):
                journal.hung = True
                running.kill(grace=0)
            time.sleep(0.05)

    def _patience(self, journal: Journal) -> float:
        """Seconds without any event after which the process counts as hung."""
        if journal.collected is None:
            return self._mode.collect_limit
        current = max(
            (self._mode.limits.get(test, self._mode.limit) for test in journal.running.values()),
            default=self._mode.limit,
        )
        # A zygote kills its hung workers itself; only where it cannot is its own time over.
        return current if journal.forkless else current * 1.5 + 60

    def _tell(self, journal: Journal) -> None:
        if self._cell.progress is not None and journal.collected is not None:
            done = len(self._journal.tests.keys() | journal.tests.keys())
            total = self._total or len(self._journal.collected or journal.collected)
            self._cell.progress(done, total)

    def fresh(self, batches: Sequence[Sequence[str]], ignored: Sequence[str]) -> None:
        """A process per batch, where a zygote may not fork."""
        with ThreadPoolExecutor(self._cell.jobs) as pool:
            for future in [
                pool.submit(self._fresh_batch, number, list(batch), ignored)
                for number, batch in enumerate(batches)
            ]:
                future.result()

    def _fresh_batch(self, number: int, tests: list[str], ignored: Sequence[str]) -> None:
        tests = [test for test in tests if test not in self._exclude]
        for _ in range(MOST_LOSSES):
            if not tests:
                return
            journal = self.one([tests], ignored, fork=False, first_number=number)
            if journal.done:
                return
            culprit = next(iter(journal.running.values()), "")
            self._journal.lose(number, culprit, hung=journal.hung, code=journal.returncode)
            if not culprit or culprit not in tests:
                break
            position = tests.index(culprit)
            tests = (
                tests[:position] + tests[position + 1 :]
                if self._mode.memcheck
                else tests[position + 1 :]
            )
        self._journal.give_up(tests)

    def note_ignored(self, path: str, journal: Journal) -> None:
        self._journal.lose(0, path, hung=journal.hung, code=journal.returncode)

    def abandon(self, journal: Journal) -> None:
        """The zygote itself died: what it had not run was not evaluated."""
        missing = [test for test in journal.collected or () if test not in self._journal.tests]
        self._journal.give_up(missing)


def _python_path(environ: Mapping[str, str]) -> str:
    rest = environ.get("PYTHONPATH", "")
    return f"{INCELL}:{rest}" if rest else str(INCELL)


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
