"""The screen for any pytest run, outside of the matrix: which tests leak with each call.

    env $(leakgrid plugin) python -m pytest -p leakgrid_incell.standalone --leakgrid

Each test that passed is repeated. One that leaks is reported as a failure behind its pass, with
what it loses per call. ``@pytest.mark.leakgrid_accept(reason="...")`` accepts a known leak.
"""

from __future__ import annotations

import gc
import os
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from leakgrid_incell.native import Requests
from leakgrid_incell.plugin import Outcome
from leakgrid_incell.repeat import Subject, stand_in, tear_down, use_same_examples
from leakgrid_incell.screen import BUDGET, Screen

if TYPE_CHECKING:
    from typing import Any

ENVIRON = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}
TUNABLES = (
    "glibc.malloc.tcache_count=0",
    "glibc.malloc.arena_max=1",
    "glibc.pthread.stack_cache_size=0",
)
MARKER = "leakgrid_accept"
_UNITS = {"refs": "references to", "fds": "descriptors of", "threads": "threads named"}
_JUDGED = ("flat", "settled", "held", "irregular", "leak")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--leakgrid`` and what belongs to it."""
    group = parser.getgroup("leakgrid", "leaks of extension modules")
    group.addoption(
        "--leakgrid",
        action="store_true",
        help="repeat each test that passed and fail those that leak with each call",
    )
    group.addoption(
        "--leakgrid-budget",
        type=float,
        default=BUDGET,
        metavar="SECONDS",
        help="for one test, after which it is not judged (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; with ``--leakgrid``, the screen."""
    config.addinivalue_line(
        "markers", f"{MARKER}(reason): a leak that is known; leakgrid does not fail the test for it"
    )
    if not config.getoption("--leakgrid"):
        return
    if wrong := _wrong_environment():
        raise pytest.UsageError(
            "--leakgrid needs an environment in which memory can be measured, and "
            f"{wrong}. Start it so: env $(leakgrid plugin) python -m pytest "
            "-p leakgrid_incell.standalone --leakgrid"
        )
    if getattr(config.option, "numprocesses", None) or getattr(config.option, "tx", None):
        raise pytest.UsageError("--leakgrid measures one process: leave out xdist's -n")
    if config.pluginmanager.has_plugin("hypothesispytest"):
        use_same_examples()
    config.pluginmanager.register(Standalone(config), "leakgrid-standalone")


def _wrong_environment() -> str:
    """What is not set as it has to be before Python starts; empty where all is."""
    if not sys.platform.startswith("linux"):
        return f"it reads what only Linux tells (this is {sys.platform})"
    wrong = [f"{name} is not {value}" for name, value in ENVIRON.items() if _env(name) != value]
    wrong += [
        f"GLIBC_TUNABLES lacks {item}" for item in TUNABLES if item not in _env("GLIBC_TUNABLES")
    ]
    return ", ".join(wrong)


def _env(name: str) -> str:
    return os.environ.get(name, "")


class Notes:
    """In the place of a journal: keeps what the screen says about the latest test."""

    def __init__(self) -> None:
        self.latest: dict[str, Any] = {}

    def write(self, event: str, **fields: Any) -> None:
        """Take one event."""
        if event == "screened":
            self.latest = fields


class Standalone:
    """Runs the suite in place of pytest's own loop, each test first once, then again and again."""

    def __init__(self, config: pytest.Config) -> None:
        self._notes, self._requests = Notes(), Requests("")
        self._budget = config.getoption("--leakgrid-budget")
        self._outcome: Outcome | None = None
        self._accepted: list[str] = []
        self._open: list[str] = []
        self._counts = {"repeated": 0, "leaking": 0}
        self._blind: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run and repeat everything that was collected."""
        if session.config.option.collectonly:
            return None
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted(f"errors during collection: {session.testsfailed}")
        gc.collect()
        planted, seen = self._requests.try_heap({})
        self._blind = [name for name in planted if name not in seen]
        plan = {"libraries": libraries(), "allocators": {}}
        screen = Screen(plan, {"budget": self._budget}, self._requests, self._notes)
        screen.prepare(session.config)
        items = session.items
        for position, item in enumerate(items):
            following = items[position + 1] if position + 1 < len(items) else None
            self._run(screen, item, following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
        return True

    def _run(self, screen: Screen, item: pytest.Item, following: pytest.Item | None) -> None:
        double = stand_in(item)
        outcome = self._outcome = Outcome()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=double)
        self._outcome = None
        repeatable = True
        if outcome.word == "passed":
            repeatable = screen.run(0, 0, Subject(item, double, lambda: None))
        error = tear_down(item, following if repeatable else None)
        if outcome.word == "passed":
            self._tell(item, self._notes.latest)
        if error:
            _report(item, f"leakgrid: tearing down failed: {error}")
        if following is None or following.path != item.path:
            screen.release()

    def _tell(self, item: pytest.Item, found: dict[str, Any]) -> None:
        """Report a leak, or note why there is no answer."""
        self._counts["repeated"] += 1
        if found["status"] not in _JUDGED:
            self._open.append(f"{item.nodeid}: {found['why']}")
        if found["status"] != "leak":
            return
        self._counts["leaking"] += 1
        marker = item.get_closest_marker(MARKER)
        if marker is None:
            _report(item, text(found))
        elif not str(marker.kwargs.get("reason", "") or "".join(map(str, marker.args[:1]))).strip():
            _report(item, f"{text(found)}\n{MARKER} needs a reason: what is known about it")
        else:
            reason = marker.kwargs.get("reason") or marker.args[0]
            self._accepted.append(f"{item.nodeid}: {'; '.join(lines(found))} ({reason})")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of the test that is running for its outcome."""
        if self._outcome is not None:
            self._outcome.add(report)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """What was accepted and what could not be judged."""
        write = terminalreporter.write_line
        terminalreporter.section("leakgrid")
        write("tests repeated: {repeated}, leaking: {leaking}".format(**self._counts))
        if self._blind:
            write(f"growing memory is not seen: the heap does not show {', '.join(self._blind)}")
        for line in self._accepted:
            write(f"accepted: {line}")
        for line in self._open:
            write(f"not judged: {line.splitlines()[0]}")


def libraries() -> list[str]:
    """The libraries of all extension modules that are loaded and not Python's own."""
    own = os.path.realpath(sysconfig.get_path("platstdlib")) + os.sep + "lib-dynload"
    paths = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    real = {os.path.realpath(path) for path in paths if path.endswith(".so")}
    return sorted(path for path in real if not path.startswith(own))


def lines(found: dict[str, Any]) -> list[str]:
    """One line for each thing that is lost per call."""
    said = []
    for suspect in found["suspects"]:
        name, number = suspect["object"], f"{round(suspect['per_call'], 2):g}"
        size = f"{round(suspect['bytes'], 1):g} bytes"
        if suspect["detector"] != "growth":
            said.append(f"{number} {_UNITS[suspect['detector']]} {name} per call")
        elif suspect["kind"] == "native-memory":
            said.append(f"{size} per call that no Python container holds")
        else:
            said.append(f"{number} {name} per call held by native code, {size}")
    return said


def text(found: dict[str, Any]) -> str:
    """The failure's text."""
    what = "".join(f"\n  {line}" for line in lines(found))
    return f"leakgrid: the test passes, but leaks with each call ({found['calls']} calls):{what}"


def _report(item: pytest.Item, words: str) -> None:
    """A failure of its own behind the test's pass."""
    report = pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=words,
        when="call",
    )
    item.ihook.pytest_runtest_logreport(report=report)
