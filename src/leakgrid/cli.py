"""The command line: arguments in, text and exit codes out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from leakgrid import __version__, commands
from leakgrid.errors import LeakgridError
from leakgrid.measurement import DEFAULT, DETECTORS

_EPILOG = """exit codes:
  0  clean, known or improved     3  not evaluated (unsupported, build or tests failed, no tests)
  1  regressed or unbaselined     4  cannot be trusted (blind, crashed, timed out, interrupted)
  2  usage or configuration       A run that evaluated no cell exits 3.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are told on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    given, passed_on = _split(given)
    parser = build_parser()
    options = parser.parse_args(given)
    if passed_on and options.command != "check":
        parser.error(f"{options.command} takes nothing after --")
    options.pytest_args = tuple(passed_on)
    try:
        return int(options.run(options))
    except LeakgridError as error:
        print(f"leakgrid: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "leakgrid: interrupted; finished cells are kept, run the same command again to go on",
            file=sys.stderr,
        )
        return 4
    except BrokenPipeError:  # `leakgrid report | head`
        sys.stderr.close()
        return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Everything behind the first ``--`` belongs to pytest."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, for ``main`` and for the documentation's test."""
    parser = argparse.ArgumentParser(
        prog="leakgrid",
        description="Does moving to this PyO3 (or this Python) make my extension leak, and where?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"leakgrid {__version__}")
    subcommands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_check(subcommands)
    _add_compare(subcommands)
    _add_accept(subcommands)
    _add_report(subcommands)
    _add_suppressions(subcommands)
    _add_plugin(subcommands)
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(".leakgrid"),
        metavar="DIR",
        help="where results and caches are kept (default: .leakgrid)",
    )
    parser.add_argument(
        "--baselines",
        type=Path,
        default=Path("baselines"),
        metavar="DIR",
        help="where accepted findings are kept, in git (default: baselines)",
    )


def _add_check(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subcommands.add_parser(
        "check",
        help="evaluate one cell of any PyO3 project",
        description="Build, test under Valgrind, compare, judge: one cell.",
        usage="leakgrid check PATH|NAME --python X.Y --pyo3 X.Y.Z [options] [-- PYTEST ARGS]",
        epilog=_EPILOG,
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
    _add_places(parser)
    parser.set_defaults(run=commands.check)


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
    parser.add_argument("--jobs", type=_positive, metavar="N", help="processes (default: CPUs)")
    parser.add_argument(
        "--test-timeout",
        type=_positive,
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


def _add_compare(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subcommands.add_parser(
        "compare",
        help="compare two results",
        description="What is new, gone, changed, known.",
    )
    parser.add_argument("before", type=Path, metavar="A.json")
    parser.add_argument("after", type=Path, metavar="B.json")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write it (-: stdout)")
    parser.set_defaults(run=commands.compare)


def _add_accept(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subcommands.add_parser(
        "accept",
        help="write baselines from stored results",
        description="Accept the findings of stored results, with a reason. CI never writes.",
    )
    parser.add_argument(
        "cells", nargs="*", metavar="CELL", help="such as mrrc/py3.13-pyo3-0.30.1 (default: all)"
    )
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why they are acceptable")
    _add_places(parser)
    parser.set_defaults(run=commands.accept)


def _add_report(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subcommands.add_parser("report", help="show the stored results again")
    parser.add_argument(
        "--format", default="terminal", choices=sorted(commands.FORMATS), help="default: terminal"
    )
    _add_places(parser)
    parser.set_defaults(run=commands.report)


def _add_suppressions(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subcommands.add_parser(
        "suppressions", help="write the suppressions for running Valgrind by hand"
    )
    parser.add_argument("action", choices=["export"], help="write one file for --suppressions=")
    parser.add_argument("--rules", type=Path, default=Path("suppressions"), metavar="DIR")
    parser.add_argument("--python", help="only rules that apply to this Python")
    parser.add_argument("--pyo3", help="only rules that apply to this PyO3")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(".valgrind.supp"),
        metavar="FILE",
        help="default: .valgrind.supp (-: stdout)",
    )
    parser.set_defaults(run=commands.suppressions)


def _add_plugin(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subcommands.add_parser(
        "plugin",
        help="the environment for the pytest plugin alone, without a matrix",
        description="env $(leakgrid plugin) python -m pytest -p leakgrid_incell.standalone "
        "--leakgrid: repeats each test that passes and fails those that leak with each call.",
    )
    parser.set_defaults(run=commands.plugin)


def _detectors(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in chosen if name not in DETECTORS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no detector {', '.join(unknown)}; known: {', '.join(DETECTORS)}"
        )
    return chosen


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
