#!/usr/bin/env python3
"""PyO3's own leaks, version by version: measure the probe, and render docs/pyo3-leaks.md.

    python scripts/pyo3_leaks.py run [--pyo3 V]... [--python V]... [--store DIR] [--full]
    python scripts/pyo3_leaks.py summarise [--store DIR]    results that are stored already
    python scripts/pyo3_leaks.py render                     the page from docs/pyo3-leaks/
    python scripts/pyo3_leaks.py check                      exit 1 where the page is another

`run` evaluates the probe, one cell after the other, with the native detectors (`--full` adds
memcheck) and keeps a summary of each cell. A cell that was not measured is shown as such.
`check` also reads the changelog in the newest PyO3 that cargo has unpacked here, and fails where
an entry names a leak and the page has no row for it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from leakgrid import pipeline
from leakgrid.baseline import python_minor
from leakgrid.commands.compare import compare_cells
from leakgrid.comparison import Comparison, Entry, causes, subject
from leakgrid.console import Live
from leakgrid.errors import LeakgridError
from leakgrid.finding import CellResult, Finding
from leakgrid.matrix import Cell, load
from leakgrid.measurement import DETECTORS, MEMCHECK
from leakgrid.store import Store, to_json, write_atomically

ROOT = Path(__file__).resolve().parents[1]
SUMMARIES = ROOT / "docs" / "pyo3-leaks"
PAGE = ROOT / "docs" / "pyo3-leaks.md"
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
PYO3 = (
    *("0.23.5", "0.24.2", "0.25.1", "0.26.0", "0.27.2", "0.28.3"),
    *("0.29.0", "0.29.1", "0.29.2", "0.29.3", "0.30.1"),
)
"""The last release of each minor that can be built, and every release that fixes a leak."""
_MOST_TESTS = 30
_ALIGNED = 16
FOUND, CLEAN, UNKNOWN = "**found**", "-", "not measured"
Summary = Mapping[str, Any]


# --- summaries -----------------------------------------------------------------------------------


def summarise(result: CellResult) -> dict[str, Any]:
    """What the page needs of one result; sizes rounded as malloc does, so that runs agree."""
    entries = tuple(Entry(None, finding) for finding in result.findings)
    outcomes = [record.outcome for record in result.tests.values()]
    counted = result.totals.get("census", {})
    return {
        "schema": 1,
        "pyo3": result.pyo3,
        "python": result.python.get("version", ""),
        "toolchain": dict(sorted(result.toolchain.items())),
        "verdict": result.verdict,
        "reason": "" if result.findings else result.reason,
        "tests": {name: outcomes.count(name) for name in sorted(set(outcomes))},
        "not_repeatable": sorted(n for n, r in result.tests.items() if r.repeatable is False),
        "not_checked": sorted(result.not_checked),
        "watched": {
            test: result.tests[test].outcome
            for entry in ENTRIES
            for test in entry.outcomes
            if test in result.tests
        },
        "causes": [
            {
                "key": cause.key,
                "title": cause.title,
                "findings": sorted(
                    (_finding(entry.after) for entry in cause.entries if entry.after),
                    key=lambda item: (item["subject"], item["bytes"]),
                ),
                "tests": list(cause.tests[:_MOST_TESTS]),
                "more_tests": max(0, len(cause.tests) - _MOST_TESTS),
            }
            for cause in causes(Comparison(new=entries))["new"]
        ],
        "census": {
            "objects": len(counted),
            "one_each": sum(1 for number in counted.values() if number == 1),
            "others": {name: counted[name] for name in sorted(counted) if counted[name] != 1},
        },
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "subject": subject(finding) or finding.id,
        "blocks": round(finding.blocks, 1),
        "bytes": round(finding.bytes / _ALIGNED) * _ALIGNED,
    }


def compared(results: Sequence[CellResult]) -> list[dict[str, Any]]:
    """Each result of one Python against the next PyO3's, by cause."""
    ordered = sorted(results, key=lambda result: Version(result.pyo3))
    pairs = []
    for before, after in itertools.pairwise(ordered):
        found = causes(compare_cells(before, after))
        pairs.append(
            {"before": before.pyo3, "after": after.pyo3}
            | {state: [_cause(c) for c in found[state]] for state in ("new", "gone", "changed")}
        )
    return pairs


def _cause(cause: Any) -> dict[str, Any]:
    return {"title": cause.title, "findings": len(cause.entries), "tests": len(cause.tests)}


def store_summaries(results: Iterable[CellResult], folder: Path = SUMMARIES) -> None:
    """Write the summary of each measured result, and the comparisons per Python."""
    by_python: dict[str, list[CellResult]] = {}
    for result in results:
        if not result.tests:
            continue
        minor = python_minor(result.python)
        by_python.setdefault(minor, []).append(result)
        path = folder / f"py{minor}-pyo3-{result.pyo3}.json"
        write_atomically(path, to_json(summarise(result)))
    for minor, found in by_python.items():
        if len(found) > 1:
            path = folder / f"compared-py{minor}.json"
            write_atomically(path, to_json({"schema": 1, "pairs": _joined(path, compared(found))}))


def _joined(path: Path, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pairs that were compared earlier stay, unless compared again."""
    earlier = json.loads(path.read_text(encoding="utf-8"))["pairs"] if path.is_file() else []
    both = {(pair["before"], pair["after"]): pair for pair in [*earlier, *pairs]}
    return [both[key] for key in sorted(both, key=lambda key: tuple(map(Version, key)))]


# --- what the changelog says ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChangelogEntry:
    """A leak that PyO3's changelog names, and what of it the probe's suite shows.

    ``shows`` are pairs of patterns: a cause's key, and a test. ``outcomes`` are tests whose passing
    proves something that no detector can see. ``census`` are objects whose references are counted.
    """

    pull: int
    fixed: str
    what: str
    how: str
    note: str = ""
    shows: tuple[tuple[str, str], ...] = ()
    outcomes: tuple[str, ...] = ()
    census: tuple[str, ...] = ()


_EMPTY = (
    "test_dict_never_touched|test_dict_of_the_base_class_never_touched|"
    "test_missing_attribute_of_a_dict|test_cycle_through_a_field_beside_a_dict"
)
_TRAVERSAL = "test_instance_that_(hangs_on|refers_to)_its_python_class"
ENTRIES = (
    ChangelogEntry(
        6269,
        "0.30.0",
        "The garbage collector was not told of an instance's reference to its class, so a class "
        "made at run time that its own instance keeps alive was never freed.",
        "`growth`: one class per call, held by nothing that the collector knows.",
        "Up to 0.29.0 the same tests leak the class through the lost type reference (#6224) as "
        "well, and the two are not told apart there.",
        shows=((r"growth\|", _TRAVERSAL),),
    ),
    ChangelogEntry(
        6297,
        "0.29.2",
        "Each `#[classattr]` made by a function kept one reference to its value for ever.",
        "`census`: one reference more after import than with the newest PyO3 on the same Python. "
        "It happens once per process and costs no memory, so nothing else can show it.",
        "On Pythons where a value is immortal its count says nothing; those objects are left out.",
        census=("ClassAttributes.LIMIT", "ClassAttributes.names", "ClassAttributes.table"),
    ),
    ChangelogEntry(
        6198,
        "0.29.1",
        "An instance of a `#[pyclass(dict)]` whose `__dict__` had anything in it lost that dict, "
        "and cycles through it were never freed.",
        "`growth`: per call the dict, its contents, or what hangs on the cycle.",
        shows=((r"growth\|", rf"test_dicts\.py::(?!{_EMPTY})"),),
    ),
    ChangelogEntry(
        6224,
        "0.29.1",
        "Every instance of every `#[pyclass]` kept a reference to its class when it was freed.",
        "`refs`: one reference per instance to each class; no memory is lost, unless the class "
        "itself was made at run time.",
        shows=(
            (r"refs\|reference\|type$", ""),
            (r"growth\|", "test_class_made_by_python|test_python_class_over_a"),
        ),
    ),
    ChangelogEntry(
        6234,
        "0.29.1",
        "Each instance of a `#[pyclass(dict)]` lost one empty dict, on CPython 3.11 and 3.12 only.",
        "`growth`: one empty dict per instance in tests that never touch `__dict__`.",
        shows=((r"growth\|", _EMPTY),),
    ),
    ChangelogEntry(
        5459,
        "0.27.0",
        "Wrapping a `#[pyfunction]` made a `PyMethodDef` that was never freed.",
        "`growth`: its bytes per wrapping, in tests that wrap a function again or make a module.",
        "An extension that wraps its functions only while it is imported leaks this once.",
        shows=((r"growth\|", r"test_function_wrapped_again|test_module_made_by_rust"),),
    ),
    ChangelogEntry(
        5281,
        "0.26.0",
        "A mutable borrow was not given back where `PyRef::into_super` went from a mutable class "
        "to a frozen base.",
        "By no detector: what leaks is a flag in an object that is itself freed, neither memory "
        "nor a reference. The probe's test of it expects the refusal from PyO3 "
        "before 0.26 and none since; in the cells marked below it passed with the refusal.",
        outcomes=("tests/test_inherit.py::test_borrow_is_given_back_after_into_super",),
    ),
)

UNNAMED = (
    ChangelogEntry(
        0,
        "",
        "`PySlice::new` makes three integers and hands them to `PySlice_New`, which takes "
        "references of its own; PyO3 never gives up the ones that it made (`types/slice.rs`, the "
        "same in 0.23.5 and 0.30.1).",
        "`refs`, where small integers are counted (before CPython 3.12). With integers that are no "
        "small ones it costs memory on every Python: `slice_of([], 100000, 200000)` of the probe, "
        "called 1,000 times with PyO3 0.30.1, left 96 bytes per call on CPython 3.9, 3.12 and 3.13 "
        "(two integers of 48 bytes; the third is a small one).",
        shows=((r"refs\|reference\|small ints", r"test_containers\.py::test_slice$"),),
    ),
)
"""Leaks of PyO3 that no changelog names, with how that is known."""


def unlisted(changelog: str, since: str = "0.23.0") -> list[str]:
    """Lines of PyO3's changelog since that version that name a leak and have no row here."""
    missing, version = [], Version("9999")
    for line in changelog.splitlines():
        if match := re.match(r"## \[([\d.]+)\]", line):
            version = Version(match[1])
        elif version >= Version(since) and re.search(r"leak", line, re.IGNORECASE):
            pulls = {int(number) for number in re.findall(r"#(\d+)", line)}
            if not pulls & {entry.pull for entry in ENTRIES}:
                missing.append(f"{version}: {line.strip()}")
    return missing


def newest_changelog() -> str:
    """The changelog in the newest PyO3 that cargo has unpacked on this machine; empty if none."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    found = {
        Version(match[1]): path
        for path in home.glob("registry/src/*/pyo3-*/CHANGELOG.md")
        if (match := re.fullmatch(r"pyo3-(\d+\.\d+\.\d+)", path.parent.name))
    }
    return found[max(found)].read_text(encoding="utf-8") if found else ""


# --- the page ------------------------------------------------------------------------------------


class Cells:
    """The committed summaries."""

    def __init__(self, folder: Path = SUMMARIES) -> None:
        self.cells: dict[tuple[str, str], Summary] = {}
        self.pairs: dict[str, list[Summary]] = {}
        for path in sorted(folder.glob("*.json")):
            data = json.loads(path.read_text(encoding="utf-8"))
            if match := re.fullmatch(r"py([\d.]+)-pyo3-([\d.]+)", path.stem):
                self.cells[match[2], match[1]] = data
            elif match := re.fullmatch(r"compared-py([\d.]+)", path.stem):
                self.pairs[match[1]] = data["pairs"]

    def versions(self) -> list[str]:
        """The PyO3 versions of the page, and any other that was measured."""
        return sorted({*PYO3, *(pyo3 for pyo3, _ in self.cells)}, key=Version)

    def table(self, tell: Callable[[Summary], str]) -> list[str]:
        """PyO3 down, CPython across."""
        lines = [
            "| PyO3 | " + " | ".join(f"CPython {python}" for python in PYTHONS) + " |",
            "|---" * (len(PYTHONS) + 1) + "|",
        ]
        for pyo3 in self.versions():
            row = [self.cells.get((pyo3, python)) for python in PYTHONS]
            told = [UNKNOWN if cell is None else tell(cell) for cell in row]
            lines.append(f"| {pyo3} | " + " | ".join(told) + " |")
        return lines

    def neighbours(self, pair: Summary, python: str) -> bool:
        """Whether no measured version lies between the two of a comparison."""
        first, last = Version(pair["before"]), Version(pair["after"])
        return not any(first < Version(v) < last for v, minor in self.cells if minor == python)

    def newest(self, python: str) -> Summary | None:
        """The cell of this Python with the newest PyO3 that was measured."""
        found = [pyo3 for pyo3, minor in self.cells if minor == python]
        return self.cells[max(found, key=Version), python] if found else None


def found_in(entry: ChangelogEntry, cell: Summary, cells: Cells) -> str:
    """Whether one cell shows one entry of the changelog, in the words of the tables."""
    if not cell["tests"].get("passed"):
        return UNKNOWN
    if entry.outcomes:
        passed = all(cell["watched"].get(test) == "passed" for test in entry.outcomes)
        if not passed:
            return "its test did not pass"
        return "seen by its test" if Version(cell["pyo3"]) < Version(entry.fixed) else CLEAN
    if entry.census:
        return _census(entry, cell, cells)
    return FOUND if any(explains(entry, cause) for cause in cell["causes"]) else CLEAN


def _census(entry: ChangelogEntry, cell: Summary, cells: Cells) -> str:
    python = ".".join(cell["python"].split(".")[:2])
    newest = cells.newest(python)
    if newest is None or newest is cell or Version(newest["pyo3"]) < Version(entry.fixed):
        return CLEAN if Version(cell["pyo3"]) >= Version(entry.fixed) else UNKNOWN
    if not cell["census"]["objects"] or not newest["census"]["objects"]:
        return UNKNOWN
    here, there = (
        {n: c["census"]["others"].get(n, 1) for n in entry.census} for c in (cell, newest)
    )
    more = [name for name in entry.census if here[name] > there[name]]
    return f"{FOUND} ({len(more)} of {len(entry.census)})" if more else CLEAN


def explains(entry: ChangelogEntry, cause: Summary) -> bool:
    """Whether an entry of the changelog accounts for a cause, in one of its tests at least."""
    return any(
        re.match(key, cause["key"]) and any(re.search(test, name) for name in cause["tests"])
        for key, test in entry.shows
    )


def leftover(cell: Summary) -> list[str]:
    """Tests with causes that no entry of the changelog accounts for."""
    patterns = [pattern for entry in (*ENTRIES, *UNNAMED) for pattern in entry.shows]
    return [
        f"{cause['title']} in `{name}`"
        for cause in cell["causes"]
        for name in cause["tests"]
        if not any(re.match(k, cause["key"]) and re.search(t, name) for k, t in patterns)
    ]


def verdict(cell: Summary) -> str:
    """One cell of the first table."""
    number = sum(len(cause["findings"]) for cause in cell["causes"])
    if not number:
        return str(cell["verdict"])
    plural = "s" if len(cell["causes"]) > 1 else ""
    return f"{len(cell['causes'])} cause{plural} ({number})"


_INTRO = """# PyO3's own leaks, as leakgrid sees them

This page is made by `python scripts/pyo3_leaks.py render` from the results in
[pyo3-leaks/](pyo3-leaks/); a test fails where it is not. `python scripts/pyo3_leaks.py run` makes
the results: it builds the [probe](../probe/README.md) with each PyO3 for each CPython and repeats
every test of its suite natively (detectors `growth`, `refs`, `census`, `fds`, `threads`). The probe
does not leak by its own fault, and PyO3's changelog, which nobody here wrote, is what the results
are held against.

A cell that was not measured says so; "-" means measured and not found."""


def render(cells: Cells | None = None) -> str:
    """The page."""
    cells = cells or Cells()
    return (
        "\n\n".join([_INTRO, *_overview(cells), *_entries(cells), *_pairs(cells), *_rest(cells)])
        + "\n"
    )


def _overview(cells: Cells) -> list[str]:
    measured = sum(1 for pyo3, python in cells.cells if python in PYTHONS)
    total = len(cells.versions()) * len(PYTHONS)
    return [
        "## All cells",
        f"Causes, and findings in brackets; {measured} of {total} cells measured so far.",
        "\n".join(cells.table(verdict)),
    ]


def _entries(cells: Cells) -> list[str]:
    lines = [
        "| fixed in | pull request | what leaked | found in (CPython x PyO3) |",
        "|---|---|---|---|",
    ]
    parts = []
    for entry in ENTRIES:
        where = _where(entry, cells)
        link = f"[#{entry.pull}](https://github.com/PyO3/pyo3/pull/{entry.pull})"
        lines.append(f"| {entry.fixed} | {link} | {entry.what} | {where} |")

        def tell(cell: Summary, entry: ChangelogEntry = entry) -> str:
            return found_in(entry, cell, cells)

        parts.append(f"### {link}, fixed in {entry.fixed}")
        parts.append(f"{entry.what} Seen {entry.how[0].lower() + entry.how[1:]}" if entry.outcomes
                     else f"{entry.what} Seen by {entry.how}")  # fmt: skip
        parts += [entry.note] if entry.note else []
        parts.append("\n".join(cells.table(tell)))
    return [
        "## Every leak that the changelog names since 0.23",
        "\n".join(lines),
        "Entries about leaks before 0.23 are not walked: the probe's sources need 0.23 or later.",
        *parts,
    ]


def _where(entry: ChangelogEntry, cells: Cells) -> str:
    """Per Python the versions that show an entry, or why none does."""
    found: dict[str, list[str]] = {}
    for (pyo3, python), cell in cells.cells.items():
        if found_in(entry, cell, cells).startswith((FOUND, "seen")):
            found.setdefault(python, []).append(pyo3)
    if not found:
        return "none of the measured cells: see below"
    told = [
        f"{python}: {', '.join(sorted(versions, key=Version))}"
        for python, versions in sorted(found.items(), key=lambda item: Version(item[0]))
    ]
    return "; ".join(told) + (" (by its test only)" if entry.outcomes else "")


def _pairs(cells: Cells) -> list[str]:
    parts = [
        "## From one version to the next",
        "What `leakgrid compare` says of neighbouring measured versions, by cause; what only "
        "changed its size or its place is left out here.",
    ]
    for python in sorted(cells.pairs, key=Version):
        lines = ["| from | to | new | gone |", "|---|---|---|---|"]
        for pair in cells.pairs[python]:
            if not cells.neighbours(pair, python):
                continue
            states = [
                "; ".join(c["title"] for c in pair[state]) or "-" for state in ("new", "gone")
            ]
            lines.append(f"| {pair['before']} | {pair['after']} | " + " | ".join(states) + " |")
        parts += [f"### CPython {python}", "\n".join(lines)]
    return parts


def _rest(cells: Cells) -> list[str]:
    where: dict[str, list[str]] = {}
    for (pyo3, python), cell in sorted(
        cells.cells.items(), key=lambda c: (Version(c[0][0]), c[0][1])
    ):
        for text in leftover(cell):
            where.setdefault(text, []).append(f"{python} x {pyo3}")
    parts = ["## What the changelog does not name"]
    for entry in UNNAMED:
        told = _where(entry, cells)
        parts.append(f"{entry.what} Seen by {entry.how} Found in: {told}.")
    if not where:
        return [*parts, "Every other finding of every measured cell belongs to an entry above."]
    parts.append("Findings that nothing above accounts for; not explained yet:")
    parts.append("\n".join(f"- {text}: {', '.join(found)}" for text, found in where.items()))
    return parts


# --- commands ------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Evaluate cells, one after the other, and keep their summaries."""
    matrix = load(ROOT / "matrix.toml")
    target, store = matrix.target("probe"), Store(options.store, ROOT / "baselines")
    detectors = tuple(n for n in DETECTORS if options.full or n != MEMCHECK)
    failed = 0
    for pyo3 in options.pyo3 or PYO3:
        for python in options.python or PYTHONS:
            cell = Cell("probe", python, pyo3)
            settings = pipeline.Options(python, os.cpu_count() or 1, detectors=detectors)
            try:
                with Live(cell.name) as live:
                    result = pipeline.check(cell, target, matrix.base, store, settings, live)
            except LeakgridError as error:
                failed += 1
                print(f"{cell.name}: not measured: {error.sentence()}", file=sys.stderr)
                continue
            print(f"{cell.name}: {result.verdict}, {len(result.findings)} findings")
            store_summaries(_stored(store))
    return 1 if failed else 0


def _stored(store: Store) -> list[CellResult]:
    return [result for name, result in store.results().items() if name.startswith("probe/")]


def check() -> int:
    """Whether the page is what the summaries render to, with a row for every leak."""
    missing = unlisted(newest_changelog())
    for line in missing:
        print(f"PyO3's changelog names a leak that the page does not: {line}", file=sys.stderr)
    same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == render()
    if not same:
        print("docs/pyo3-leaks.md is not what its results render to: run render", file=sys.stderr)
    return 0 if same and not missing else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "summarise", "render", "check"):
        command = commands.add_parser(name)
        if name in ("run", "summarise"):
            command.add_argument("--store", type=Path, default=ROOT / ".leakgrid")
        if name == "run":
            command.add_argument("--pyo3", action="append")
            command.add_argument("--python", action="append")
            command.add_argument("--full", action="store_true", help="with memcheck")
    options = parser.parse_args(arguments)
    if options.command == "run":
        return run(options)
    if options.command == "check":
        return check()
    if options.command == "summarise":
        store_summaries(_stored(Store(options.store, ROOT / "baselines")))
    write_atomically(PAGE, render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
