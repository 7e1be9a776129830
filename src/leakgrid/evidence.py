"""What the detectors' reports add up to: what counts, what is set apart, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from leakgrid.comparison import Comparison
from leakgrid.detectors import native
from leakgrid.detectors.findings import AT_IMPORT
from leakgrid.detectors.journal import TestEvent
from leakgrid.detectors.memcheck import MemcheckReport
from leakgrid.detectors.screen import ScreenReport
from leakgrid.finding import Finding, TestRecord
from leakgrid.signature import Frame, Owner, clean_object, signature_id

_ASKING = (Owner.EXTENSION, Owner.DEPENDENCY, Owner.PYO3, Owner.CPYTHON)
_UNDER_VALGRIND = {
    "failed": "failed-under-valgrind",
    "error": "failed-under-valgrind",
    "crashed": "crashed-under-valgrind",
    "hung": "hung-under-valgrind",
}


def record(event: TestEvent) -> TestRecord:
    """A test as it went natively."""
    return TestRecord(event.outcome, event.seconds, reason=event.why)


def under_valgrind(
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


def once(
    found: tuple[Finding, ...], extension_objects: Collection[str]
) -> tuple[tuple[Finding, ...], tuple[Mapping[str, Any], ...]]:
    """Set apart what somebody else's code lost while the extension was imported.

    A module is initialised once per process, so that cannot grow, and the extension's author can
    do nothing about it. PyO3 0.23 to 0.30 loses each class's table of ``PyMemberDef`` this way:
    CPython copies it (``PyType_FromSpec``), PyO3 does not free it. ``extension_objects`` are the
    paths of the extension's libraries.
    """
    own = {clean_object(path) for path in extension_objects}
    judged, listed = [], []
    for finding in found:
        if finding.kind == AT_IMPORT and not _made_by_target(finding, own):
            why = "lost once while importing, outside the extension's own code: it cannot grow"
            what = f"{finding.summary}, owner: {finding.owner}"
            listed.append({"id": finding.id, "what": what, "why": why})
        else:
            judged.append(finding)
    return tuple(judged), tuple(listed)


def _made_by_target(finding: Finding, own: Collection[str]) -> bool:
    """Whether the extension's own code, or a crate that it uses, asked for the memory itself.

    A dependency's frame in another library is no crate of it: another package's extension, which
    the tests happen to import.
    """
    asked = next((frame for frame in finding.frames if frame.owner in _ASKING), Frame(""))
    crate = asked.owner is Owner.DEPENDENCY and asked.object in own
    return asked.owner is Owner.EXTENSION or crate


def unexplained(first: MemcheckReport, second: MemcheckReport) -> tuple[Mapping[str, Any], ...]:
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


def foreign(report: MemcheckReport | None) -> tuple[Mapping[str, Any], ...]:
    """Memory errors that are listed, but no findings: the extension has no part in them."""
    why = "in CPython or the C library, with memory of their own: the extension is in no stack"
    return tuple(
        {"id": error.id, "what": f"{error.summary} ({error.kind})", "why": why}
        for error in (report.foreign if report else ())
    )


def grown_again(compared: Comparison, third: MemcheckReport) -> frozenset[str]:
    """Changed findings that had more blocks than accepted in the confirming run, too."""
    again = {finding.id: finding for finding in third.findings}
    return frozenset(
        entry.id
        for entry in compared.changed
        if entry.before is not None
        and entry.id in again
        and again[entry.id].blocks > entry.before.blocks
    )


def repeatable(tests: Mapping[str, TestRecord], report: ScreenReport) -> dict[str, TestRecord]:
    """Whether each screened test could be repeated, and why not."""
    reasons = {item["what"]: item["why"] for item in report.not_judged}
    return {
        name: replace(tests[name], repeatable=able, reason="" if able else reasons.get(name, ""))
        for name, able in report.repeatable.items()
        if name in tests
    }


def totals(
    report: MemcheckReport | None, findings: tuple[Finding, ...], repeated: ScreenReport | None
) -> dict[str, Any]:
    """By leak kind: lost blocks by owner, the others of the largest process without an owner.

    ``census`` holds the reference counts after import.
    """
    census = {"census": dict(repeated.census)} if repeated and repeated.census else {}
    if report is None:
        return census
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
    return totals | census


def one_each(lost: Sequence[Finding], grown: Sequence[Finding]) -> tuple[Finding, ...]:
    """Each leak once: what memcheck saw lost and what the screen saw growing may be the same.

    It is the same where both have the same stack. The entry per call stays, with all tests.
    """
    merged = {finding.id: finding for finding in grown}
    kept: list[Finding] = []
    for finding in lost:
        name = signature_id("growth", "leak", finding.frames) if finding.frames else ""
        twin = next(
            (other for other in merged.values() if name and name in (other.id, *other.related)),
            None,
        )
        if twin is None or finding.kind == AT_IMPORT or not _is_leak(finding):
            kept.append(finding)
            continue
        tests = tuple(sorted({*twin.tests, *finding.tests}))
        merged[twin.id] = replace(twin, tests=tests)
    return (*kept, *merged.values())


def _is_leak(finding: Finding) -> bool:
    return finding.kind == "definitely-lost"
