"""Tells a slope from a cache, a pool and noise, by what causes each of them.

A leak adds the same at every call, however many there were before. A cache or pool stops when it
is full. A container that doubles grows in jumps that double with it. Noise also falls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


REMAINDERS = 64
"""Bytes: four blocks that were cut from another place than before, 16 bytes each (malloc.c)."""

SMALLEST_BLOCK = 32
"""Bytes, of glibc's malloc on 64-bit machines."""

LEAK, SETTLED, IRREGULAR, UNCLEAR = "leak", "settled", "irregular", "unclear"


def judge(values: Sequence[int]) -> str:
    """One word for readings at equal distances, all of them late.

    Nine or more readings of something that fluctuates by chance are in rising order once in
    362,880 times (9 factorial). Growth that gets less (a cache whose keys begin to repeat) is
    unclear until it is watched for longer; the least steps are compared, too, because what happens
    only once makes a step larger and none smaller.
    """
    steps = [after - before for before, after in zip(values, values[1:])]
    half = len(steps) // 2
    if all(step > 0 for step in steps):
        if any(of(steps[half:]) * 5 >= of(steps[:half]) * 4 for of in (sum, min)):
            return LEAK
        return UNCLEAR
    if all(step <= 0 for step in steps[half:]):
        return SETTLED
    if values[-1] <= max(values[:-1]):
        return IRREGULAR
    return UNCLEAR


def doubles(windows: Sequence[tuple[int, int]]) -> bool:
    """Whether the growth doubles with the windows: a container that doubles without bound.

    ``windows`` are (calls, growth), each about twice as long as the one before, so that each holds
    exactly one step of such a container, and each step is twice the one before. Three windows in a
    row do that by chance only rarely; caches that CPython makes for code that ran often do not.
    """
    late = windows[-4:]
    if len(late) < 4 or any(growth <= 0 for _, growth in late):
        return False
    return all(
        1.8 * (calls / before) <= 2 * growth / previous <= 2.2 * (calls / before)
        for (before, previous), (calls, growth) in zip(late, late[1:])
    )


def enough_calls(hits: int, tries: int, entries: int) -> int:
    """Calls after which a pool of ``entries`` is full, where ``hits`` of ``tries`` calls add one.

    None in so many tries: once in as many is taken for granted.
    """
    return -(-entries * tries // max(1, hits))


def is_where_it_was(heaps: Sequence[int]) -> bool:
    """Whether the heap is as large as at an earlier reading, or has only fallen for two rounds.

    What is lost at each call adds up over all rounds, so a heap that wanders (sets and dicts that
    are made anew where threads happened to come and go) shows itself by coming back.
    """
    *before, last = heaps
    back = any(-REMAINDERS <= last - heap < SMALLEST_BLOCK for heap in before)
    return back or (len(heaps) > 2 and heaps[-3] >= heaps[-2] >= last)


class Rest:
    """Tells whether rounds have come to rest, from one round to the next.

    What is freed once hides what is lost at each call, so a round in which the heap fell counts
    only together with the next one.
    """

    def __init__(self) -> None:
        self._fell = False

    def after(self, grown: bool, heap: int) -> bool:
        """Whether nothing grows, behind a round that moved the heap by so many bytes."""
        before, self._fell = self._fell, not grown and heap < -REMAINDERS
        return not grown and (before or not self._fell)
