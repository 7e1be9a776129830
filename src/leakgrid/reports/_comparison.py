"""Two results side by side, for people at a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from leakgrid.baseline import Accepted
from leakgrid.comparison import Cause, Comparison, Entry, causes
from leakgrid.finding import CellResult, Finding
from leakgrid.reports import _common as common
from leakgrid.reports.terminal import painter
from leakgrid.signature import Owner

_SHOWN = {"new": 3, "changed": 1, "gone": 2}
"""Findings of one cause that are told; the others differ in the class or the test only."""
_TESTS = 2
_STATES = (("new", "bold red"), ("changed", "bold yellow"), ("gone", "bold green"))


def render_comparison(
    before: CellResult, after: CellResult, comparison: Comparison, *, color: bool = False
) -> str:
    """What is new, changed and gone between two results; what stayed is counted."""
    paint = painter(color)
    found = causes(comparison)
    lines = [_side("before", before), _side("after", after)]
    untold = _untold(before, after)
    lines += [*(untold or _in_short(found)), ""]
    for state, style in _STATES:
        if found[state]:
            lines.append(f"{paint(state, style)}: {_count(found[state])}")
        for cause in found[state]:
            lines += _cause(cause, state)
    known = len(comparison.known)
    lines.append(f"known on both sides: {known}" if known else "nothing is known on both sides")
    if not (untold or comparison.new or comparison.changed or comparison.gone):
        lines.append("No difference.")
    return "\n".join(lines) + "\n"


def _in_short(found: Mapping[str, tuple[Cause, ...]]) -> list[str]:
    """What the step from one to the other brings and mends."""
    return [
        common.one_line(
            f"{word:<8}"
            + ("; ".join(dict.fromkeys(cause.title for cause in found[state])) or "nothing")
        )
        for word, state in (("brings:", "new"), ("mends:", "gone"))
    ]


def _untold(before: CellResult, after: CellResult) -> list[str]:
    """Why a side says nothing: what was not measured is neither new nor gone nor clean."""
    return [
        common.one_line(f"{name} was not evaluated, so nothing is known of it: {result.reason}")
        for name, result in (("before", before), ("after", after))
        if result.verdict not in common.FINE | common.LEAKING and not result.findings
    ]


def _count(found: tuple[Cause, ...]) -> str:
    """Causes, and findings where these are more."""
    findings = sum(len(cause.entries) for cause in found)
    if findings == len(found):
        return str(findings)
    return f"{len(found)} cause{'s' if len(found) > 1 else ''} ({findings} findings)"


def _cause(cause: Cause, state: str) -> list[str]:
    if len(cause.entries) == 1:
        return _entry(cause.entries[0], _alone(cause.entries[0], state))
    lines = [f"  {common.one_line(cause.title)}: {len(cause.entries)} findings"]
    for number, entry in enumerate(cause.entries[: _SHOWN[state]]):
        told = _entry(entry, _alone(entry, state), stack=number == 0)
        lines += [f"  {line}" for line in told]
    rest = len(cause.entries) - _SHOWN[state]
    return [*lines, f"    and {rest} more like these"] if rest > 0 else lines


def _alone(entry: Entry, state: str) -> str:
    """Of a cause that is on both sides, what one side shows here and the other elsewhere only."""
    if state != "changed":
        return ""
    return "before only elsewhere" if entry.before is None else "now only elsewhere"


def _side(name: str, result: CellResult) -> str:
    text = f"{name + ':':<8}{common.cell_id(result)}, {result.verdict}"
    part = common.part(result)
    return common.one_line(text + (f", {part}" if part else ""))


def _entry(entry: Entry, alone: str = "", *, stack: bool = True) -> list[str]:
    """The lines of one entry. Only what is new needs its stack; the results have every other."""
    side = entry.after or entry.before
    if side is None:
        return []
    owner = "" if side.owner is Owner.UNKNOWN else f"owner: {side.owner}, "
    lines = [f"  {side.id}  {owner}{_what(side)}"]
    if entry.before is None or entry.after is None:
        lines[0] += f", {alone}" if alone else ""
    elif before := common.amount(entry.before):
        lines[0] += f", before: {before}"
    if side.tests:
        lines.append(f"    tests: {common.some(side.tests, _TESTS)}")
    if entry.before is None and stack and isinstance(side, Finding):
        for frame in common.story(side):
            text = "..." if frame is None else f"{frame.function}  {common.place(frame)}"
            lines.append(f"      {common.one_line(text)}")
    return lines


def _what(side: Finding | Accepted) -> str:
    if isinstance(side, Finding):
        return common.headline(side)
    amount = common.amount(side)
    return common.one_line(f"{side.kind} ({amount})" if amount else side.kind)
