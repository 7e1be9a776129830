"""The native screen: repeats a test that passed and says what grows with each call.

A test is flat as soon as one round leaves heap, references, files and threads where they were. One
that is not is chased through rounds that double, until it is flat, or what grows is held by
Python's containers, or enough calls have passed that any pool of the agreed size is full.
"""

import gc
import sys
import time
from array import array
from contextlib import suppress

from leakgrid_incell import judge, measure, tracing, verdicts, words
from leakgrid_incell.caches import Caches
from leakgrid_incell.holders import Change, Snapshot
from leakgrid_incell.repeat import Repeater, use_same_names

SHORT = (3, 4, 8)  # calls of the first rounds, each as many as there were before
SCANNED = 8  # calls of a round between two looks at where references live
MOST_SCANNED = 16  # objects to look for
LOOK_AFTER = 24  # calls after which the holders are looked at, to drop the obvious early
SINGLES = 12
WINDOWS = 8
POOL = 200  # entries: a pool of up to so many is full before anything is called a leak
MOST_WINDOWS = 16
SMALLEST_BLOCK = 32  # bytes, of glibc's malloc on 64-bit machines
# CPython 3.8 to 3.10 makes a cache for each code object at its 1,024th run (ceval.c, opcache); from
# 3.11 on, code is specialised after a few. pytest's own code runs once per call.
MACHINERY_CALLS = 1100 if sys.version_info < (3, 11) else 40
MACHINERY_SECONDS = 2.0
MOST_BYTES = 256 * 1024 * 1024


class Unrepeatable(Exception):
    """A repetition did not do what the first run did."""


class OutOfTime(Exception):
    """The budget was used up before the growth could be told apart."""


class Screen:
    """Screens one test after the other in one process."""

    def __init__(self, plan, settings, requests, journal):
        self._settings = settings
        self._journal = journal
        self._repeater = Repeater()
        self._meter = measure.Meter(requests.heap)
        self._targets = measure.Targets(plan["libraries"])
        self._caches = None
        self.machinery = 0  # calls that warmed up pytest itself in this process
        self._constants = [None, True, False, (), *range(-5, 257)]

    def prepare(self, config):
        """Once per process that runs tests, before the first of them."""
        config.pluginmanager.register(self._repeater, "leakgrid-repeater")
        use_same_names(config)
        tracing.install()
        self._caches = Caches()
        self._targets.refresh()

    def run(self, batch, index, item, stand_in, note):
        """Screen one test that has just passed, and write what came out."""
        began = time.perf_counter()
        self._journal.write("screen-begin", batch=batch, test=index)
        rounds = _Rounds(self, item, stand_in, note, self._settings)
        try:
            result = rounds.screen()
        except Unrepeatable as error:
            result = verdicts.result("not-repeatable", why=str(error))
        except OutOfTime as error:
            result = verdicts.result("undecided", why=str(error), suspects=rounds.open_suspects())
        self._journal.write(
            "screened",
            batch=batch,
            test=index,
            calls=rounds.calls,
            seconds=round(time.perf_counter() - began, 6),
            **result,
        )
        return result["status"] != "not-repeatable"

    def settle(self):
        """Bring the process to rest between rounds: caches, garbage, buffers."""
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        self._caches.clear()
        for _ in range(4):  # a finalizer may leave more garbage
            if not gc.collect():
                break

    def release(self):
        """Let the collector see everything again (between modules)."""
        gc.unfreeze()


class _Rounds:
    """The rounds of one test."""

    def __init__(self, screen, item, stand_in, note, settings):
        self._screen, self._item, self._stand_in = screen, item, stand_in
        self._note = note
        self._meter = screen._meter
        self._limit = time.monotonic() + settings.get("budget", 20.0)
        self.calls = 1  # the one for the outcome
        # Calls of each window that doubled, and what the heap grew in it.
        self._counts, self._growths = (array("q", bytes(8 * 2 * MOST_WINDOWS)) for _ in range(2))
        self._windows = 0
        self._pair = ((), ())
        self._rows = ()

    # -- the schedule -------------------------------------------------------------------------

    def screen(self):
        screen, meter = self._screen, self._meter
        limit = time.monotonic() + MACHINERY_SECONDS
        while screen.machinery < MACHINERY_CALLS and time.monotonic() < limit:
            screen.machinery += 1
            self._call(1)
        screen.settle()
        fresh = gc.get_objects()
        screen._targets.refresh([o for o in fresh if isinstance(o, type)])
        del fresh
        meter.watch(measure.all_named(screen._targets, self._item))
        gc.freeze()
        meter.start()
        # Nothing that is made between two readings may stay: it would show in the second one.
        rows = self._rows = meter.table(len(SHORT))
        pairs = list(zip(rows, rows[1:]))
        for number in range(len(SHORT)):
            self._call(SHORT[number])
            self._read(rows[number])
            if number:
                self._pair = pairs[number - 1]
                if not _grown(*self._pair):
                    return verdicts.result("flat")
        return self._lost(rows) or self._chase()

    def _lost(self, rows):
        """The outcome where references were lost, exactly as many at each call, and nothing else.

        No more words hold the object's address then (see :mod:`leakgrid_incell.words`), in each of
        two windows; without that proof, or with anything else that grew, this says nothing.
        """
        slopes = _slopes(rows, SHORT)
        cells = [cell for cell in slopes if cell != measure.TOTAL]
        if not 0 < len(cells) <= MOST_SCANNED or min(cells) < len(measure.FIXED):
            return None
        things = [self._meter.thing(cell) for cell in cells]
        held = self._words(things)
        for _ in range(2):
            self._read(rows[0])
            self._call(SCANNED)
            self._read(rows[1])
            if not held or _slopes(rows[:2], (0, SCANNED)) != slopes:
                return None
            before, held = held, self._words(things)
            gained = [now - then for then, now in zip(before, held)]
            if any(4 * more > slopes[cell] * SCANNED for cell, more in zip(cells, gained)):
                return None
        return verdicts.lost((self._meter.name(cell), slopes[cell]) for cell in cells)

    def _words(self, things):
        self._screen.settle()
        self._note()
        return words.count(things)

    def _chase(self):
        """Rounds that double, until something can be said."""
        rows = self._rows = self._meter.table(MOST_WINDOWS + 2)
        first = rows.pop()
        self._note_names()
        start = began = None
        self._read(rows[0])
        while self.calls < self._enough():
            before, after = rows[self._windows], rows[self._windows + 1]
            if start is None and self.calls >= LOOK_AFTER:
                start, began = self._snapshot(), self.calls
                self._read(before)
                first[:] = before
            if self._flat_window(before, after):
                return verdicts.result("settled", f"flat after {self.calls // 2} calls")
            if start is not None and self.calls == 2 * began:
                change = Change(start, self._snapshot(began, start), began)
                if verdicts.held_by_python(self._meter, first, after, change):
                    return verdicts.result("held", change.holder_text())
                del change
                self._read(after)
        return self._late()

    def _flat_window(self, before, after):
        """As many calls again as there were; whether nothing grew."""
        count = self.calls
        self._call(count)
        self._read(after)
        self._pair = before, after
        self._add_window(count, before, after)
        return not _grown(before, after)

    def _add_window(self, count, before, after):
        self._counts[self._windows] = count
        self._growths[self._windows] = after[measure.HEAP] - before[measure.HEAP]
        self._windows += 1

    def _note_names(self):
        self._files, self._names = measure.open_files(), measure.thread_names()

    def _enough(self):
        """Calls before the late windows: fewer for files and threads, which cost more."""
        before, after = self._pair
        if any(after[cell] > before[cell] for cell in (measure.FDS, measure.THREADS)):
            return POOL // 4
        return POOL + POOL // 4

    def _late(self):
        """Windows of equal length, after which a slope is a leak."""
        rows = self._rows
        hits = self._singles()
        if self._enough() > POOL:
            self._read(rows[0])
            while self.calls < judge.enough_calls(hits, SINGLES, POOL):
                if self._flat_window(*rows[:2]):
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

    def _windows_of(self, length, rows):
        """Read a row after each window; return the number of rows that were filled."""
        for used, row in enumerate(rows[1 : WINDOWS + 1], 2):
            self._call(length)
            self._read(row)
            if row[measure.HEAP] - rows[0][measure.HEAP] > MOST_BYTES:
                return used
        return WINDOWS + 1

    def _singles(self):
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

    def open_suspects(self):
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

    def _call(self, times):
        for _ in range(times):
            if time.monotonic() > self._limit:
                raise OutOfTime(
                    f"it still grew after {self.calls} calls, when its time was over: a pool may "
                    "still have been filling"
                )
            self._note()
            why = self._screen._repeater.once(self._item, self._stand_in)
            self.calls += 1
            if why:
                raise Unrepeatable(f"call {self.calls}: {why}")

    def _read(self, row):
        self._screen.settle()
        self._meter.read(row)

    def _snapshot(self, born=0, before=None):
        """Look at who holds what; the collector's old objects are frozen again behind it."""
        self._screen.settle()
        young = gc.get_objects() if born else []
        watched = self._meter.watched + self._screen._constants
        self._note()
        found = Snapshot(watched, young, born, before)
        del young, watched
        self._screen.settle()
        gc.freeze()
        return found


def _grown(before, after):
    """The cells that grew. Heap that moves by less than the smallest block did not.

    The allocator hands out a remainder that is too small to be a block of its own together with
    the block before it: the same blocks may count up to 16 bytes more or less (malloc.c, MINSIZE).
    """
    grown = [cell for cell, value in enumerate(after) if value > before[cell]]
    small = after[measure.HEAP] - before[measure.HEAP] < SMALLEST_BLOCK
    return grown[1:] if small and grown and grown[0] == measure.HEAP else grown


def _slopes(rows, counts):
    """References that each object gained per call: the same whole number in every round.

    Empty where a count is not as steady, where descriptors or threads grew, or where the heap grew
    in every round. ``counts`` are the calls before each row.
    """
    slopes, still = {}, False
    for before, after, calls in zip(rows, rows[1:], counts[1:]):
        grown = {cell: after[cell] - before[cell] for cell in _grown(before, after)}
        still = grown.pop(measure.HEAP, 0) == 0 or still
        steps = {cell: growth // calls for cell, growth in grown.items()}
        exact = all(growth == steps[cell] * calls for cell, growth in grown.items())
        if not exact or (slopes and steps != slopes):
            return {}
        slopes = steps
    return slopes if still else {}
