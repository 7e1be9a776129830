"""``leakgrid merge``: results from many machines in one store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leakgrid.commands._common import Subcommands, write
from leakgrid.errors import DataError, UsageError
from leakgrid.matrix import expand, load
from leakgrid.merging import Merged, Piece, check_schemas, merge, planned_cells
from leakgrid.store import SEARCHES, Store, read_result, split_name, to_json

_NO_RESULTS = frozenset({"baselines", "durations", "history", "nox", SEARCHES})
"""Folders of a store that hold other files."""


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "merge",
        help="join the results of many machines",
        description="Join result.json files, or folders with them, into one store. Of a cell that "
        "is there twice the whole and newest result is kept; what is missing is named. Exit code 0 "
        "also with missing cells, 2 for mixed schemas, 3 when there was nothing to merge.",
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="DIR|FILE")
    parser.add_argument(
        "--store",
        "--output",
        type=Path,
        default=Path(".leakgrid"),
        metavar="DIR",
        help="where the results go; what is there already is merged, too (default: .leakgrid)",
    )
    expected = parser.add_mutually_exclusive_group()
    expected.add_argument(
        "--plan", type=Path, metavar="FILE", help="the plan of the run, to name missing cells"
    )
    expected.add_argument(
        "--matrix", type=Path, metavar="FILE", help="expect every default cell of this matrix"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write it (-: stdout)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid merge``: every file is read and judged before the first one is written."""
    expected = _expected(options)
    found, broken = _read_all(_files(options.sources))
    store = Store(options.store, Path("baselines"))
    before = dict(_stored(store))
    merged = merge(found, expected, list(before.values()))
    for cell, piece in merged.kept.items():
        if cell not in before or piece.result != before[cell].result:
            store.save_result(cell, piece.result)
            store.append_history(cell, piece.result)
    if options.json is not None:
        write(options.json, to_json(_data(merged, broken)))
    if options.json != Path("-"):
        print(_text(merged, len(found), broken, options.store))
    return 0 if found else 3


def _expected(options: argparse.Namespace) -> tuple[str, ...]:
    if options.plan is not None:
        return planned_cells(_json(options.plan), str(options.plan))
    if options.matrix is not None:
        plans = expand(load(options.matrix))
        return tuple(plan.cell.name for plan in plans if plan.default and not plan.excluded)
    return ()


def _files(sources: list[Path]) -> Iterator[Path]:
    """Every JSON file that may be a result. Raises UsageError for a source that is not there."""
    for source in sources:
        if source.is_file():
            yield source
        elif source.is_dir():
            # A whole store also has what its cells were built from.
            folder = source / "results" if (source / "results").is_dir() else source
            for path in sorted(folder.rglob("*.json")):
                parts = path.relative_to(folder).parts
                if not _NO_RESULTS.intersection(parts) and not path.name.startswith("."):
                    yield path
        else:
            raise UsageError(
                f"there is no {source}",
                next="Name the folders that the machines' results were put into.",
            )


def _read_all(paths: Iterator[Path]) -> tuple[list[Piece], dict[str, str]]:
    """The results, and why other files are none. Raises DataError for mixed schemas."""
    schemas: dict[Path, Any] = {}
    broken: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        try:
            data = _json(path)
        except DataError as error:
            broken[str(path)] = error.why
            continue
        if isinstance(data, dict) and "verdict" in data:
            schemas[path] = data.get("schema")
        elif path.name != "plan.json":
            broken[str(path)] = "it is no result"
    check_schemas({str(path): schema for path, schema in schemas.items()})
    pieces = []
    for path in schemas:
        try:
            piece = Piece(str(path), read_result(path))
            split_name(piece.cell)  # it becomes the name of a file
        except (DataError, UsageError) as error:
            broken[str(path)] = error.sentence()
        else:
            pieces.append(piece)
    return pieces, broken


def _stored(store: Store) -> Iterator[tuple[str, Piece]]:
    for name, result in store.results().items():
        yield name, Piece(str(store.result_path(name)), result)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read", why=f"{error}", next="Bring the file here again."
        ) from error


def _text(merged: Merged, found: int, broken: dict[str, str], store: Path) -> str:
    lines = [f"{_count(found, 'result')} read; {store} has {_count(len(merged.kept), 'cell')}."]
    lines += [f"- duplicate: {item}" for item in merged.duplicates]
    lines += [f"- missing: {_missing(cell, merged)}" for cell in merged.missing]
    lines += [f"- not planned: {cell}" for cell in merged.unexpected]
    lines += [f"- left out: {place}: {why}" for place, why in broken.items()]
    return "\n".join(lines)


def _missing(cell: str, merged: Merged) -> str:
    text = f"{cell} was planned and no machine brought its result"
    if cell in merged.kept:
        text += f"; the one of {merged.kept[cell].result.started or 'an earlier run'} stays"
    return text


def _data(merged: Merged, broken: dict[str, str]) -> dict[str, Any]:
    return {
        "schema": 1,
        "cells": {
            cell: {"place": piece.place, "verdict": piece.result.verdict}
            for cell, piece in merged.kept.items()
        },
        "duplicates": [
            {"cell": item.cell, "kept": item.kept, "dropped": list(item.dropped), "why": item.why}
            for item in merged.duplicates
        ],
        "missing": list(merged.missing),
        "unexpected": list(merged.unexpected),
        "left_out": broken,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
