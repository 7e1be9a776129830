"""What is measured in a built cell, and what it adds up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leakgrid.baseline import Baseline
from leakgrid.comparison import Comparison, compare_baseline
from leakgrid.detectors import memcheck, native
from leakgrid.detectors.findings import AT_IMPORT
from leakgrid.detectors.journal import TestEvent
from leakgrid.detectors.memcheck import MemcheckReport
from leakgrid.detectors.suite import Cellular
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.signature import Origins, Owner
from leakgrid.stages import Stages
from leakgrid.verdict import Facts, Verdict, decide, exit_code

_ASKING = (Owner.EXTENSION, Owner.DEPENDENCY, Owner.PYO3, Owner.CPYTHON)
_UNDER_VALGRIND = {
    "failed": "failed-under-valgrind",
    "error": "failed-under-valgrind",
    "crashed": "crashed-under-valgrind",
    "hung": "hung-under-valgrind",
}


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


@dataclass(frozen=True, slots=True)
class Measurement:
    """Everything needed to measure one built cell.

    ``name`` is the cell's; ``allocators`` are crates of the extension that bring an allocator.
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

    def run(self) -> Measured:
        """Screen, memcheck, explain, compare. Raises LeakgridError with a verdict or without."""
        with self.stages.stage("screen"):
            screened = native.run(self.cell)
        tests = {name: _record(event) for name, event in screened.tests.items()}
        if not screened.measurable:
            return self._judge(tests, None, None)
        settings = memcheck.Settings(
            self.valgrind, self.origins, undefined=self.undefined, suppressions=self.suppressions
        )
        batches = memcheck.plan_batches(screened.measurable, screened.seconds, self.cell.jobs)
        with self.stages.stage("memcheck"):
            first = memcheck.run(
                self.cell, settings, batches, screened.seconds, ignore=screened.ignored
            )
        tests |= _under_valgrind(tests, first.tests)
        if not first.findings and not first.suspects:
            return self._judge(tests, first, None)
        with self.stages.stage("explain"):
            # Nothing but importing lost blocks: any one test shows that again.
            again = first.suspects or ((batches[0][0],),)
            second = memcheck.run(
                self.cell, settings, again, screened.seconds, ignore=screened.ignored, second=True
            )
        third = None
        if self._is_worse(second):
            with self.stages.stage("confirm"):
                third = memcheck.run(
                    self.cell,
                    settings,
                    again,
                    screened.seconds,
                    ignore=screened.ignored,
                    second=True,
                )
        return self._judge(tests, first, second, third)

    def _compare(
        self, findings: tuple[Finding, ...], tests: Mapping[str, TestRecord]
    ) -> Comparison:
        result = CellResult(
            "", {}, "", "", "", findings=findings, tests=tests, partial=self.partial
        )
        return compare_baseline(result, self.baseline)

    def _is_worse(self, second: MemcheckReport) -> bool:
        """Whether something looks like a regression, which one look is not enough to claim."""
        compared = self._compare(_once(second.findings)[0], {})
        worse = compared.new or any(entry.grown for entry in compared.changed)
        return self.baseline is not None and bool(worse)

    def _judge(
        self,
        tests: Mapping[str, TestRecord],
        first: MemcheckReport | None,
        second: MemcheckReport | None,
        third: MemcheckReport | None = None,
    ) -> Measured:
        findings, once = _once(second.findings if second else ())
        dropped = (*(_unexplained(first, second) if first and second else ()), *once)
        dropped = (*dropped, *_foreign(second))
        if third is not None:
            findings, unconfirmed = self._confirmed(findings, third, tests)
            dropped = (*unconfirmed, *dropped)
        compared = self._compare(findings, tests)
        facts = Facts(
            cell=self.name,
            findings=findings,
            comparison=compared,
            has_baseline=self.baseline is not None,
            tests=tests,
            grown_again=None if third is None else _grown_again(compared, third),
            tests_at_acceptance=self.baseline.tests if self.baseline else 0,
            blind=self._blind(first) if first else (),
            crashed="; ".join(first.faults) if first else "",
        )
        verdict, reason = decide(facts)
        return Measured(
            verdict=str(verdict),
            reason=reason,
            tests=tests,
            findings=findings,
            comparison=compared.ids(),
            dropped=dropped,
            suppressed=second.suppressed if second else {},
            totals=_totals(first, findings) if first else {},
            canary=first.canary if first else {},
            not_checked=self._not_checked(first),
        )

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

    def _blind(self, report: MemcheckReport) -> tuple[str, ...]:
        """Why a leak could be hidden from this run."""
        reasons = []
        if not report.loaded:
            names = ", ".join(sorted({Path(path).name for path in self.cell.libraries}))
            reasons.append(
                f"no test loaded the extension that was built ({names}): see whether the right "
                "tests ran, and whether they import another copy of it"
            )
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

    def _not_checked(self, report: MemcheckReport | None) -> tuple[str, ...]:
        missing = []
        if not self.undefined:
            missing.append("uses of uninitialised memory (--no-undefined)")
        if report is not None and report.loaded and "rust" not in report.canary:
            missing.append(
                "whether the extension's Rust memory comes from malloc: its allocator has no "
                "symbol (stripped?)"
            )
        missing.append(
            "leaks that stay reachable: growth per call, reference counts, descriptors and threads"
        )
        return tuple(missing)


def judge_again(stored: CellResult, baseline: Baseline | None, name: str) -> CellResult | None:
    """A stored result against the baseline of now; None where it has to be measured again.

    That is where something counts as new now that was not when it was measured (then it has had no
    confirming run), or where the run as a whole could not be trusted.
    """
    compared = compare_baseline(stored, baseline)
    fresh = {entry.id for entry in compared.new} - set(stored.comparison.get("new", ()))
    if fresh:
        return None
    facts = Facts(
        cell=name,
        findings=stored.findings,
        comparison=compared,
        has_baseline=baseline is not None,
        tests=stored.tests,
        tests_at_acceptance=baseline.tests if baseline else 0,
    )
    verdict, reason = decide(facts)
    if exit_code(stored.verdict) == exit_code(Verdict.BLIND) and verdict != stored.verdict:
        return None
    return replace(stored, verdict=str(verdict), reason=reason, comparison=compared.ids())


def _record(event: TestEvent) -> TestRecord:
    return TestRecord(event.outcome, event.seconds, reason=event.why)


def _under_valgrind(
    tests: Mapping[str, TestRecord], seen: Mapping[str, TestEvent]
) -> dict[str, TestRecord]:
    """Tests that ended otherwise under Valgrind than natively."""
    changed = {}
    for name, record in tests.items():
        if record.outcome not in native.WORTH_MEASURING:
            continue
        event = seen.get(name, TestEvent("not-run", why="not collected again under Valgrind"))
        if event.outcome in native.WORTH_MEASURING:
            continue
        word = _UNDER_VALGRIND.get(event.outcome, event.outcome)
        changed[name] = replace(record, outcome=word, reason=event.why)
    return changed


def _once(
    found: tuple[Finding, ...],
) -> tuple[tuple[Finding, ...], tuple[Mapping[str, Any], ...]]:
    """Set apart what somebody else's code lost while the extension was imported.

    A module is initialised once per process, so that cannot grow, and the extension's author can
    do nothing about it. PyO3 0.23 to 0.30 loses each class's table of ``PyMemberDef`` this way:
    CPython copies it (``PyType_FromSpec``), PyO3 does not free it.
    """
    judged, listed = [], []
    for finding in found:
        if finding.kind == AT_IMPORT and not _made_by_target(finding):
            why = "lost once while importing, outside the extension's own code: it cannot grow"
            what = f"{finding.summary}, owner: {finding.owner}"
            listed.append({"id": finding.id, "what": what, "why": why})
        else:
            judged.append(finding)
    return tuple(judged), tuple(listed)


def _made_by_target(finding: Finding) -> bool:
    """Whether the extension's own code, or a crate that it uses, asked for the memory itself."""
    asked = (frame.owner for frame in finding.frames if frame.owner in _ASKING)
    return next(asked, Owner.UNKNOWN) in (Owner.EXTENSION, Owner.DEPENDENCY)


def _unexplained(first: MemcheckReport, second: MemcheckReport) -> tuple[Mapping[str, Any], ...]:
    """Groups of tests that looked suspicious in the first run and not in the second."""
    explained = {test for finding in second.findings for test in finding.tests}
    if any(not finding.tests for finding in second.findings):
        return ()
    why = "the first run saw lost blocks or a memory error, the second, with stacks, did not"
    return tuple(
        {"what": f"{group[0]} and {len(group) - 1} tests after it", "why": why}
        for group in first.suspects
        if not explained & set(group)
    )


def _foreign(report: MemcheckReport | None) -> tuple[Mapping[str, Any], ...]:
    """Memory errors that are listed, but no findings: the extension has no part in them."""
    why = "in CPython or the C library, with memory of their own: the extension is in no stack"
    return tuple(
        {"id": error.id, "what": f"{error.summary} ({error.kind})", "why": why}
        for error in (report.foreign if report else ())
    )


def _grown_again(compared: Comparison, third: MemcheckReport) -> frozenset[str]:
    """Changed findings that had more blocks than accepted in the confirming run, too."""
    again = {finding.id: finding for finding in third.findings}
    return frozenset(
        entry.id
        for entry in compared.changed
        if entry.before is not None
        and entry.id in again
        and again[entry.id].blocks > entry.before.blocks
    )


def _totals(report: MemcheckReport, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """By leak kind: lost blocks by owner, the others of the largest process without an owner."""
    lost: dict[str, dict[str, float]] = {}
    for finding in findings:
        if finding.kind == "definitely-lost":
            owner = lost.setdefault(str(finding.owner), {"blocks": 0, "bytes": 0})
            owner["blocks"] += finding.blocks
            owner["bytes"] += finding.bytes
    totals: dict[str, Any] = {"definitely-lost": lost}
    for kind in ("possible", "reachable", "suppressed"):
        if kind in report.totals:
            totals[kind] = {"all": dict(report.totals[kind])}
    return totals
