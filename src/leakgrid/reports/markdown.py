"""Markdown: the grid as a table and the findings as a list, for pull requests and job summaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from leakgrid import amounts
from leakgrid.finding import CellResult, Finding
from leakgrid.reports import _common as common
from leakgrid.reports import _entries

_TESTS = 3
"""Of more tests the others are told folded."""
_MOST_TESTS = 25
"""Of more tests only their files are told: the result has every one."""


def render(results: Sequence[CellResult], *, color: bool = False) -> str:
    """The whole report, with headings from the second level on (``color`` changes nothing)."""
    if not results:
        return "No results.\n"
    targets = common.by_target(results)
    ordered = [cell for cells in targets.values() for cell in cells]
    parts = [f"## {target}\n\n{grid(cells)}" for target, cells in targets.items()]
    parts += [findings(ordered), reasons(ordered), not_checked(ordered), costs(ordered)]
    return "\n".join(part for part in parts if part)


def grid(cells: Sequence[CellResult]) -> str:
    """One target's verdicts as a table: Pythons down, PyO3 across."""
    pythons, versions = common.axes(cells)
    verdicts = {(common.minor(cell), cell.pyo3): cell.verdict for cell in cells}
    rows = [["Python", *(f"PyO3 {pyo3}" for pyo3 in versions)]]
    rows += [
        [python, *(_marked(verdicts.get((python, pyo3), "-")) for pyo3 in versions)]
        for python in pythons
    ]
    return table(rows)


def findings(results: Sequence[CellResult]) -> str:
    """Every finding that is not accepted, with its tests and frames."""
    found = common.groups(results)
    told = [group for group in found if group.state != "known"]
    lines: list[str] = []
    entries = _entries.entries(told)
    if len(entries) < len(told):
        lines += [f"{_entries.count(entries)}.", ""]
    for entry in entries:
        finding = entry.group.finding
        lines += [f"### {escape(common.headline(finding))}", "", *_facts(entry.group)]
        lines += [*_likewise(entry), "", *_frames(finding), *_beneath(entry), *_all_tests(entry)]
    known = len(found) - len(told)
    if known:
        noun = "finding is" if known == 1 else "findings are"
        lines += [f"{known} known {noun} accepted in the baselines.", ""]
    return "\n".join(["## Findings", "", *lines]) if lines else ""


def _frames(finding: Finding) -> list[str]:
    frames = [
        "..." if frame is None else f"{common.one_line(frame.function)}  {common.place(frame)}"
        for frame in common.story(finding)
    ]
    return ["````text", *(frame.rstrip() for frame in frames), "````", ""] if frames else []


def _beneath(entry: _entries.Entry) -> list[str]:
    """The first in a line each; of the others nothing but the ids, which are all there."""
    if not entry.beneath:
        return []
    title = _entries.title(entry)
    lines = [f"{title[0].upper()}{title[1:]}", ""]
    for group in entry.beneath[: _entries.MOST_BENEATH]:
        lines.append(f"- `{group.finding.id}` {escape(_entries.short(group.finding))}")
    if rest := _entries.rest(entry):
        names = [f"`{group.finding.id}`" for group in entry.beneath[_entries.MOST_BENEATH :]]
        lines.append(f"- {rest} (`leakgrid explain ID` tells each): {', '.join(names)}")
    return [*lines, ""]


def _facts(group: common.Group) -> list[str]:
    finding = group.finding
    lines = [
        f"- {group.state}, owner **{finding.owner}**, target {escape(group.target)}",
        f"- signature `{finding.id}`, {finding.detector} {escape(finding.kind)}",
        f"- cells: {escape(common.cells_text(group.cells))}",
    ]
    if group.tests:
        lines.append(f"- tests: {_some(group.tests)}")
    return lines


def _likewise(entry: _entries.Entry) -> list[str]:
    same, others = _entries.by_tests(entry)
    lines = [f"- likewise: {escape(', '.join(map(_entries.named, same)))}"] if same else []
    lines += [f"- likewise: {escape(_entries.named(o))} in {_some(o.tests)}" for o in others]
    return lines


def _all_tests(entry: _entries.Entry) -> list[str]:
    """Folded: every test of what the lines above tell only some of; the same tests once.

    What is beneath the entry is in none but its tests. Hundreds of tests are told by their files.
    """
    told: dict[tuple[str, ...], list[str]] = {}
    for group in (entry.group, *_entries.by_tests(entry)[1]):
        if len(group.tests) > _TESTS:
            told.setdefault(group.tests, []).append(f"`{group.finding.id}`")
    if not told:
        return []
    lines = [f"- {', '.join(ids)}: {', '.join(_each(tests))}" for tests, ids in told.items()]
    return ["<details><summary>All tests</summary>", "", *lines, "", "</details>", ""]


def _each(tests: Sequence[str]) -> list[str]:
    if len(tests) <= _MOST_TESTS:
        return [code(test) for test in tests]
    files = Counter(test.partition("::")[0] for test in tests)
    return [f"{code(file)} ({amounts.counted(number, 'test')})" for file, number in files.items()]


def _some(tests: Sequence[str]) -> str:
    rest = len(tests) - _TESTS
    return ", ".join(map(code, tests[:_TESTS])) + (f" and {rest} more" if rest > 0 else "")


def reasons(results: Sequence[CellResult]) -> str:
    """One line per cell that was not evaluated or cannot be trusted, and tests left out."""
    lines = [
        f"- `{common.cell_id(cell)}` {cell.verdict}: {escape(cell.reason)}"
        for cell in results
        if cell.verdict not in common.FINE | common.LEAKING
    ]
    for cell in results:
        for outcome, tests in common.left_out(cell).items():
            shown = escape(common.some(tests))
            lines.append(f"- `{common.cell_id(cell)}` left out ({outcome}): {shown}")
    return "\n".join(["## Not evaluated", "", *lines]) + "\n" if lines else ""


def not_checked(results: Sequence[CellResult]) -> str:
    """What was switched off or could not be seen."""
    counts = common.not_checked(results)
    lines = [
        f"- {escape(sentence)}"
        + ("" if count == len(results) else f" ({count} of {len(results)} cells)")
        for sentence, count in counts.items()
    ]
    return "\n".join(["## Not checked", "", *lines]) + "\n" if lines else ""


def costs(results: Sequence[CellResult]) -> str:
    """What each measured cell took, in wall and CPU seconds."""
    rows = [["cell", "verdict", "tests", "seconds", "CPU seconds"]]
    rows += [
        [
            f"`{common.cell_id(cell)}`",
            cell.verdict,
            str(len(cell.tests)),
            f"{common.seconds(cell.timing, 'seconds'):.0f}",
            f"{common.seconds(cell.timing, 'cpu'):.0f}",
        ]
        for cell in results
        if cell.timing
    ]
    return f"## Cost\n\n{table(rows)}" if len(rows) > 1 else ""


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body]) + "\n"


def escape(text: str) -> str:
    """Text from elsewhere as plain text: nothing in it is markup or a link."""
    plain = common.one_line(text)
    for char in "\\`*_[]<>|#~@":
        plain = plain.replace(char, f"\\{char}")
    return plain


def code(text: str) -> str:
    """Text from elsewhere as code: it can be searched for as it is, and nothing in it is markup."""
    plain = common.one_line(text)
    return escape(plain) if "`" in plain else f"`{plain}`"


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict in common.LEAKING else verdict
