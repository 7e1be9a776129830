"""``leakgrid compare``: two results."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from leakgrid import reports
from leakgrid.baseline import python_minor
from leakgrid.commands._common import Subcommands, add_places, stored, write
from leakgrid.comparison import Comparison, Entry, causes, compare_results, subject
from leakgrid.detectors import census
from leakgrid.errors import UsageError
from leakgrid.finding import CellResult, Finding
from leakgrid.store import Store, read_result, to_json
from leakgrid.verdict import exit_code

_EXIT_CODES = """exit codes:
  0  nothing new              3  a side was not evaluated (and nothing is new)
  1  a new cause              4  a side cannot be trusted (and nothing is new)
  2  usage, broken file
"""


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "compare",
        help="compare two results",
        description="What the step from one result to another brings and mends: new, gone, "
        "changed, known. Each is a file, or a cell's name such as mrrc/py3.13-pyo3-0.30.1.",
        usage="leakgrid compare A B [--json FILE] [--store DIR]",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", metavar="A", help="a result's file, or a cell with a stored one")
    parser.add_argument("after", metavar="B", help="likewise, the later one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write it (-: stdout)")
    add_places(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid compare``: two results; a new cause exits 1."""
    store = Store(options.store, options.baselines)
    before, after = _result(options.before, store), _result(options.after, store)
    compared = compare_cells(before, after)
    if options.json is not None:
        write(options.json, to_json(_comparison_data(before, after, compared)))
    if options.json != Path("-"):
        print(reports.render_comparison(before, after, compared, color=sys.stdout.isatty()))
    if causes(compared)["new"]:
        return 1
    # Without a measurement on either side nothing being new says nothing.
    return max(code if (code := exit_code(side.verdict)) > 1 else 0 for side in (before, after))


def _result(name: str, store: Store) -> CellResult:
    """A result's file, else the stored result of the cell of this name. Raises UsageError."""
    path = Path(name)
    if path.exists() and not path.is_dir():
        return read_result(path)
    if path.suffix == ".json" or name.count("/") != 1:
        raise UsageError(
            f"there is no file {name}, and no cell has such a name",
            next="Give a result's file or a cell such as mrrc/py3.13-pyo3-0.30.1.",
        )
    return stored(store, [name])[name]


def compare_cells(before: CellResult, after: CellResult) -> Comparison:
    """Two results, with the references that import left too many where both counted them.

    A reference count says something only beside one of the same Python.
    """
    compared = compare_results(before, after)
    old, now = (result.totals.get(census.DETECTOR) or {} for result in (before, after))
    if not old or not now or python_minor(before.python) != python_minor(after.python):
        return compared
    shared = _shared_now(compared)
    more = census.compare(old, now)
    less = census.compare(now, old)
    kept = [item for item in more if subject(item).rpartition(".")[0] in shared]
    return replace(
        compared,
        new=(*compared.new, *(Entry(None, item) for item in more if item not in kept)),
        gone=(*compared.gone, *(Entry(item, None) for item in less)),
        changed=(*compared.changed, *(Entry(replace(item, blocks=0), item) for item in kept)),
    )


def _shared_now(compared: Comparison) -> set[str]:
    """Classes of which the tests make no new instances any more.

    Their attributes have a reference more because native code keeps them, to hand them out again:
    PyO3 0.28 does so with the variants of simple enums.
    """
    names = {subject(entry.before) for entry in compared.gone if entry.before is not None}
    still = {subject(entry.after) for entry in compared.known if entry.after is not None}
    return {name.removeprefix("type ") for name in names - still if name.startswith("type ")}


def _comparison_data(
    before: CellResult, after: CellResult, compared: Comparison
) -> dict[str, object]:
    def side(result: CellResult) -> dict[str, object]:
        return {
            "target": result.target,
            "python": dict(result.python),
            "pyo3": result.pyo3,
            "verdict": result.verdict,
        }

    def entries(items: tuple[Entry, ...]) -> list[dict[str, object]]:
        return [
            {
                "id": entry.id,
                "before": entry.before.to_dict() if isinstance(entry.before, Finding) else None,
                "after": entry.after.to_dict() if entry.after is not None else None,
            }
            for entry in items
        ]

    return {
        "schema": 1,
        "before": side(before),
        "after": side(after),
        "new": entries(compared.new),
        "gone": entries(compared.gone),
        "changed": entries(compared.changed),
        "known": entries(compared.known),
        "causes": {
            state: [
                {
                    "key": cause.key,
                    "title": cause.title,
                    "ids": [entry.id for entry in cause.entries],
                    "tests": list(cause.tests),
                }
                for cause in found
            ]
            for state, found in causes(compared).items()
        },
    }
