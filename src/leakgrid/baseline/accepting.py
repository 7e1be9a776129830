"""From a result to the baseline that accepts what it shows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from leakgrid.baseline.model import (
    Accepted,
    Baseline,
    frame_text,
    is_complete,
    measured_tests,
    python_minor,
)
from leakgrid.errors import UsageError
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import Owner, story

# A baseline taken from these would accept what nobody measured.
_NOT_ACCEPTABLE = frozenset(
    {
        "unsupported",
        "build-failed",
        "tests-failed",
        "no-tests",
        "blind",
        "crashed",
        "timed-out",
        "interrupted",
    }
)
_PUBLIC = re.compile(r"https?://\S+\.\S+")


@dataclass(frozen=True, slots=True)
class Accepting:
    """How to accept: why, which findings, and what happens to entries that did not occur.

    ``ids`` are the findings to accept (None: all). ``reproducer`` and ``link`` are for entries that
    have neither yet. ``prune`` removes stale entries.
    """

    reason: str = ""
    ids: Collection[str] | None = None
    reproducer: str = ""
    link: str = ""
    prune: bool = False


def accept(
    result: CellResult, previous: Baseline | None, how: Accepting | str, *, prune: bool = False
) -> Baseline:
    """The baseline that accepts what ``result`` shows; entries that stay keep what people wrote.

    ``how`` may be the reason alone. Entries that did not occur stay until they are pruned; a
    partial result never makes one stale, nor lowers a count. Raises UsageError without a reason for
    what is new, for a new finding of the extension without anything that reproduces it, and for a
    result that proves nothing.
    """
    if isinstance(how, str):
        how = Accepting(how, prune=prune)
    if result.verdict in _NOT_ACCEPTABLE:
        raise UsageError(
            f"a result that is {result.verdict} cannot become a baseline",
            why=result.reason,
            next="Put that right and run the cell again; then accept it.",
        )
    kept = {entry.id: entry for entry in previous.entries} if previous else {}
    how = _with_reason(how, result, kept)
    complete = is_complete(result)
    gone = set(stale(result, previous)) if how.prune else set()
    entries = {name: entry for name, entry in kept.items() if name not in gone}
    for finding in _chosen(result, how):
        entries[finding.id] = _accepted(finding, kept.get(finding.id), how, result)
    measured = measured_tests(result.tests)
    if previous and (not complete or how.ids is not None):
        measured = max(measured, previous.tests)
    return Baseline(
        target=result.target,
        python=python_minor(result.python),
        pyo3=result.pyo3,
        entries=tuple(entries[key] for key in sorted(entries)),
        tests=measured,
        notes={key: note for key, note in previous.notes.items() if not key or key in entries}
        if previous
        else {},
    )


def stale(result: CellResult, previous: Baseline | None) -> tuple[str, ...]:
    """The accepted findings that this result shows to be gone, sorted.

    None where not everything ran; what a detector that did not run would say is not known either.
    """
    if previous is None or not is_complete(result):
        return ()
    seen = {finding.id for finding in result.findings}
    return tuple(
        entry.id
        for entry in previous.entries
        if entry.id not in seen
        and not (result.detectors and entry.detector not in result.detectors)
    )


def _chosen(result: CellResult, how: Accepting) -> list[Finding]:
    return [f for f in result.findings if how.ids is None or f.id in how.ids]


def _with_reason(how: Accepting, result: CellResult, kept: Mapping[str, Accepted]) -> Accepting:
    reason = " ".join(how.reason.split())
    if not reason and any(finding.id not in kept for finding in _chosen(result, how)):
        raise UsageError(
            "each accepted finding needs a reason",
            next="Say why it may stay: leakgrid accept CELL --reason 'upstream bug, see ...'",
        )
    return replace(how, reason=reason)


def _accepted(
    finding: Finding, before: Accepted | None, how: Accepting, result: CellResult
) -> Accepted:
    reason = before.reason if before else how.reason
    reproducer, link = (before.reproducer, before.link) if before else ("", "")
    if not (reproducer or link):
        reproducer, link = " ".join(how.reproducer.split()), how.link.strip()
    if finding.owner == Owner.EXTENSION and not (reproducer or link or _PUBLIC.search(reason)):
        reproducer = _evidence(finding, result)
    entry = Accepted(
        id=finding.id,
        detector=finding.detector,
        kind=finding.kind,
        owner=finding.owner,
        tests=tuple(sorted(set(finding.tests))),
        blocks=finding.blocks,
        bytes=finding.bytes,
        per_call=finding.per_call,
        frames=tuple(frame_text(frame) for frame in story(finding.frames)),
        reason=reason,
        related=tuple(sorted(set(finding.related))),
        reproducer=reproducer,
        link=link,
    )
    if before is None or is_complete(result):
        return entry
    return replace(
        entry,
        tests=tuple(sorted({*entry.tests, *before.tests})),
        related=tuple(sorted({*entry.related, *before.related})),
        blocks=max(entry.blocks, before.blocks),
        bytes=max(entry.bytes, before.bytes),
    )


def _evidence(finding: Finding, result: CellResult) -> str:
    """The reproducer of an extension's own finding where none was given: a test that shows it.

    Raises UsageError where nothing shows it: no test is known.
    """
    # How the project was named is not recorded, and its bare name means something in a matrix only.
    check = f"leakgrid check PATH --python {python_minor(result.python)} --pyo3 {result.pyo3}"
    name = result.target
    path = f"# PATH: the folder of {name}, {name}==VERSION, or {name} where matrix.toml has it"
    if finding.kind == "lost-at-import":
        return f"{check}  {path}; importing it is enough"
    if not finding.tests:
        raise UsageError(
            f"{finding.id} is in the extension's own code, and no test shows it",
            why="whoever reviews the baseline has to be able to see it again",
            next="Add --reproducer TEXT or --link URL.",
        )
    test = min(finding.tests).rpartition("::")[2].partition("[")[0]
    return f"{check} -- -k {test}  {path}"
