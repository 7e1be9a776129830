"""From the reports of a zygote and its forked children to the findings of a run (pure).

A child starts with all that its zygote had when it forked, so the zygote's share is taken off every
child and counted once. An incomplete zygote has no share to take off: its children's inherited
blocks then count as their own, which says too much rather than too little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from leakgrid.detectors.process_report import (
    DETECTOR,
    AddedLeak,
    Leak,
    MemoryFault,
    ProcessReport,
    read_process,
)
from leakgrid.detectors.wording import CANARIES, leak_summary
from leakgrid.finding import Finding

__all__ = [
    "CANARIES",
    "AddedLeak",
    "Leak",
    "MemoryFault",
    "ProcessReport",
    "canaries_seen",
    "merge",
    "merge_suppressed",
    "merge_totals",
    "read_process",
]

Totals = Mapping[str, Mapping[str, Mapping[str, int]]]


def merge(zygote: ProcessReport, children: Sequence[ProcessReport]) -> tuple[Finding, ...]:
    """Definitely lost blocks at exit and memory errors, sorted by detector, kind and signature.

    ``blocks`` and ``bytes`` are sums over the processes; of a memory error they are occurrences and
    the size of the access. Suites that ran in fresh processes have an empty zygote:
    ``merge(ProcessReport(), reports)``.
    """
    findings = [*_leaks(zygote, children), *_errors(zygote, children)]
    return tuple(sorted(findings, key=lambda found: (found.detector, found.kind, found.id)))


def merge_totals(zygote: ProcessReport, children: Sequence[ProcessReport]) -> Totals:
    """Blocks and direct bytes at exit by leak kind and owner, in the form of ``result.json``."""
    merged: dict[str, dict[str, dict[str, int]]] = {}
    for report in (zygote, *children):
        for kind, owners in report.totals.items():
            for owner, amounts in owners.items():
                into = merged.setdefault(kind, {}).setdefault(owner, {"blocks": 0, "bytes": 0})
                base = zygote.totals.get(kind, {}).get(owner, {}) if report is not zygote else {}
                for unit, amount in amounts.items():
                    into[unit] += max(0, amount - base.get(unit, 0))
    return merged


def merge_suppressed(zygote: ProcessReport, children: Sequence[ProcessReport]) -> dict[str, int]:
    """How often each suppression was used in the whole run, by its name."""
    merged = dict(zygote.suppressed)
    for child in children:
        for rule, count in child.suppressed.items():
            own = max(0, count - zygote.suppressed.get(rule, 0))
            merged[rule] = merged.get(rule, 0) + own
    return {rule: count for rule, count in sorted(merged.items()) if count}


def canaries_seen(reports: Iterable[ProcessReport]) -> frozenset[str]:
    """The planted leaks that at least one process reported."""
    return frozenset().union(*(report.canaries for report in reports))


def _leaks(zygote: ProcessReport, children: Sequence[ProcessReport]) -> list[Finding]:
    base = {leak.id: leak for leak in zygote.leaks}
    merged = dict(base)
    for child in children:
        for leak in child.leaks:
            own = _without(leak, base.get(leak.id))
            before = merged.get(leak.id)
            merged[leak.id] = own if before is None else _plus(before, own)
    tests = _leaking_tests((zygote, *children))
    return [
        Finding(
            detector=DETECTOR,
            kind=leak.kind,
            id=leak.id,
            owner=leak.owner,
            tests=tuple(sorted(tests.get(leak.id, ()))),
            blocks=leak.blocks,
            bytes=leak.bytes,
            frames=leak.frames,
            summary=leak_summary(leak.blocks, leak.bytes, leak.indirect_bytes),
        )
        for leak in merged.values()
        if leak.blocks or leak.bytes
    ]


def _without(leak: Leak, inherited: Leak | None) -> Leak:
    if inherited is None:
        return leak
    return replace(
        leak,
        blocks=max(0, leak.blocks - inherited.blocks),
        bytes=max(0, leak.bytes - inherited.bytes),
        indirect_bytes=max(0, leak.indirect_bytes - inherited.indirect_bytes),
    )


def _plus(one: Leak, other: Leak) -> Leak:
    return replace(
        one,
        blocks=one.blocks + other.blocks,
        bytes=one.bytes + other.bytes,
        indirect_bytes=one.indirect_bytes + other.indirect_bytes,
    )


def _leaking_tests(reports: Iterable[ProcessReport]) -> Mapping[str, set[str]]:
    """Which tests added blocks under a signature, where added checks were asked for."""
    tests: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        for added in report.added:
            if added.test and added.leak.blocks > 0:
                tests[added.leak.id].add(added.test)
    return tests


def _errors(zygote: ProcessReport, children: Sequence[ProcessReport]) -> list[Finding]:
    merged: dict[str, list[MemoryFault]] = defaultdict(list)
    for report in (zygote, *children):
        for error in report.errors:
            merged[error.id].append(error)
    for error in zygote.errors:
        # The child counts on from the zygote's count without printing the error again.
        for child in children:
            again = child.counted.get(error.unique, 0) - error.occurrences
            if again > 0:
                merged[error.id].append(replace(error, test="", occurrences=again))
    return [_error_finding(errors) for errors in merged.values()]


def _error_finding(errors: Sequence[MemoryFault]) -> Finding:
    first = errors[0]
    return Finding(
        detector=first.detector,
        kind=first.kind,
        id=first.id,
        owner=first.owner,
        tests=tuple(sorted({error.test for error in errors if error.test})),
        blocks=sum(error.occurrences for error in errors),
        bytes=max(error.size for error in errors),
        frames=first.frames,
        summary=first.summary,
    )
