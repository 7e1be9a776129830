"""The rounds of one test: how often it is called, and what the readings between say.

A test is flat as soon as one round leaves heap, references, files and threads where they were. One
that is not is chased through rounds that double, until it is flat, or what grows is held by
Python's containers, or enough calls have passed that any pool of the agreed size is full.
"""

from __future__ import annotations

import gc
import sys
import time
from array import array
from typing import TYPE_CHECKING

from leakgrid_incell import judge, measure, verdicts, words
from leakgrid_incell.holders import Change, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from leakgrid_incell.repeat import Subject
    from leakgrid_incell.screen import Screen

SHORT = (2, 4, 8)  # calls of the first rounds
SCANNED = 8  # calls of a round between two looks at where references live, or
SCANNED_REFERENCES = 64  # fewer that lose so many
MOST_SCANNED = 16  # objects to look for
MOST_LOOKS = 4  # rounds between the two until two of them left the heap as it was
LOOK_AFTER = 24  # calls after which the holders are looked at, to drop the obvious early
SINGLES = 12
WINDOWS = 8
POOL = 200  # entries: a pool of up to so many is full before anything is called a leak
ROOMY = 1000  # entries: a pool of up to so many, where to fill it is cheap
ROOMY_SECONDS = 2.0  # CPU seconds for the calls of one test until then
MOST_WINDOWS = 16
# CPython 3.8 to 3.10 makes a cache for each code object at its 1,024th run (ceval.c, opcache); from
# 3.11 on, code is specialised after a few. pytest's own code runs once per call.
MACHINERY_CALLS = 1100 if sys.version_info < (3, 11) else 40
MACHINERY_SECONDS = 0.2  # of one test; the next one goes on
PATIENCE = 3  # budgets of a busy machine's time; the budget itself is CPU time
MOST_BYTES = 256 * 1024 * 1024


class Unrepeatable(Exception):
    """A repetition did not do what the first run did."""


class OutOfTime(Exception):
    """The budget was used up before the growth could be told apart."""


class Rounds:
    """The rounds of one test."""

    def __init__(self, screen: Screen, subject: Subject, budget: float) -> None:
        self._screen, self._subject = screen, subject
        self._note = subject.note
        self._meter = screen.meter
        self._limit = time.process_time() + budget
        self._spent = 0.0  # CPU seconds of the calls alone
        self._end = time.monotonic() + PATIENCE * budget
        self.calls = 1  # the one for the outcome
        self._frozen = False  # to ask the collector takes as long as it has frozen objects
        # Calls of each window that doubled, and what the heap grew in it.
        self._counts, self._growths = (array("q", bytes(8 * 2 * MOST_WINDOWS)) for _ in range(2))
        self._windows = 0
        self._rest = judge.Rest()
        self._rows: list[array[int]] = []
        self._pair: tuple[Sequence[int], Sequence[int]] = ((), ())

    # -- the schedule -------------------------------------------------------------------------

    def screen(self) -> dict[str, Any]:
        """The outcome. Raises Unrepeatable, OutOfTime."""
        screen, meter = self._screen, self._meter
        limit = time.process_time() + MACHINERY_SECONDS
        while screen.machinery < MACHINERY_CALLS and time.process_time() < limit:
            screen.machinery += 1
            self._call(1)
        self.calls = 1  # the same rounds for each test, whichever came first
        screen.settle()
        fresh = gc.get_objects()
        screen.targets.refresh([o for o in fresh if isinstance(o, type)])
        del fresh
        meter.watch(measure.all_named(screen.targets, self._subject.item))
        gc.freeze()
        self._frozen = True
        meter.start()
        # Nothing that is made between two readings may stay: it would show in the second one.
        rows = self._rows = meter.table(len(SHORT) + 2)
        pairs = list(zip(rows, rows[1:]))
        spare = rows[-2:]
        # Bound before the first reading, as None counts where it is not immortal.
        slopes = outcome = None
        for number in range(len(SHORT)):
            self._call(SHORT[number])
            self._read(rows[number])
            if number:
                self._pair = pairs[number - 1]
                if self._flat(*self._pair):
                    return verdicts.result("flat")
                if slopes := self._lost_before(rows[: number + 1], SHORT[number]):
                    return self._lost_references(slopes)
                if slopes := _slopes(rows[: number + 1], SHORT):
                    if outcome := self._lost(slopes, spare, SCANNED):
                        return outcome
                    slopes = None
                    self._read(rows[number])
        return self._chase()

    def _lost_before(self, rows: Sequence[array[int]], calls: int) -> dict[int, int] | None:
        """What this test loses, where it is nothing but what an earlier one was proven to lose.

        ``calls`` are those of the last round. None, not an empty dict, which would be alive at the
        next reading.
        """
        slopes, _ = _steps(rows[-2], rows[-1], calls)
        known = all(self._is_lost(cell) for cell in slopes if cell != measure.TOTAL)
        still = judge.is_where_it_was([row[measure.HEAP] for row in rows])
        return slopes if slopes and known and still else None

    def _is_lost(self, cell: int) -> bool:
        own = cell >= len(measure.FIXED)
        return own and id(self._meter.thing(cell)) in self._screen.lost

    def _lost_references(self, slopes: dict[int, int]) -> dict[str, Any]:
        cells = [cell for cell in slopes if cell != measure.TOTAL]
        return verdicts.lost((self._meter.name(cell), slopes[cell]) for cell in cells)

    def _lost(
        self, slopes: dict[int, int], rows: Sequence[array[int]], most: int
    ) -> dict[str, Any] | None:
        """The outcome where references were lost, exactly as many at each call, and nothing else.

        No more words hold the object's address then (see :mod:`leakgrid_incell.words`), behind two
        windows of ``most`` calls that leave the heap as it was; without that proof, or with
        anything else that grew, this says nothing. The two ``rows`` are read anew.
        """
        cells = [cell for cell in slopes if cell != measure.TOTAL and not self._is_lost(cell)]
        if not 0 < len(cells) <= MOST_SCANNED or min(cells) < len(measure.FIXED):
            return None
        least = min(slopes[cell] for cell in cells)
        length = min(most, max(2, -(-SCANNED_REFERENCES // least)))
        self._screen.wipe(True)  # or each block that was freed keeps a copy of what it held
        try:
            self._call(max(2, length // 4))  # what was freed before is used again
            if not self._nobody_holds(cells, slopes, rows, length):
                return None
        finally:
            self._screen.wipe(False)
        self._screen.lost.update(id(self._meter.thing(cell)) for cell in cells)
        return self._lost_references(slopes)

    def _nobody_holds(
        self, cells: list[int], slopes: dict[int, int], rows: Sequence[array[int]], length: int
    ) -> bool:
        """Whether no more words hold what the cells count, behind two windows of so many calls."""
        things = [self._meter.thing(cell) for cell in cells]
        held, calls, still = self._words(things), 0, 0
        for _ in range(MOST_LOOKS if held else 0):
            self._read(rows[0])
            self._call(length)
            self._read(rows[1])
            steps, moved = _steps(rows[0], rows[1], length)
            if steps != slopes:
                return False
            calls, still = calls + length, still + (not moved)
            if still == 2:
                now = self._words(things)
                lost = [slopes[cell] * calls for cell in cells]
                return all(4 * (b - a) <= most for a, b, most in zip(held, now, lost))
        return False

    def _words(self, things: Sequence[object]) -> list[int]:
        self._screen.settle()
        self._note()
        return words.count(things)

    def _chase(self) -> dict[str, Any]:
        """Rounds that double, until something can be said."""
        rows = self._rows = self._meter.table(MOST_WINDOWS + 2)
        first = rows.pop()
        self._note_names()
        start: Snapshot | None = None
        began = 0
        slopes = outcome = None
        self._read(rows[0])
        while self.calls < self._enough():
            before, after = rows[self._windows], rows[self._windows + 1]
            if start is None and self.calls >= LOOK_AFTER:
                start, began = self._snapshot(), self.calls
                self._read(before)
                first[:] = before
            if self._flat_window(before, after):
                return verdicts.result("settled", f"flat after {self.calls // 2} calls")
            if slopes := self._lost_before(rows[: self._windows + 1], self.calls // 2):
                return self._lost_references(slopes)
            if start is not None and self.calls == 2 * began:
                change = Change(start, self._snapshot(began, start), began)
                if verdicts.held_by_python(self._meter, first, after, change):
                    return verdicts.result("held", change.holder_text())
                del change
                self._read(after)
            elif slopes := _slopes((before, after), (0, self.calls // 2)):
                if outcome := self._lost(slopes, rows[-2:], max(SCANNED, self.calls // 4)):
                    return outcome
                slopes = None
                self._read(after)
        return self._late()

    def _flat_window(self, before: array[int], after: array[int], thaw: bool = False) -> bool:
        """As many calls again as there were; whether nothing grew."""
        self._counts[self._windows] = self.calls  # a local name would count as one more reference
        self._call(self.calls)
        if thaw:
            self._thaw()
        self._read(after)
        self._pair = before, after
        self._add_window(self._counts[self._windows], before, after)
        return self._flat(before, after)

    def _flat(self, before: Sequence[int], after: Sequence[int]) -> bool:
        heap = after[measure.HEAP] - before[measure.HEAP]
        return self._rest.after(bool(_grown(before, after)), heap)

    def _add_window(self, count: int, before: array[int], after: array[int]) -> None:
        self._counts[self._windows] = count
        self._growths[self._windows] = after[measure.HEAP] - before[measure.HEAP]
        self._windows += 1

    def _note_names(self) -> None:
        self._files, self._names = measure.open_files(), measure.thread_names()

    def _enough(self) -> int:
        """Calls before the late windows: fewer for files and threads, which cost more."""
        before, after = self._pair
        if any(after[cell] > before[cell] for cell in (measure.FDS, measure.THREADS)):
            return POOL // 4
        return POOL + POOL // 8  # four doublings of the first rounds reach it

    def _late(self) -> dict[str, Any]:
        """Windows of equal length, after which a slope is a leak."""
        rows = self._rows
        roomy = self._enough() > POOL  # asked first: the single calls are read into the same rows
        hits = self._singles()
        if roomy:
            self._thaw()
            self._read(rows[0])
            while self.calls < judge.enough_calls(hits, SINGLES, POOL) or self._is_cheap():
                if self._flat_window(rows[0], rows[1], thaw=True):
                    return verdicts.result("settled", f"flat after {self.calls // 2} calls")
                rows[0][:] = rows[1]
        for _ in range(2):
            length = max(8, self.calls // WINDOWS)
            self._note_names()
            start = self._snapshot()
            self._read(rows[0])
            used = self._windows_of(length, rows)
            calls = length * (used - 1)
            change = Change(start, self._snapshot(calls, start), calls)
            self._add_window(calls, rows[0], rows[used - 1])
            outcome = verdicts.conclude(
                self._meter,
                rows[:used],
                change,
                list(zip(self._counts, self._growths))[: self._windows],
                hits / SINGLES,
                measure.gained(self._files, measure.open_files()),
                measure.gained(self._names, measure.thread_names()),
            )
            if outcome["status"] != "unclear":
                return outcome
        return verdicts.result("undecided", why=outcome["why"], suspects=outcome["suspects"])

    def _is_cheap(self) -> bool:
        """Whether as many calls again are cheap, and a larger pool may still be filling."""
        return self.calls < ROOMY and 2 * self._spent <= ROOMY_SECONDS

    def _windows_of(self, length: int, rows: list[array[int]]) -> int:
        """Read a row after each window; return the number of rows that were filled."""
        for used, row in enumerate(rows[1 : WINDOWS + 1], 2):
            self._call(length)
            self._read(row)
            if row[measure.HEAP] - rows[0][measure.HEAP] > MOST_BYTES:
                return used
        return WINDOWS + 1

    def _singles(self) -> int:
        """How many of some single calls add anything."""
        before, after = self._rows[:2]
        self._read(before)
        hits = 0
        for _ in range(SINGLES):
            self._call(1)
            self._read(after)
            hits += bool(_grown(before, after))
            before, after = after, before
        return hits

    def open_suspects(self) -> list[dict[str, Any]]:
        """What was still growing when the time was over."""
        if not self._windows:
            return []
        before, after = self._pair
        return [
            verdicts.open_suspect(
                self._meter.name(cell),
                (after[cell] - before[cell]) / self._counts[self._windows - 1],
                cell,
            )
            for cell in _grown(before, after)
        ]

    # -- one step -----------------------------------------------------------------------------

    def _call(self, times: int) -> None:
        subject = self._subject
        start = time.process_time()
        for _ in range(times):
            if time.process_time() > self._limit or time.monotonic() > self._end:
                raise OutOfTime(
                    f"it still grew after {self.calls} calls, when its time was over: a pool may "
                    "still have been filling"
                )
            self._note()
            why = self._screen.repeater.once(subject.item, subject.stand_in)
            self.calls += 1
            if self._frozen:
                # What piles up until a collection makes whatever lists it weakly grow with the
                # length of the round. Only young objects are looked at: that is cheap.
                gc.collect()
            if why:
                raise Unrepeatable(f"call {self.calls}: {why}")
        self._spent += time.process_time() - start

    def _read(self, row: array[int]) -> None:
        self._screen.settle()
        self._meter.read(row)

    def _thaw(self) -> None:
        """Freeze anew what is alive: or each call takes longer, the more objects were lost."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _snapshot(self, born: int = 0, before: Snapshot | None = None) -> Snapshot:
        """Look at who holds what; the collector's old objects are frozen again behind it."""
        self._screen.settle()
        young = gc.get_objects() if born else []
        watched = self._meter.watched + self._screen.constants
        self._note()
        found = Snapshot(watched, young, born, before, self._screen.libraries)
        del young, watched
        gc.freeze()
        self._screen.settle()
        return found


def _grown(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """The cells that grew. Heap that moves by less than the smallest block did not.

    The allocator hands out a remainder that is too small to be a block of its own together with
    the block before it: the same blocks may count up to 16 bytes more or less (malloc.c, MINSIZE).
    """
    grown = [cell for cell, value in enumerate(after) if value > before[cell]]
    small = after[measure.HEAP] - before[measure.HEAP] < judge.SMALLEST_BLOCK
    return grown[1:] if small and grown and grown[0] == measure.HEAP else grown


def _slopes(rows: Sequence[array[int]], counts: Sequence[int]) -> dict[int, int] | None:
    """References that each object gained per call: the same whole number in every round.

    None where a count is not as steady, where descriptors or threads grew, or where the heap grew
    in every round. ``counts`` are the calls before each row.
    """
    slopes: dict[int, int] = {}
    still = False
    for before, after, calls in zip(rows, rows[1:], counts[1:]):
        steps, moved = _steps(before, after, calls)
        if not steps or (slopes and steps != slopes):
            return None
        slopes = steps
        still = still or not moved
    return slopes if still else None


def _steps(before: Sequence[int], after: Sequence[int], calls: int) -> tuple[dict[int, int], bool]:
    """What each cell but the heap gained per call, and whether the heap grew, too.

    Nothing where one of them is no whole number.
    """
    grown = {cell: after[cell] - before[cell] for cell in _grown(before, after)}
    moved = grown.pop(measure.HEAP, 0) > 0
    steps = {cell: growth // calls for cell, growth in grown.items()}
    exact = all(growth == steps[cell] * calls for cell, growth in grown.items())
    return (steps if exact else {}), moved
