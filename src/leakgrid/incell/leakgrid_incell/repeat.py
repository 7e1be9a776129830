"""Repeats one test through pytest's own protocol, its fixtures set up and torn down each time.

Every plugin's wrappers run for each repetition, but no report reaches the reporters. Fixtures of a
wider scope stay alive: pytest tears down what the next test does not need, so a repetition is told
that a stand-in of the same test comes next (the test itself would count as still set up).
"""

from __future__ import annotations

import copy
import sys
from itertools import count
from typing import TYPE_CHECKING

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any


class Repeater:
    """A pytest plugin: while it repeats, it runs the protocol itself and keeps the reports."""

    def __init__(self) -> None:
        self._item: pytest.Item | None = None
        self.reports: Sequence[pytest.TestReport] = ()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run the phases of the test that is being repeated; leave all others to pytest."""
        if self._item is not item:
            return None
        self.reports = runtestprotocol(item, log=False, nextitem=nextitem)
        return True

    def once(self, item: pytest.Item, stand_in: pytest.Item) -> str:
        """One repetition. Return what was different from a pass, or an empty string."""
        piles = _Piles(item)
        _same_temporary_names()
        self._item, self.reports = item, ()
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=stand_in)
            return _difference(self.reports)
        except (Exception, pytest.exit.Exception) as error:  # a plugin's fault
            return f"pytest failed: {error!r}"
        finally:
            self._item, self.reports = None, ()
            piles.clear()


class Subject:
    """A test that is repeated: ``note`` tells the watcher that it is still alive."""

    __slots__ = ("item", "note", "stand_in")

    def __init__(self, item: pytest.Item, stand_in: pytest.Item, note: Callable[[], None]) -> None:
        self.item, self.stand_in, self.note = item, stand_in, note


def stand_in(item: pytest.Item) -> pytest.Item:
    """Another object in the same place, so that everything but the test itself stays set up."""
    return copy.copy(item)


def tear_down(item: pytest.Item, following: pytest.Item | None) -> str:
    """Tear down what ``following`` (None: nothing more comes) does not need; return the error."""
    try:
        item.session._setupstate.teardown_exact(following)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return repr(error)
    return ""


def use_same_names(config: pytest.Config) -> None:
    """Let ``tmp_path`` take the same name in every repetition (pytest 7.3 and later).

    Kept directories get new numbers; on CPython 3.12 each new name is interned for ever when a
    path is split.
    """
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if hasattr(factory, "_retention_policy"):
        factory._retention_policy = "failed"


def _same_temporary_names() -> None:
    """Let :mod:`tempfile` begin with the same names in every repetition.

    A new name is a new string wherever names are kept for ever: CPython 3.12 interns the parts of a
    path, ``sys.path_importer_cache`` keeps folders. A name that exists is passed over, as always.
    """
    tempfile: Any = sys.modules.get("tempfile")
    if hasattr(tempfile, "_name_sequence"):
        tempfile._name_sequence = map("leakgrid{:05}".format, count())


def use_same_examples() -> None:
    """Give hypothesis the same examples in every repetition, and no database that grows."""
    try:
        from hypothesis import settings
    except ImportError:
        return
    settings.register_profile(
        "leakgrid", parent=settings.default, derandomize=True, database=None, deadline=None
    )
    settings.load_profile("leakgrid")


def _difference(reports: Sequence[pytest.TestReport]) -> str:
    if not reports:
        return "another plugin ran it instead"
    for report in reports:
        if report.failed:
            return f"{report.when}: {report.longreprtext}"
        if report.skipped:
            return f"{report.when}: skipped"
    return ""


class _Piles:
    """What pytest itself piles up for each run of a test, and the way back."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._lengths = [
            (pile, len(pile))
            for pile in (getattr(item, "_report_sections", None), item.user_properties)
            if isinstance(pile, list)
        ]
        reporter = item.config.pluginmanager.getplugin("terminalreporter")
        self._stats = getattr(reporter, "stats", {})
        for pile in list(self._stats.values()):
            self._lengths.append((pile, len(pile)))
        self._known = set(self._stats)
        for name in ("pytest_warning_recorded", "pytest_warning_captured"):
            history = getattr(getattr(item.config.hook, name, None), "_call_history", None)
            if isinstance(history, list):  # a historic hook keeps every call for later plugins
                self._lengths.append((history, len(history)))
        self._fixtures = [
            (fixture, fixture.cached_result, len(fixture._finalizers))
            for fixture in _fixtures(item)
            if getattr(fixture, "cached_result", None) is not None
        ]
        self._object = item.__dict__.get("_obj")
        # pytest 9.1 and later remember the next number of each temporary directory's name.
        self._numbers = getattr(
            getattr(item.config, "_tmp_path_factory", None), "_next_number", None
        )
        self._next = dict(self._numbers) if isinstance(self._numbers, dict) else {}

    def clear(self) -> None:
        for pile, length in self._lengths:
            del pile[length:]
        for name in set(self._stats) - self._known:
            self._stats.pop(name, None)
        if isinstance(self._numbers, dict):
            self._numbers.clear()
            self._numbers.update(self._next)
        # One finalizer per dependent fixture and test stays on a wider fixture until its own end;
        # those of finished repetitions have nothing left to do.
        for fixture, result, length in self._fixtures:
            if fixture.cached_result is result:
                del fixture._finalizers[length:]
        self._forget_instance()

    def _forget_instance(self) -> None:
        """Each run of a method gets an instance of its own; pytest 8.2 and later keep it."""
        names = self._item.__dict__
        if isinstance(getattr(self._item, "parent", None), pytest.Class):
            names.pop("_instance", None)
            if "_obj" in names:
                names["_obj"] = None
        elif self._object is not None:  # a plugin may have wrapped it once more
            names["_obj"] = self._object


def _fixtures(item: pytest.Item) -> Iterator[Any]:
    info = getattr(item, "_fixtureinfo", None)
    for fixtures in getattr(info, "name2fixturedefs", {}).values():
        for fixture in fixtures:
            if isinstance(getattr(fixture, "_finalizers", None), list):
                yield fixture
