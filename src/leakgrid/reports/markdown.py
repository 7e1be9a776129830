"""Markdown: the grid as a table and the findings as a list, for pull requests and job summaries."""

from __future__ import annotations

from collections.abc import Sequence

from leakgrid.finding import CellResult
from leakgrid.reports import _common as common


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
    for group, *others in common.alike(told):
        lines += [f"### {escape(common.headline(group.finding))}", "", *_facts(group)]
        if others:
            names = [f"{o.finding.subject or 'one'} ({o.finding.id})" for o in others]
            lines.append(f"- likewise: {escape(', '.join(names))}")
        lines.append("")
        frames = [
            "..." if frame is None else f"{common.one_line(frame.function)}  {common.place(frame)}"
            for frame in common.story(group.finding)
        ]
        if frames:
            lines += ["````text", *(frame.rstrip() for frame in frames), "````", ""]
    known = len(found) - len(told)
    if known:
        noun = "finding is" if known == 1 else "findings are"
        lines += [f"{known} known {noun} accepted in the baselines.", ""]
    return "\n".join(["## Findings", "", *lines]) if lines else ""


def _facts(group: common.Group) -> list[str]:
    finding = group.finding
    lines = [
        f"- {group.state}, owner **{finding.owner}**, target {escape(group.target)}",
        f"- signature `{finding.id}`, {finding.detector} {escape(finding.kind)}",
        f"- cells: {escape(common.cells_text(group.cells))}",
    ]
    if finding.tests:
        lines.append(f"- tests: {escape(common.some(finding.tests))}")
    return lines


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


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict in common.LEAKING else verdict
