"""What people read as one entry: findings of one mechanism, or that grow in the same tests.

A lost graph of objects (a document, its branches, what listens to it) grows at as many places as it
has parts, and each place is a finding. They may be several leaks all the same: so they are put
together only where people read, and each keeps its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leakgrid import signature
from leakgrid.amounts import counted
from leakgrid.comparison import subject
from leakgrid.finding import Finding
from leakgrid.reports import _common as common
from leakgrid.signature import Owner

MOST_BENEATH = 6
_OWNERS = list(Owner)
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding told whole, those ``likewise`` of its mechanism, and those ``beneath`` it.

    What is beneath grows only in tests in which the finding that is told whole grows too. First is
    what the extension's own code took: it tells more often than the rest what holds a lost graph.
    """

    group: common.Group
    likewise: tuple[common.Group, ...] = ()
    beneath: tuple[common.Group, ...] = ()

    @property
    def size(self) -> int:
        """How many findings it tells of."""
        return 1 + len(self.likewise) + len(self.beneath)


def entries(found: Sequence[common.Group]) -> list[Entry]:
    """Every group in one entry, and every entry where the first of its groups stood."""
    causes = common.alike(found)
    below = _below([group for group, *_ in causes])
    inner = {index for others in below.values() for index in others}
    order = sorted(
        (min((index, *below.get(index, ()))), index)
        for index in range(len(causes))
        if index not in inner
    )
    return [
        Entry(
            causes[index][0],
            tuple(causes[index][1:]),
            tuple(sorted((causes[other][0] for other in below.get(index, ())), key=_telling)),
        )
        for _, index in order
    ]


def _below(found: Sequence[common.Group]) -> dict[int, list[int]]:
    """Which of them lead, by index, and what grows in no test but theirs.

    What is seen in the most tests leads, then what is in the extension's own code, then the size.
    """
    seen = {index: group.seen for index, group in enumerate(found) if _grows(group.finding)}

    def leading(index: int) -> tuple[int, int, float, str]:
        finding = found[index].finding
        owner = _OWNERS.index(finding.owner)
        return -len(seen[index]), owner, -finding.bytes, finding.id

    leaders: dict[int, list[int]] = {}
    for index in sorted(seen, key=leading):
        for leader, others in leaders.items():
            if seen[index] <= seen[leader] and _where(found[index]) == _where(found[leader]):
                others.append(index)
                break
        else:
            leaders[index] = []
    return leaders


def _telling(group: common.Group) -> tuple[int, int, float, str]:
    finding = group.finding
    return _OWNERS.index(finding.owner), -len(finding.tests), -finding.bytes, finding.id


def _grows(finding: Finding) -> bool:
    return (
        finding.detector == "growth"
        and finding.per_call
        and bool(finding.frames)
        and bool(finding.tests)
    )


def _where(group: common.Group) -> tuple[str, ...]:
    return group.target, group.state, *map(common.cell_id, group.cells)


def named(group: common.Group) -> str:
    """``type Page (0123456789ab)``: one of those ``likewise``."""
    return f"{subject(group.finding)} ({group.finding.id})"


def by_tests(entry: Entry) -> tuple[list[common.Group], list[common.Group]]:
    """Those ``likewise`` that are in no test but the entry's, and those that are in others."""
    told = set(entry.group.tests)
    same = [group for group in entry.likewise if told.issuperset(group.tests)]
    return same, [group for group in entry.likewise if group not in same]


def count(told: Sequence[Entry]) -> str:
    """``3 findings, 1 cause``; no causes are counted where some only grow in the same tests."""
    number = sum(entry.size for entry in told)
    text = counted(number, "finding")
    if len(told) == number:
        return text
    if any(entry.beneath for entry in told):
        return f"{text} in {counted(len(told), 'group')}"
    return f"{text}, {counted(len(told), 'cause')}"


def title(entry: Entry) -> str:
    """What is said above the findings beneath another."""
    if len(entry.beneath) == 1:
        return "1 more grows only in these tests, perhaps through it, perhaps a leak of its own:"
    return (
        f"{len(entry.beneath)} more grow only in these tests, perhaps through it, perhaps leaks of "
        "their own:"
    )


def short(finding: Finding) -> str:
    """A finding beneath another: how much, and the extension's function that tells it."""
    own = [frame for frame in finding.frames if signature.own_functions((frame,))]
    told = own or [frame for frame in common.story(finding) if frame] or list(finding.frames)
    name = common.one_line(told[0].function)
    if len(name) > _LONGEST_NAME:
        name = f"...{name[-_LONGEST_NAME:]}"
    callers = signature.own_functions(signature.native_segment(finding.frames))[1:2]
    where = f"{name}  {common.place(told[0])}".rstrip()
    where += "".join(f", from {common.one_line(caller)}" for caller in callers)
    tests = counted(len(finding.tests), "test")
    return f"{common.per_call(finding.bytes)} in {tests}: {where}"


def rest(entry: Entry) -> str:
    """How many are beneath without a line of their own, and how large the largest is."""
    left = entry.beneath[MOST_BENEATH:]
    if not left:
        return ""
    largest = max(group.finding.bytes for group in left)
    size = f"{'of' if len(left) == 1 else 'of up to'} {common.per_call(largest)}"
    return f"and {len(left)} more {size}"
