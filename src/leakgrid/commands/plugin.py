"""``leakgrid plugin``: the environment for the pytest plugin alone."""

from __future__ import annotations

import argparse
import os

from leakgrid.commands._common import (
    Subcommands,
)
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
    variables = {"PYTHONPATH": path, **ENVIRON}
    print(*(f"{name}={value}" for name, value in variables.items()), sep="\n")
    return 0
