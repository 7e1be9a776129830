"""The search for the first version in which a leak is there, or not any more (pure).

One end of the range leaks and the other does not. A version in between is compared with the end
that leaks: what it does not show is *new* there. So the search for the version that mends a leak is
the same as for the one that brings it, with the ends exchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from leakgrid.baseline import measured_tests
from leakgrid.comparison import Comparison, Entry, causes, subject
from leakgrid.finding import CellResult
from leakgrid.verdict import Verdict, exit_code

CENSUS = "census"
_ORDER = ("memcheck", "growth", "refs", "fds", "threads", CENSUS)
_ENOUGH = 0.5
"""The part of a cause's tests that must have been measured before it is called absent."""
_HELD = "held by Python"
Place = tuple[str, str]
"""A finding's id and one of its tests (empty without any; of the census the object's name)."""


@dataclass(frozen=True, slots=True)
class Sought:
    """One cause that one end shows and the other does not.

    ``key`` and ``title`` are the cause's; ``places`` are its findings in the tests that are clean
    at the other end.
    """

    key: str
    title: str
    places: frozenset[Place]

    @property
    def detector(self) -> str:
        """The detector that sees it."""
        return self.key.partition("|")[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its findings, sorted."""
        return tuple(sorted({name for name, _ in self.places}))

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that show it, sorted; none of the census."""
        counted = self.detector == CENSUS
        return () if counted else tuple(sorted({test for _, test in self.places if test}))


def sought(compared: Comparison) -> tuple[Sought, ...]:
    """What the later side has and the earlier has not, memory first and mere counts last."""
    found = [
        Sought(cause.key, cause.title, frozenset(_places(cause.entries)))
        for cause in causes(compared)["new"]
    ]
    return tuple(sorted(found, key=lambda one: (_rank(one.detector), -len(one.places), one.key)))


def in_test(wanted: Sequence[Sought], test: str) -> tuple[Sought, ...]:
    """What one test shows of each; without what it does not show."""
    found = []
    for one in wanted:
        places = frozenset(place for place in one.places if place[1] == test)
        if places:
            found.append(replace(one, places=places))
    return tuple(found)


def of_finding(wanted: Sequence[Sought], name: str) -> tuple[Sought, ...]:
    """Those with this key, else the one finding whose id begins so (several: all of them)."""
    if same := tuple(one for one in wanted if one.key == name):
        return same
    found = []
    for one in wanted:
        places = frozenset(place for place in one.places if place[0].startswith(name))
        if places:
            found.append(replace(one, places=places))
    return tuple(found)


def unusable(result: CellResult) -> str:
    """Why nothing can be said of a version, in one sentence; empty where something can.

    A test that crashed or hung hides only itself.
    """
    hidden = (Verdict.CRASHED, Verdict.TIMED_OUT)
    if exit_code(result.verdict) < 2 or (result.verdict in hidden and measured_tests(result.tests)):
        return ""
    return f"{result.verdict}: {result.reason}"


def shows(one: Sought, result: CellResult, compared: Comparison) -> bool | None:
    """Whether a version has this cause; None where too few of its tests were measured there.

    ``compared`` is that version against the end that has it.
    """
    measured = _measured(one, result)
    absent = set(_places(compared.new))
    if any(place not in absent for place in measured):
        return True
    return False if len(measured) > _ENOUGH * len(one.places) else None


def _measured(one: Sought, result: CellResult) -> set[Place]:
    if one.detector == CENSUS:
        counted = result.totals.get(CENSUS) or {}
        return {place for place in one.places if place[1] in counted}
    unjudged = {
        str(item.get("what", "")).removeprefix(
            "growth in " if _HELD in str(item.get("why", "")) else ""
        )
        for item in result.dropped
    }
    good = {
        test
        for test, record in result.tests.items()
        if record.outcome in ("passed", "xfailed")
        and record.repeatable is not False
        and test not in unjudged
    }
    return {place for place in one.places if not place[1] or place[1] in good}


def _places(entries: Collection[Entry]) -> list[Place]:
    """Where the later sides of entries are."""
    sides = [entry.after for entry in entries if entry.after is not None]
    return [
        (side.id, place)
        for side in sides
        for place in side.tests or (subject(side) if side.detector == CENSUS else "",)
    ]


def _rank(detector: str) -> int:
    return _ORDER.index(detector) if detector in _ORDER else len(_ORDER)


# --- the search ----------------------------------------------------------------------------------


def bounds(states: Mapping[int, bool | None], last: int) -> tuple[int, int]:
    """Between which two versions the change is: the last without it, the first with it.

    ``states`` says by index whether a version is like the end (``last``); index 0 is not.
    """
    first = min((index for index, state in states.items() if state), default=last)
    before = [index for index, state in states.items() if state is False and index < first]
    return max(before, default=0), first


def next_version(states: Mapping[int, bool | None], last: int) -> int | None:
    """Which version to evaluate next, None where the search is over.

    The middle; where that cannot be judged its neighbours, as ``git bisect skip`` does.
    """
    low, high = bounds(states, last)
    open_ones = [index for index in range(low + 1, high) if index not in states]
    return min(open_ones, key=lambda index: (abs(2 * index - low - high), index), default=None)


def comes_back(states: Mapping[int, bool | None], last: int) -> tuple[int, ...]:
    """Versions behind the change that are as before it: then it comes and goes."""
    first = bounds(states, last)[1]
    return tuple(
        sorted(index for index, state in states.items() if state is False and index > first)
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the search found for one cause.

    ``without`` is the last version before the change, ``first`` the first behind it. ``untold``
    are versions between the two that nobody could judge, ``open`` those that were not evaluated
    (the search was ended by its limit). ``back`` are versions behind ``first`` that are as before.
    """

    sought: Sought
    without: str
    first: str
    untold: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    back: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether ``first`` is the version, and no other can be."""
        return not self.untold and not self.open


def answer(one: Sought, versions: Sequence[str], states: Mapping[int, bool | None]) -> Answer:
    """The answer that these states of the versions give."""
    last = len(versions) - 1
    low, high = bounds(states, last)
    between = range(low + 1, high)
    return Answer(
        one,
        versions[low],
        versions[high],
        untold=tuple(versions[index] for index in between if index in states),
        open=tuple(versions[index] for index in between if index not in states),
        back=tuple(versions[index] for index in comes_back(states, last)),
    )
