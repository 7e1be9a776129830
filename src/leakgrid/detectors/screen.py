"""The native screen: the suite once more, each passed test repeated, and what grew with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from leakgrid.detectors import fds, growth, refs, sharding, threads
from leakgrid.detectors.growth import Explained
from leakgrid.detectors.journal import Journal
from leakgrid.detectors.memcheck import SLOWDOWN, START, Settings
from leakgrid.detectors.process_report import read_process
from leakgrid.detectors.suite import Cellular, Mode, run_suite
from leakgrid.detectors.suspects import JUDGED, LEAK, NOT_REPEATABLE, Screened, Suspect
from leakgrid.detectors.valgrind import command
from leakgrid.detectors.xml_records import read_file
from leakgrid.finding import Finding

ENVIRON = {
    "PYTHONMALLOC": "malloc",
    "PYTHONHASHSEED": "0",
    # One arena, no cache per thread that would count what was freed as in use (malloc(3)), and no
    # stacks kept for the next thread, each with a table and the variables of the last one (the
    # GNU C library's manual, POSIX Thread Tunables; since 2.34).
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.tcache_count=0",
            "glibc.malloc.arena_max=1",
            "glibc.pthread.stack_cache_size=0",
        )
    ),
}
"""What makes the heap's size repeatable: every object has a block of its own in one heap."""
DETECTORS: Mapping[str, Callable[[Iterable[Suspect]], tuple[Finding, ...]]] = {
    "growth": growth.findings,
    "refs": refs.findings,
    "fds": fds.findings,
    "threads": threads.findings,
}
CENSUS = "census"
BUDGET = 20.0
"""CPU seconds for one suspect before it is given up as not judged (three times as long waiting)."""
COLLECT_LIMIT = 180.0
BATCHES = 2
WARM_CALLS, EXPLAIN_CALLS = 6, 12


@dataclass(frozen=True, slots=True)
class ScreenReport:
    """What the screen saw. ``tests`` are all that were screened, in order.

    ``census`` maps the extension's objects to references after import that nothing visible holds.
    ``blind`` names the ways to allocate (``malloc``, ``object``, ``rust``) whose memory the heap's
    size does not show: growth of it is not judged, what the other detectors say still holds.
    """

    tests: Mapping[str, Screened]
    census: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    faults: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """What kept its slope."""
        return tuple(s for t in self.tests.values() if t.status == LEAK for s in t.suspects)

    @property
    def doubtful(self) -> tuple[Suspect, ...]:
        """What CPython itself may have kept, and what only a stack can tell."""
        return tuple(s for test in self.tests.values() for s in test.suspects if s.doubtful)

    @property
    def repeatable(self) -> dict[str, bool]:
        """For each screened test whether it could be repeated."""
        return {name: test.status != NOT_REPEATABLE for name, test in self.tests.items()}

    def dropped_but(self, found_in: Collection[str] = ()) -> tuple[Mapping[str, str], ...]:
        """Growth that is none of the extension's: the test and why, for ``CellResult.dropped``.

        ``found_in`` are tests of which memcheck showed that the extension's memory grew, too.
        """
        return tuple(
            {"what": f"growth in {test.test}", "why": test.why}
            for test in self.tests.values()
            if test.status in JUDGED and test.status not in ("flat", LEAK)
            if test.test not in found_in
        )

    @property
    def not_judged(self) -> tuple[Mapping[str, str], ...]:
        """Tests about which the screen cannot say anything, and why."""
        return tuple(
            {"what": test.test, "why": test.why}
            for test in self.tests.values()
            if test.status not in JUDGED
        )

    @property
    def blindness(self) -> tuple[str, ...]:
        """Why growth is not judged, in sentences; empty where all memory is seen."""
        if "malloc" in self.blind:
            return ("the C library does not tell its heap's size, so growing memory is not seen",)
        words = {"object": "that Python allocates", "rust": "of the extension's own allocator"}
        return tuple(
            f"memory {words[name]} does not show in the heap's size, so its growth is not seen"
            for name in self.blind
        )

    def findings(self, detectors: Iterable[str] = tuple(DETECTORS)) -> tuple[Finding, ...]:
        """The native findings, without stacks: one per leak, with all its tests."""
        suspects = self.suspects
        return tuple(item for name in detectors for item in DETECTORS[name](suspects))


def run(
    cell: Cellular,
    tests: Sequence[str],
    seconds: Mapping[str, float],
    *,
    ignore: Sequence[str] = (),
    budget: float = BUDGET,
    detectors: Iterable[str] = (*DETECTORS, CENSUS),
) -> ScreenReport:
    """Screen ``tests`` that pass natively (``seconds``: how long each took)."""
    mode = Mode(
        name="screen",
        limit=cell.test_limit,
        collect_limit=COLLECT_LIMIT,
        environ=ENVIRON | _preloaded(cell),
        screen={"budget": budget, "detectors": list(detectors)},
    )
    # How long a test takes natively does not say how long to judge it: several batches per job
    # keep all jobs busy.
    batches = sharding.split(tests, seconds, cell.jobs * BATCHES)
    suite = run_suite(cell, mode, batches, ignore=ignore)
    return report(suite.journal, tests, suite.seconds, suite.cpu_seconds)


def _preloaded(cell: Cellular) -> dict[str, str]:
    """The meter in front of what the target itself preloads (ld.so(8), LD_PRELOAD)."""
    libraries = [cell.meter, cell.environ.get("LD_PRELOAD", "")]
    return {"LD_PRELOAD": ":".join(filter(None, libraries))} if cell.meter else {}


def report(
    journal: Journal, tests: Sequence[str], seconds: float = 0.0, cpu_seconds: float = 0.0
) -> ScreenReport:
    """The report of a journal; a test without an entry was not screened and is not judged."""
    screened = {}
    for test in tests:
        event = journal.screened.get(test)
        if event is None:
            outcome = journal.tests.get(test)
            why = f"{outcome.outcome}: {outcome.why}" if outcome else "it was not reached"
            event = {"status": NOT_REPEATABLE, "why": f"in the screen, {why}"}
        screened[test] = Screened.from_event(test, event)
    return ScreenReport(
        screened,
        journal.census,
        seconds,
        cpu_seconds,
        tuple(journal.faults),
        tuple(sorted(journal.heap_planted - journal.heap_seen)),
    )


def explain(
    cell: Cellular,
    settings: Settings,
    tests: Sequence[str],
    seconds: Mapping[str, float],
    *,
    ignore: Sequence[str] = (),
) -> dict[str, tuple[Explained, ...]]:
    """Repeat suspects under memcheck, one process each, and read what grew with stacks.

    A test that could not be repeated there has no entry.
    """
    xml = cell.scratch / "growth-xml"
    shutil.rmtree(xml, ignore_errors=True)
    xml.mkdir(parents=True)
    prefix = command(
        settings.valgrind, xml, undefined=False, stacks=True, suppressions=settings.suppressions
    )
    mode = Mode(
        name="growth",
        prefix=prefix,
        memcheck=True,
        limit=START,
        collect_limit=START,
        limits={test: cell.test_limit + SLOWDOWN * taken for test, taken in seconds.items()},
        environ={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "DEBUGINFOD_URLS": ""},
        explain={"warm": WARM_CALLS, "calls": EXPLAIN_CALLS},
    )
    suite = run_suite(cell, mode, [[test] for test in tests], ignore=ignore)
    found: dict[str, tuple[Explained, ...]] = {}
    for path in sorted(xml.glob("mc.*.xml")):
        process = read_process(read_file(path), settings.origins)
        for test in process.tests:
            event = suite.journal.explained.get(test)
            if event is not None and not event["why"]:
                found[test] = growth.explained(test, process.added, int(event["calls"]))
    return found
