"""Sessions for noxfiles: ``valgrind`` and ``screen``, one per cell, and leakgrid's commands.

A project that wants its own matrix writes this into its noxfile.py::

    from leakgrid.nox import sessions

    sessions("matrix.toml")

and runs ``nox -s valgrind`` or ``nox -s "valgrind(python='3.13', pyo3='0.30.1')"``. Listing needs
only nox and leakgrid's sources: no network, no Valgrind, no interpreter. The commands are
``report``, ``accept``, ``watch``, ``merge`` and ``gate``.

Nox itself never looks for the cells' Pythons (``python=False``): it sees only the active Python of
a version manager, and a missing one would fail or skip the session depending on ``CI``. Each
session calls ``leakgrid check``, which finds interpreters itself; a cell that was not evaluated is
a skipped session with its reason, and a run that evaluated no cell fails.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nox
from nox.command import CommandFailed

from leakgrid.errors import ConfigError, DataError
from leakgrid.finding import CellResult
from leakgrid.matrix import CellPlan, Matrix, expand, load
from leakgrid.nox_environment import Environment, ExitCode
from leakgrid.reports import terminal

__all__ = ["Environment", "session_name", "sessions"]

#: ``<pid>:<folder>`` of the nox run that this process belongs to (``-j`` starts one nox per cell).
_RUN_VARIABLE = "LEAKGRID_NOX_RUN"
_USAGE, _NOT_EVALUATED = 2, 3
_NATIVE = ("--detectors", "growth,refs,census,fds,threads")
_COMMANDS = {
    "report": "Print the stored results again (-- --format markdown).",
    "accept": 'Write baselines from stored results (-- CELL --reason "...").',
    "watch": "Say what PyO3 released, and why a re-evaluation is due (-- --write).",
    "merge": "Join the results of many machines (-- DIR|FILE...).",
    "gate": "Fail where a release is not known to be free of new leaks.",
}
_DUE = 10  # of `leakgrid watch`: something to do, and no failure
_NO_RESULT = "leakgrid ended with exit code {code} and left no result; its output says why"
_REFUSED = (
    "not evaluated: leakgrid ended with exit code 2 (an option, a file of configuration, or a "
    "program or platform that is missing); its output says what"
)


def sessions(
    matrix: str | Path = "matrix.toml",
    *,
    name: str = "valgrind",
    environment: Environment | None = None,
) -> Environment:
    """Register ``valgrind`` and ``screen`` (a session per cell), and leakgrid's other commands.

    ``screen`` is the native part alone: seconds for a whole suite, and no Valgrind.

    ``matrix`` is the matrix file, ``name`` the sessions' name, ``environment`` where leakgrid runs.
    Cells of the default target are called ``valgrind(python='3.13', pyo3='0.30.1')``, others end in
    ``, target='...'``. Cells of targets with ``default = false`` run only when asked for by name,
    tag or keyword. A faulty matrix file ends nox with exit code 2 and every fault.
    """
    path = Path(matrix).resolve()
    try:
        grid = load(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise SystemExit(ConfigError.exit_code) from error
    environment = environment or Environment()
    environment.register()
    run = _Run.join(path.parent)
    plans = expand(grid)
    _register_cells(name, grid, plans, _evaluator(path, plans, environment, run), environment)
    _register_screen(grid, plans, _evaluator(path, plans, environment, run, _NATIVE), environment)
    for command, doc in _COMMANDS.items():
        _register_command(command, doc, environment)
    return environment


def session_name(name: str, plan: CellPlan, default_target: str) -> str:
    """The exact name of a cell's session: ``valgrind(python='3.13', pyo3='0.30.1')``."""
    return f"{name}({_signature(plan, default_target)})"


_Evaluate = Callable[[nox.Session, str, str, str], None]


def _register_cells(
    name: str,
    grid: Matrix,
    plans: Iterable[CellPlan],
    evaluate: _Evaluate,
    environment: Environment,
) -> None:
    """Default cells are one parametrized session; the others are sessions of their own.

    A parametrized session's plain name selects all of it, and ``nox -s valgrind`` must not start
    cells that are not default ones.
    """
    options: dict[str, Any] = {
        "python": False,
        "allow_parallel": True,
        "requires": environment.requires,
    }
    plans = list(plans)
    params = [
        nox.param(
            plan.cell.python,
            plan.cell.pyo3,
            plan.cell.target,
            id=_signature(plan, grid.default_target),
            tags=_tags(plan),
        )
        for plan in plans
        if plan.default
    ]

    def valgrind(session: nox.Session, python: str, pyo3: str, target: str) -> None:
        """Evaluate one cell: build, run the suite under Valgrind, compare with the baseline."""
        evaluate(session, python, pyo3, target)

    if params:
        parametrized = nox.parametrize("python,pyo3,target", params)(valgrind)
        nox.session(name=name, **options)(parametrized)
    for plan in plans:
        if not plan.default:
            _register_single(session_name(name, plan, grid.default_target), plan, evaluate, options)


def _register_screen(
    grid: Matrix, plans: Iterable[CellPlan], evaluate: _Evaluate, environment: Environment
) -> None:
    """The same cells without tags, so that ``nox -t quick`` means one session per cell."""
    params = [
        nox.param(
            plan.cell.python,
            plan.cell.pyo3,
            plan.cell.target,
            id=_signature(plan, grid.default_target),
        )
        for plan in plans
    ]

    def screen(session: nox.Session, python: str, pyo3: str, target: str) -> None:
        """Repeat one cell's tests natively: growth, references, descriptors, threads."""
        evaluate(session, python, pyo3, target)

    parametrized = nox.parametrize("python,pyo3,target", params)(screen)
    nox.session(
        name="screen",
        python=False,
        default=False,
        allow_parallel=True,
        requires=environment.requires,
    )(parametrized)


def _register_single(
    name: str, plan: CellPlan, evaluate: _Evaluate, options: Mapping[str, Any]
) -> None:
    def single(session: nox.Session) -> None:
        """Evaluate one cell that is not a default one."""
        evaluate(session, plan.cell.python, plan.cell.pyo3, plan.cell.target)

    nox.session(name=name, tags=_tags(plan), default=False, **options)(single)


def _register_command(command: str, doc: str, environment: Environment) -> None:
    def call(session: nox.Session) -> None:
        session.run(
            environment.python(session),
            *("-m", "leakgrid", command, *session.posargs),
            success_codes=[0, _DUE] if command == "watch" else [0],
            external=True,
        )

    call.__doc__ = doc
    nox.session(name=command, python=False, default=False, requires=environment.requires)(call)


def _signature(plan: CellPlan, default_target: str) -> str:
    text = f"python={plan.cell.python!r}, pyo3={plan.cell.pyo3!r}"
    return text if plan.cell.target == default_target else f"{text}, target={plan.cell.target!r}"


def _tags(plan: CellPlan) -> list[str]:
    """For ``nox -t`` and ``nox -k``: the latter reads Python names, so ``py313``."""
    parts = (plan.cell.target, f"py{plan.cell.python.replace('.', '')}", f"pyo3_{plan.cell.pyo3}")
    return [*plan.tags, *(re.sub(r"\W", "_", part) for part in parts)]


def _evaluator(
    path: Path,
    plans: Iterable[CellPlan],
    environment: Environment,
    run: _Run,
    options: tuple[str, ...] = (),
) -> _Evaluate:
    known = {(plan.cell.python, plan.cell.pyo3, plan.cell.target): plan for plan in plans}

    def evaluate(session: nox.Session, python: str, pyo3: str, target: str) -> None:
        plan = known[python, pyo3, target]
        if plan.excluded:
            reason = f"excluded by {path.name}: {plan.excluded}"
            run.note(plan, _NOT_EVALUATED, reason)
            session.skip(reason)
        command = [environment.python(session), "-m", "leakgrid", "check", target]
        command += ["--python", python, "--pyo3", pyo3, "--matrix", str(path)]
        command += ["--json", str(run.result_file(plan)), *options]
        if session.parallel:
            command.append("--quiet")
        if session.posargs:
            command += ["--", *session.posargs]
        code, output = _call(session, command)
        if output:
            run.untold.touch()
        result = _read(run.result_file(plan))
        reason = f"{result.verdict}: {result.reason}" if result else _without_result(code, output)
        run.note(plan, code, "" if result else reason)
        # Under -j the findings come with the grid; a result says why by itself, nothing else does.
        _conclude(session, plan, code, reason, "" if result else output)

    return evaluate


def _call(session: nox.Session, command: list[str]) -> tuple[int, str]:
    """Run a command; its exit code, and its output where ``-j`` holds it back."""
    seen = ExitCode()
    output = session.run(*command, external=True, success_codes=seen, silent=session.parallel)
    return seen.code, output if isinstance(output, str) else ""


def _conclude(session: nox.Session, plan: CellPlan, code: int, reason: str, output: str) -> None:
    """Turn leakgrid's exit code into nox's outcome: passed, skipped or failed."""
    line = f"{plan.cell.name}: {reason}"
    if code == 0:
        session.log(line)
        return
    if code == _NOT_EVALUATED:
        session.skip(reason)
    if output:
        session.log(output.rstrip())
    session.warn(line)
    raise CommandFailed(line, return_code=code)


def _without_result(code: int, output: str) -> str:
    """Why there is no result; in leakgrid's own words where ``-j`` held its output back."""
    if code != _USAGE:
        return _NO_RESULT.format(code=code)
    _, found, said = output.rpartition("leakgrid: ")
    return f"not evaluated: {' '.join(said.split())}" if found else _REFUSED


@dataclass(frozen=True, slots=True)
class _Run:
    """One nox invocation: where its cells leave their results for the grid at the end.

    Under ``-j`` every cell is a nox process of its own whose output is held back, so the results
    meet in a folder; the first nox process prints the grid when it exits.
    """

    folder: Path

    @classmethod
    def join(cls, base: Path) -> _Run:
        """The run of the parent nox under ``-j``, else a new one that ends with this process."""
        pid, _, folder = os.environ.get(_RUN_VARIABLE, "").partition(":")
        if pid == str(os.getppid()):
            return cls(Path(folder))
        run = cls(base / ".leakgrid" / "nox" / f"{os.getpid()}-{time.time_ns()}")
        os.environ[_RUN_VARIABLE] = f"{os.getpid()}:{run.folder}"
        atexit.register(run.finish, os.getpid())
        return run

    def result_file(self, plan: CellPlan) -> Path:
        """Where ``leakgrid check`` puts the cell's result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{plan.cell.name.replace('/', '--')}.json"

    @property
    def untold(self) -> Path:
        """There when some cell's report has not been printed by ``leakgrid check`` itself."""
        return self.folder / "untold"

    def note(self, plan: CellPlan, code: int, reason: str = "") -> None:
        """Keep a cell's exit code, and with a ``reason`` a stand-in for the result it lacks."""
        file = self.result_file(plan)
        if reason:
            stand_in = CellResult(
                target=plan.cell.target,
                python={"version": plan.cell.python},
                pyo3=plan.cell.pyo3,
                verdict="unsupported" if code in (_USAGE, _NOT_EVALUATED) else "crashed",
                reason=reason,
            )
            file.write_text(json.dumps(stand_in.to_dict()), encoding="utf-8")
            self.untold.touch()
        file.with_suffix(".code").write_text(str(code), encoding="utf-8")

    def finish(self, pid: int) -> None:
        """Print the grid; fail the run when no cell was evaluated (nox calls skipped a success)."""
        if pid != os.getpid() or not self.folder.is_dir():
            return
        codes = [int(file.read_text()) for file in self.folder.glob("*.code")]
        results = [result for result in map(_read, sorted(self.folder.glob("*.json"))) if result]
        told = len(codes) == 1 and not self.untold.exists()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not codes:
            return
        if not told:
            print("\n" + terminal.render(results, color=sys.stdout.isatty()), flush=True)
        if set(codes) <= {_NOT_EVALUATED}:
            print(
                "No cell was evaluated, so this run says nothing about leaks.\n"
                "The reasons are above; each cell names what it needs.",
                file=sys.stderr,
                flush=True,
            )
            # An exit handler cannot change the exit code in any other way.
            os._exit(1)


def _read(file: Path) -> CellResult | None:
    try:
        return CellResult.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, DataError):
        return None
