"""What a detector saw, and everything that one cell's run produced (result.json, schema 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leakgrid.errors import DataError
from leakgrid.signature import Frame, Owner

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One leak or memory error.

    ``id`` is the signature: 12 hex digits. ``blocks`` and ``bytes`` are per call where
    ``per_call`` is true, else per process. ``tests`` are pytest node ids, sorted.
    ``related`` are signatures of blocks that were lost only through this one: of a lost cycle
    memcheck calls any one block the definite one, and in another run perhaps one of these.
    ``summary`` is one line for people (``500 bytes in 1 block``, ``Invalid read of size 1``).
    ``subject`` is the object, type, file or thread that a finding without a stack is about.
    """

    detector: str
    kind: str
    id: str
    owner: Owner
    tests: tuple[str, ...] = ()
    blocks: float = 0
    bytes: float = 0
    per_call: bool = False
    frames: tuple[Frame, ...] = ()
    summary: str = ""
    related: tuple[str, ...] = ()
    subject: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as result.json has it."""
        return {
            "detector": self.detector,
            "kind": self.kind,
            "id": self.id,
            "owner": str(self.owner),
            "tests": list(self.tests),
            "blocks": self.blocks,
            "bytes": self.bytes,
            "per_call": self.per_call,
            "frames": [frame.to_dict() for frame in self.frames],
            "summary": self.summary,
            "related": list(self.related),
            "subject": self.subject,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Read what :meth:`to_dict` wrote. Raises KeyError, ValueError on foreign data."""
        if unknown := sorted(set(data) - set(cls.__dataclass_fields__)):
            raise ValueError(f"a finding has the unknown key {unknown[0]!r}")
        return cls(
            detector=str(data["detector"]),
            kind=str(data["kind"]),
            id=str(data["id"]),
            owner=Owner(data["owner"]),
            tests=tuple(str(test) for test in data.get("tests", ())),
            blocks=_number(data.get("blocks", 0)),
            bytes=_number(data.get("bytes", 0)),
            per_call=bool(data.get("per_call", False)),
            frames=tuple(Frame.from_dict(frame) for frame in data.get("frames", ())),
            summary=str(data.get("summary", "")),
            related=tuple(str(name) for name in data.get("related", ())),
            subject=str(data.get("subject", "")),
        )


@dataclass(frozen=True, slots=True)
class TestRecord:
    """One test of the suite.

    ``outcome``: ``passed``, ``failed``, ``skipped``, ``xfailed``, ``error``, ``crashed``, ``hung``,
    or ``failed-under-valgrind``, ``crashed-under-valgrind``, ``hung-under-valgrind``.
    ``seconds`` is the native duration; ``repeatable`` is None until a repeating detector judged it.
    """

    outcome: str
    seconds: float = 0.0
    repeatable: bool | None = None
    reason: str = ""

    __test__ = False  # pytest would take the name for a test class

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as result.json has it."""
        return {
            "outcome": self.outcome,
            "seconds": round(self.seconds, 4),
            "repeatable": self.repeatable,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TestRecord:
        """Read what :meth:`to_dict` wrote. Raises KeyError, ValueError on foreign data."""
        repeatable = data.get("repeatable")
        return cls(
            outcome=str(data["outcome"]),
            seconds=float(data.get("seconds", 0.0)),
            repeatable=None if repeatable is None else bool(repeatable),
            reason=str(data.get("reason", "")),
        )


@dataclass(frozen=True, slots=True)
class CellResult:
    """Everything about one run of one cell; the stored ``result.json``.

    ``comparison`` maps ``new``, ``gone``, ``changed``, ``known`` to finding ids. ``dropped`` are
    suspects that did not hold, each ``{"id"| "what", "why"}``. ``totals`` maps
    ``"<leak kind>"`` to ``{"<owner>": {"blocks": n, "bytes": n}}``. ``canary`` says what planted
    leaks were seen. ``timing`` maps a stage to ``{"seconds": wall, "cpu": CPU seconds}``.
    ``not_checked`` names what was switched off or could not be seen, one sentence each.
    ``detectors`` are those that ran (empty: not known).
    ``partial`` is true where only a selection of the tests ran (``-k``), or memcheck was left out.
    ``sources`` says which sources these were, the same on every machine (empty: not known).
    """

    target: str
    python: Mapping[str, Any]
    pyo3: str
    verdict: str
    reason: str
    toolchain: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, TestRecord] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    comparison: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: tuple[Mapping[str, Any], ...] = ()
    suppressed: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=dict)
    canary: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()
    partial: bool = False
    detectors: tuple[str, ...] = ()
    started: str = ""
    fingerprint: str = ""
    sources: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as result.json has it: ``schema`` first."""
        return {
            "schema": SCHEMA,
            "target": self.target,
            "python": dict(self.python),
            "pyo3": self.pyo3,
            "toolchain": dict(self.toolchain),
            "verdict": self.verdict,
            "reason": self.reason,
            "tests": {node: self.tests[node].to_dict() for node in self.tests},
            "findings": [finding.to_dict() for finding in self.findings],
            "comparison": {key: list(ids) for key, ids in self.comparison.items()},
            "dropped": [dict(item) for item in self.dropped],
            "suppressed": dict(self.suppressed),
            "totals": dict(self.totals),
            "canary": dict(self.canary),
            "timing": dict(self.timing),
            "not_checked": list(self.not_checked),
            "partial": self.partial,
            "detectors": list(self.detectors),
            "started": self.started,
            "fingerprint": self.fingerprint,
            "sources": self.sources,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CellResult:
        """Read a result of schema 1. Raises DataError on anything else, naming the key.

        A key that is missing or unknown is no default: a findings list under a torn name would
        read as no findings.
        """
        schema = data.get("schema")
        if schema != SCHEMA or isinstance(schema, bool):
            raise DataError(
                f"this result has schema {data.get('schema')!r}, leakgrid reads schema {SCHEMA}",
                next="Make the result again with this leakgrid, or use the one that wrote it.",
            )
        if unknown := sorted(set(data) - {"schema", *cls.__dataclass_fields__}):
            raise DataError("this is not a leakgrid result", why=f"unknown key {unknown[0]!r}")
        for key in ("tests", "findings", "comparison"):
            if key not in data:
                raise DataError("this is not a leakgrid result", why=f"the key {key!r} is missing")
        try:
            return cls(
                target=str(data["target"]),
                python=dict(data["python"]),
                pyo3=str(data["pyo3"]),
                verdict=str(data["verdict"]),
                reason=str(data["reason"]),
                toolchain={str(k): str(v) for k, v in data.get("toolchain", {}).items()},
                tests={str(k): TestRecord.from_dict(v) for k, v in data.get("tests", {}).items()},
                findings=tuple(Finding.from_dict(item) for item in data.get("findings", ())),
                comparison={str(k): tuple(map(str, v)) for k, v in data["comparison"].items()},
                dropped=tuple(dict(item) for item in data.get("dropped", ())),
                suppressed={str(k): int(v) for k, v in data.get("suppressed", {}).items()},
                totals=dict(data.get("totals", {})),
                canary=dict(data.get("canary", {})),
                timing=dict(data.get("timing", {})),
                not_checked=tuple(str(item) for item in data.get("not_checked", ())),
                partial=bool(data.get("partial", False)),
                detectors=tuple(str(item) for item in data.get("detectors", ())),
                started=str(data.get("started", "")),
                fingerprint=str(data.get("fingerprint", "")),
                sources=str(data.get("sources", "")),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(
                "this is not a leakgrid result", why=f"{type(error).__name__}: {error}"
            ) from error


def _number(value: Any) -> float:
    """Keep whole numbers whole, so that JSON and TOML stay free of ``.0``."""
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError(f"{value!r} is no amount")
    return int(number) if number.is_integer() else number
