"""Leaks by class and owner: what was seen, and of what was not measured that it was not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from leakgrid.amounts import counted
from leakgrid.finding import CellResult, Finding
from leakgrid.reports import _common as common
from leakgrid.signature import Owner

NOT_MEASURED = "not measured"
UNKNOWN = "not known"
"""What a result says that names no detectors: it was made before results did."""
_LOST = ("definitely-lost", "Leak_DefinitelyLost", "lost-at-import")


@dataclass(frozen=True, slots=True)
class LeakClass:
    """One row: its name, the detectors that see it, and the findings that belong to it."""

    name: str
    detectors: tuple[str, ...]
    takes: Callable[[Finding], bool]


CLASSES = (
    LeakClass("definitely lost", ("memcheck",), lambda f: _memcheck(f) and f.kind in _LOST),
    LeakClass(
        "memory errors",
        ("memcheck",),
        lambda f: _memcheck(f) and f.kind not in _LOST and not _descriptor(f),
    ),
    LeakClass("growth with each call", ("growth",), lambda f: f.detector == "growth"),
    LeakClass("lost references", ("refs", "census"), lambda f: f.detector in ("refs", "census")),
    LeakClass("descriptors left open", ("fds",), lambda f: f.detector == "fds" or _descriptor(f)),
    LeakClass("threads left running", ("threads",), lambda f: f.detector == "threads"),
)


def _memcheck(finding: Finding) -> bool:
    return finding.detector == "memcheck"


def _descriptor(finding: Finding) -> bool:
    return _memcheck(finding) and finding.kind.startswith("descriptor")


def measured(cell: CellResult, detectors: Iterable[str]) -> str:
    """Empty where one of these detectors ran in this cell, else why its class says nothing."""
    if cell.verdict not in common.FINE | common.LEAKING:
        return NOT_MEASURED
    if not cell.detectors:
        return UNKNOWN
    return "" if set(detectors) & set(cell.detectors) else NOT_MEASURED


def rows(cell: CellResult) -> list[list[str]]:
    """A table of one cell: classes down, owners across; accepted findings are counted too."""
    owners = list(Owner)
    table = [["class", *map(str, owners)]]
    for leak in CLASSES:
        found = [finding for finding in cell.findings if leak.takes(finding)]
        nothing = measured(cell, leak.detectors) or "0"
        table.append(
            [
                leak.name,
                *(_cell([f for f in found if f.owner == owner], nothing) for owner in owners),
            ]
        )
    return table


def _cell(findings: Sequence[Finding], nothing: str) -> str:
    if not findings:
        return nothing
    blocks, size = sum(f.blocks for f in findings), sum(f.bytes for f in findings)
    per_call = all(finding.per_call for finding in findings)
    text = f"{len(findings)}"
    if per_call or all(finding.kind in _LOST for finding in findings):
        amount = counted(size, "byte") if size else counted(blocks, "block")
        text += f" ({amount}{' per call' if per_call else ''})"
    return text


def process_totals(cell: CellResult) -> list[str]:
    """What memcheck counts per process without an owner, one sentence per class."""
    if missing := measured(cell, ("memcheck",)):
        return [f"indirectly lost, possibly lost, still reachable: {missing}"]
    told = ["indirectly lost: counted with the lost block that holds it"]
    for kind, name in (("possible", "possibly lost"), ("reachable", "still reachable")):
        amount = cell.totals.get(kind)
        amount = amount.get("all") if isinstance(amount, Mapping) else None
        if isinstance(amount, Mapping):
            blocks, size = amount.get("blocks", 0), amount.get("bytes", 0)
            told.append(
                f"{name}: {counted(size, 'byte')} in {counted(blocks, 'block')} of the largest "
                "process, whoever asked for them"
            )
        else:
            told.append(f"{name}: {NOT_MEASURED}")
    return told
