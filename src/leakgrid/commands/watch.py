"""``leakgrid watch``: what PyO3 released, why a re-evaluation is due, and what follows from it."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leakgrid.commands import _looking
from leakgrid.commands._cells import concrete
from leakgrid.commands._common import Subcommands, add_places, positive, write
from leakgrid.commands._issues import add_issue, tracker
from leakgrid.errors import DataError, NotEvaluated, UsageError
from leakgrid.matrix import CellPlan, expand, suggest
from leakgrid.registry import sort_key
from leakgrid.store import Store, to_json, write_atomically
from leakgrid.watch import issue, plan
from leakgrid.watch.http import Client

_EXIT_CODES = """exit codes:
  0  nothing is due               2  usage or configuration
  10 a re-evaluation is due       3  nothing known to be due, but something could not be looked at
                                  4  nothing known to be due, and an answer cannot be trusted
With --plan --all: 0, or 3 where there is no cell.
With --offline neither the index nor advisories are looked at, as was asked for: 0 says nothing of
them.
"""
_STDOUT = Path("-")


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "watch",
        help="what PyO3 released, and why a re-evaluation is due",
        description="Look at the crate index, advisories, stored results and installed programs.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what was seen as JSON (-: stdout)"
    )
    parser.add_argument(
        "--write", action="store_true", help="add new PyO3 versions to the matrix file"
    )
    _add_plan(parser)
    add_issue(parser, "one issue for each PyO3 version")
    _add_sources(parser)
    add_places(parser)
    parser.set_defaults(run=run)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the cells to run, as a matrix for GitHub Actions")
    group.add_argument(
        "--plan",
        type=Path,
        nargs="?",
        const=_STDOUT,
        metavar="FILE",
        help="write it (default: to stdout)",
    )
    group.add_argument("--all", action="store_true", help="every default cell, not only those due")
    for name, what in (("tag", "with this tag"), ("target", "of this"), ("pyo3", "of this PyO3")):
        group.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"only cells {what} (repeatable)",
        )
    group.add_argument(
        "--capacity",
        type=positive,
        default=plan.LIMIT,
        metavar="N",
        help=f"at most so many jobs (default and maximum: {plan.LIMIT})",
    )
    group.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="only this part of the cells"
    )
    group.add_argument(
        "--github-output",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="FILE",
        help="append the outcome for later steps (default: to $GITHUB_OUTPUT)",
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where to look")
    group.add_argument("--matrix", type=Path, default=Path("matrix.toml"), metavar="FILE")
    group.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="what the last look saw (default: watch.json in the store)",
    )
    group.add_argument(
        "--index",
        default="",
        metavar="URL",
        help="a sparse crate index, or the word cargo (default: $LEAKGRID_INDEX, else what "
        "cargo's configuration names)",
    )
    group.add_argument(
        "--advisories",
        default="",
        metavar="URL",
        help="a service with OSV's API, or the word none (default: $LEAKGRID_ADVISORIES, else "
        "OSV's own)",
    )
    group.add_argument(
        "--since", default="", metavar="VERSION", help="as if the last look had seen this newest"
    )
    group.add_argument("--pre", action="store_true", help="follow pre-releases too")
    group.add_argument(
        "--offline",
        action="store_true",
        help="look only at what lies here: neither at the index nor at advisories, which is no "
        "failure then",
    )
    group.add_argument(
        "--max-age",
        type=positive,
        default=90,
        metavar="DAYS",
        help="results older than this are stale (default: 90)",
    )


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of:
        raise argparse.ArgumentTypeError("write it as 1/3")
    return number, of


def run(options: argparse.Namespace) -> int:
    """``leakgrid watch``: look, tell, act, and only then keep what was seen."""
    client = Client()
    question = _question(options)
    seen = _looking.look(question, client)
    _check_selection(options, seen)
    _tell(options, seen)
    if options.write and seen.edit.added:
        write_atomically(question.matrix, seen.edit.text)
        for where, version in seen.edit.added:
            _say(f"{question.matrix}: {where} has {version} now")
    planned = _plan(options, seen) if options.plan is not None else None
    if options.github_output is not None:
        _github_output(options.github_output, _outputs(options, seen, planned))
    if options.issue:
        _issues(options, seen, client)
    if not (options.since or options.dry_run):
        _looking.save(question, seen)
    if options.plan is not None and options.all:
        return 0 if planned and planned["include"] else NotEvaluated.exit_code
    return seen.report.exit_code


def _question(options: argparse.Namespace) -> _looking.Question:
    if options.since:
        concrete(options.since, "--since")
    return _looking.Question(
        matrix=options.matrix,
        store=Store(options.store, options.baselines),
        state=options.state or options.store / "watch.json",
        now=datetime.now(UTC),
        index=options.index,
        advisories=options.advisories,
        since=options.since,
        pre=options.pre,
        offline=options.offline,
        max_age=options.max_age,
    )


def _check_selection(options: argparse.Namespace, seen: _looking.Seen) -> None:
    """Raises UsageError for what the matrix does not have: nothing would be due there."""
    plans = expand(seen.matrix, targets=options.target)
    tags = sorted({tag.name for tag in seen.matrix.tags})
    versions = sorted({item.cell.pyo3 for item in plans}, key=sort_key)
    for what, given, known in (("tag", options.tag, tags), ("PyO3", options.pyo3, versions)):
        for name in given:
            if name not in known:
                raise UsageError(
                    f"the matrix has no {what} {name!r}{suggest(name, known)}",
                    next=f"It has: {', '.join(known) or 'none'}.",
                )


def _tell(options: argparse.Namespace, seen: _looking.Seen) -> None:
    """The report on stdout, unless stdout is for a program."""
    if options.json is not None:
        write(options.json, to_json(seen.report.to_dict()))
    taken = _STDOUT in (options.json, options.plan)
    print(seen.report.render(), file=sys.stderr if taken else sys.stdout, flush=True)


def _plan(options: argparse.Namespace, seen: _looking.Seen) -> dict[str, Any]:
    chosen = plan.part(_chosen(options, seen), *options.shard)
    planned = plan.to_dict(plan.jobs(chosen, min(options.capacity, plan.LIMIT)), seen.matrix)
    text = json.dumps(planned) + "\n"
    write(options.plan, text)
    new = {version for _, version in seen.edit.added}
    if not options.write and any(item.cell.pyo3 in new for item in chosen):
        _say(f"the plan has cells that {options.matrix} has only after --write")
    return planned


def _chosen(options: argparse.Namespace, seen: _looking.Seen) -> list[CellPlan]:
    """The cells to plan; those of a target without default cells only where it is named."""
    due = {name for reason in seen.report.reasons for name in reason.cells}
    return [
        item
        for item in expand(seen.matrix, targets=options.target, tags=options.tag)
        if not item.excluded
        and (item.default or options.target or options.tag)
        and (not options.pyo3 or item.cell.pyo3 in options.pyo3)
        and (options.all or item.cell.name in due)
    ]


def _outputs(
    options: argparse.Namespace, seen: _looking.Seen, planned: dict[str, Any] | None
) -> dict[str, str]:
    news = seen.report.news
    found = {
        "due": str(bool(seen.report.reasons)).lower(),
        "looked": str(not seen.report.troubles).lower(),
        "newest": news.newest.version if news and news.newest else "",
        "new": " ".join(release.version for release in news.proposals) if news else "",
        "written": str(bool(options.write and seen.edit.added)).lower(),
        "cells": str(len({name for reason in seen.report.reasons for name in reason.cells})),
    }
    if planned is not None:
        jobs = planned["include"]
        cells = sum(job["count"] for job in jobs)
        found |= {"plan": json.dumps(planned), "jobs": str(len(jobs)), "cells": str(cells)}
    return found


def _github_output(given: Path, outputs: dict[str, str]) -> None:
    name = str(given) if given != Path() else os.environ.get("GITHUB_OUTPUT", "")
    if not name:
        raise UsageError("--github-output: GITHUB_OUTPUT is not set", next="Name a file.")
    # Every value is one line, so GitHub's plain NAME=VALUE form does.
    text = "".join(f"{key}={value}\n" for key, value in outputs.items())
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DataError(
            f"--github-output: {name} cannot be written",
            why=error.strerror or str(error),
            next="Name a file in a folder that is there.",
        ) from error


def _issues(options: argparse.Namespace, seen: _looking.Seen, client: Client) -> None:
    entries = {entry.version: entry for entry in seen.versions}
    wishes = []
    for version in sorted({item.cell.pyo3 for item in seen.facts.plans}, key=sort_key):
        mine = [r for r in seen.report.reasons if r.key in _keys(version)]
        cells = seen.facts.cells(pyo3=version)
        made = issue.wish(version, entries.get(version), mine, cells, seen.facts.results)
        if mine or made.closed:
            wishes.append(made)
    # An issue about a version is younger than the version: only what is younger is looked through.
    dates = [getattr(entries.get(wanted.version), "published", None) or "" for wanted in wishes]
    since = min(dates, default="")
    for line in tracker(options, client).apply(wishes, since, dry=options.dry_run):
        _say(line)


def _keys(version: str) -> tuple[str, ...]:
    return (f"pyo3:{version}", f"not-measured:{version}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
