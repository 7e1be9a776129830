"""``leakgrid check``: one cell of any project."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from leakgrid import pipeline, reports
from leakgrid.commands._cells import add_target, concrete, detectors, minor_of, rules_of, target_of
from leakgrid.commands._common import (
    EXIT_CODES,
    Subcommands,
    add_places,
    positive,
    write,
)
from leakgrid.console import Live
from leakgrid.matrix import Cell
from leakgrid.measurement import DEFAULT, DETECTORS
from leakgrid.process import terminate_as_interrupt
from leakgrid.store import Store, to_json
from leakgrid.verdict import exit_code


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
    add_target(parser)
    parser.add_argument("--python", required=True, help="3.13, 3.13.0 or an interpreter's path")
    parser.add_argument("--pyo3", required=True, metavar="VERSION", help="the PyO3 to build with")
    parser.add_argument(
        "--tests",
        action="append",
        default=[],
        metavar="PATH",
        help="tests below the project's root (repeatable; default: what pytest finds)",
    )
    _add_how(parser)
    add_places(parser)
    parser.set_defaults(run=run)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the result (-: stdout)"
    )
    parser.add_argument(
        "--detectors",
        type=detectors,
        default=DEFAULT,
        metavar="NAMES",
        help=f"comma-separated, of {', '.join(DETECTORS)} (default: all); without memcheck no "
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


def run(options: argparse.Namespace) -> int:
    """``leakgrid check``: one cell."""
    target, base = target_of(options)
    cell = Cell(target.name, minor_of(options.python), concrete(options.pyo3))
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
        suppressions=rules_of(base / "suppressions", cell, options.store.resolve() / "rules"),
    )
