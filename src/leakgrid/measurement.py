"""What is measured in a built cell, and what it adds up to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leakgrid import evidence, suppression
from leakgrid.baseline import Baseline
from leakgrid.comparison import Comparison, compare_baseline
from leakgrid.detectors import growth, memcheck, native, screen
from leakgrid.detectors.growth import Explained
from leakgrid.detectors.memcheck import MemcheckReport
from leakgrid.detectors.native import NativeReport
from leakgrid.detectors.screen import ScreenReport
from leakgrid.detectors.suite import Cellular
from leakgrid.detectors.suspects import counted
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.matrix import Cell
from leakgrid.nearest import compare_nearest
from leakgrid.signature import Origins
from leakgrid.stages import Stages
from leakgrid.verdict import Facts, Verdict, decide, exit_code

MEMCHECK = "memcheck"
DETECTORS = (MEMCHECK, *screen.DETECTORS, screen.CENSUS)
"""Every detector, by the name that ``--detectors`` takes."""
DEFAULT = DETECTORS
"""What runs unless asked otherwise."""
MOST_EXPLAINED = 60
"""Tests with growing memory that are repeated under memcheck, those first that took least time;
the others keep the size that the native screen saw, without a stack."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measured part of a result; the fields are those of CellResult."""

    verdict: str
    reason: str
    tests: Mapping[str, TestRecord] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    comparison: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: tuple[Mapping[str, Any], ...] = ()
    suppressed: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=dict)
    canary: Mapping[str, Any] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()


@dataclass(slots=True)
class _Seen:
    """The reports of one measurement, as they come; None where a detector did not run."""

    screened: NativeReport
    tests: dict[str, TestRecord]
    repeated: ScreenReport | None = None
    first: MemcheckReport | None = None
    second: MemcheckReport | None = None
    third: MemcheckReport | None = None
    stacks: Mapping[str, Sequence[Explained]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measurement:
    """Everything needed to measure one built cell.

    ``name`` is the cell's; ``allocators`` are crates of the extension that bring an allocator;
    ``valgrind`` is empty where the memcheck detector is off. ``neighbour`` is the baseline of the
    cell most like this one, where this one has none.
    """

    cell: Cellular
    origins: Origins
    valgrind: str
    stages: Stages
    baseline: Baseline | None
    name: str
    partial: bool
    undefined: bool
    suppressions: tuple[Path, ...]
    allocators: tuple[str, ...]
    detectors: tuple[str, ...] = DEFAULT
    neighbour: Baseline | None = None

    def run(self) -> Measured:
        """Screen, memcheck, explain, compare. Raises LeakgridError with a verdict or without."""
        with self.stages.stage("screen"):
            screened = native.run(self.cell)
        tests = {name: evidence.record(event) for name, event in screened.tests.items()}
        seen = _Seen(screened, tests)
        if screened.measurable:
            self._repeat(seen)
            if MEMCHECK in self.detectors:
                self._memcheck(seen)
        return self._judge(seen)

    def _repeat(self, seen: _Seen) -> None:
        """The native detectors: every test again and again."""
        wanted = [name for name in self.detectors if name != MEMCHECK]
        if not wanted:
            return
        screened = seen.screened
        with self.stages.stage("repeat"):
            seen.repeated = screen.run(
                self.cell,
                screened.measurable,
                screened.seconds,
                ignore=screened.ignored,
                detectors=wanted,
            )
        seen.tests |= evidence.repeatable(seen.tests, seen.repeated)

    def _memcheck(self, seen: _Seen) -> None:
        """The suite under Valgrind once, then what was suspicious, and what grew natively."""
        screened = seen.screened
        batches = memcheck.plan_batches(screened.measurable, screened.seconds, self.cell.jobs)
        with self.stages.stage("memcheck"):
            seen.first = self._valgrind(seen, batches)
        seen.tests |= evidence.under_valgrind(seen.tests, seen.first.tests)
        if seen.first.findings or seen.first.suspects:
            with self.stages.stage("explain"):
                # Nothing but importing lost blocks: any one test shows that again.
                again = seen.first.suspects or ((batches[0][0],),)
                seen.second = self._valgrind(seen, again, second=True)
            if self._is_worse(seen.second):
                with self.stages.stage("confirm"):
                    seen.third = self._valgrind(seen, again, second=True)
        growing = self._growing(seen)
        if growing:
            with self.stages.stage("growth"):
                seen.stacks = screen.explain(
                    self.cell, self._settings(), growing, screened.seconds, ignore=screened.ignored
                )

    def _valgrind(
        self, seen: _Seen, batches: Sequence[Sequence[str]], *, second: bool = False
    ) -> MemcheckReport:
        return memcheck.run(
            self.cell,
            self._settings(),
            batches,
            seen.screened.seconds,
            ignore=seen.screened.ignored,
            second=second,
        )

    def _settings(self) -> memcheck.Settings:
        return memcheck.Settings(
            self.valgrind, self.origins, undefined=self.undefined, suppressions=self.suppressions
        )

    def _growing(self, seen: _Seen) -> list[str]:
        """Tests whose memory grew natively, the quickest first, and the doubtful ones behind."""
        if seen.repeated is None:
            return []
        tests = {s.test for s in seen.repeated.suspects if s.detector == growth.DETECTOR}
        doubtful = {s.test for s in seen.repeated.doubtful} - tests
        seconds = seen.screened.seconds
        ordered = [
            sorted(some, key=lambda test: (seconds.get(test, 0.0), test))
            for some in (tests, doubtful)
        ]
        return list(itertools.chain(*ordered))[:MOST_EXPLAINED]

    def _compare(
        self, findings: tuple[Finding, ...], tests: Mapping[str, TestRecord]
    ) -> Comparison:
        result = CellResult(
            "", {}, "", "", "", findings=findings, tests=tests, partial=self.partial
        )
        return compared_with(result, self.detectors, self.baseline, self.neighbour)

    def _is_worse(self, second: MemcheckReport) -> bool:
        """Whether something looks like a regression, which one look is not enough to claim."""
        lost, _ = evidence.once(second.findings, self.origins.extension_objects)
        compared = self._compare(lost, {})
        worse = compared.new or any(entry.grown for entry in compared.changed)
        return self.baseline is not None and bool(worse)

    def _judge(self, seen: _Seen) -> Measured:
        first, second, third = seen.first, seen.second, seen.third
        findings, dropped = self._findings(seen)
        compared = self._compare(findings, seen.tests)
        facts = Facts(
            cell=self.name,
            findings=findings,
            comparison=compared,
            has_baseline=self.baseline is not None,
            neighbour=cell_of(self.neighbour),
            tests=seen.tests,
            grown_again=None if third is None else evidence.grown_again(compared, third),
            tests_at_acceptance=self.baseline.tests if self.baseline else 0,
            blind=self._blindness(seen),
            crashed="; ".join(first.faults) if first else "",
        )
        verdict, reason = decide(facts)
        return Measured(
            verdict=str(verdict),
            reason=reason,
            tests=seen.tests,
            findings=findings,
            comparison=compared.ids(),
            dropped=dropped,
            suppressed=self._hits([report for report in (first, second) if report]),
            totals=evidence.totals(first, findings, seen.repeated),
            canary=first.canary if first else {},
            not_checked=self._not_checked(seen),
        )

    def _hits(self, reports: Sequence[MemcheckReport]) -> dict[str, int]:
        """Each rule that was loaded with its hits, 0 too; the second run repeats the first."""
        counts: dict[str, int] = {}
        for report in reports:
            for name, count in report.suppressed.items():
                counts[name] = max(count, counts.get(name, 0))
        loaded = [path.read_text(encoding="utf-8") for path in self.suppressions] if reports else []
        rules = [rule for text in loaded for rule in suppression.parse(text)]
        return suppression.hit_counts(rules, counts.items())

    def _findings(self, seen: _Seen) -> tuple[tuple[Finding, ...], tuple[Mapping[str, Any], ...]]:
        """What counts, and what was seen and set apart."""
        found = seen.second.findings if seen.second else ()
        lost, once = evidence.once(found, self.origins.extension_objects)
        dropped: list[Mapping[str, Any]] = [*once, *evidence.foreign(seen.second)]
        if seen.first and seen.second:
            dropped += evidence.unexplained(seen.first, seen.second)
        if seen.third is not None:
            lost, unconfirmed = self._confirmed(lost, seen.third, seen.tests)
            dropped += unconfirmed
        grown: list[Finding] = []
        if seen.repeated is not None:
            grown += seen.repeated.findings([n for n in self.detectors if n in _WITHOUT_STACKS])
            if growth.DETECTOR in self.detectors:
                grew = (*seen.repeated.suspects, *seen.repeated.doubtful)
                stacked, unseen = growth.with_stacks(grew, seen.stacks)
                grown += stacked
                dropped += unseen
            found_in = {
                test for item in grown if item.detector == growth.DETECTOR for test in item.tests
            }
            dropped += [*seen.repeated.dropped_but(found_in), *seen.repeated.not_judged]
        return evidence.one_each(lost, grown), tuple(dropped)

    def _confirmed(
        self, found: tuple[Finding, ...], third: MemcheckReport, tests: Mapping[str, TestRecord]
    ) -> tuple[tuple[Finding, ...], tuple[Mapping[str, Any], ...]]:
        """What holds: accepted findings, and new ones that another run showed again.

        A block that was lost directly in one run may be lost through another block of its cycle in
        the next.
        """
        new = {entry.id for entry in self._compare(found, tests).new}
        seen = {finding.id for finding in third.findings} | third.lost_in.keys()
        why = "another run did not show it again"
        dropped = tuple(
            {"id": finding.id, "what": finding.summary, "why": why}
            for finding in found
            if finding.id in new - seen
        )
        return tuple(f for f in found if f.id not in new - seen), dropped

    def _blindness(self, seen: _Seen) -> tuple[str, ...]:
        if seen.first is not None:
            return self._blind(seen.first)
        if seen.repeated is None:
            return ()
        if not seen.screened.loaded:
            return (self._not_loaded(),)
        if not any(seen.repeated.repeatable.values()):
            return ("no test could be repeated",)
        if growth.DETECTOR not in self.detectors:
            return ()
        if self.allocators:
            names = ", ".join(self.allocators)
            return (f"the extension brings its own allocator ({names}), which hides its memory",)
        return seen.repeated.blindness

    def _blind(self, report: MemcheckReport) -> tuple[str, ...]:
        """Why a leak could be hidden from this run."""
        reasons = []
        if not report.loaded:
            reasons.append(self._not_loaded())
        bypass = f" ({', '.join(self.allocators)})" if self.allocators else ""
        for planted in report.blind:
            if planted == "rust":
                reasons.append(
                    "a leak planted through the extension's own global allocator was not seen"
                    f"{bypass}: build it with the system allocator to evaluate it"
                )
            else:
                reasons.append(f"a leak planted with {planted} was not seen")
        if not report.canary:
            reasons.append("no leak could be planted")
        elif report.loaded and "rust" not in report.canary and self.allocators:
            reasons.append(f"the extension brings its own allocator{bypass}")
        return tuple(reasons)

    def _not_loaded(self) -> str:
        names = ", ".join(sorted({Path(path).name for path in self.cell.libraries}))
        return (
            f"no test loaded the extension that was built ({names}): see whether the right "
            "tests ran, and whether they import another copy of it"
        )

    def _not_checked(self, seen: _Seen) -> tuple[str, ...]:
        missing = [
            f"{name} (not asked for, see --detectors)"
            for name in DETECTORS
            if name not in self.detectors
        ]
        if not self.undefined and MEMCHECK in self.detectors:
            missing.append("uses of uninitialised memory (--no-undefined)")
        if seen.first is not None and seen.first.loaded and "rust" not in seen.first.canary:
            missing.append(
                "whether the extension's Rust memory comes from malloc: its allocator has no "
                "symbol (stripped?)"
            )
        if seen.repeated is not None and (unjudged := len(seen.repeated.not_judged)):
            missing.append(
                f"growth, references, descriptors and threads in {counted(unjudged, 'test')} that "
                "could not be repeated or judged (see `dropped` in the result)"
            )
        return tuple(missing)


_WITHOUT_STACKS = ("refs", "fds", "threads")


def only_of(baseline: Baseline | None, detectors: Sequence[str]) -> Baseline | None:
    """The part of a baseline that these detectors can see: the rest is not gone, only not seen."""
    if baseline is None:
        return None
    kept = tuple(entry for entry in baseline.entries if entry.detector in detectors)
    return replace(baseline, entries=kept)


def compared_with(
    result: CellResult,
    detectors: Sequence[str],
    baseline: Baseline | None,
    neighbour: Baseline | None,
) -> Comparison:
    """A result against its baseline; without one against its neighbour's, where there is any."""
    other = only_of(neighbour, detectors) if baseline is None else None
    if other is not None:
        return compare_nearest(result, other)
    return compare_baseline(result, only_of(baseline, detectors))


def cell_of(baseline: Baseline | None) -> str:
    """The name of the cell that a baseline is of; empty without one."""
    if baseline is None:
        return ""
    return Cell(baseline.target, baseline.python, baseline.pyo3).name


def judge_again(
    stored: CellResult, baseline: Baseline | None, name: str, neighbour: Baseline | None = None
) -> CellResult | None:
    """A stored result against the baseline of now; None where it has to be measured again.

    That is where something counts as new now that was not when it was measured (then it has had no
    confirming run), or where the run as a whole could not be trusted.
    """
    compared = compared_with(stored, stored.detectors or DETECTORS, baseline, neighbour)
    fresh = {entry.id for entry in compared.new} - set(stored.comparison.get("new", ()))
    if fresh:
        return None
    facts = Facts(
        cell=name,
        findings=stored.findings,
        comparison=compared,
        has_baseline=baseline is not None,
        neighbour=cell_of(neighbour),
        tests=stored.tests,
        tests_at_acceptance=baseline.tests if baseline else 0,
    )
    verdict, reason = decide(facts)
    if exit_code(stored.verdict) == exit_code(Verdict.BLIND) and verdict != stored.verdict:
        return None
    return replace(stored, verdict=str(verdict), reason=reason, comparison=compared.ids())
