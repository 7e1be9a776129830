"""The accepted findings of one cell, as they lie in git: TOML in, TOML out, nothing else.

The file is sorted and has one fact per line, so that a review shows what was accepted. It holds no
addresses, line numbers, symbol hashes, crate versions or machine paths.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from leakgrid.errors import ConfigError, DataError, UsageError
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.signature import Frame, Owner, story, without_version

SCHEMA = 1
_ID = re.compile(r"[0-9a-f]{12}\Z")
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted finding; the fields of a Finding, its story as text, and the reason.

    ``blocks`` and ``bytes`` are per call where ``per_call`` is true, else per process.
    """

    id: str
    detector: str
    kind: str
    owner: Owner
    tests: tuple[str, ...] = ()
    blocks: float = 0
    bytes: float = 0
    per_call: bool = False
    frames: tuple[str, ...] = ()
    reason: str = ""
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one cell may show. ``tests`` is the number of tests measured at acceptance (0: unknown).

    ``python`` is a minor version such as ``3.13``, ``pyo3`` a full one.
    """

    target: str
    python: str
    pyo3: str
    entries: tuple[Accepted, ...] = ()
    tests: int = 0
    schema: int = SCHEMA


def measured_tests(tests: Mapping[str, TestRecord]) -> int:
    """How many tests were really measured: passed natively and did not end under Valgrind."""
    return sum(record.outcome in ("passed", "xfailed") for record in tests.values())


def is_complete(result: CellResult) -> bool:
    """Whether what is missing in this result is really gone: everything ran to its end."""
    ended = ("crashed", "hung")
    return bool(result.tests) and not (
        result.partial or any(r.outcome.startswith(ended) for r in result.tests.values())
    )


def python_minor(python: Mapping[str, Any]) -> str:
    """The cell's Python of a result: ``{"version": "3.13.0", "abiflags": "t"}`` -> ``3.13t``."""
    version = str(python.get("version", ""))
    minor = ".".join(version.split(".")[:2])
    free_threaded = "t" in str(python.get("abiflags", "")) and not minor.endswith("t")
    return minor + ("t" if free_threaded else "")


# --- accepting ---------------------------------------------------------------------------------


def accept(result: CellResult, previous: Baseline | None, reason: str) -> Baseline:
    """The baseline that accepts what ``result`` shows; entries that stay keep their reasons.

    A partial result adds and raises, it never drops an entry or lowers a count.
    Raises UsageError without a reason for what is new, or for a result that proves nothing.
    """
    if result.verdict in _NOT_ACCEPTABLE:
        raise UsageError(
            f"a result that is {result.verdict} cannot become a baseline",
            why=result.reason,
            next="Put that right and run the cell again; then accept it.",
        )
    kept = {entry.id: entry for entry in previous.entries} if previous else {}
    reason = " ".join(reason.split())
    if not reason and any(finding.id not in kept for finding in result.findings):
        raise UsageError(
            "each accepted finding needs a reason",
            next="Say why it may stay: leakgrid accept CELL --reason 'upstream bug, see ...'",
        )
    complete = is_complete(result)
    # What a detector that did not run would say is not known: its entries stay.
    unseen = {
        name: entry
        for name, entry in kept.items()
        if result.detectors and entry.detector not in result.detectors
    }
    entries = unseen if complete else dict(kept)
    for finding in result.findings:
        entries[finding.id] = _accepted(finding, kept.get(finding.id), reason, complete)
    measured = measured_tests(result.tests)
    if previous and not complete:
        measured = max(measured, previous.tests)
    return Baseline(
        target=result.target,
        python=python_minor(result.python),
        pyo3=result.pyo3,
        entries=tuple(entries[key] for key in sorted(entries)),
        tests=measured,
    )


def _accepted(finding: Finding, before: Accepted | None, reason: str, complete: bool) -> Accepted:
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
        reason=before.reason if before else reason,
        related=tuple(sorted(set(finding.related))),
    )
    if before is None or complete:
        return entry
    return replace(
        entry,
        tests=tuple(sorted({*entry.tests, *before.tests})),
        related=tuple(sorted({*entry.related, *before.related})),
        blocks=max(entry.blocks, before.blocks),
        bytes=max(entry.bytes, before.bytes),
    )


def frame_text(frame: Frame) -> str:
    """One frame for a reviewer: the function and where it lies, without lines and versions."""
    place = without_version(frame.file) or frame.object
    return f"{frame.function} [{place}]" if place else frame.function


# --- writing -----------------------------------------------------------------------------------


def write(baseline: Baseline) -> str:
    """The TOML text; the same baseline always gives the same text."""
    lines = [
        "# Accepted findings of one cell, written by `leakgrid accept`; reviewed like code.",
        f"schema = {baseline.schema}",
        f"target = {_string(baseline.target)}",
        f"python = {_string(baseline.python)}",
        f"pyo3 = {_string(baseline.pyo3)}",
        f"tests = {baseline.tests}",
    ]
    for entry in sorted(baseline.entries, key=lambda entry: entry.id):
        lines += [
            "",
            "[[accepted]]",
            f"id = {_string(entry.id)}",
            f"detector = {_string(entry.detector)}",
            f"kind = {_string(entry.kind)}",
            f"owner = {_string(str(entry.owner))}",
            f"blocks = {_number(entry.blocks)}",
            f"bytes = {_number(entry.bytes)}",
            f"per_call = {str(entry.per_call).lower()}",
            f"reason = {_string(entry.reason)}",
            *_array("tests", sorted(entry.tests)),
            *_array("frames", entry.frames),
            *_array("related", entry.related),
        ]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for DEL, and TOML has no surrogates."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _array(key: str, items: tuple[str, ...] | list[str]) -> list[str]:
    if not items:
        return [f"{key} = []"]
    return [f"{key} = [", *(f"    {_string(item)}," for item in items), "]"]


# --- reading -----------------------------------------------------------------------------------


def read(text: str, name: str = "the baseline") -> Baseline:
    """Read a baseline; ``name`` says in messages which one it is.

    Raises DataError where it is no TOML or of another schema, ConfigError with every fault at once
    where its content is wrong.
    """
    mend = "Mend it by hand, take it back from git, or write it again with `leakgrid accept`."
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{name} is not TOML", why=str(error), next=mend) from error
    if data.get("schema") != SCHEMA:
        raise DataError(
            f"{name} has schema {data.get('schema')!r}, leakgrid reads schema {SCHEMA}",
            next="Use the leakgrid that wrote it, or write it again with `leakgrid accept`.",
        )
    faults: list[str] = []
    reader = _Reader(data, "", faults)
    target, python, pyo3 = reader.text("target"), reader.text("python"), reader.text("pyo3")
    tests = int(reader.number("tests", whole=True))
    entries = _read_entries(data.get("accepted", []), faults)
    reader.unknown({"schema", "target", "python", "pyo3", "tests", "accepted"})
    if faults:
        raise ConfigError(f"{name} has {len(faults)} fault(s)", faults=tuple(faults), next=mend)
    return Baseline(target, python, pyo3, entries, tests)


def _read_entries(items: Any, faults: list[str]) -> tuple[Accepted, ...]:
    if not isinstance(items, list):
        faults.append("accepted: must be an array of tables ([[accepted]])")
        return ()
    entries: dict[str, Accepted] = {}
    for index, item in enumerate(items):
        path = f"accepted[{index}]"
        if not isinstance(item, dict):
            faults.append(f"{path}: must be a table")
            continue
        entry = _read_entry(item, f"{path}.", faults)
        if entry.id and entry.id in entries:
            faults.append(f"{path}.id: {entry.id} is accepted twice")
        entries[entry.id] = entry
    return tuple(entries[key] for key in sorted(entries))


def _read_entry(item: Mapping[str, Any], path: str, faults: list[str]) -> Accepted:
    reader = _Reader(item, path, faults)
    identity = reader.text("id")
    if identity and not _ID.match(identity):
        faults.append(f"{path}id: {identity!r} is not 12 hex digits")
    reason = reader.text("reason")
    owner = reader.text("owner")
    if owner and owner not in {str(known) for known in Owner}:
        known = ", ".join(str(word) for word in Owner)
        faults.append(f"{path}owner: {owner!r} is none of {known}")
        owner = ""
    per_call = item.get("per_call", False)
    if not isinstance(per_call, bool):
        faults.append(f"{path}per_call: must be true or false")
    reader.unknown(set(Accepted.__dataclass_fields__))
    return Accepted(
        id=identity,
        detector=reader.text("detector"),
        kind=reader.text("kind"),
        owner=Owner(owner) if owner else Owner.UNKNOWN,
        tests=reader.texts("tests"),
        blocks=reader.number("blocks"),
        bytes=reader.number("bytes"),
        per_call=bool(per_call),
        frames=reader.texts("frames"),
        related=reader.texts("related"),
        reason=reason,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed access to one table; every fault goes to ``faults`` with its key path."""

    data: Mapping[str, Any]
    path: str
    faults: list[str]

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if isinstance(value, str) and value.strip():
            return value
        what = "is missing" if value is None else "must be a string that is not empty"
        self.faults.append(f"{self.path}{key}: {what}")
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.data.get(key, [])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.faults.append(f"{self.path}{key}: must be an array of strings")
        return ()

    def number(self, key: str, *, whole: bool = False) -> float:
        value = self.data.get(key, 0)
        kinds = (int,) if whole else (int, float)
        if isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < float("inf"):
            return value
        self.faults.append(f"{self.path}{key}: must be a number, 0 or more")
        return 0

    def unknown(self, known: set[str]) -> None:
        for key in sorted(set(self.data) - known):
            self.faults.append(f"{self.path}{key}: unknown key")
