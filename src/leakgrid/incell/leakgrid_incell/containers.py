"""What the collector does not tell of containers: names in dicts, and who keeps one that grew."""

from __future__ import annotations

import collections
import gc
import sys
from itertools import chain
from typing import TYPE_CHECKING

from leakgrid_incell import words
from leakgrid_incell.measure import type_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

CHUNK = 5000
_SIZED = (
    *(list, dict, set, collections.deque),
    *(collections.OrderedDict, collections.defaultdict),
)
_STEPS = 4  # from a container to what keeps it
_MOST = 3  # containers that are looked at


def names(things: Iterable[object], shown: Collection[int]) -> tuple[int, int]:
    """Number and bytes of the strings that dicts have as keys and that are not ``shown`` (ids).

    A dict whose keys are all strings does not show them to the collector
    (Objects/dictobject.c, dict_traverse).
    """
    dicts = [thing for thing in things if isinstance(thing, dict)]
    found = {
        id(key): sys.getsizeof(key)
        for key in chain.from_iterable(map(list, map(dict.keys, dicts)))
        if type(key) is str and id(key) not in shown
    }
    return len(found), sum(found.values())


def lengths(things: Iterable[Any]) -> dict[int, int]:
    """How many entries each of the plain containers has, by id."""
    return {id(thing): len(thing) for thing in things if type(thing) in _SIZED}


def grown(
    things: Iterable[Any], before: Mapping[int, int], born: Collection[int], calls: int
) -> list[tuple[Any, int]]:
    """(container, entries it gained) of the old ones that gain one in every few calls."""
    found = [
        (thing, len(thing) - before[id(thing)])
        for thing in things
        if type(thing) in _SIZED and id(thing) in before and id(thing) not in born
    ]
    return sorted((pair for pair in found if pair[1] * 4 >= calls), key=lambda pair: -pair[1])


def kept_by_statics(
    containers: Sequence[tuple[Any, int]], tracked: list[Any], libraries: Collection[str]
) -> list[tuple[str, int]]:
    """(type, entries gained) of those that only a static of the extension keeps.

    Python's own code cannot reach such a container, so what piles up in it is the extension's
    doing. One that a module, a class or an instance holds, too, is Python's.
    """
    found = []
    for container, more in containers[:_MOST]:
        root = _root(container, tracked)
        if root is not None and words.in_statics(root, libraries):
            found.append((type_name(type(container)), more))
    return found


def find(tracked: list[Any], numbers: set[int]) -> Iterator[tuple[Any, int]]:
    """(container, how many of the wanted objects it refers to)."""
    for start in range(0, len(tracked), CHUNK // 10):
        chunk = tracked[start : start + CHUNK // 10]
        if not numbers.isdisjoint(map(id, gc.get_referents(*chunk))):
            for holder in chunk:
                inside = sum(1 for thing in gc.get_referents(holder) if id(thing) in numbers)
                if inside:
                    yield holder, inside


def _root(thing: Any, tracked: list[Any]) -> Any:
    """The last of the containers around this one; None where there are several ways up."""
    for _ in range(_STEPS):
        around = [holder for holder, _ in find(tracked, {id(thing)})]
        if not around:
            return thing
        if len(around) > 1:
            break
        thing = around[0]
    return None
