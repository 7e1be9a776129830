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
from leakgrid.verdict import Facts, decide

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
        second = None
        if self._needs_second(first):
            with self.stages.stage("explain"):
                again = first.suspects or tuple(map(tuple, batches[:1]))
                second = memcheck.run(
                    self.cell,
                    settings,
                    again,
                    screened.seconds,
                    ignore=screened.ignored,
                    second=True,
                )
        with self.stages.stage("compare"):
            return self._judge(tests, first, second)

    def _compare(
        self, findings: tuple[Finding, ...], tests: Mapping[str, TestRecord]
    ) -> Comparison:
        return compare_baseline(_partial_result(findings, tests, self.partial), self.baseline)

    def _needs_second(self, first: MemcheckReport) -> bool:
        """Only what is not accepted yet is worth a second run."""
        compared = self._compare(_once(first.findings)[0], {})
        return bool(compared.new) or any(entry.grown for entry in compared.changed)

    def _judge(
        self,
        tests: Mapping[str, TestRecord],
        first: MemcheckReport | None,
        second: MemcheckReport | None,
    ) -> Measured:
        found, once = _once(first.findings if first else ())
        new = frozenset(entry.id for entry in self._compare(found, tests).new)
        findings, dropped = _confirmed(found, second, new)
        compared = self._compare(findings, tests)
        again = {finding.id: finding for finding in second.findings} if second else {}
        facts = Facts(
            cell=self.name,
            findings=findings,
            comparison=compared,
            has_baseline=self.baseline is not None,
            tests=tests,
            confirmed=None if second is None else frozenset(finding.id for finding in findings),
            grown_again=None if second is None else _grown_again(compared, again),
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
            dropped=(*dropped, *once),
            suppressed=first.suppressed if first else {},
            totals=_totals(first, findings) if first else {},
            canary=first.canary if first else {},
            not_checked=self._not_checked(first),
        )

    def _blind(self, report: MemcheckReport) -> tuple[str, ...]:
        """Why a leak could be hidden from this run."""
        reasons = []
        if not report.loaded:
            names = ", ".join(sorted({Path(path).name for path in self.cell.libraries}))
            reasons.append(f"no test loaded the extension ({names})")
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

    That is where something counts as new now that was not when it was measured: then it has had
    no second run.
    """
    compared = compare_baseline(stored, baseline)
    fresh = {entry.id for entry in compared.new} - set(stored.comparison.get("new", ()))
    if fresh or stored.verdict in ("blind", "interrupted"):
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
    return replace(stored, verdict=str(verdict), reason=reason, comparison=compared.ids())


def _partial_result(
    findings: tuple[Finding, ...], tests: Mapping[str, TestRecord], partial: bool
) -> CellResult:
    return CellResult("", {}, "", "", "", findings=findings, tests=tests, partial=partial)


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


def _confirmed(
    found: tuple[Finding, ...], second: MemcheckReport | None, new: frozenset[str]
) -> tuple[tuple[Finding, ...], tuple[Mapping[str, Any], ...]]:
    """What holds: accepted findings, and new ones that the second run showed again.

    The second run checks after each test, so it knows the tests better than the first. A block
    that was lost directly in one run may be lost through another of its cycle in the next.
    """
    if second is None:
        return found, ()
    again = {finding.id: finding for finding in second.findings}
    held, dropped = [], []
    for finding in found:
        other = again.get(finding.id)
        if finding.id in second.lost_in:
            tests = second.lost_in[finding.id]
            held.append(replace(finding, tests=tests or finding.tests))
        elif other is not None:
            tests = tuple(sorted({*finding.tests, *other.tests}))
            held.append(replace(finding, tests=tests, summary=other.summary))
        elif finding.id in new:
            why = "a second run did not show it again"
            dropped.append({"id": finding.id, "what": finding.summary, "why": why})
        else:
            held.append(finding)
    return tuple(held), tuple(dropped)


def _grown_again(compared: Comparison, again: Mapping[str, Finding]) -> frozenset[str]:
    """Changed findings that had more blocks than accepted in the second run, too."""
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
