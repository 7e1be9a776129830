"""One finding explained, for people at a terminal and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from leakgrid.explaining import Explanation
from leakgrid.finding import CellResult, Finding
from leakgrid.reports import _common as common
from leakgrid.reports.terminal import painter

_WIDTH = 100
_TESTS = 5


def render(
    finding: Finding,
    result: CellResult,
    told: Explanation,
    elsewhere: Sequence[str] = (),
    *,
    color: bool = False,
) -> str:
    """The whole explanation; ``elsewhere`` are other cells that have the finding as well."""
    paint = painter(color)
    lines = [
        paint(f"{finding.id}: {common.headline(finding)}", "bold"),
        f"{common.cell_id(result)}, {finding.detector} {finding.kind}, owner: {finding.owner}",
    ]
    if elsewhere:
        lines.append(f"also in: {common.some(elsewhere, 4)}")
    for title, body in (
        ("What it is", _wrapped(told.what)),
        ("What it costs", _wrapped(told.cost)),
        ("Whose code", _wrapped(told.owner)),
        ("In which tests", _tests(finding)),
        ("Where", _frames(finding)),
        ("Likely causes", _causes(told)),
        ("To see it again", _reproducers(told)),
        ("What this run says of Valgrind's classes of loss", _classes(told)),
        ("Not checked in this run", _unchecked(result)),
    ):
        if body:
            lines += ["", paint(title, "bold"), *body]
    return "\n".join(lines) + "\n"


def _tests(finding: Finding) -> list[str]:
    if not finding.tests:
        return ["  in none alone: see what it is"]
    rest = len(finding.tests) - _TESTS
    shown = [f"  {common.one_line(test)}" for test in finding.tests[:_TESTS]]
    return [*shown, f"  and {rest} more"] if rest > 0 else shown


def _frames(finding: Finding) -> list[str]:
    lines = []
    for frame in common.story(finding):
        text = "..." if frame is None else f"{frame.function}  {common.place(frame)}"
        lines.append(f"  {common.one_line(text)}")
    return lines


def _causes(told: Explanation) -> list[str]:
    lines = []
    for number, cause in enumerate(told.causes, 1):
        lines += _wrapped(f"{number}. {cause.text}", "  ", "     ")
        lines += [f"     {link}" for link in cause.links]
    return lines


def _reproducers(told: Explanation) -> list[str]:
    lines = []
    for what, code in told.reproducers.items():
        lines += [f"  {what}:", *(f"    {line}" for line in code)]
    return lines


def _classes(told: Explanation) -> list[str]:
    lines = []
    for name, text in told.classes.items():
        lines += _wrapped(f"{name}: {text}", "  ", "    ")
    return lines


def _unchecked(result: CellResult) -> list[str]:
    lines = []
    for text in result.not_checked:
        lines += _wrapped(text, "  ", "    ")
    return lines


def _wrapped(text: str, indent: str = "  ", further: str = "  ") -> list[str]:
    return textwrap.wrap(
        common.one_line(text),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=further,
        break_on_hyphens=False,
        break_long_words=False,
    )


def data(
    finding: Finding, result: CellResult, told: Explanation, elsewhere: Sequence[str] = ()
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": 1,
        "cell": common.cell_id(result),
        "also_in": list(elsewhere),
        "finding": finding.to_dict(),
        "what": told.what,
        "cost": told.cost,
        "bytes_per_1000_calls": told.bytes_per_1000_calls,
        "owner": told.owner,
        "causes": [{"text": cause.text, "links": list(cause.links)} for cause in told.causes],
        "reproducers": {what: list(code) for what, code in told.reproducers.items()},
        "classes": dict(told.classes),
        "not_checked": list(result.not_checked),
    }
