"""``leakgrid gate``: a step of a release workflow that fails where leaks were not ruled out."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from leakgrid.commands import _looking
from leakgrid.commands._cells import concrete
from leakgrid.commands._common import Subcommands, add_places, positive, write
from leakgrid.commands._issues import add_issue, tracker
from leakgrid.errors import LeakgridError
from leakgrid.finding import CellResult
from leakgrid.gating import NOT_EVALUATED, Question, Reason, gate_exit_code, judge
from leakgrid.matrix import CellPlan, Matrix, expand, load
from leakgrid.measurement import DETECTORS, judge_again
from leakgrid.registry import sort_key
from leakgrid.store import Store, to_json
from leakgrid.toolchain import identity
from leakgrid.verdict import exit_code
from leakgrid.watch import index, regressions, releases
from leakgrid.watch.http import Client

_EXIT_CODES = """exit codes, the first that applies:
  1  a cell is regressed or unbaselined
  4  a cell cannot be trusted (blind, crashed, timed out)
  3  the newest PyO3 of [watch] was not evaluated: no result, one of some tests or detectors only,
     an old one, one of other sources, or nobody could say which PyO3 is the newest
  0  none of these; 2 usage or configuration
"""


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "gate",
        help="fail where a release is not known to be free of new leaks",
        description="One line for each reason against a release: every cell of the newest PyO3 "
        "must be evaluated, whole, with every detector and for these very sources, and no other "
        "cell of the matrix may be regressed, untrusted or out of date.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--matrix", type=Path, default=Path("matrix.toml"), metavar="FILE")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="what is released (repeatable; default: every default target)",
    )
    parser.add_argument(
        "--max-age",
        type=positive,
        default=30,
        metavar="DAYS",
        help="results older than this do not count (default: 30)",
    )
    parser.add_argument(
        "--newest",
        default="",
        metavar="VERSION",
        help="the newest PyO3, instead of asking the index",
    )
    parser.add_argument(
        "--index", default="", metavar="URL", help="where to ask, as for leakgrid watch"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write it (-: stdout)")
    add_issue(parser, "one issue about the regressions of each target")
    add_places(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid gate``: open, or closed with every reason."""
    if options.newest:
        concrete(options.newest, "--newest")
    matrix = load(options.matrix)
    plans = [
        plan
        for plan in expand(matrix, targets=options.target)
        if plan.default or plan.cell.target in options.target
    ]
    store = Store(options.store, options.baselines)
    results, remeasure = _judged_now(store, plans)
    newest, unknown = _newest(options, matrix)
    question = Question(
        plans=plans,
        newest=newest,
        sources={name: _sources(matrix, name, store) for name in {p.cell.target for p in plans}},
        results=results,
        now=datetime.now(UTC),
        limit=timedelta(days=options.max_age),
        detectors=DETECTORS,
        remeasure=remeasure,
    )
    reasons = (*unknown, *judge(question))
    code = gate_exit_code(reasons)
    if options.json is not None:
        write(options.json, to_json(_data(question, reasons, code)))
    if options.json != Path("-"):
        print("\n".join(map(str, reasons)) if reasons else _open(question))
    if reasons:
        count = "1 reason" if len(reasons) == 1 else f"{len(reasons)} reasons"
        print(f"leakgrid: the gate is closed, for {count}", file=sys.stderr)
    if options.issue:
        _keep_issues(options, question, reasons)
    return code


def _judged_now(
    store: Store, plans: list[CellPlan]
) -> tuple[dict[str, CellResult], frozenset[str]]:
    """The stored results against the baselines of now, and the cells where that cannot be said."""
    results: dict[str, CellResult] = {}
    remeasure = set()
    for name in [plan.cell.name for plan in plans]:
        stored = store.load_result(name)
        if stored is None:
            continue
        results[name] = stored
        if exit_code(stored.verdict) < NOT_EVALUATED:
            own = store.load_baseline(name)
            neighbour = None if own is not None else store.nearest_baseline(name)
            again = judge_again(stored, own, name, neighbour)
            if again is None:
                remeasure.add(name)
            else:
                results[name] = again
    return results, frozenset(remeasure)


def _newest(options: argparse.Namespace, matrix: Matrix) -> tuple[str, tuple[Reason, ...]]:
    """The newest PyO3 that [watch] follows; a reason where nobody can say it.

    Raises ConfigError and UsageError for what is wrong here.
    """
    if options.newest:
        return str(options.newest), ()
    try:
        folder = options.matrix.resolve().parent
        address = _looking.index_address(options.index, os.environ, folder)
        seen = index.look(_looking.CRATE, address, Client())
    except LeakgridError as error:
        if error.exit_code < NOT_EVALUATED:
            raise
        why = f"the newest PyO3 is not known: {error.sentence()}"
        return "", (Reason("pyo3", "newest-unknown", NOT_EVALUATED, why),)
    found = releases.newest(seen.versions, matrix.watch.pyo3)
    if found is None:
        why = f"[watch] pyo3 = {matrix.watch.pyo3!r} has no release"
        return "", (Reason("pyo3", "newest-unknown", NOT_EVALUATED, why),)
    return found.version, ()


def _sources(matrix: Matrix, name: str, store: Store) -> str:
    target = matrix.target(name)
    return identity.sources_digest(target, matrix.base, store.baselines / name)


def _keep_issues(
    options: argparse.Namespace, question: Question, reasons: tuple[Reason, ...]
) -> None:
    """Raises what the tracker raises, unless the gate is closed for reasons of its own."""
    try:
        _issues(options, question, reasons)
    except LeakgridError as error:
        if not reasons:
            raise
        print(f"leakgrid: {error}", file=sys.stderr)


def _issues(options: argparse.Namespace, question: Question, reasons: tuple[Reason, ...]) -> None:
    issues = tracker(options, Client())
    known = issues.marked() if issues.token or not options.dry_run else {}
    for target in question.sources:
        about = [r for r in reasons if r.subject.partition("/")[0] in (target, _looking.CRATE)]
        found = regressions.wishes(target, about, question.results, known, question.now.date())
        for line in issues.apply(found, dry=options.dry_run):
            print(line, file=sys.stderr)


def _open(question: Question) -> str:
    required = [
        plan.cell.name
        for plan in question.plans
        if plan.cell.pyo3 == question.newest and not plan.excluded
    ]
    others = sorted(set(question.results) - set(required))
    text = f"Open: PyO3 {question.newest} was evaluated for these sources in {', '.join(required)}."
    if others:
        versions = sorted({question.results[name].pyo3 for name in others}, key=sort_key)
        cells = "1 other cell" if len(others) == 1 else f"{len(others)} other cells"
        text += f" Nothing against it in {cells} (PyO3 {', '.join(versions)})."
    return text


def _data(question: Question, reasons: tuple[Reason, ...], code: int) -> dict[str, object]:
    return {
        "schema": 1,
        "open": not reasons,
        "exit_code": code,
        "newest": question.newest or None,
        "sources": dict(sorted(question.sources.items())),
        "reasons": [
            {
                "subject": reason.subject,
                "kind": reason.kind,
                "exit_code": reason.code,
                "text": reason.text,
            }
            for reason in reasons
        ],
    }
