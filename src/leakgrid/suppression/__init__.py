"""Valgrind's suppression files: rules in layers, judged, matched, counted, proposed.

Syntax and matching: Valgrind manual, section "Suppressing errors", and ``m_errormgr.c``.
"""

from __future__ import annotations

from leakgrid.suppression.layers import (
    Layer,
    applicable,
    compose,
    layer_of,
    lint_layers,
)
from leakgrid.suppression.lint import Complaint, lint
from leakgrid.suppression.matching import matches
from leakgrid.suppression.proofs import Proof, read_proofs, render_proof
from leakgrid.suppression.proposal import proof_of, propose
from leakgrid.suppression.rules import (
    BY_HAND,
    ELLIPSIS,
    LEAK_KINDS,
    Rule,
    hit_counts,
    parse,
    render,
)

__all__ = [
    "BY_HAND",
    "ELLIPSIS",
    "LEAK_KINDS",
    "Complaint",
    "Layer",
    "Proof",
    "Rule",
    "applicable",
    "compose",
    "hit_counts",
    "layer_of",
    "lint",
    "lint_layers",
    "matches",
    "parse",
    "proof_of",
    "propose",
    "read_proofs",
    "render",
    "render_proof",
]
