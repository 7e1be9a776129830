"""The accepted findings of one cell: what they are, how they come about, how they lie in git."""

from __future__ import annotations

from leakgrid.baseline.accepting import Accepting, accept, stale
from leakgrid.baseline.model import (
    SCHEMA,
    Accepted,
    Baseline,
    frame_text,
    is_complete,
    measured_tests,
    python_minor,
)
from leakgrid.baseline.text import read, write

__all__ = [
    "SCHEMA",
    "Accepted",
    "Accepting",
    "Baseline",
    "accept",
    "frame_text",
    "is_complete",
    "measured_tests",
    "python_minor",
    "read",
    "stale",
    "write",
]
