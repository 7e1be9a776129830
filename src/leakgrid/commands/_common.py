"""What commands share: options, the stored results, where text goes."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from leakgrid import suppression
from leakgrid.errors import UsageError
from leakgrid.finding import CellResult
from leakgrid.store import Store, read_text, write_atomically
from leakgrid.verdict import exit_code

Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

EXIT_CODES = """exit codes:
  0  clean, known or improved     3  not evaluated (unsupported, build or tests failed, no tests)
  1  regressed or unbaselined     4  cannot be trusted (blind, crashed, timed out, interrupted)
  2  usage or configuration       A run that evaluated no cell exits 3.
"""


def add_places(parser: argparse.ArgumentParser) -> None:
    """Declare where results and baselines are."""
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


def stored(store: Store, names: list[str]) -> dict[str, CellResult]:
    """The named results; without names all that were evaluated. Raises UsageError."""
    if not names:
        results = store.results()
        return {name: item for name, item in results.items() if exit_code(item.verdict) < 2}
    found = {}
    for name in names:
        result = store.load_result(name)
        if result is None:
            known = ", ".join(store.results())
            raise UsageError(
                f"there is no result of {name}",
                why=f"stored: {known or 'none'}",
                next=("Name one of those, or evaluate" if known else "Evaluate")
                + " it first: leakgrid check.",
            )
        found[name] = result
    return found


def read_layers(folder: Path) -> tuple[suppression.Layer, ...]:
    """Every file of rules below a folder, with its captured stacks; none where it is missing.

    Raises ConfigError, DataError naming the file and line or key that is wrong.
    """
    layers = []
    for path in sorted(folder.glob("**/*.supp")):
        layer = suppression.layer_of(path.relative_to(folder).as_posix(), str(folder))
        proved = path.with_suffix(".toml")
        stacks = suppression.read_proofs(read_text(proved), str(proved)) if proved.exists() else {}
        rules = suppression.parse(read_text(path), str(path))
        layers.append(replace(layer, rules=rules, proofs=stacks))
    return tuple(layers)


def write(path: Path, text: str) -> None:
    """Write to a file at once and whole, or to stdout for ``-``."""
    if path == Path("-"):
        sys.stdout.write(text)
    else:
        write_atomically(path, text)


def positive(text: str) -> int:
    """An option's number, 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
