"""``leakgrid bisect``: the first PyO3 version with a leak, or without it."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leakgrid import bisection, changelog, pipeline, registry
from leakgrid.bisection import Answer, Sought
from leakgrid.commands._cells import add_target, concrete, detectors, minor_of, rules_of, target_of
from leakgrid.commands._common import Subcommands, add_places, positive, write
from leakgrid.commands.compare import compare_cells
from leakgrid.console import Live
from leakgrid.errors import LeakgridError, NotEvaluated, NotTrusted, UsageError
from leakgrid.finding import CellResult
from leakgrid.matrix import Cell, Target
from leakgrid.measurement import DETECTORS, MEMCHECK
from leakgrid.process import terminate_as_interrupt
from leakgrid.reports import _bisection as report
from leakgrid.stages import Progress
from leakgrid.store import SEARCHES, Store, to_json
from leakgrid.toolchain import pyo3
from leakgrid.verdict import exit_code

NATIVE = tuple(name for name in DETECTORS if name != MEMCHECK)
"""What runs unless asked otherwise: no Valgrind, and they see what PyO3's own leaks are."""
MOST = 6
"""Builds, after which no further cause is searched for."""
_EXIT_CODES = """exit codes:
  0  the (first) version was found      3  there is none to find, or it could not be told
  2  usage or configuration             4  an end cannot be trusted (blind, crashed, timed out)
"""


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "bisect",
        help="the first PyO3 version with a leak, or without it (--fixed)",
        description="Evaluate few versions between two and tell which of them brings a leak.\n"
        "Without --finding and --test: every cause that one end has and the other has not,\n"
        "leaking memory first.",
        usage="leakgrid bisect PATH|NAME --python X.Y --good X.Y.Z --bad X.Y.Z [--fixed] [options]",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_target(parser)
    parser.add_argument("--python", required=True, help="3.13, 3.13.0 or an interpreter's path")
    parser.add_argument("--good", required=True, metavar="VERSION", help="a PyO3 without the leak")
    parser.add_argument("--bad", required=True, metavar="VERSION", help="a PyO3 with the leak")
    parser.add_argument(
        "--fixed",
        action="store_true",
        help="search for the version that mends: the older end leaks, whichever option names it",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--finding", metavar="ID", help="only this finding (its id may be cut), or cause by its key"
    )
    what.add_argument(
        "--test", metavar="NODEID", help="only what this test shows; no other test is run"
    )
    _add_how(parser)
    add_places(parser)
    parser.set_defaults(run=run)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--detectors",
        type=detectors,
        default=NATIVE,
        metavar="NAMES",
        help=f"comma-separated, of {', '.join(DETECTORS)} (default: {','.join(NATIVE)})",
    )
    parser.add_argument(
        "--builds",
        type=positive,
        default=MOST,
        metavar="N",
        help=f"after so many no further cause is searched for (default: {MOST}); the first one is "
        "always searched for to its end",
    )
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=Path("-"),
        metavar="FILE",
        help="also write the answer (no FILE, or -: stdout, and nothing else there)",
    )
    parser.add_argument("--fresh", action="store_true", help="do not use stored results")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (default: CPUs)")
    parser.add_argument("--test-timeout", type=positive, default=60, metavar="SECONDS")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(options: argparse.Namespace) -> int:
    """``leakgrid bisect``: 0 where the version of every cause that was searched for is told."""
    older, newer = _ends(options)
    target, base = target_of(options)
    versions, left_out = _versions(older, newer)
    evaluated = _Evaluated(options, target, base, minor_of(options.python))
    search = Search(versions, options.fixed, evaluated.check, lambda: evaluated.builds)
    with terminate_as_interrupt():
        wanted = _wanted(search, options)
        answers = search.run(wanted, options.builds)
    told = report.Told(
        target=target.name,
        python=evaluated.python,
        fixed=options.fixed,
        versions=versions,
        left_out=left_out,
        answers=answers,
        states=search.told(),
        reasons=search.reasons,
        notes=_notes(answers),
        later={} if options.fixed else _later(answers),
        builds=evaluated.builds,
        store=str(evaluated.store.root / evaluated.store.kept),
    )
    if options.json is not None:
        write(options.json, to_json(report.data(told)))
    if options.json != Path("-"):
        print(report.render(told, color=sys.stdout.isatty()), end="")
    return 0 if answers[0].found else NotEvaluated.exit_code


def _ends(options: argparse.Namespace) -> tuple[str, str]:
    """The older and the newer version. Raises UsageError where they do not fit together."""
    good, bad = concrete(options.good, "--good"), concrete(options.bad, "--bad")
    older, newer = sorted((good, bad), key=registry.sort_key)
    if older == newer:
        raise UsageError("--good and --bad are the same version", next="Name two versions.")
    if not options.fixed and older == bad:
        raise UsageError(
            f"--good {good} is newer than --bad {bad}",
            why="that is a search for the version that mends the leak",
            next="Add --fixed, or exchange the two.",
        )
    return older, newer


def _versions(older: str, newer: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The releases from one end to the other that cargo can build, and why others are left out."""
    for end in (older, newer):
        registry.require("pyo3", end)
    low, high = registry.sort_key(older), registry.sort_key(newer)
    kept, left_out = [], {}
    for entry in registry.versions("pyo3"):
        if not low <= registry.sort_key(entry.version) <= high:
            continue
        if entry.yanked:
            left_out[entry.version] = "yanked"
        elif "-" in entry.version and entry.version not in (older, newer):
            left_out[entry.version] = "a pre-release"
        else:
            kept.append(entry.version)
    return tuple(kept), left_out


@dataclass(slots=True)
class Search:
    """One search: the versions, oldest first, and what was learnt of each.

    ``check`` evaluates a version; ``builds`` tells how many were made so far.
    """

    versions: tuple[str, ...]
    fixed: bool
    check: Callable[[str], CellResult]
    builds: Callable[[], int]
    results: dict[int, CellResult] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    wanted: tuple[Sought, ...] = ()

    @property
    def last(self) -> int:
        """The index of the newest version."""
        return len(self.versions) - 1

    def ends(self) -> tuple[CellResult, CellResult]:
        """The end without the leak and the one with it. Raises LeakgridError without one."""
        for index in (0, self.last):
            if unusable := self._evaluate(index):
                result = self.results[index]
                kind = NotTrusted if exit_code(result.verdict) == 4 else NotEvaluated
                raise kind(
                    f"PyO3 {self.versions[index]}, an end of the search, tells nothing",
                    why=unusable,
                    next="Choose another version for this end, or put that right.",
                )
        clean, leaky = (self.last, 0) if self.fixed else (0, self.last)
        return self.results[clean], self.results[leaky]

    def run(self, wanted: Sequence[Sought], most: int) -> tuple[Answer, ...]:
        """Search for each; after the first only while no more than ``most`` builds were made."""
        self.wanted = tuple(wanted)
        answers = []
        for number, one in enumerate(wanted):
            while (index := bisection.next_version(self.states(one), self.last)) is not None:
                if number and self.builds() >= most:
                    break
                self._evaluate(index)
            answers.append(bisection.answer(one, self.versions, self.states(one)))
        return tuple(answers)

    def states(self, one: Sought) -> dict[int, bool | None]:
        """Of each evaluated version whether it is like the newest in this respect."""
        leaky = self.results[0 if self.fixed else self.last]
        states: dict[int, bool | None] = {}
        for index, result in self.results.items():
            if self.versions[index] in self.reasons:
                states[index] = None
            elif index in (0, self.last):
                states[index] = index == self.last
            else:
                shown = bisection.shows(one, result, compare_cells(result, leaky))
                states[index] = None if shown is None else shown != self.fixed
        return states

    def told(self) -> dict[str, dict[str, bool | None]]:
        """For each cause by its key what each evaluated version shows."""
        return {
            one.key: {
                self.versions[index]: None if state is None else state != self.fixed
                for index, state in sorted(self.states(one).items())
            }
            for one in self.wanted
        }

    def _evaluate(self, index: int) -> str:
        result = self.check(self.versions[index])
        self.results[index] = result
        if unusable := bisection.unusable(result):
            self.reasons[self.versions[index]] = unusable
        return unusable


def _wanted(search: Search, options: argparse.Namespace) -> tuple[Sought, ...]:
    """What is searched for. Raises NotEvaluated where there is nothing of the kind."""
    clean, leaky = search.ends()
    every = bisection.sought(compare_cells(clean, leaky))
    wanted = every
    if options.finding:
        wanted = bisection.of_finding(every, options.finding)
    elif options.test:
        wanted = bisection.in_test(every, options.test)
    if wanted:
        return wanted
    asked = (
        f"of {options.finding} " if options.finding else f"in {options.test} " * bool(options.test)
    )
    known = "\n".join(f"  {one.ids[0]}  {one.title}" for one in every)
    raise NotEvaluated(
        f"PyO3 {leaky.pyo3} shows nothing {asked}that {clean.pyo3} does not show as well",
        why=f"what it does show:\n{known}" if known else "",
        next="Compare other versions, or let other detectors look (--detectors).",
    )


class _Evaluated:
    """Evaluates versions of one target; results of earlier searches are used again."""

    def __init__(self, options: argparse.Namespace, target: Target, base: Path, python: str):
        self.options, self.target, self.base, self.python = options, target, base, python
        asked = "\n".join([options.test or "", *options.detectors])
        folder = f"{SEARCHES}/{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
        self.store = Store(options.store, options.baselines, folder)
        self.builds = 0

    def check(self, version: str) -> CellResult:
        """The result of one version."""
        cell = Cell(self.target.name, self.python, version)
        self._reuse(cell)
        with Live(cell.name, quiet=self.options.quiet) as live:
            return pipeline.check(
                cell, self.target, self.base, self.store, self._how(cell), _Counting(live, self)
            )

    def _reuse(self, cell: Cell) -> None:
        """Bring what `leakgrid check` stored of this cell where it asked for the same."""
        if self.options.test or self.store.load_result(cell) is not None:
            return
        found = Store(self.store.root, self.store.baselines).load_result(cell)
        if found is not None and found.detectors == self.options.detectors:
            self.store.save_result(cell, found)

    def _how(self, cell: Cell) -> pipeline.Options:
        options = self.options
        return pipeline.Options(
            interpreter=options.python,
            jobs=options.jobs or os.cpu_count() or 1,
            test_timeout=float(options.test_timeout),
            tests=(options.test,) if options.test else (),
            detectors=options.detectors,
            fresh=options.fresh,
            suppressions=rules_of(
                self.base / "suppressions", cell, options.store.resolve() / "rules"
            ),
        )


class _Counting:
    """Progress that also counts the builds."""

    def __init__(self, shown: Progress, count: _Evaluated) -> None:
        self._shown, self._count = shown, count
        self.tests, self.note = shown.tests, shown.note

    def stage(self, name: str) -> None:
        """A stage began."""
        self._count.builds += name == "build"
        self._shown.stage(name)


_Notes = dict[str, tuple[changelog.Note, ...]]


def _notes(answers: Sequence[Answer]) -> _Notes:
    """For each answer, by its cause's key, the changelog between the two versions."""
    return {
        one.sought.key: changelog.between(notes, one.without, one.first)
        for one in answers
        if not one.open and (notes := _changelog(one.first))
    }


def _later(answers: Sequence[Answer]) -> _Notes:
    """For each answer what later releases say of leaks: nobody announces that a leak begins."""
    releases = [
        e.version for e in registry.versions("pyo3") if not e.yanked and "-" not in e.version
    ]
    notes = _changelog(releases[-1]) if releases else ()
    return {
        one.sought.key: changelog.leaks(
            changelog.between(notes, one.first, releases[-1]), one.sought.title
        )
        for one in answers
        if not one.open
    }


def _changelog(version: str) -> tuple[changelog.Note, ...]:
    """PyO3's changelog; one that cannot be had makes the answer no worse."""
    try:
        return changelog.read(pyo3.changelog(version).read_text(encoding="utf-8"))
    except (LeakgridError, OSError, UnicodeDecodeError):
        return ()
