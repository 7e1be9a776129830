"""``leakgrid plugin``: the environment for the pytest plugin alone."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from leakgrid.commands._common import Subcommands
from leakgrid.detectors import library
from leakgrid.detectors.screen import ENVIRON
from leakgrid.detectors.suite import INCELL
from leakgrid.errors import UsageError


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "plugin",
        help="the environment for the pytest plugin alone, without a matrix",
        description="env $(leakgrid plugin) python -m pytest -p leakgrid_incell.standalone "
        "--leakgrid: repeats each test that passes and fails those that leak with each call.",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid plugin``: variables for ``env``, so that any pytest run can load the screen."""
    path = str(INCELL)
    if any(character.isspace() for character in path):
        raise UsageError(
            "`env $(leakgrid plugin)` cannot take a folder with a blank in its name",
            why=path,
            next="Install leakgrid into another folder.",
        )
    if rest := os.environ.get("PYTHONPATH"):
        path = f"{path}{os.pathsep}{rest}"
    variables = {"PYTHONPATH": path, **ENVIRON, **_meter()}
    print(*(f"{name}={value}" for name, value in variables.items()), sep="\n")
    return 0


def _meter() -> dict[str, str]:
    """The heap's meter, built once for this user; without a C compiler the allocator's own sums."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leakgrid"
    meter = library.heap_meter(cache)
    if meter is None or any(character.isspace() for character in str(meter)):
        return {}
    return {"LD_PRELOAD": ":".join(filter(None, (str(meter), os.environ.get("LD_PRELOAD", ""))))}
