"""What the native screen says about one test, as values (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leakgrid import amounts
from leakgrid.finding import Finding
from leakgrid.signature import Owner

LEAK = "leak"
NOT_REPEATABLE = "not-repeatable"
JUDGED = frozenset({"flat", "settled", "held", "irregular", LEAK})
"""Statuses of tests about which the screen has an answer."""
NATIVE_MEMORY = "native-memory"


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something that grew in one test.

    ``per_call`` is in objects, references, descriptors or threads, ``bytes`` in bytes per call.
    ``name`` is the object's type or name, the file's path, the thread's name. What ``doubles``
    grows in ever rarer jumps, as a container does: a few calls more need not show it. What is
    ``doubtful`` may be CPython's own; it counts only with a stack in which the extension asked
    for the memory itself.
    """

    test: str
    detector: str
    kind: str
    name: str
    per_call: float
    bytes: float
    doubles: bool = False
    doubtful: bool = False

    @classmethod
    def from_event(cls, test: str, data: Mapping[str, Any]) -> Suspect:
        """Read one entry of a ``screened`` event. Raises KeyError, ValueError."""
        return cls(
            test,
            str(data["detector"]),
            str(data["kind"]),
            str(data["object"]),
            float(data["per_call"]),
            float(data["bytes"]),
            data.get("doubles") is True,
            data.get("doubtful") is True,
        )


@dataclass(frozen=True, slots=True)
class Screened:
    """What the screen found out about one test; ``calls`` is how often it ran."""

    test: str
    status: str
    why: str = ""
    calls: int = 0
    seconds: float = 0.0
    suspects: tuple[Suspect, ...] = ()
    dropped: tuple[str, ...] = field(default=())

    @classmethod
    def from_event(cls, test: str, data: Mapping[str, Any]) -> Screened:
        """Read a ``screened`` event. Raises KeyError, ValueError."""
        return cls(
            test=test,
            status=str(data["status"]),
            why=str(data.get("why", "")),
            calls=int(data.get("calls", 0)),
            seconds=float(data.get("seconds", 0.0)),
            suspects=tuple(Suspect.from_event(test, item) for item in data.get("suspects", ())),
            dropped=tuple(str(item) for item in data.get("dropped", ())),
        )


def identity(*parts: str) -> str:
    """12 hex digits for a finding without a stack, of what is the same on every machine."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:12]


def merge(
    suspects: Iterable[Suspect],
    key: Callable[[Suspect], tuple[str, ...]],
    summary: Callable[[Suspect], str],
) -> tuple[Finding, ...]:
    """One finding for all tests that show the same; the least that one of them shows is its size.

    A test may call the leaking code more than once, so the least is nearest to one leak.
    """
    groups: dict[tuple[str, ...], list[Suspect]] = {}
    for suspect in suspects:
        groups.setdefault(key(suspect), []).append(suspect)
    return tuple(_finding(parts, group, summary) for parts, group in sorted(groups.items()))


def _finding(
    parts: tuple[str, ...], group: Sequence[Suspect], summary: Callable[[Suspect], str]
) -> Finding:
    least = min(group, key=lambda suspect: (suspect.per_call, suspect.bytes, suspect.test))
    return Finding(
        detector=least.detector,
        kind=least.kind,
        id=identity(*parts),
        owner=Owner.UNKNOWN,
        tests=tuple(sorted({suspect.test for suspect in group})),
        blocks=_number(least.per_call),
        bytes=_number(least.bytes),
        per_call=True,
        summary=summary(least),
        subject="" if least.kind == NATIVE_MEMORY else least.name,
    )


def _number(value: float) -> float:
    """Whole numbers as such, and hundredths: the rest is what looking itself moved."""
    rounded = round(value, 2)
    return int(rounded) if abs(value - round(value)) < 0.02 else rounded


def amount(value: float) -> str:
    """``1``, ``0.33``, ``1,048,576``: for people."""
    return amounts.number(_number(value))


def counted(value: float, noun: str) -> str:
    """``1 block``, ``0.5 blocks``, ``2 blocks``."""
    return amounts.counted(_number(value), noun)
