"""check(cell): from a target to a result, the one place that knows the order.

stage, build, environment, then leakgrid.measurement (screen, memcheck, explain, compare), store.
"""

from __future__ import annotations

import datetime
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leakgrid import __version__, fingerprint
from leakgrid.baseline import Baseline
from leakgrid.detectors import library, valgrind
from leakgrid.detectors.suite import Cellular
from leakgrid.errors import Blind, LeakgridError
from leakgrid.finding import CellResult
from leakgrid.matrix import Cell, Target
from leakgrid.measurement import DEFAULT, MEMCHECK, Measured, Measurement, judge_again
from leakgrid.process import scratch_folder
from leakgrid.signature import Origins
from leakgrid.stages import Progress, Stages
from leakgrid.store import Store
from leakgrid.toolchain import (
    accommodations,
    build,
    environment,
    identity,
    interpreters,
    pyo3,
    pytest_config,
    runtree,
    sources,
    stage,
)
from leakgrid.toolchain.environ import clean_environ
from leakgrid.toolchain.interpreters import Interpreter
from leakgrid.verdict import exit_code


@dataclass(frozen=True, slots=True)
class Options:
    """How a cell is evaluated. ``interpreter`` is what was asked for: a version or a path.
    ``test_timeout`` is in native seconds, ``jobs`` in processes.

    With ``tests`` or ``pytest_args`` (from the command line) a run is partial. ``suppressions``
    are files of rules for Valgrind.
    """

    interpreter: str
    jobs: int
    test_timeout: float = 60.0
    tests: tuple[str, ...] = ()
    pytest_args: tuple[str, ...] = ()
    undefined: bool = True
    detectors: tuple[str, ...] = DEFAULT
    fresh: bool = False
    suppressions: tuple[Path, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether only a selection of the tests, or of the detectors, runs."""
        return bool(self.tests or self.pytest_args or MEMCHECK not in self.detectors)


def check(
    cell: Cell, target: Target, base: Path, store: Store, options: Options, progress: Progress
) -> CellResult:
    """Evaluate one cell and store its result.

    What ends a cell without ending the command (it does not build, no test passes, Valgrind is
    blind) is a result with that verdict. Raises UsageError, ConfigError, ToolMissing,
    PlatformError, DataError; KeyboardInterrupt leaves the result stored before untouched, and so
    does a partial run where that one is whole.
    """
    run = _CellRun(cell, target, base, store, options, Stages(progress))
    try:
        result = run.evaluate()
    except LeakgridError as error:
        if error.verdict is None:
            raise
        result = run.failed(error)
    if not (options.partial and _is_whole(store.load_result(cell))):
        store.save_result(cell, result)
    if result.started == run.started:  # else it was not run again
        store.append_history(cell, result)
    return result


def _is_whole(stored: CellResult | None) -> bool:
    """Whether this result says more than a partial one: it is kept for reports and baselines."""
    return stored is not None and not stored.partial and exit_code(stored.verdict) < 2


class _CellRun:
    """One evaluation; what it learns on the way is what a failed cell's result still says."""

    def __init__(
        self,
        cell: Cell,
        target: Target,
        base: Path,
        store: Store,
        options: Options,
        stages: Stages,
    ) -> None:
        self.cell, self.target, self.base = cell, target, base
        self.store, self.options, self.stages = store, options, stages
        self.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.python: dict[str, Any] = {"version": cell.python}
        self.toolchain = {
            "leakgrid": __version__,
            "platform": f"{platform.system()} {platform.machine()}",
        }
        self.fingerprint = self.sources = ""
        self.work = store.root.resolve()
        self.folder = self.work / "cells" / cell.name
        self.log = self.folder / "build.log"

    def evaluate(self) -> CellResult:
        """The stages up to the measurement; raises LeakgridError with or without a verdict."""
        stages = self.stages
        self._baselines()  # a broken one is told now, not after the build
        with stages.stage("resolve"):
            valgrind_path = self._valgrind()
            interpreter = interpreters.find(self.options.interpreter)
            self.python = dict(interpreter.to_dict())
            pyo3.check_pair(self.cell.pyo3, interpreter)
        with stages.stage("sources"):
            project = sources.obtain(self.target, self.work / "sources", self.base)
            accepted = self.store.baselines / self.target.name
            self.sources = identity.sources_digest(self.target, self.base, accepted)
            environment.check_requires_python(project, interpreter)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        staged_at = self.work / "stage" / self.target.name
        with stage.locked(staged_at):
            with stages.stage("stage"):
                apart = identity.apart(project, accepted)
                staged = stage.stage(project, staged_at, self.cell.pyo3, self.log, apart)
            self.fingerprint = self._fingerprint(staged, interpreter)
            if (kept := self._unchanged()) is not None:
                return kept
            with stages.stage("build"):
                built = self._build(staged, interpreter)
                run_root, site = self.folder / "project", self.folder / "site"
                placed = runtree.make(staged.root, run_root, built.wheel)
        with stages.stage("environment"):
            ready = self._environment(interpreter, built, project)
            environment.install_wheel(ready, built.wheel, site)
        libraries = [*(site / name for name in built.libraries), *placed]
        origins = Origins(frozenset(map(str, libraries)), (str(staged.root), str(run_root)))
        with scratch_folder() as scratch:
            cell = self._cellular(ready, built, run_root, libraries, scratch)
            return self._measure(cell, origins, built, valgrind_path)

    def _valgrind(self) -> str:
        """The path of Valgrind, or empty where memcheck is off."""
        if MEMCHECK not in self.options.detectors:
            return ""
        path = valgrind.locate()
        self.toolchain["valgrind"] = valgrind.version(path)
        return path

    def _fingerprint(self, staged: stage.Staged, interpreter: Interpreter) -> str:
        """What this result depends on; where none of it changed, neither does the result."""
        return fingerprint.of(
            staged.digest,
            self.cell.pyo3,
            interpreter.to_dict(),
            str(interpreter.executable),
            self.toolchain,
            build.versions(staged.root),
            fingerprint.own_code(),
            [path.read_text(encoding="utf-8") for path in self.options.suppressions],
            [self.target.tests, self.target.pytest_args, self.target.requirements],
            [self.target.env, self.options.tests, self.options.pytest_args],
            [self.options.undefined, self.options.test_timeout, self.options.detectors],
        )

    def _unchanged(self) -> CellResult | None:
        """The stored result, judged against the baseline of now, where nothing else changed."""
        stored = None if self.options.fresh else self.store.load_result(self.cell)
        if stored is None or stored.fingerprint != self.fingerprint:
            return None
        baseline, neighbour = self._baselines()
        again = judge_again(stored, baseline, self.cell.name, neighbour)
        if again is not None:
            self.stages.progress.note("nothing changed since the stored result; --fresh runs again")
        return again and replace(again, sources=self.sources)

    def _baselines(self) -> tuple[Baseline | None, Baseline | None]:
        """The cell's own baseline, and without one that of the cell most like it."""
        own = self.store.load_baseline(self.cell)
        return own, None if own is not None else self.store.nearest_baseline(self.cell)

    def _build(self, staged: stage.Staged, interpreter: Interpreter) -> build.Built:
        built = build.build(
            staged,
            interpreter,
            self.cell.pyo3,
            target_dir=self.work / "build" / self.target.name,
            out=self.folder / "wheel",
            log=self.log,
        )
        self.toolchain |= {"rustc": built.rustc, "maturin": built.maturin}
        return built

    def _environment(
        self, interpreter: Interpreter, built: build.Built, project: Path
    ) -> environment.Environment:
        return environment.prepare(
            interpreter,
            self.work / "environments" / self.target.name,
            self.target.requirements,
            project,
            self.folder / "environment.log",
        )

    def _cellular(
        self,
        ready: environment.Environment,
        built: build.Built,
        run_root: Path,
        libraries: list[Path],
        scratch: Path,
    ) -> Cellular:
        requests, missing = library.client_requests(self.work / "tools")
        if missing and MEMCHECK in self.options.detectors:
            raise Blind(
                "the client request library of the memcheck detector cannot be built",
                why=missing,
                next="Install a C compiler and Valgrind's headers (valgrind, or valgrind-devel), "
                "or leave memcheck out: --detectors growth,refs,fds,threads.",
            )
        self.toolchain["libc"] = library.libc_version()
        self.toolchain["pytest"] = ready.packages.get("pytest", "")
        inspected = [library.inspect(path) for path in libraries]
        environ = clean_environ(accommodations.variables(built.crates)) | dict(self.target.env)
        environ["PYTHONPATH"] = str(self.folder / "site")
        environ["TMPDIR"] = str(scratch)
        return Cellular(
            python=ready.python,
            environ=environ,
            directory=run_root,
            pytest_args=self._pytest_args(ready, run_root),
            libraries=tuple(map(str, libraries)),
            allocators={
                str(item.path): item.allocator for item in inspected if item.allocator is not None
            },
            requests=str(requests or ""),
            meter=str(library.heap_meter(self.work / "tools") or ""),
            scratch=scratch,
            logs=self.folder,
            jobs=self.options.jobs,
            test_limit=self.options.test_timeout,
            progress=self.stages.progress.tests,
        )

    def _pytest_args(self, ready: environment.Environment, run_root: Path) -> tuple[str, ...]:
        tests = self.options.tests or self.target.tests
        return (
            *accommodations.arguments(ready.packages),
            *pytest_config.arguments(run_root, tests, self.folder),
            *self.target.pytest_args,
            *self.options.pytest_args,
            *tests,
        )

    def _measure(
        self, cell: Cellular, origins: Origins, built: build.Built, valgrind_path: str
    ) -> CellResult:
        baseline, neighbour = self._baselines()
        measurement = Measurement(
            cell=cell,
            origins=origins,
            valgrind=valgrind_path,
            stages=self.stages,
            baseline=baseline,
            neighbour=neighbour,
            name=self.cell.name,
            partial=self.options.partial,
            undefined=self.options.undefined,
            suppressions=self.options.suppressions,
            allocators=built.allocators,
            detectors=self.options.detectors,
        )
        return self._result(measurement.run())

    def _result(self, measured: Measured) -> CellResult:
        return CellResult(
            target=self.cell.target,
            python=self.python,
            pyo3=self.cell.pyo3,
            verdict=str(measured.verdict),
            reason=measured.reason,
            toolchain=self.toolchain,
            tests=measured.tests,
            findings=measured.findings,
            comparison=measured.comparison,
            dropped=measured.dropped,
            suppressed=measured.suppressed,
            totals=measured.totals,
            canary=measured.canary,
            timing=self.stages.timing,
            not_checked=measured.not_checked,
            partial=self.options.partial,
            detectors=self.options.detectors,
            started=self.started,
            fingerprint=self.fingerprint,
            sources=self.sources,
        )

    def failed(self, error: LeakgridError) -> CellResult:
        """The result of a cell that an error ended. No fingerprint: it is tried again."""
        self.fingerprint = ""
        reason = error.sentence()
        if error.next:
            reason = f"{reason.rstrip('.')}. {error.next}"
        return self._result(Measured(verdict=str(error.verdict), reason=reason))
