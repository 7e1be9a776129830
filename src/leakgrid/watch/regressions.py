"""At most one open issue about the regressions of a target, through the same tracker (pure).

Its marker names the findings and the day it was opened. An issue that somebody closed keeps quiet
about the same findings; one that leakgrid closed because they were gone does not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from leakgrid.finding import CellResult
from leakgrid.gating import FINDINGS, Reason
from leakgrid.watch.issue import Issue, Wish

_OVER = "No cell is regressed any more, and every cell of the newest PyO3 was evaluated."


def wishes(
    target: str,
    reasons: Sequence[Reason],
    results: Mapping[str, CellResult],
    known: Mapping[str, Issue],
    today: date,
) -> tuple[Wish, ...]:
    """What the issues of a target should be, after a gate gave these ``reasons``.

    ``known`` are the tracker's issues by marker. An issue is closed only when the gate has no
    reason at all: what was not measured may still leak.
    """
    prefix = f"regressed-{re.sub('[^0-9A-Za-z.+-]', '-', target)}-"
    mine = {name: issue for name, issue in known.items() if name.startswith(prefix)}
    opened = sorted(name for name, issue in mine.items() if issue.open)
    cells = sorted({reason.subject for reason in reasons if reason.code == FINDINGS})
    if not cells:
        over = [] if reasons else opened
        return tuple(_wish(name, target, f"{_OVER}\n", closed=True) for name in over)
    digest = _digest(results[name] for name in cells)
    quiet = any(
        digest in name and not issue.open and _OVER not in issue.body
        for name, issue in mine.items()
    )
    if not opened and quiet:
        return ()
    name = opened[0] if opened else f"{prefix}{digest}-{today:%Y%m%d}"
    return (_wish(name, target, _body(cells, results)),)


def _wish(name: str, target: str, text: str, *, closed: bool = False) -> Wish:
    title = f"{target} leaks where it did not, or where nobody accepted it"
    return Wish(name, title, f"<!-- leakgrid: pyo3 {name} -->\n{text}", closed)


def _digest(results: Iterable[CellResult]) -> str:
    """Of what the cells show, so that another PyO3 with the same findings is no new regression."""
    ids = {name for result in results for name in result.comparison.get("new", ())}
    return hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:12]


def _body(cells: Sequence[str], results: Mapping[str, CellResult]) -> str:
    lines = ["| cell | verdict | reason |", "|---|---|---|"]
    for name in cells:
        reason = re.sub(r"[|`<>@\s]+", " ", results[name].reason)
        lines.append(f"| `{name}` | {results[name].verdict} | {reason} |")
    lines += ["", "The findings themselves are in the report of the workflow's run."]
    return "\n".join(lines) + "\n"
