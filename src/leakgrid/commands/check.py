"""``leakgrid check``: one cell of any project."""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from leakgrid import pipeline, reports, suppression
from leakgrid.commands._common import (
    EXIT_CODES,
    Subcommands,
    add_places,
    positive,
    read_rules,
    write,
)
from leakgrid.console import Live
from leakgrid.errors import Unsupported, UsageError
from leakgrid.matrix import Cell, Target, load, target_from_pyproject, with_project_settings
from leakgrid.measurement import DEFAULT, DETECTORS
from leakgrid.process import terminate_as_interrupt
from leakgrid.store import Store, to_json, write_atomically
from leakgrid.toolchain import interpreters
from leakgrid.verdict import exit_code

_MATRIX = Path("matrix.toml")


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "check",
        help="evaluate one cell of any PyO3 project",
        description="Build, test under Valgrind, compare, judge: one cell.",
        usage="leakgrid check PATH|NAME --python X.Y --pyo3 X.Y.Z [options] [-- PYTEST ARGS]",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "target",
        metavar="PATH|NAME",
        help="a project's folder, a target of the matrix file, or a requirement (mrrc==0.9.2)",
    )
    parser.add_argument("--python", required=True, help="3.13, 3.13.0 or an interpreter's path")
    parser.add_argument("--pyo3", required=True, metavar="VERSION", help="the PyO3 to build with")
    parser.add_argument(
        "--tests",
        action="append",
        default=[],
        metavar="PATH",
        help="tests below the project's root (repeatable; default: what pytest finds)",
    )
    parser.add_argument(
        "--requires",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="a package that the tests need (repeatable; default: the project's test extras)",
    )
    _add_how(parser)
    add_places(parser)
    parser.set_defaults(run=run)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the result (-: stdout)"
    )
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="the matrix file for NAME")
    parser.add_argument(
        "--detectors",
        type=_detectors,
        default=DEFAULT,
        metavar="NAMES",
        help=f"comma-separated, of {', '.join(DETECTORS)} (default: memcheck); without memcheck no "
        "Valgrind is needed and growth has sizes but no stacks",
    )
    parser.add_argument("--fresh", action="store_true", help="run again although nothing changed")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (default: CPUs)")
    parser.add_argument(
        "--test-timeout",
        type=positive,
        default=60,
        metavar="SECONDS",
        help="native time limit of one test (default: 60); scaled under Valgrind and for imports",
    )
    parser.add_argument(
        "--no-undefined",
        action="store_true",
        help="do not look for uses of uninitialised memory (faster; listed as not checked)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _detectors(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in chosen if name not in DETECTORS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no detector {', '.join(unknown)}; known: {', '.join(DETECTORS)}"
        )
    return chosen


def run(options: argparse.Namespace) -> int:
    """``leakgrid check``: one cell."""
    target, base = _target(options)
    cell = Cell(target.name, _minor(options.python), _concrete(options.pyo3))
    store = Store(options.store, options.baselines)
    with terminate_as_interrupt(), Live(cell.name, quiet=options.quiet) as live:
        result = pipeline.check(cell, target, base, store, _options(options, cell, base), live)
    if options.json is not None:
        write(options.json, to_json(result.to_dict()))
    if options.json != Path("-"):
        print(reports.render("terminal", [result], color=sys.stdout.isatty()))
    return exit_code(result.verdict)


def _options(options: argparse.Namespace, cell: Cell, base: Path) -> pipeline.Options:
    return pipeline.Options(
        interpreter=options.python,
        jobs=options.jobs or os.cpu_count() or 1,
        test_timeout=float(options.test_timeout),
        tests=tuple(options.tests),
        pytest_args=options.pytest_args,
        undefined=not options.no_undefined,
        detectors=options.detectors,
        fresh=options.fresh,
        suppressions=_rules(base / "suppressions", cell, options.store.resolve() / "rules"),
    )


def _target(options: argparse.Namespace) -> tuple[Target, Path]:
    """The target and the folder that its path starts from: a matrix's, a folder, an sdist."""
    name = options.target
    target, base = _in_matrix(name, options.matrix)
    if target is None:
        if Path(name).is_dir():
            target = target_from_pyproject(Path(name))
        elif re.search(r"[=<>~!]=|[<>]", name):
            target = Target(_distribution(name), requirement=name)
        else:
            raise UsageError(
                f"{name!r} is neither a folder, nor a target of the matrix, nor a requirement",
                next="Give a project's folder, a target of --matrix FILE, or NAME==VERSION.",
            )
    if options.requires:
        target = _with_requirements(target, tuple(options.requires))
    return target, base


def _in_matrix(name: str, given: Path | None) -> tuple[Target | None, Path]:
    path = given or _MATRIX
    if given is None and not path.is_file():
        return None, Path.cwd()
    matrix = load(path)
    if given is None and name not in {target.name for target in matrix.targets}:
        return None, Path.cwd()
    if os.sep in name:
        return None, matrix.base
    target = matrix.target(name)
    if target.path:
        target = with_project_settings(target, (matrix.base / target.path).resolve())
    return target, matrix.base


def _distribution(requirement: str) -> str:
    try:
        return Requirement(requirement).name
    except InvalidRequirement as error:
        raise UsageError(
            f"{requirement!r} is no requirement", why=str(error), next="Write it as NAME==VERSION."
        ) from error


def _with_requirements(target: Target, extra: tuple[str, ...]) -> Target:
    return replace(target, requirements=(*target.requirements, *extra))


def _minor(python: str) -> str:
    """The cell's Python: its minor version, of a path what that interpreter says it is."""
    try:
        found = interpreters.find(python)
    except Unsupported:
        match = re.fullmatch(r"(\d+\.\d+)(?:\.\d+\w*)?(t?)", python)
        if match is None:
            raise
        return match[1] + match[2]
    return found.minor + ("t" if found.free_threaded else "")


def _concrete(pyo3: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?", pyo3):
        raise UsageError(
            f"--pyo3 {pyo3}: a full version is needed", next="Write it such as 0.29.2; not a range."
        )
    return pyo3


def _rules(folder: Path, cell: Cell, work: Path) -> tuple[Path, ...]:
    """The rules that apply to this cell, as one file for Valgrind; none without any rule."""
    rules = suppression.applicable(
        read_rules(folder, cell.target), cell.python.removesuffix("t"), cell.pyo3
    )
    if not rules:
        return ()
    path = work / f"{cell.name}.supp"
    write_atomically(path, suppression.render(rules))
    return (path,)
