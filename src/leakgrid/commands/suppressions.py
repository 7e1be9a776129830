"""``leakgrid suppressions``: judge, count, propose and export the rules for Valgrind."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from leakgrid import suppression
from leakgrid.baseline import python_minor
from leakgrid.commands._common import (
    Subcommands,
    add_places,
    read_layers,
    write,
)
from leakgrid.detectors.records import SuppressionCounts
from leakgrid.detectors.suspects import counted
from leakgrid.detectors.xml_records import read_file
from leakgrid.errors import ConfigError, UsageError
from leakgrid.finding import CellResult, Finding
from leakgrid.store import Store, to_json

_OWN = Path("suppressions")
_PACKAGE = Path(__file__).resolve().parents[1]

_HEADER = """\
# Valgrind suppressions, written by `leakgrid suppressions export`{cell}.
# Run Valgrind with its usual 12 callers, so that stacks end where these rules end:
#
#   PYTHONMALLOC=malloc valgrind --leak-check=full --undef-value-errors=no \\
#       --suppressions=.valgrind.supp python -m pytest
#
# No rule that leakgrid brings matches a stack with a frame of an extension. What they cannot tell
# apart, and what is left out for that reason, is in suppressions/README.md of leakgrid.

"""


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "suppressions",
        help="judge, count, propose and export suppressions for Valgrind",
        description="Rules that hide what is nobody's leak: lint them, find unused ones, propose "
        "the narrowest for a finding, or write one file for people who run Valgrind by hand.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = _add_export(actions)
    lint = actions.add_parser("lint", help="refuse rules that are broad, double or unproved")
    unused = _add_unused(actions)
    proposal = _add_propose(actions)
    for action in (export, lint, unused, proposal):
        action.add_argument(
            "--rules",
            type=Path,
            metavar="DIR",
            help="default: suppressions and the rules that leakgrid brings"
            if action is export
            else "default: suppressions, or the rules that leakgrid brings",
        )
        if action in (unused, proposal):
            add_places(action)
    parser.set_defaults(run=run)


def _add_export(actions: Subcommands) -> argparse.ArgumentParser:
    export = actions.add_parser("export", help="write one file for --suppressions=")
    export.add_argument("--python", default="", help="only rules that apply to this Python")
    export.add_argument("--pyo3", default="", help="only rules that apply to this PyO3")
    export.add_argument("--target", default="", help="only rules that apply to this target")
    export.add_argument(
        "--output",
        type=Path,
        default=Path(".valgrind.supp"),
        metavar="FILE",
        help="default: .valgrind.supp (-: stdout)",
    )
    return export


def _add_unused(actions: Subcommands) -> argparse.ArgumentParser:
    unused = actions.add_parser(
        "unused", help="rules that hid nothing in any stored full run (exit 1 where there are any)"
    )
    unused.add_argument("--json", type=Path, metavar="FILE", help="also write hits (-: stdout)")
    unused.add_argument(
        "--xml",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="count a plain Valgrind run's XML instead, for rules run by hand (repeatable)",
    )
    return unused


def _add_propose(actions: Subcommands) -> argparse.ArgumentParser:
    proposal = actions.add_parser("propose", help="the narrowest rule for a stored finding")
    proposal.add_argument("id", metavar="ID", help="a finding's id, or how it begins")
    proposal.add_argument("--reason", default="", metavar="TEXT")
    proposal.add_argument("--reference", default="", metavar="URL", help="a public report of it")
    return proposal


def run(options: argparse.Namespace) -> int:
    """``leakgrid suppressions ACTION``."""
    action = {"export": _export, "lint": _lint, "unused": _unused, "propose": _propose}
    return action[options.action](options)


def _layers(options: argparse.Namespace) -> tuple[suppression.Layer, ...]:
    shipped = _shipped()
    folder = options.rules or (_OWN if _OWN.is_dir() or shipped is None else shipped)
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}", next="Say where the rules are: --rules DIR."
        )
    return read_layers(folder)


def _shipped() -> Path | None:
    """The rules that leakgrid brings; None where they are missing.

    A wheel has them beside its modules, an editable installation has no copy: there they are in
    the repository that the modules lie in.
    """
    beside, source = _PACKAGE / "rules", _PACKAGE.parent.parent / "suppressions"
    if beside.is_dir():
        return beside
    return source if _PACKAGE.parent.name == "src" and source.is_dir() else None


def _exported(options: argparse.Namespace) -> tuple[suppression.Layer, ...]:
    """The project's rules and leakgrid's; of two with one name the project's is meant."""
    own = _layers(options)
    shipped = _shipped()
    if options.rules or shipped is None:
        return own
    names = {rule.name for layer in own for rule in layer.rules}
    brought = (
        replace(layer, rules=tuple(rule for rule in layer.rules if rule.name not in names))
        for layer in read_layers(shipped)
    )
    return (*brought, *own)


def _export(options: argparse.Namespace) -> int:
    rules = suppression.compose(
        _exported(options),
        python=options.python,
        pyo3=options.pyo3,
        target=options.target,
        by_hand=True,
    )
    chosen = [
        f"{name} {value}"
        for name, value in (
            ("Python", options.python),
            ("PyO3", options.pyo3),
            ("target", options.target),
        )
        if value
    ]
    header = _HEADER.format(cell=f" for {', '.join(chosen)}" if chosen else "")
    none = "# leakgrid has no rule for this: see suppressions/README.md\n"
    write(options.output, header + (suppression.render(rules) or none))
    return 0


def _lint(options: argparse.Namespace) -> int:
    layers = _layers(options)
    told = suppression.lint_layers(layers)
    if told:
        raise ConfigError(
            f"{counted(len(told), 'complaint')} about the suppressions",
            faults=told,
            next="Narrow, mend or remove these rules; suppressions/README.md says how.",
        )
    print(f"{sum(len(layer.rules) for layer in layers)} rules in {len(layers)} files, no complaint")
    return 0


def _unused(options: argparse.Namespace) -> int:
    """Hits per rule; a rule that nothing could have counted is told apart from one without hits."""
    rules = suppression.compose(_layers(options), by_hand=True)
    if options.xml:
        rules = tuple(rule for rule in rules if rule.run == suppression.BY_HAND)
        told = [pair for path in options.xml for pair in _xml_counts(path)]
        hits: Mapping[str, int] = suppression.hit_counts(rules, told)
        runs = len(options.xml)
    else:
        rules = tuple(rule for rule in rules if rule.run != suppression.BY_HAND)
        results = Store(options.store, options.baselines).results()
        hits, runs = _stored_hits(rules, results.values())
    if options.json is not None:
        write(options.json, to_json({"schema": 1, "runs": runs, "hits": dict(hits)}))
    if rules and not runs:
        raise UsageError(
            "no full run with Valgrind is stored, so nothing says which rules are needed",
            next="Run the whole matrix (nox -s valgrind), or name plain runs: --xml FILE.",
        )
    unused = [rule.name for rule in rules if not hits.get(rule.name)]
    if options.json != Path("-"):
        for rule in rules:
            where = f"{hits[rule.name]} hits" if rule.name in hits else "loaded by no stored run"
            print(f"{where:>24}  {rule.name}")
        print(f"{len(rules)} rules, {runs} runs, {len(unused)} unused")
    return 1 if unused else 0


def _xml_counts(path: Path) -> Iterable[tuple[str, int]]:
    for record in read_file(path):
        if isinstance(record, SuppressionCounts):
            yield from record.counts.items()


def _stored_hits(
    rules: Iterable[suppression.Rule], results: Iterable[CellResult]
) -> tuple[Mapping[str, int], int]:
    """Hits over the full runs that loaded a rule: a result names each rule that its run loaded."""
    known = {rule.name for rule in rules}
    hits: Counter[str] = Counter()
    runs = 0
    for result in results:
        if result.partial or "memcheck" not in result.detectors or not result.tests:
            continue
        runs += 1
        for name, count in result.suppressed.items():
            if name in known:
                hits[name] += count
    return hits, runs


def _propose(options: argparse.Namespace) -> int:
    result, finding = _stored_finding(Store(options.store, options.baselines), options.id)
    rule = suppression.propose(
        finding,
        python=python_minor(result.python).rstrip("t"),
        pyo3=result.pyo3,
        reason=options.reason,
        reference=options.reference,
    )
    print(suppression.render([rule]))
    python = result.python.get("version", "")
    proof = suppression.proof_of(rule, finding, f"leakgrid, Python {python}, PyO3 {result.pyo3}")
    print("# Its proof, for the .toml file of the same name:")
    print(
        "".join(f"# {line}\n" for line in suppression.render_proof(rule.name, proof).splitlines())
    )
    for complaint in suppression.lint([rule]):
        print(f"not yet good: {complaint.text}", file=sys.stderr)
    return 0


def _stored_finding(store: Store, identity: str) -> tuple[CellResult, Finding]:
    found = {
        finding.id: (result, finding)
        for result in store.results().values()
        for finding in result.findings
        if identity and finding.id.startswith(identity)
    }
    if len(found) != 1:
        what = "no stored finding has" if not found else f"{len(found)} stored findings begin with"
        raise UsageError(
            f"{what} the id {identity}",
            why=", ".join(sorted(found)),
            next="`leakgrid report` shows the stored findings with their ids.",
        )
    return next(iter(found.values()))
