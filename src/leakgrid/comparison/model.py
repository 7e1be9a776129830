"""What a comparison is made of: entries with their two sides."""

from __future__ import annotations

from dataclasses import dataclass

from leakgrid.baseline import Accepted
from leakgrid.finding import Finding
from leakgrid.signature import Owner

RESOLUTION = 0.05
"""What two measurements of the same amount per call may differ by: they are means of many calls."""
ALIGNED = 16.0
"""Bytes per call that the native screen may differ by: malloc hands out multiples of it."""
_MORE = 0.2
"""The part of its size by which growth without a stack has to be more, to have grown."""


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
    """Whether the later side has more blocks than the earlier; without any, more bytes.

    Growth without a stack counts objects as blocks: with as many objects, more memory is more.
    Of lost cycles memcheck finds now more and now fewer, because a stale pointer to any block keeps
    the whole cycle reachable: there only a test that showed none before is more.
    """
    if not after.per_call and (before.related or after.related):
        return not set(after.tests) <= set(before.tests)
    slack = RESOLUTION if after.per_call else 0.0
    if by_tests(after) and after.bytes > before.bytes + max(ALIGNED, _MORE * before.bytes):
        return True
    if before.blocks or after.blocks:
        return after.blocks > before.blocks + slack
    return after.bytes > before.bytes + slack


def by_tests(side: Finding | Accepted) -> bool:
    """Whether this is growth without a stack: an object's name, which says less than its tests."""
    return side.detector == "growth" and not side.frames
