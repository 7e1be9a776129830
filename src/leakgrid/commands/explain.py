"""``leakgrid explain``: one finding in plain words."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from leakgrid.commands._common import Subcommands, add_places, stored, write
from leakgrid.errors import UsageError
from leakgrid.explaining import explain
from leakgrid.finding import CellResult, Finding
from leakgrid.reports import _common as common
from leakgrid.reports import _explanation as report
from leakgrid.store import SEARCHES, Store, read_result, to_json

_ID = re.compile(r"[0-9a-f]{1,12}\Z")
_LISTED = 8


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "explain",
        help="one finding in plain words",
        description="What a finding is, what it costs a process that runs for days, whose code it "
        "is, likely causes, and how to see it again.",
    )
    parser.add_argument(
        "id", metavar="ID", help="the finding's 12 digits, or as many as no other one begins with"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--cell", metavar="CELL", help="of this cell, such as mrrc/py3.13-pyo3-0.30.1 (default: "
        "the newest result that has it)"
    )  # fmt: skip
    where.add_argument(
        "--result", type=Path, metavar="FILE", help="of this result, not of a stored one"
    )
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=Path("-"),
        metavar="FILE",
        help="also write it (no FILE, or -: stdout, and nothing else there)",
    )
    add_places(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid explain``: 0 where the finding is known, else 2."""
    results = _results(options)
    name = _whole(options.id.lower(), results)
    having = [(cell, result) for cell, result in results.items() if _finding(result, name)]
    cell, result = max(having, key=lambda pair: (pair[1].started, pair[0]))
    finding = _finding(result, name)
    assert finding is not None, "cells without it were left out"
    told = explain(finding, result)
    elsewhere = [other for other, _ in having if other != cell]
    if options.json is not None:
        write(options.json, to_json(report.data(finding, result, told, elsewhere)))
    if options.json != Path("-"):
        print(report.render(finding, result, told, elsewhere, color=sys.stdout.isatty()), end="")
    return 0


def _results(options: argparse.Namespace) -> dict[str, CellResult]:
    """Where to look. Raises UsageError without any result, DataError on a broken one."""
    if options.result is not None:
        result = read_result(options.result)
        return {common.cell_id(result): result}
    store = Store(options.store, options.baselines)
    results = stored(store, [options.cell]) if options.cell else _every(store)
    if not results:
        raise UsageError(
            f"there are no results in {options.store}", next="Run leakgrid check, or nox, first."
        )
    return results


def _every(store: Store) -> dict[str, CellResult]:
    """The stored results, and those of searches for cells that have none."""
    results = store.results()
    for folder in sorted((store.root / SEARCHES).glob("*")):
        searched = Store(store.root, store.baselines, f"{SEARCHES}/{folder.name}")
        results = searched.results() | results
    return results


def _whole(text: str, results: Mapping[str, CellResult]) -> str:
    """The one id that begins so. Raises UsageError where there is none, or more than one."""
    if not _ID.match(text):
        raise UsageError(
            f"{text!r} is no finding's id",
            why="an id is 12 digits and letters from a to f, or the first of them",
            next="`leakgrid report` shows the ids.",
        )
    known = {f.id: f for result in results.values() for f in result.findings}
    found = sorted(name for name in known if name.startswith(text))
    if len(found) == 1:
        return found[0]
    if found:
        listed = "\n".join(f"  {i}  {common.headline(known[i])}" for i in found[:_LISTED])
        rest = f"\n  and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise UsageError(
            f"{len(found)} findings have an id that begins with {text}",
            why=listed + rest,
            next="Give more digits.",
        )
    raise UsageError(
        f"no finding's id begins with {text}",
        why=_apart(text, results) or f"looked in {common.some(list(results), 4)}",
        next="`leakgrid report` shows the ids of all stored results.",
    )


def _apart(text: str, results: Mapping[str, CellResult]) -> str:
    """What was seen under this id, and set apart: it is no finding, but not unknown either."""
    for cell, result in results.items():
        for item in result.dropped:
            if str(item.get("id", "")).startswith(text):
                what, why = item.get("what", ""), item.get("why", "")
                return f"{cell} saw it and set it apart: {what}; {why}"
    return ""


def _finding(result: CellResult, name: str) -> Finding | None:
    return next((finding for finding in result.findings if finding.id == name), None)
