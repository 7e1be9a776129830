"""``leakgrid suppressions``: rules for people who run Valgrind by hand."""

from __future__ import annotations

import argparse
from pathlib import Path

from leakgrid import suppression
from leakgrid.commands._common import (
    Subcommands,
    read_rules,
    write,
)


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid suppressions export``: one file for people who run Valgrind by hand."""
    rules = read_rules(options.rules)
    if options.python or options.pyo3:
        rules = suppression.applicable(rules, options.python or "", options.pyo3 or "")
    text = (
        suppression.render(rules) or "# leakgrid has no rule for this: see suppressions/README.md\n"
    )
    write(options.output, text)
    return 0
