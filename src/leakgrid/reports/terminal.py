"""For people at a terminal: the grid, then the findings that matter first.

The text is the same with and without colour; colour comes from rich and is left out where rich is
not installed (nox prints the grid with nothing but its own dependencies).
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence

from leakgrid.amounts import counted
from leakgrid.finding import CellResult
from leakgrid.reports import _common as common
from leakgrid.reports import _entries

_WIDTH = 100
_LIKEWISE = 4
_NAMES = "`leakgrid report --format markdown` names each"
_STYLES = {
    "clean": "green",
    "known": "green",
    "improved": "bold green",
    "regressed": "bold red",
    "unbaselined": "bold yellow",
    "unsupported": "dim",
    "build-failed": "cyan",
    "tests-failed": "cyan",
    "no-tests": "cyan",
    "blind": "bold magenta",
    "crashed": "bold magenta",
    "timed-out": "bold magenta",
    "interrupted": "magenta",
}
_Paint = Callable[[str, str], str]


def render(results: Sequence[CellResult], *, color: bool = False) -> str:
    """The whole report; ``color`` adds ANSI colours. Ends with a newline."""
    if not results:
        return "No results.\n"
    paint = painter(color)
    targets = common.by_target(results)
    ordered = [cell for cells in targets.values() for cell in cells]
    parts = [_grid(target, cells, paint) for target, cells in targets.items()]
    parts += [_findings(ordered, paint), _reasons(ordered, paint), _left_out(ordered)]
    parts += [_not_checked(ordered), _accept(ordered)]
    return "\n".join(part for part in parts if part)


def painter(color: bool) -> _Paint:
    """Styles text with rich's names of styles, or leaves it as it is."""
    if color:
        try:
            from rich.color import ColorSystem
            from rich.style import Style
        except ImportError:
            return lambda text, style: text
        return lambda text, style: Style.parse(style).render(
            text, color_system=ColorSystem.STANDARD
        )
    return lambda text, style: text


def _grid(target: str, cells: Sequence[CellResult], paint: _Paint) -> str:
    pythons, versions = common.axes(cells)
    verdicts = {(common.minor(cell), cell.pyo3): cell.verdict for cell in cells}
    first = max(len("Python"), *(len(python) for python in pythons))
    widths = {
        pyo3: max(len(pyo3), *(len(verdicts.get((python, pyo3), "-")) for python in pythons))
        for pyo3 in versions
    }
    head = "  ".join(pyo3.ljust(widths[pyo3]) for pyo3 in versions).rstrip()
    title = f"{target}, PyO3 across{_partial(cells)}"
    lines = [paint(common.one_line(title), "bold"), f"  {'Python'.ljust(first)}  {head}"]
    for python in pythons:
        line = f"  {python.ljust(first)}"
        for pyo3 in versions:
            word = verdicts.get((python, pyo3), "-")
            pad = "" if pyo3 == versions[-1] else " " * (widths[pyo3] - len(word))
            line += "  " + paint(word, _STYLES.get(word, "dim")) + pad
        lines.append(line)
    return "\n".join(lines) + "\n"


def _partial(cells: Sequence[CellResult]) -> str:
    """What was left out, and in how many cells where that is not all of them."""
    counts = Counter(part for cell in cells if (part := common.part(cell)))
    return "".join(
        f", {part}" + ("" if count == len(cells) else f" ({count} of {len(cells)} cells)")
        for part, count in sorted(counts.items())
    )


def _findings(results: Sequence[CellResult], paint: _Paint) -> str:
    found = common.groups(results)
    told = [group for group in found if group.state != "known"]
    known = len(found) - len(told)
    lines: list[str] = []
    if told:
        entries = _entries.entries(told)
        lines.append(paint(_entries.count(entries), "bold"))
        for number, entry in enumerate(entries, 1):
            lines += _finding(number, entry.group, paint)
            lines += [*_likewise(entry), *_beneath(entry)]
    if known:
        noun = "finding is" if known == 1 else "findings are"
        lines.append(f"{known} known {noun} accepted in the baselines.")
    lines += _dropped(results) if told else []
    return "\n".join(lines) + "\n" if lines else ""


def _dropped(results: Sequence[CellResult]) -> list[str]:
    """One line of what grew and is no finding; a clean report stays short."""
    tests, reasons = common.dropped_growth(results)
    if not tests:
        return []
    counts = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
    return [
        f"Growth explained and dropped in {counted(tests, 'test')} ({counts}): `dropped` in the "
        "result names each."
    ]


def _finding(number: int, group: common.Group, paint: _Paint) -> list[str]:
    finding = group.finding
    style = _STYLES["unbaselined" if group.state == "unbaselined" else "regressed"]
    lines = [
        f"{number:>3}. {paint(group.state, style)}: {common.headline(finding)}",
        f"     {finding.id} in {group.target}, {finding.detector} {finding.kind}, "
        f"owner: {paint(str(finding.owner), 'bold')}",
        f"     cells: {common.cells_text(group.cells)}",
    ]
    if group.tests:
        lines.append(f"     tests: {common.some(group.tests)}")
    for frame in common.story(finding):
        if frame is None:
            lines.append("       ...")
        else:
            where = common.place(frame)
            lines.append(f"       {common.one_line(frame.function)}" + (f"  {where}" * bool(where)))
    return lines


def _likewise(entry: _entries.Entry) -> list[str]:
    """What is in the same tests in one line, the others with theirs."""
    same, others = _entries.by_tests(entry)
    lines = [f"     likewise: {common.some([_entries.named(o) for o in same], 4)}"] if same else []
    for other in others[:_LIKEWISE]:
        name = common.one_line(_entries.named(other))
        lines.append(f"     likewise: {name} in {common.some(other.tests)}")
    if left := others[_LIKEWISE:]:
        tests = {test for other in left for test in other.tests}
        told = f"{len(left)} more likewise, in {counted(len(tests), 'test')}"
        lines.append(f"     ... and {told}: {_NAMES}")
    return lines


def _beneath(entry: _entries.Entry) -> list[str]:
    if not entry.beneath:
        return []
    lines = [f"     {_entries.title(entry)}"]
    for group in entry.beneath[: _entries.MOST_BENEATH]:
        lines.append(f"       {group.finding.id}  {_entries.short(group.finding)}")
    if rest := _entries.rest(entry):
        lines.append(f"       ... {rest}: {_NAMES}")
    return lines


def _reasons(results: Sequence[CellResult], paint: _Paint) -> str:
    """Why cells are not simply fine; cells with the same reason share one entry."""
    shared: dict[tuple[str, str, str], list[CellResult]] = {}
    for result in results:
        if result.verdict not in common.FINE | common.LEAKING:
            shared.setdefault((result.target, result.verdict, result.reason), []).append(result)
    lines = []
    for (target, verdict, reason), cells in shared.items():
        lines.append(
            f"{paint(verdict, _STYLES.get(verdict, 'dim'))}: {target}, {common.cells_text(cells)}"
        )
        lines += _wrapped(reason)
    return "\n".join(lines) + "\n" if lines else ""


def _left_out(results: Sequence[CellResult]) -> str:
    lines = []
    for result in results:
        for outcome, tests in common.left_out(result).items():
            lines.append(f"  {common.cell_id(result)}: {outcome}: {common.some(tests)}")
    return "\n".join(["Tests left out:", *lines]) + "\n" if lines else ""


def _not_checked(results: Sequence[CellResult]) -> str:
    lines = []
    for sentence, count in common.not_checked(results).items():
        where = "" if count == len(results) else f" ({count} of {len(results)} cells)"
        lines.append(f"  {common.one_line(sentence)}{where}")
    return "\n".join(["Not checked:", *lines]) + "\n" if lines else ""


def _accept(results: Sequence[CellResult]) -> str:
    cells = [common.cell_id(cell) for cell in results if cell.verdict in common.LEAKING]
    if not cells:
        return ""
    named = " ".join(cells[:3])
    more = f"\n  and {len(cells) - 3} more cells" if len(cells) > 3 else ""
    return (
        "To accept what was found, after reading it, as the baseline of a cell:\n"
        f'  leakgrid accept {named} --reason "why this is not a bug"{more}\n'
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(common.one_line(text), _WIDTH, initial_indent="  ", subsequent_indent="  ")
