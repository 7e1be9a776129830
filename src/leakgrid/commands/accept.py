"""``leakgrid accept``: stored results become baselines, after a look at what would change."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from leakgrid import amounts
from leakgrid import baseline as baselines
from leakgrid.baseline import Accepting, Baseline
from leakgrid.commands._common import (
    Subcommands,
    add_places,
    stored,
)
from leakgrid.errors import UsageError
from leakgrid.finding import CellResult
from leakgrid.store import Store


@dataclass(frozen=True, slots=True)
class _Change:
    """One cell's baseline, as it lies there and as it would be written."""

    cell: str
    path: Path
    before: str
    after: Baseline
    stale: int

    @property
    def diff(self) -> str:
        """A unified diff, empty where nothing changes."""
        old, new = self.before.splitlines(), baselines.write(self.after).splitlines()
        name = self.path.as_posix()
        lines = difflib.unified_diff(old, new, name if old else "/dev/null", name, lineterm="")
        return "\n".join(lines)


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "accept",
        help="write baselines from stored results",
        description="Accept the findings of stored results, with a reason. Shows what changes and "
        "asks at a terminal; elsewhere it writes at once. CI never writes.",
    )
    parser.add_argument(
        "cells", nargs="*", metavar="CELL", help="such as mrrc/py3.13-pyo3-0.30.1 (default: all)"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why they are acceptable")
    parser.add_argument(
        "--finding",
        action="append",
        default=[],
        metavar="ID",
        help="accept only this finding, by its id or how it begins (repeatable)",
    )
    parser.add_argument(
        "--reproducer",
        default="",
        metavar="TEXT",
        help="how to see a finding of the extension's own code again (default: the command that "
        "runs the test that shows it)",
    )
    parser.add_argument("--link", default="", metavar="URL", help="a public report of the finding")
    parser.add_argument(
        "--prune",
        action="store_true",
        help="also remove accepted findings that a full run showed to be gone",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would change")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_places(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid accept``: nothing is written before everything could be."""
    if os.environ.get("CI") and not options.dry_run:
        raise UsageError(
            "baselines are not written in CI",
            why="a run that accepts its own findings can never fail",
            next="Accept on your machine and commit the files below the baselines folder; "
            "--dry-run shows here what that would change.",
        )
    if options.link and not options.link.startswith(("https://", "http://")):
        raise UsageError(
            f"--link {options.link}: this is no address", next="Write it as https://..."
        )
    store = Store(options.store, options.baselines)
    results = stored(store, options.cells)
    if not results:
        raise UsageError(
            f"there are no results in {options.store}", next="Run leakgrid check, or nox, first."
        )
    how = Accepting(
        options.reason, None, options.reproducer, options.link.strip(), prune=options.prune
    )
    if options.finding:
        ids = _ids(results, options.finding)
        how = replace(how, ids=ids)
        results = {n: r for n, r in results.items() if any(f.id in ids for f in r.findings)}
    changes = [_change(store, name, result, how) for name, result in results.items()]
    for change in changes:
        _show(change)
    writing = [change for change in changes if change.diff]
    if writing and not options.dry_run and _agreed(options, len(writing)):
        for change in writing:
            store.save_baseline(change.after)
            accepted = amounts.counted(len(change.after.entries), "accepted finding")
            print(f"{change.cell}: {accepted} in {change.path}")
    return 0


def _ids(results: Mapping[str, CellResult], wanted: list[str]) -> frozenset[str]:
    known = {finding.id for result in results.values() for finding in result.findings}
    chosen: set[str] = set()
    for word in wanted:
        found = [name for name in known if word and name.startswith(word)]
        if len(found) != 1:
            what = "no finding has" if not found else f"{len(found)} findings begin with"
            raise UsageError(
                f"{what} the id {word!r}",
                why=f"these cells have: {', '.join(sorted(known)) or 'no findings'}",
                next="`leakgrid report` shows the findings with their ids.",
            )
        chosen.update(found)
    return frozenset(chosen)


def _change(store: Store, name: str, result: CellResult, how: Accepting) -> _Change:
    previous = store.load_baseline(name)
    path = store.baseline_path(name)
    after = baselines.accept(result, previous, how)
    before = "" if previous is None else path.read_text(encoding="utf-8")
    kept = {entry.id for entry in after.entries}
    stale = sum(entry in kept for entry in baselines.stale(result, previous))
    return _Change(name, path, before, after, stale)


def _show(change: _Change) -> None:
    print(change.diff or f"{change.cell}: nothing to change in {change.path}")
    if change.stale:
        noun = "entry" if change.stale == 1 else "entries"
        print(
            f"{change.cell}: {change.stale} accepted {noun} did not occur; --prune removes them",
            file=sys.stderr,
        )


def _agreed(options: argparse.Namespace, files: int) -> bool:
    """At a terminal the answer to a question; elsewhere calling the command is the answer."""
    if options.yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    print(f"Write {files} baseline{'s' if files > 1 else ''}? [y/N] ", end="", flush=True)
    agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        print("nothing written", file=sys.stderr)
    return agreed
