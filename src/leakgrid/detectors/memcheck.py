"""The memcheck detector: the whole suite under Valgrind once, suspects a second time."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from leakgrid.detectors import descriptors, findings, sharding, valgrind
from leakgrid.detectors.journal import Journal, TestEvent
from leakgrid.detectors.process_report import MemoryFault, ProcessReport, read_process
from leakgrid.detectors.suite import Cellular, Mode, SuiteRun, run_suite
from leakgrid.detectors.xml_records import read_file
from leakgrid.errors import Crashed, DataError, TimedOut
from leakgrid.finding import Finding
from leakgrid.signature import Origins

BATCHES_PER_JOB = 4
"""More batches than processes: they level out, and a suspect's second run repeats less."""
GROUP = 48
"""Tests between two leak checks of a first run: a check costs up to 0.4 s, and what it finds is
narrowed down to one test by the second run, which repeats only these groups."""
MOST_ERRING = 40
"""Tests of one process that a second run looks at alone because of memory errors."""
FOREIGN_EXAMPLES = 2
SLOWDOWN = 150.0
"""Times native that a test may take under Valgrind before it counts as hung (seen: 20 to 80)."""
START = 300.0
"""Seconds under Valgrind without any event before a suite that still imports counts as hung."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What Valgrind is asked. ``suppressions`` are files that exist."""

    valgrind: str
    origins: Origins
    undefined: bool = True
    suppressions: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class MemcheckReport:
    """What one run under Valgrind showed.

    ``lost_in`` maps each signature of a lost block, directly or only through another, to the tests
    after which it was lost. ``tests`` are outcomes under Valgrind. ``suspects`` are the groups of
    tests that a second run has to repeat. ``canary`` counts the planted leaks that were seen, by
    how they were allocated; ``blind`` names those that some process did not see. ``loaded`` are the
    extension's libraries that the tests loaded, ``foreign`` memory errors of CPython's own.
    ``totals`` are bytes and blocks per leak kind of the largest process.
    """

    findings: tuple[Finding, ...]
    lost_in: Mapping[str, tuple[str, ...]]
    tests: Mapping[str, TestEvent]
    suspects: tuple[tuple[str, ...], ...]
    blind: tuple[str, ...]
    canary: Mapping[str, int]
    loaded: frozenset[str]
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    suppressed: Mapping[str, int] = field(default_factory=dict)
    foreign: tuple[MemoryFault, ...] = ()
    faults: tuple[str, ...] = ()


def plan_batches(tests: Sequence[str], seconds: Mapping[str, float], jobs: int) -> list[list[str]]:
    """The batches of a first run."""
    return sharding.split(tests, seconds, jobs * BATCHES_PER_JOB)


def run(
    cell: Cellular,
    settings: Settings,
    batches: Sequence[Sequence[str]],
    seconds: Mapping[str, float],
    *,
    ignore: Sequence[str] = (),
    second: bool = False,
) -> MemcheckReport:
    """Run ``batches`` of tests that pass natively (``seconds``: how long each took).

    The first run only finds out which groups of tests lose blocks, and which tests have memory
    errors; its findings have no names. The ``second`` one, of those suspects, keeps every stack and
    checks for leaks after every test. Raises Crashed, TimedOut when the suite cannot even be
    collected under Valgrind, DataError when Valgrind's output is not what it should be.
    """
    name = "explain" if second else "memcheck"
    xml = cell.scratch / f"{name}-xml"
    shutil.rmtree(xml, ignore_errors=True)
    xml.mkdir(parents=True)
    mode = Mode(
        name=name,
        prefix=valgrind.command(
            settings.valgrind,
            xml,
            undefined=settings.undefined,
            stacks=second,
            suppressions=settings.suppressions,
        ),
        memcheck=True,
        leak_checks=1 if second else GROUP,
        limit=START,
        collect_limit=START,
        limits={test: cell.test_limit + SLOWDOWN * taken for test, taken in seconds.items()},
        environ={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "DEBUGINFOD_URLS": ""},
    )
    suite = run_suite(cell, mode, batches, ignore=ignore)
    _require_collected(suite)
    reports = _read(xml, suite, settings.origins)
    return _report(suite.journal, reports, seconds)


def _require_collected(suite: SuiteRun) -> None:
    if suite.journal.collected is not None:
        return
    where = f" while importing {suite.journal.collecting}" if suite.journal.collecting else ""
    keep = f"Its output is in {suite.log}."
    if suite.stopped == "hung":
        raise TimedOut(f"the suite hung under Valgrind{where}", next=keep)
    raise Crashed(
        f"Python ended under Valgrind{where}",
        why=suite.said[-600:],
        next=f"It collects natively, so this is Valgrind's or the program's own doing. {keep}",
    )


def _read(xml: Path, suite: SuiteRun, origins: Origins) -> dict[int, ProcessReport]:
    """Every process's report by its number; a process that was lost may have broken off."""
    log = descriptors.parse_log(suite.stderr.splitlines())
    reports = {}
    for path in sorted(xml.glob("mc.*.xml")):
        report = read_process(read_file(path), origins, log.get(int(path.name.split(".")[1]), ()))
        if report.pid:
            reports[report.pid] = report
    if not reports:
        raise DataError(
            "Valgrind left no XML",
            why=suite.said[-600:],
            next="Run `valgrind --tool=memcheck true` to see whether it works on this machine.",
        )
    return reports


def _report(
    journal: Journal, reports: Mapping[int, ProcessReport], seconds: Mapping[str, float]
) -> MemcheckReport:
    ends = {end.pid: end for end in journal.ends}
    zygotes = [reports[pid] for pid in journal.zygotes if pid in reports]
    # A suite in fresh processes has as many "zygotes" as batches: each is its own worker.
    workers = [reports[pid] for pid in ends if pid in reports]
    lost = [replace(reports[pid], added=()) for pid in journal.lost_pids if pid in reports]
    single = zygotes[0] if zygotes and zygotes[0].pid not in ends else ProcessReport()
    found = findings.merge(single, [*workers, *lost])
    ids = {name for finding in found for name in (finding.id, *finding.related)}
    blind = []
    canary: dict[str, int] = {}
    for pid, end in ends.items():
        told = pid in reports and bool(reports[pid].canaries)  # not only counted, but in the XML
        for planted in end.planted:
            hit = told and planted in end.seen
            canary[planted] = canary.get(planted, 0) + hit
            if not hit:
                blind.append(planted)
    return MemcheckReport(
        findings=found,
        lost_in=findings.lost_in([single, *workers]),
        tests={**journal.tests},
        suspects=(*_suspects(workers, ids, seconds), *_deadly(lost)),
        foreign=findings.foreign([single, *workers]),
        blind=tuple(sorted(set(blind))),
        canary=canary,
        loaded=frozenset(path for end in ends.values() for path in end.loaded),
        totals=_totals([end.totals for end in ends.values()]),
        suppressed=findings.merge_suppressed(single, workers),
        faults=tuple(journal.faults),
    )


def _suspects(
    workers: Sequence[ProcessReport], ids: Collection[str], seconds: Mapping[str, float]
) -> tuple[tuple[str, ...], ...]:
    """What a second run must repeat: groups that lost blocks, single tests that had errors."""
    chosen: dict[tuple[str, ...], None] = {}
    covered: set[str] = set()
    for report in workers:
        for item in report.added:
            if item.leak.id in ids and item.phase != findings.IMPORT and report.tests:
                chosen[_group(report.tests, item.phase)] = None
    for group in chosen:
        covered |= set(group)
    for report in workers:
        chosen |= dict.fromkeys((test,) for test in _erring(report, seconds) if test not in covered)
    return tuple(chosen)


def _deadly(lost: Sequence[ProcessReport]) -> tuple[tuple[str, ...], ...]:
    """Tests in which a process died after a memory error, which tells most about why it died."""
    return tuple(
        (report.running,)
        for report in lost
        if report.running in {error.test for error in report.errors if not error.foreign} - {""}
    )


def _erring(report: ProcessReport, seconds: Mapping[str, float]) -> list[str]:
    """Tests with memory errors, those first that took the least time.

    An error is printed under the first test that has it. Where one of them may be the extension's,
    every test that had any is a suspect; where all look like CPython's own, a few are enough to see
    where the undefined values come from.
    """
    erring = [test for test in report.tests if report.test_errors.get(test, 0)]
    erring.sort(key=lambda test: (seconds.get(test, 0.0), test))
    known_foreign = all(error.foreign for error in report.errors)
    return erring[: FOREIGN_EXAMPLES if known_foreign else MOST_ERRING]


def _group(tests: Sequence[str], phase: str) -> tuple[str, ...]:
    """The tests since the check before; ``phase`` is ``tests <number>``, or ``final``."""
    word, _, number = phase.partition(" ")
    index = int(number) if word == "tests" and number.isdecimal() else (len(tests) - 1) // GROUP
    return tuple(tests[index * GROUP : (index + 1) * GROUP])


def _totals(ends: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Of each kind the largest process: all of them hold what the zygote holds."""
    result: dict[str, dict[str, int]] = {}
    for totals in ends:
        for kind, amounts in totals.items():
            before = result.setdefault(kind, {"blocks": 0, "bytes": 0})
            for unit, amount in amounts.items():
                before[unit] = max(before.get(unit, 0), amount)
    return result
