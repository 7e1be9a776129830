"""A cell against its baseline, or one result against another: new, gone, changed, known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from leakgrid.baseline import Accepted, Baseline, is_complete
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import Owner, cause_key

RESOLUTION = 0.05
"""What two measurements of the same amount per call may differ by: they are means of many calls."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cause with both its sides; at least one of them is there."""

    before: Finding | Accepted | None
    after: Finding | None

    @property
    def id(self) -> str:
        """The id of the newer side, else of the older."""
        side = self.after or self.before
        return side.id if side else ""

    @property
    def owner(self) -> Owner:
        """The owner on the newer side, else on the older."""
        side = self.after or self.before
        return side.owner if side else Owner.UNKNOWN

    @property
    def grown(self) -> bool:
        """More blocks than before; without a block count, more bytes."""
        return self.before is not None and self.after is not None and grown(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Entries by what happened to them, each sorted by id.

    ``changed`` is there on both sides with other blocks, bytes or leak kind.
    """

    new: tuple[Entry, ...] = ()
    gone: tuple[Entry, ...] = ()
    changed: tuple[Entry, ...] = ()
    known: tuple[Entry, ...] = ()

    def ids(self) -> dict[str, tuple[str, ...]]:
        """The form stored in a result."""
        return {
            "new": tuple(entry.id for entry in self.new),
            "gone": tuple(entry.id for entry in self.gone),
            "changed": tuple(entry.id for entry in self.changed),
            "known": tuple(entry.id for entry in self.known),
        }


def grown(before: Finding | Accepted, after: Finding) -> bool:
    """Whether the later side has more blocks than the earlier; without any, more bytes."""
    slack = RESOLUTION if after.per_call else 0.0
    if before.blocks or after.blocks:
        return after.blocks > before.blocks + slack
    return after.bytes > before.bytes + slack


def compare_baseline(result: CellResult, baseline: Baseline | None) -> Comparison:
    """Match by exact id within one cell; without a baseline every finding is new.

    A result in which not everything ran makes no accepted finding gone.
    """
    accepted = baseline.entries if baseline else ()
    same, old, new = _match(accepted, result.findings, _by_id)
    cycles, old, new = _match_cycles(old, new)
    return _sort([*same, *cycles], old if is_complete(result) else [], new)


def compare_results(before: CellResult, after: CellResult) -> Comparison:
    """Match two results, of two PyO3 versions as a rule: by id first, then by cause.

    A later result in which not everything ran makes no finding gone. Findings whose tests were all
    left out of an earlier, partial result are left out: nobody knows whether they are new.
    """
    later: Sequence[Finding] = after.findings
    if before.partial:
        later = [f for f in later if not f.tests or any(t in before.tests for t in f.tests)]
    same, old, new = _match(before.findings, later, _by_id)
    cycles, old, new = _match_cycles(old, new)
    alike, old, new = _match(old, new, cause_key)
    return _sort([*same, *cycles, *alike], old if is_complete(after) else [], new)


_Side = TypeVar("_Side", Finding, Accepted)


def _by_id(side: Finding | Accepted) -> str:
    return side.id


def _match(
    old: Iterable[_Side], new: Iterable[Finding], key: Callable[[_Side | Finding], str]
) -> tuple[list[Entry], list[_Side], list[Finding]]:
    """Pair off what has the same key, each side once; then what is left over on either side."""
    waiting: defaultdict[str, list[_Side]] = defaultdict(list)
    for side in sorted(old, key=_by_id):
        waiting[key(side)].append(side)
    left: list[Finding] = []
    pairs: list[Entry] = []
    for finding in sorted(new, key=_by_id):
        same = waiting[key(finding)]
        if same:
            pairs.append(Entry(same.pop(0), finding))
        else:
            left.append(finding)
    return pairs, [side for sides in waiting.values() for side in sides], left


def _match_cycles(
    old: Iterable[_Side], new: Iterable[Finding]
) -> tuple[list[Entry], list[_Side], list[Finding]]:
    """Pair off two blocks of one lost cycle: in each result the other was lost through this one."""
    waiting = list(old)
    left: list[Finding] = []
    pairs: list[Entry] = []
    for finding in sorted(new, key=_by_id):
        twin = next(
            (side for side in waiting if side.id in finding.related and finding.id in side.related),
            None,
        )
        if twin is None:
            left.append(finding)
        else:
            waiting.remove(twin)
            pairs.append(Entry(twin, finding))
    return pairs, waiting, left


def _sort(
    pairs: Sequence[Entry], old: Iterable[Finding | Accepted], new: Iterable[Finding]
) -> Comparison:
    return Comparison(
        new=_sorted(Entry(None, finding) for finding in new),
        gone=_sorted(Entry(side, None) for side in old),
        changed=_sorted(entry for entry in pairs if _differs(entry)),
        known=_sorted(entry for entry in pairs if not _differs(entry)),
    )


def _differs(entry: Entry) -> bool:
    before, after = entry.before, entry.after
    if before is None or after is None:
        return True
    slack = RESOLUTION if after.per_call else 0.0
    amounts = ((before.blocks, after.blocks), (before.bytes, after.bytes))
    return before.kind != after.kind or any(abs(one - two) > slack for one, two in amounts)


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.id))
