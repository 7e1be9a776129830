"""Memory that grows with each call: the native screen's findings, with stacks where memcheck ran.

Under memcheck a suspect is repeated in two windows of equal length, each followed by a check that
lists only what was added. What grew in both is the leak; what grew once was a pool or a cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from leakgrid.detectors.process_report import DEFINITE, AddedLeak
from leakgrid.detectors.suspects import NATIVE_MEMORY, Suspect, amount, counted, merge
from leakgrid.finding import Finding
from leakgrid.signature import Owner, native_segment, own_functions, signature_id

DETECTOR = "growth"
PHASE = "explain"
_NATIVE = (Owner.EXTENSION, Owner.PYO3, Owner.DEPENDENCY)
_BLOCK = 16
"""Bytes: glibc's malloc hands out multiples of it, so leaks of one size are one size."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One stack whose blocks grew in both windows of one test; amounts are per call."""

    test: str
    found: AddedLeak
    blocks: float
    bytes: float

    @property
    def native(self) -> bool:
        """Whether code of the extension, PyO3 or another crate allocated it."""
        return any(frame.owner in _NATIVE for frame in native_segment(self.found.leak.frames))

    @property
    def asked_itself(self) -> bool:
        """Whether that code asked for the memory itself, not CPython on its behalf."""
        known = (*_NATIVE, Owner.CPYTHON)
        owners = (frame.owner for frame in native_segment(self.found.leak.frames))
        return next((owner for owner in owners if owner in known), None) in _NATIVE


def findings(suspects: Iterable[Suspect]) -> tuple[Finding, ...]:
    """Findings without stacks: one per type of object, and one per size of native memory."""
    own = [suspect for suspect in suspects if suspect.detector == DETECTOR]
    named = [suspect for suspect in own if suspect.kind != NATIVE_MEMORY]
    plain = [suspect for suspect in own if suspect.kind == NATIVE_MEMORY]
    return (
        *merge(named, lambda s: (DETECTOR, s.kind, s.name), _summary),
        *_of_size(plain),
    )


def _of_size(suspects: Sequence[Suspect]) -> tuple[Finding, ...]:
    """Nothing names plain memory but its size and its tests; the first test is its identity."""
    first: dict[int, str] = {}
    for suspect in sorted(suspects, key=lambda s: s.test):
        first.setdefault(round(suspect.bytes / _BLOCK), suspect.test)
    return merge(
        suspects,
        lambda s: (DETECTOR, s.kind, first[round(s.bytes / _BLOCK)]),
        _summary,
    )


def _summary(suspect: Suspect) -> str:
    if suspect.kind == NATIVE_MEMORY:
        return f"{counted(suspect.bytes, 'byte')} per call that no Python container holds"
    return (
        f"{amount(suspect.per_call)} {suspect.name} per call held by native code, "
        f"{counted(suspect.bytes, 'byte')}"
    )


def explained(test: str, added: Iterable[AddedLeak], calls: int) -> tuple[Explained, ...]:
    """What grew in both windows of ``calls`` calls, the largest first.

    Blocks of one stack count together whatever their kind: a stale pointer to one of them makes
    memcheck call it reachable.
    """
    windows: dict[str, dict[str, list[AddedLeak]]] = {}
    for item in added:
        if item.test == test and item.phase.startswith(f"{PHASE} "):
            stack = signature_id(DETECTOR, "leak", item.leak.frames)
            windows.setdefault(stack, {}).setdefault(item.phase, []).append(item)
    grown = []
    for phases in windows.values():
        blocks = [sum(item.leak.blocks for item in items) for items in phases.values()]
        if len(blocks) < 2 or min(blocks) <= 0:
            continue
        everything = [item for items in phases.values() for item in items]
        size = sum(item.leak.bytes for item in everything)
        lost = [item for item in everything if item.leak.kind == DEFINITE]
        last = (lost or everything)[-1]
        grown.append(Explained(test, last, sum(blocks) / (2 * calls), size / (2 * calls)))
    return tuple(sorted(grown, key=lambda e: (-e.bytes, e.found.leak.id)))


def with_stacks(
    suspects: Sequence[Suspect], stacks: Mapping[str, Sequence[Explained]]
) -> tuple[tuple[Finding, ...], tuple[Mapping[str, str], ...]]:
    """Findings of the suspects that memcheck could explain, and what it did not show.

    ``stacks`` has an entry for every test that was repeated under memcheck. Memory that native code
    allocated counts, lost or reachable, and lost memory whoever allocated it. An object that the
    screen named stays named without a stack where no native one grew: CPython hands out lists,
    dicts and tuples from lists of free ones, so their block was allocated by whoever used it first.
    A stack through CPython that grew far less often than objects were lost is such a block's.
    Nor does what doubles need to grow in the few calls under memcheck.
    Blocks of the same functions of the extension are one leak.
    """
    found: dict[str, Finding] = {}
    dropped: list[Mapping[str, str]] = []
    plain: list[Suspect] = []
    for suspect in (s for s in suspects if s.detector == DETECTOR):
        if suspect.test not in stacks:
            plain += [] if suspect.doubtful else [suspect]
            continue
        chosen = _chosen(suspect, stacks[suspect.test])
        named = suspect.kind not in (NATIVE_MEMORY, "undecided")
        if not chosen and (named or suspect.doubles):
            plain.append(suspect)
        elif not chosen and not suspect.doubtful:
            what = f"{suspect.name} in {suspect.test}"
            dropped.append({"what": what, "why": "memcheck did not see it grow again"})
        for finding in _grouped(suspect, chosen):
            found[finding.id] = _joined(found.get(finding.id), finding)
    return (*found.values(), *findings(plain)), tuple(dropped)


def _chosen(suspect: Suspect, stacks: Sequence[Explained]) -> list[Explained]:
    if suspect.doubtful:
        return [stack for stack in stacks if stack.asked_itself]
    plain = suspect.kind == NATIVE_MEMORY
    native = [
        stack
        for stack in stacks
        if stack.native and (plain or stack.asked_itself or stack.blocks * 2 >= suspect.per_call)
    ]
    if native:
        return native
    if not plain:
        return []
    return [stack for stack in stacks if stack.found.leak.kind == DEFINITE][:1]


def _grouped(suspect: Suspect, chosen: Sequence[Explained]) -> list[Finding]:
    groups: dict[tuple[str, ...], list[Explained]] = {}
    for stack in chosen:
        own = own_functions(native_segment(stack.found.leak.frames))
        groups.setdefault(own, []).append(stack)
    return [_finding(suspect, group) for group in groups.values()]


def _finding(suspect: Suspect, group: Sequence[Explained]) -> Finding:
    leak = group[0].found.leak
    names = {signature_id(DETECTOR, "leak", stack.found.leak.frames) for stack in group}
    own = signature_id(DETECTOR, "leak", leak.frames)
    blocks, size = max(s.blocks for s in group), sum(s.bytes for s in group)
    what = "" if suspect.kind in (NATIVE_MEMORY, "undecided") else f" ({suspect.name})"
    return Finding(
        detector=DETECTOR,
        kind=suspect.kind if suspect.kind != "undecided" else NATIVE_MEMORY,
        id=own,
        owner=leak.owner,
        tests=(suspect.test,),
        blocks=round(blocks, 3),
        bytes=round(size, 2),
        per_call=True,
        frames=leak.frames,
        summary=f"{counted(size, 'byte')} in {counted(blocks, 'block')} per call{what}",
        related=tuple(sorted(names - {own})),
        subject=suspect.name if what else "",
    )


def _joined(before: Finding | None, now: Finding) -> Finding:
    """The same leak in another test: both tests, the smaller amount."""
    if before is None:
        return now
    smaller = min(before, now, key=lambda finding: (finding.blocks, finding.bytes))
    return replace(smaller, tests=tuple(sorted({*before.tests, *now.tests})))
