"""The pytest plugin of a cell: collects once, runs the planned batches, writes the journal.

Loaded with ``-p leakgrid_incell.plugin``; does nothing unless ``LEAKGRID_PLAN`` names a plan.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from leakgrid_incell import census
from leakgrid_incell.explain import Explain
from leakgrid_incell.journal import Journal
from leakgrid_incell.native import Requests, load_addresses, thread_count
from leakgrid_incell.repeat import Subject, stand_in, tear_down, use_same_examples
from leakgrid_incell.screen import Screen
from leakgrid_incell.workers import Batch, Workers, die_with_parent

if TYPE_CHECKING:
    from typing import Any

    from leakgrid_incell.workers import Slots

_REASON_LENGTH = 600
_ONE_PROCESS: dict[str, Any] = {"numprocesses": None, "maxprocesses": None, "dist": "no", "tx": []}


class Conductor:
    """One run of pytest in a cell: what the plan asks for, in order."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.journal = Journal(plan["journal"])
        self.requests = Requests(plan["library"])
        self.items: list[pytest.Item] = []
        self.collection_errors: list[str] = []
        self.outcome: Outcome | None = None
        self.screen: Screen | Explain | None = None
        if plan.get("screen") is not None:
            self.screen = Screen(plan, plan["screen"], self.requests, self.journal)
        elif plan.get("explain") is not None:
            self.screen = Explain(plan["explain"], self.requests, self.journal)

    # -- collecting ---------------------------------------------------------------------------

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Note what is being imported, in case that ends the interpreter."""
        self.journal.write("collecting", path=getattr(collector, "nodeid", ""))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if report.failed:
            self.collection_errors.append(report.nodeid)
            self.journal.write(
                "collection-error", path=report.nodeid, why=_short(report.longreprtext)
            )

    # -- running ------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the plan's batches in place of pytest's own loop."""
        self.items = list(session.items)
        threads = thread_count()
        self.journal.write(
            "collected",
            tests=[item.nodeid for item in self.items],
            threads=threads,
            allocator=os.environ.get("PYTHONMALLOC", ""),
            fork=self.plan["fork"],
            pid=os.getpid(),
        )
        gc.collect()
        if "census" in (self.plan.get("screen") or {}).get("detectors", ()):
            self.journal.write("census", objects=census.take(self.plan["libraries"]))
        if self.plan.get("screen") is not None:
            planted, seen = self.requests.try_heap(self.plan["allocators"])
            self.journal.write("heap-canary", planted=planted, seen=seen)
        if self.plan["memcheck"]:
            self.requests.message("phase", "import")
            self.requests.added_leak_check()
        if self.plan["fork"] and threads > 1:
            self.journal.write("threads", count=threads)
        elif self.plan["fork"]:
            Workers(self.plan, self.journal, self.run_batch, self.limit_of).run(self.batches())
        else:
            for batch in self.batches()[:1]:
                self.run_batch(batch, None)
        self.journal.write("done")
        _leave(0)
        return True

    def batches(self) -> list[Batch]:
        """The plan's batches as indices; a plan without any means everything in one batch."""
        excluded = set(self.plan["exclude"])
        if self.plan["batches"] is None:
            wanted = [i for i, item in enumerate(self.items) if item.nodeid not in excluded]
            return [Batch(0, wanted)]
        by_name: dict[str, list[int]] = {}
        for index, item in enumerate(self.items):
            by_name.setdefault(item.nodeid, []).append(index)
        batches = []
        for number, names in enumerate(self.plan["batches"]):
            indices = [i for name in names if name not in excluded for i in by_name.get(name, ())]
            batches.append(Batch(number, indices))
        return batches

    def limit_of(self, index: int) -> float:
        """Seconds that a test may take; set-up before the first one counts as a test."""
        name = self.items[index].nodeid if index >= 0 else ""
        return float(self.plan["limits"].get(name, self.plan["limit"]))

    def run_batch(self, batch: Batch, slots: Slots | None) -> int:
        """Run one batch in this process and say at its end what the process holds.

        Return how many tests were left to another process, which is younger than this one.
        """
        self.journal.write("batch", batch=batch.number, pid=os.getpid())
        # CPython gives up its locks in a forked child (PyOS_AfterFork_Child) and their memory is
        # lost: that is the fork's, not the tests', so counting begins behind it.
        self.requests.message("phase", "fork")
        if self.plan["memcheck"]:
            gc.freeze()  # else each collection walks all that was imported, slow under Valgrind
            self.requests.leak_base()
        self.requests.message("phase", "tests", "0")
        items = [self.items[index] for index in batch.indices]
        if self.screen is not None and items:
            self.screen.prepare(items[0].config)
        for position, item in enumerate(items):
            following = items[position + 1] if position + 1 < len(items) else None
            if slots is not None:
                slots.note(batch.number, batch.indices[position])
            if self.screen is None:
                self.run_item(batch, batch.indices[position], item, following)
            else:
                self.screen_item(
                    self.screen, batch, batch.indices[position], item, following, slots
                )
            every = self.plan["leak_checks"]
            if every > 1 and (position + 1) % every == 0:
                self.leak_check()
                self.requests.message("phase", "tests", str((position + 1) // every))
            if slots is not None and self.is_worn():
                break
        if slots is not None:
            slots.note(batch.number, -1)
        self.finish_batch(batch)
        return len(items) - position - 1 if items else 0

    def is_worn(self) -> bool:
        """Whether what earlier tests lost makes each further repetition dear."""
        return self.screen is not None and self.screen.worn

    def run_item(
        self, batch: Batch, index: int, item: pytest.Item, following: pytest.Item | None
    ) -> Outcome:
        """Run one test once, and write how it ended."""
        requests = self.requests
        outcome = self.outcome = Outcome()
        self.journal.write("begin", batch=batch.number, test=index)
        requests.message("test-begin", item.nodeid)
        errors, began = requests.errors(), time.perf_counter()
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except (Exception, pytest.exit.Exception) as error:  # a plugin's fault, not the suite's end
            outcome.fail("error", repr(error))
        seconds, errors = time.perf_counter() - began, requests.errors() - errors
        if self.plan["leak_checks"] == 1:
            self.leak_check()
        requests.message("test-end", item.nodeid, f"errors={errors}")
        self.journal.write(
            "end",
            batch=batch.number,
            test=index,
            outcome=outcome.word,
            seconds=round(seconds, 6),
            errors=errors,
            why=outcome.why,
        )
        return outcome

    def screen_item(
        self,
        screen: Screen | Explain,
        batch: Batch,
        index: int,
        item: pytest.Item,
        following: pytest.Item | None,
        slots: Slots | None,
    ) -> None:
        """Run one test for its outcome, repeat it, then tear down what the next has no use for."""
        double = stand_in(item)
        outcome = self.run_item(batch, index, item, double)
        repeatable = True
        if outcome.word == "passed":
            self.outcome = None  # what repetitions report is not the test's outcome

            def note() -> None:
                if slots is not None:
                    slots.note(batch.number, index)

            repeatable = screen.run(batch.number, index, Subject(item, double, note))
        # What a failed repetition may have spoilt is set up afresh for the next test.
        last = not repeatable or (slots is not None and self.is_worn())
        why = tear_down(item, None if last else following)
        if why:
            self.journal.write("teardown-error", batch=batch.number, test=index, why=_short(why))
        if following is None or following.path != item.path:
            screen.release()

    def leak_check(self) -> None:
        """Report what was lost since the last check."""
        _forget_last_exception()
        gc.collect()
        self.requests.added_leak_check()

    def finish_batch(self, batch: Batch) -> None:
        """Look at what the process holds behind its last test, and plant the canaries."""
        _forget_last_exception()
        for _ in range(3):  # a cycle's finalizer may free another cycle
            gc.collect()
        libraries = self.plan["libraries"]
        mapped = load_addresses() if sys.platform.startswith("linux") else {}
        loaded = [path for path in libraries if os.path.realpath(path) in mapped]
        totals: dict[str, dict[str, int]] = {}
        planted: list[str] = []
        seen: list[str] = []
        if self.plan["memcheck"]:
            self.requests.message("phase", "final")
            self.requests.added_leak_check()
            totals = self.requests.totals()
            self.requests.message("phase", "canary")
            planted, seen = self.requests.plant(self.plan["allocators"])
            self.requests.message("phase", "exit")
        self.journal.write(
            "batch-end",
            batch=batch.number,
            pid=os.getpid(),
            loaded=loaded,
            planted=planted,
            seen=seen,
            totals=totals,
            threads=thread_count(),
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of the test that is running."""
        if self.outcome is not None:
            self.outcome.add(report)


class Outcome:
    """One word for a test from the reports of its phases."""

    def __init__(self) -> None:
        self.word = "passed"
        self.why = ""

    def add(self, report: pytest.TestReport) -> None:
        """Take in one phase."""
        if report.failed:
            self.fail("failed" if report.when == "call" else "error", report.longreprtext)
        elif report.skipped and self.word == "passed":
            self.word = "xfailed" if hasattr(report, "wasxfail") else "skipped"

    def fail(self, word: str, why: str) -> None:
        """Note a failure; the first one stays."""
        if self.word not in ("failed", "error"):
            self.word, self.why = word, _short(why)


def _short(text: str) -> str:
    """The end of a failure's text, where pytest puts the error itself."""
    text = text.strip()
    return text if len(text) <= _REASON_LENGTH else "..." + text[-_REASON_LENGTH:]


def _forget_last_exception() -> None:
    """A failed test's traceback keeps its frames, and they keep objects, until the next one."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


def _leave(code: int) -> None:
    """End without finalizing the interpreter, see Workers._fork."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A suite's own options may start xdist's workers, which nothing here would measure."""
    if os.environ.get("LEAKGRID_PLAN"):
        for option, value in _ONE_PROCESS.items():
            if hasattr(config.option, option):
                setattr(config.option, option, value)


def pytest_configure(config: pytest.Config) -> None:
    """Put the conductor in charge where a plan is named."""
    path = os.environ.get("LEAKGRID_PLAN")
    if path and not config.pluginmanager.has_plugin("leakgrid-conductor"):
        with open(path, encoding="utf-8") as stream:
            plan = json.load(stream)
        die_with_parent(plan.get("parent"))
        repeats = plan.get("screen") is not None or plan.get("explain") is not None
        if repeats and config.pluginmanager.has_plugin("hypothesispytest"):
            use_same_examples()
        config.pluginmanager.register(Conductor(plan), "leakgrid-conductor")
