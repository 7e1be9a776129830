"""Threads that do not end, with each call one more."""

from __future__ import annotations

import re
from collections.abc import Iterable

from leakgrid.detectors.suspects import Suspect, counted, merge
from leakgrid.finding import Finding

DETECTOR = "threads"
_NUMBER = re.compile(r"\d+")


def findings(suspects: Iterable[Suspect]) -> tuple[Finding, ...]:
    """One finding per thread name; ``pool-3`` and ``pool-4`` are the same name."""
    own = [suspect for suspect in suspects if suspect.detector == DETECTOR]
    return merge(own, lambda s: (DETECTOR, s.kind, _NUMBER.sub("N", s.name)), _summary)


def _summary(suspect: Suspect) -> str:
    return f"{counted(suspect.per_call, 'thread')} left running per call: {suspect.name}"
