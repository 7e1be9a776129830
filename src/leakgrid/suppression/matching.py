"""Whether Valgrind would suppress a record with a rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from leakgrid.signature import RawFrame
from leakgrid.suppression.rules import ELLIPSIS, LEAK_KINDS, Rule

_XML_KINDS = {
    "Leak_DefinitelyLost": "definite",
    "Leak_IndirectlyLost": "indirect",
    "Leak_PossiblyLost": "possible",
    "Leak_StillReachable": "reachable",
    "UninitCondition": "Cond",
    "UninitValue": "Value",
    "SyscallParam": "Param",
    "InvalidFree": "Free",
    "MismatchedFree": "Free",
    "InvalidJump": "Jump",
    "InvalidRead": "Addr",
    "InvalidWrite": "Addr",
}  # the XML's words -> the suppressions' words (Valgrind: mc_errors.c)


def matches(rule: Rule, kind: str, frames: Sequence[RawFrame]) -> bool:
    """Whether Valgrind would suppress this record with this rule.

    ``kind`` is a leak kind (``definite``), a kind of the XML (``Leak_DefinitelyLost``,
    ``InvalidRead``) or of a suppression (``Addr4``). Sizes count only where both sides name
    them. Frames carry demangled names, so mangled patterns are compared by their identifiers.
    """
    return _kind_matches(rule, _XML_KINDS.get(kind, kind)) and _stack_matches(rule.frames, frames)


def _kind_matches(rule: Rule, kind: str) -> bool:
    if kind in LEAK_KINDS:
        return rule.kind == "Leak" and (
            not rule.leak_kinds or "all" in rule.leak_kinds or kind in rule.leak_kinds
        )
    if kind in ("Addr", "Value"):
        return rule.kind.rstrip("0123456789") == kind
    return rule.kind == kind


def _stack_matches(patterns: Sequence[str], frames: Sequence[RawFrame]) -> bool:
    """The patterns match a prefix of the stack; ``...`` stands for any number of frames."""
    reached = {0}  # how many frames the patterns so far may have used up
    for pattern in patterns:
        if pattern == ELLIPSIS:
            reached = set(range(min(reached), len(frames) + 1))
        else:
            reached = {
                at + 1 for at in reached if at < len(frames) and _frame_matches(pattern, frames[at])
            }
        if not reached:
            return False
    return True


def _frame_matches(pattern: str, frame: RawFrame) -> bool:
    where, _, wanted = pattern.partition(":")
    if where == "obj":
        return bool(glob(wanted).match(frame.object or "???"))
    if where == "src":
        file, _, line = wanted.partition(":")
        return bool(glob(file).match(frame.file.rsplit("/", 1)[-1])) and (
            not line or line == str(frame.line)
        )
    name = frame.function or "???"
    if glob(wanted).match(name):
        return True
    identifiers = _mangled_identifiers(wanted)
    return bool(identifiers) and bool(re.search(r"\b.*\b".join(map(re.escape, identifiers)), name))


@lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern[str]:
    """A pattern of a rule. Valgrind knows only ``*`` and ``?``; everything else is literal."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in pattern) + r"\Z", re.DOTALL)


def _mangled_identifiers(pattern: str) -> list[str]:
    """``_ZN4pyo33err*4take*`` -> pyo3, err, take: length-prefixed names, the hash left out."""
    if not re.match(r"\*?_?_(?:ZN|R|\*\d)", pattern):
        return []
    names: list[str] = []
    at = 0
    while match := re.compile(r"\d+").search(pattern, at):
        length = int(match[0])
        name = pattern[match.end() : match.end() + length]
        if len(name) == length and re.fullmatch(r"[A-Za-z_$.][\w$.]*", name):
            if not re.fullmatch(r"h[0-9a-f]{16}", name):
                names.append(name)
            at = match.end() + length
        else:
            at = match.end()
    return names
