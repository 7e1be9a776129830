"""From the reports of a zygote and its forked children to the findings of a run (pure).

Leaks come from the leak checks that the code in the cell asks for: each reports what was lost since
the check before, and a worker's first one is made right behind its fork (CPython gives up its
locks there, which memcheck would report as lost). What a check at exit says is not used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from leakgrid.detectors.process_report import (
    DEFINITE,
    DETECTOR,
    INDIRECT,
    Leak,
    MemoryFault,
    ProcessReport,
)
from leakgrid.detectors.wording import leak_summary
from leakgrid.finding import Finding

AT_IMPORT = "lost-at-import"
"""The kind of what was lost before the first test, and then never again in any."""
LOST = frozenset({DEFINITE, INDIRECT})
IMPORT = "import"
"""The phase of the check that ends importing and collecting."""


def merge(zygote: ProcessReport, children: Sequence[ProcessReport]) -> tuple[Finding, ...]:
    """Definitely lost blocks and memory errors, sorted by detector, kind and signature.

    ``blocks`` and ``bytes`` are sums over the processes; of a memory error they are occurrences and
    the size of the access. Suites that ran in fresh processes have an empty zygote:
    ``merge(ProcessReport(), reports)``.
    """
    findings = [*_leaks(zygote, children), *_errors(zygote, children)]
    return tuple(sorted(findings, key=lambda found: (found.detector, found.kind, found.id)))


def merge_suppressed(zygote: ProcessReport, children: Sequence[ProcessReport]) -> dict[str, int]:
    """How often each suppression was used in the whole run, by its name."""
    merged = dict(zygote.suppressed)
    for child in children:
        for rule, count in child.suppressed.items():
            own = max(0, count - zygote.suppressed.get(rule, 0))
            merged[rule] = merged.get(rule, 0) + own
    return {rule: count for rule, count in sorted(merged.items()) if count}


def lost_in(reports: Iterable[ProcessReport]) -> dict[str, tuple[str, ...]]:
    """Signatures of all lost blocks, indirectly lost ones too, with the tests that lost them."""
    tests: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        for added in report.added:
            if added.leak.kind in LOST and added.leak.blocks > 0:
                tests[added.leak.id] |= {added.test} - {""}
    return {name: tuple(sorted(names)) for name, names in tests.items()}


def _leaks(zygote: ProcessReport, children: Sequence[ProcessReport]) -> list[Finding]:
    """What the added leak checks reported.

    A check is relative to the one before, so checks add up. What was lost while importing is the
    same in every process, and counts once; what only importing lost has a kind of its own.
    """
    reports = (zygote, *children)
    imported: dict[str, Leak] = {}
    merged: dict[str, Leak] = {}
    for report in reports:
        for added in report.added:
            if added.leak.kind != DEFINITE:
                continue
            if added.phase == IMPORT:
                imported.setdefault(added.leak.id, added.leak)
            else:
                before = merged.get(added.leak.id)
                merged[added.leak.id] = _plus(before, added.leak) if before else added.leak
    related = _related(reports)
    tests = lost_in(reports)
    once = [replace(leak, kind=AT_IMPORT) for key, leak in imported.items() if key not in merged]
    return [
        _leak_finding(leak, tests.get(leak.id, ()), related.get(leak.id, frozenset()))
        for leak in (*_one_per_cycle(merged, related), *once)
        if leak.blocks > 0 or leak.bytes > 0
    ]


def _leak_finding(leak: Leak, tests: tuple[str, ...], related: frozenset[str]) -> Finding:
    return Finding(
        detector=DETECTOR,
        kind=leak.kind,
        id=leak.id,
        owner=leak.owner,
        tests=tests,
        blocks=leak.blocks,
        bytes=leak.bytes,
        frames=leak.frames,
        summary=leak_summary(leak.blocks, leak.bytes, leak.indirect_bytes),
        related=tuple(sorted(related)),
    )


def _related(reports: Iterable[ProcessReport]) -> dict[str, frozenset[str]]:
    """For each definite record with indirect bytes: what the same check lost indirectly."""
    related: dict[str, frozenset[str]] = {}
    for report in reports:
        windows: dict[tuple[str, str], set[str]] = defaultdict(set)
        for added in report.added:
            if added.leak.kind == INDIRECT:
                windows[added.test, added.phase].add(added.leak.id)
        for added in report.added:
            leak = added.leak
            if leak.kind == DEFINITE and leak.indirect_bytes:
                through = frozenset(windows[added.test, added.phase] - {leak.id})
                related[leak.id] = related.get(leak.id, frozenset()) | through
    return related


def _one_per_cycle(merged: Mapping[str, Leak], related: Mapping[str, frozenset[str]]) -> list[Leak]:
    """Two records of which each was lost through the other belong to one lost cycle."""
    kept: dict[str, Leak] = {}
    for key in sorted(merged):
        twin = next(
            (
                other
                for other in kept
                if other in related.get(key, ()) and key in related.get(other, ())
            ),
            None,
        )
        if twin is None:
            kept[key] = merged[key]
        else:
            kept[twin] = _plus(kept[twin], merged[key])
    return list(kept.values())


def _plus(one: Leak, other: Leak) -> Leak:
    return replace(
        one,
        blocks=one.blocks + other.blocks,
        bytes=one.bytes + other.bytes,
        indirect_bytes=one.indirect_bytes + other.indirect_bytes,
    )


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
    return [_error_finding(errors) for errors in merged.values() if not _all_foreign(errors)]


def foreign(reports: Iterable[ProcessReport]) -> tuple[MemoryFault, ...]:
    """One memory error per signature of CPython's or the C library's own."""
    merged: dict[str, list[MemoryFault]] = defaultdict(list)
    for report in reports:
        for error in report.errors:
            merged[error.id].append(error)
    return tuple(errors[0] for errors in merged.values() if _all_foreign(errors))


def _all_foreign(errors: Sequence[MemoryFault]) -> bool:
    return all(error.foreign for error in errors)


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
