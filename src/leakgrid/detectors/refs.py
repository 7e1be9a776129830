"""Reference counts that drift with each call, named by object."""

from __future__ import annotations

from collections.abc import Iterable

from leakgrid.detectors.suspects import Suspect, counted, merge
from leakgrid.finding import Finding

DETECTOR = "refs"


def findings(suspects: Iterable[Suspect]) -> tuple[Finding, ...]:
    """One finding per object."""
    own = [suspect for suspect in suspects if suspect.detector == DETECTOR]
    return merge(own, lambda s: (DETECTOR, s.kind, s.name), _summary)


def _summary(suspect: Suspect) -> str:
    return f"{counted(suspect.per_call, 'reference')} to {suspect.name} lost per call"
