"""The command line: arguments in, text and exit codes out."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from leakgrid import __version__
from leakgrid.commands import COMMANDS
from leakgrid.commands._common import EXIT_CODES
from leakgrid.errors import LeakgridError, NotTrusted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are told on stderr.

    A defect of leakgrid itself must not end with 1 as Python would end it: that means findings.
    """
    try:
        return _run(arguments)
    except Exception as error:
        traceback.print_exc()
        told = " ".join(f"{type(error).__name__}: {error}".split())
        print(
            f"leakgrid: internal error: {told}; this is a defect of leakgrid, please report it",
            file=sys.stderr,
        )
        return NotTrusted.exit_code


def _run(arguments: Sequence[str] | None) -> int:
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
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"leakgrid {__version__}")
    subcommands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(subcommands)
    return parser
