"""Repeats a suspect under memcheck, between leak checks that report only what was added."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from leakgrid_incell.caches import Caches
from leakgrid_incell.repeat import Repeater, use_same_names

if TYPE_CHECKING:
    from typing import Any

    import pytest

    from leakgrid_incell.journal import Journal
    from leakgrid_incell.native import Requests
    from leakgrid_incell.repeat import Subject


class Explain:
    """Repeats each test ``warm`` times, then ``calls`` times in each of two windows.

    Each window's check lists every kind of loss record that grew; the XML carries them behind the
    message ``leakgrid phase explain <window>``.
    """

    worn = False  # a suspect or two per process

    def __init__(self, settings: dict[str, Any], requests: Requests, journal: Journal) -> None:
        self._settings = settings
        self._requests = requests
        self._journal = journal
        self._repeater = Repeater()
        self._caches: Caches | None = None

    def prepare(self, config: pytest.Config) -> None:
        """Once per process that runs tests, before the first of them."""
        config.pluginmanager.register(self._repeater, "leakgrid-repeater")
        use_same_names(config)
        self._caches = Caches()

    def run(self, batch: int, index: int, subject: Subject) -> bool:
        """Explain one test that has just passed; return whether it could be repeated."""
        requests, calls = self._requests, self._settings["calls"]
        why = self._call(self._settings["warm"], subject)
        self._settle()
        requests.leak_base()
        for window in ("1", "2"):
            if why:
                break
            requests.message("test-begin", subject.item.nodeid)
            requests.message("phase", "explain", window)
            why = self._call(calls, subject)
            self._settle()
            # Only here: checks at other times would list everything that was ever imported.
            requests.option("--show-leak-kinds=all")
            requests.added_leak_check()
            requests.option("--show-leak-kinds=definite,indirect")
            requests.message("phase", "tests", "0")
            requests.message("test-end", subject.item.nodeid, "errors=0")
        self._journal.write("explained", batch=batch, test=index, calls=calls, why=why[-600:])
        return not why

    def release(self) -> None:
        """Let the collector see everything again (between modules)."""
        gc.unfreeze()

    def _call(self, times: int, subject: Subject) -> str:
        for _ in range(times):
            subject.note()
            why = self._repeater.once(subject.item, subject.stand_in)
            if why:
                return why
        return ""

    def _settle(self) -> None:
        if self._caches is not None:
            self._caches.clear()
        for _ in range(4):
            if not gc.collect():
                break
