"""The narrowest rule for a finding: every frame of its stack that Valgrind lets a rule name."""

from __future__ import annotations

import re

from leakgrid.errors import UsageError
from leakgrid.finding import Finding
from leakgrid.signature import Frame, Owner, RawFrame
from leakgrid.suppression.proofs import Proof
from leakgrid.suppression.rules import LEAK_KINDS, MOST_FRAMES, Rule

_KINDS = {
    "definitely-lost": "definite",
    "lost-at-import": "definite",
    "indirectly-lost": "indirect",
    "uninitialised-condition": "Cond",
    "uninitialised-value": "Value",
    "syscall-parameter": "Param",
    "invalid-free": "Free",
    "mismatched-free": "Free",
    "invalid-jump": "Jump",
    "invalid-read": "Addr",
    "invalid-write": "Addr",
}  # a finding's words -> a suppression's
_SIZED = ("Addr", "Value")


def propose(
    finding: Finding, *, python: str, pyo3: str, reason: str = "", reference: str = ""
) -> Rule:
    """The rule that hides this finding and as little else as Valgrind can tell apart.

    ``python`` and ``pyo3`` are the cell's versions; the rule is for them alone. Raises UsageError
    for a finding of the extension's own code, or one without a stack.
    """
    if finding.owner == Owner.EXTENSION:
        raise UsageError(
            f"{finding.id} is the extension's own, and a suppression would hide it for good",
            next="Mend it, or accept it in the baseline: leakgrid accept CELL --finding "
            f"{finding.id} --reason TEXT --reproducer TEXT.",
        )
    kind = _KINDS.get(finding.kind)
    if kind is None or not finding.frames:
        raise UsageError(
            f"Valgrind has no record of {finding.id} ({finding.detector}: {finding.kind}), so no "
            "suppression can hide it",
            next=f"Accept it in the baseline: leakgrid accept CELL --finding {finding.id} ...",
        )
    leak = kind in LEAK_KINDS
    # Memcheck's own summary; a Value rule always names its size.
    sized = re.search(r"of size (\d+)", finding.summary)
    return Rule(
        name=f"{finding.owner}_{finding.id}",
        tool="Memcheck",
        kind="Leak" if leak else f"{kind}{sized[1]}" if sized and kind in _SIZED else kind,
        frames=tuple(_pattern(frame) for frame in finding.frames[:MOST_FRAMES]),
        leak_kinds=(kind,) if leak else (),
        python=f"=={python}.*" if python.count(".") == 1 else f"=={python}",
        pyo3=f"=={pyo3}",
        owner=str(finding.owner),
        reason=reason,
        reference=reference,
    )


def proof_of(rule: Rule, finding: Finding, seen: str) -> Proof:
    """The stack of the finding as the proof of the rule that was proposed for it."""
    kind = rule.leak_kinds[0] if rule.leak_kinds else rule.kind
    frames = (
        RawFrame(frame.function, f"/{frame.object}" if frame.object else "")
        for frame in finding.frames
    )
    return Proof(kind, seen, tuple(frames))


def _pattern(frame: Frame) -> str:
    """``fun:`` with the mangled name of a Rust function as far as it can be told, else ``obj:``."""
    name = frame.function
    if not name or name == "???":
        return f"obj:*/{frame.object}*" if frame.object else "obj:*"
    if "::" not in name and not re.search(r"[<>{} ]", name):
        return f"fun:{name}"
    # Both of Rust's manglings write each identifier behind its length.
    words = [
        word for word in re.findall(r"[A-Za-z_]\w*", name) if word not in ("impl", "as", "mut")
    ]
    return "fun:_*" + "*".join(f"{len(word)}{word}" for word in words) + "*"
