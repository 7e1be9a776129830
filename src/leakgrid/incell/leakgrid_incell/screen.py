"""The native screen: repeats each test that passed, and writes what grows with each call."""

from __future__ import annotations

import gc
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from leakgrid_incell import measure, tracing, verdicts
from leakgrid_incell.caches import Caches
from leakgrid_incell.repeat import Repeater, use_same_names
from leakgrid_incell.rounds import OutOfTime, Rounds, Unrepeatable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import pytest

    from leakgrid_incell.journal import Journal
    from leakgrid_incell.native import Requests
    from leakgrid_incell.repeat import Subject
    from leakgrid_incell.standalone import Notes

WORN = 1.5
"""Times as many objects as before the first test: the collector and every look walk all of them."""
MANY_CALLS = 100
BUDGET = 20.0
"""CPU seconds for one test; three times as many of a clock, for tests that wait."""


class Screen:
    """Screens one test after the other in one process."""

    def __init__(
        self,
        plan: dict[str, Any],
        settings: dict[str, Any],
        requests: Requests,
        journal: Journal | Notes,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._requests = requests
        self.repeater = Repeater()
        self.meter = measure.Meter(requests.heap)
        self.wipe = requests.wipe
        self.libraries: Sequence[str] = plan["libraries"]
        self.targets = measure.Targets(self.libraries)
        self._caches: Caches | None = None
        self.worn = False
        self._objects = 0  # alive before the first test
        self.machinery = 0  # calls that warmed up pytest itself in this process
        self.lost: set[int] = set()  # ids of objects to which references are proven to be lost
        self.constants = [None, True, False, (), *range(-5, 257)]

    def prepare(self, config: pytest.Config) -> None:
        """Once per process that runs tests, before the first of them."""
        config.pluginmanager.register(self.repeater, "leakgrid-repeater")
        use_same_names(config)
        tracing.install(self._requests.heap)
        self._caches = Caches()
        self.targets.refresh()
        self._objects = len(gc.get_objects())

    def run(self, batch: int, index: int, subject: Subject) -> bool:
        """Screen one test that has just passed, and write what came out."""
        began = time.perf_counter()
        self._journal.write("screen-begin", batch=batch, test=index)
        rounds = Rounds(self, subject, self._settings.get("budget", BUDGET))
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
        if rounds.calls >= MANY_CALLS:
            self.release()
            self.worn = len(gc.get_objects()) > WORN * self._objects
        return bool(result["status"] != "not-repeatable")

    def settle(self) -> None:
        """Bring the process to rest between rounds: caches, garbage, buffers."""
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        if self._caches is not None:
            self._caches.clear()
        for _ in range(4):  # a finalizer may leave more garbage
            if not gc.collect():
                break

    def release(self) -> None:
        """Let the collector see everything again."""
        gc.unfreeze()
