"""``leakgrid accept``: stored results become baselines."""

from __future__ import annotations

import argparse
import os

from leakgrid import baseline as baselines
from leakgrid.commands._common import (
    Subcommands,
    add_places,
    stored,
)
from leakgrid.errors import UsageError
from leakgrid.store import Store


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "accept",
        help="write baselines from stored results",
        description="Accept the findings of stored results, with a reason. CI never writes.",
    )
    parser.add_argument(
        "cells", nargs="*", metavar="CELL", help="such as mrrc/py3.13-pyo3-0.30.1 (default: all)"
    )
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why they are acceptable")
    add_places(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid accept``: stored results become baselines."""
    if os.environ.get("CI"):
        raise UsageError(
            "baselines are not written in CI",
            why="a run that accepts its own findings can never fail",
            next="Accept on your machine and commit the files below the baselines folder.",
        )
    store = Store(options.store, options.baselines)
    results = stored(store, options.cells)
    if not results:
        raise UsageError(
            f"there are no results in {options.store}", next="Run leakgrid check, or nox, first."
        )
    for name, result in results.items():
        previous = store.load_baseline(name)
        new = baselines.accept(result, previous, options.reason)
        path = store.save_baseline(new)
        print(f"{name}: {len(new.entries)} accepted findings in {path}")
    return 0
