"""``leakgrid report``: the stored results in one of the formats."""

from __future__ import annotations

import argparse
import sys

from leakgrid import reports
from leakgrid.commands._common import (
    Subcommands,
    add_places,
)
from leakgrid.errors import UsageError
from leakgrid.store import Store

FORMATS = ("terminal", *(name for name in reports.formats() if name != "terminal"))


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser("report", help="show the stored results again")
    parser.add_argument(
        "--format", default="terminal", choices=sorted(FORMATS), help="default: terminal"
    )
    add_places(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid report``: the stored results in one of the formats."""
    results = list(Store(options.store, options.baselines).results().values())
    if not results:
        raise UsageError(
            f"there are no results in {options.store}", next="Run leakgrid check, or nox, first."
        )
    print(reports.render(options.format, results, color=sys.stdout.isatty()))
    return 0
