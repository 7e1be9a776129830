"""Repeats a suspect under memcheck, between leak checks that report only what was added."""

import gc

from leakgrid_incell.caches import Caches
from leakgrid_incell.repeat import Repeater, use_same_names


class Explain:
    """Repeats each test ``warm`` times, then ``calls`` times in each of two windows.

    Each window's check lists every kind of loss record that grew; the XML carries them behind the
    message ``leakgrid phase explain <window>``.
    """

    def __init__(self, settings, requests, journal):
        self._settings = settings
        self._requests = requests
        self._journal = journal
        self._repeater = Repeater()
        self._caches = None

    def prepare(self, config):
        """Once per process that runs tests, before the first of them."""
        config.pluginmanager.register(self._repeater, "leakgrid-repeater")
        use_same_names(config)
        self._caches = Caches()

    def run(self, batch, index, item, stand_in, note):
        """Explain one test that has just passed; return whether it could be repeated."""
        requests, calls = self._requests, self._settings["calls"]
        why = self._call(self._settings["warm"], item, stand_in, note)
        self._settle()
        requests.leak_base()
        for window in ("1", "2"):
            if why:
                break
            requests.message("test-begin", item.nodeid)
            requests.message("phase", "explain", window)
            why = self._call(calls, item, stand_in, note)
            self._settle()
            # Only here: checks at other times would list everything that was ever imported.
            requests.option("--show-leak-kinds=all")
            requests.added_leak_check()
            requests.option("--show-leak-kinds=definite,indirect")
            requests.message("phase", "tests", "0")
            requests.message("test-end", item.nodeid, "errors=0")
        self._journal.write("explained", batch=batch, test=index, calls=calls, why=why[-600:])
        return not why

    def release(self):
        """Let the collector see everything again (between modules)."""
        gc.unfreeze()

    def _call(self, times, item, stand_in, note):
        for _ in range(times):
            note()
            why = self._repeater.once(item, stand_in)
            if why:
                return why
        return ""

    def _settle(self):
        self._caches.clear()
        for _ in range(4):
            if not gc.collect():
                break
