"""What makes two stacks the same: exactly (on any machine), or by cause (between versions)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from leakgrid.signature.model import Frame, Owner
from leakgrid.signature.names import (
    CLOSURE,
    INLINED,
    UNKNOWN_FUNCTION,
    leaf_name,
    without_generics,
    without_version,
)
from leakgrid.signature.owners import NATIVE, enters_cpython, is_glue, native_segment


def signature_id(detector: str, kind: str, frames: Sequence[Frame]) -> str:
    """12 hex digits (of SHA-256) that name this leak on every machine.

    What counts: detector, kind, and the chain of functions of the extension, PyO3 and other
    crates, with the C API function through which they entered CPython. Rust's std, the allocator,
    CPython's internals and how the test called the extension do not: they move with compilers
    and builds. Without such frames, CPython's own functions up to its loop count.
    """
    parts = [detector, kind, *_chain(native_segment(frames) or tuple(frames))]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:12]


def _chain(segment: Sequence[Frame]) -> list[str]:
    """What identifies a stack, innermost first, repetitions collapsed (recursion)."""
    native = [i for i, frame in enumerate(segment) if frame.owner in NATIVE]
    if not native:
        names = [f.function for f in segment if f.owner is not Owner.LIBC]
        return _collapse(name for name in names if name != UNKNOWN_FUNCTION)
    own = [i for i in native if segment[i].owner is Owner.EXTENSION]
    last = own[-1] if own else native[-1]  # PyO3's trampolines outside the extension say nothing
    parts: list[str] = []
    for i, frame in enumerate(segment[: last + 1]):
        if i == last:
            # The outermost own function is never inlined: its whole path tells `A.new` from `B.new`
            parts.append(_located(without_generics(frame.function), frame.file))
        elif frame.owner in NATIVE:
            name = leaf_name(frame.function)
            if name not in (CLOSURE, INLINED) or frame.owner is Owner.EXTENSION:
                parts.append(_located(name, frame.file))
        elif frame.owner is Owner.CPYTHON and enters_cpython(segment, i):
            parts.append(frame.function)
    return _collapse(parts)


def _located(name: str, file: str) -> str:
    return f"{name}@{without_version(file)}"


def _collapse(names: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for name in names:
        if name and (not kept or kept[-1] != name):
            kept.append(name)
    return kept


class Caused(Protocol):
    """What :func:`cause_key` needs to know: a Finding, or anything else with these fields."""

    @property
    def detector(self) -> str:
        """The detector's name."""

    @property
    def kind(self) -> str:
        """The kind of leak or error."""

    @property
    def tests(self) -> tuple[str, ...]:
        """Node ids of the tests that showed it."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The normalised stack."""


def kind_family(kind: str) -> str:
    """Leak kinds move between versions (definite, possible, reachable); their family does not."""
    lower = kind.lower()
    if any(
        word in lower for word in ("leak", "lost", "definite", "indirect", "possib", "reachable")
    ):
        return "leak"
    if lower.startswith("uninit") or "syscallparam" in lower:
        return "uninitialised"
    return lower


def cause_key(finding: Caused) -> str:
    """What stays the same when PyO3 or Python changes underneath: for matching two results.

    The extension's own functions decide; without any, the tests and the C API function at the
    border. PyO3's and CPython's internals and versions in file names never take part.
    """
    segment = native_segment(finding.frames) or finding.frames
    parts = [finding.detector, kind_family(finding.kind)]
    own = own_functions(segment)
    if own:
        return "|".join([*parts, "own", *own])
    border = [f.function for i, f in enumerate(segment)
              if f.owner is Owner.CPYTHON and enters_cpython(segment, i)]  # fmt: skip
    if not border and not any(f.owner in NATIVE for f in segment):
        border = _chain(segment)
    return "|".join([*parts, "tests", *sorted(finding.tests), *border[:1]])


def own_functions(frames: Sequence[Frame]) -> tuple[str, ...]:
    """The extension's functions, innermost first, as its author knows them (no macro names)."""
    names: list[str] = []
    for frame in frames:
        if frame.owner is not Owner.EXTENSION or frame.function in (INLINED, UNKNOWN_FUNCTION):
            continue
        name = leaf_name(frame.function)
        if match := re.match(r"__pymethod_(?:[gs]et_)?(\w+?)__\Z|__pyfunction_(\w+)\Z", name):
            name = match[1] or match[2]
        elif is_glue(frame) and not name.startswith("PyInit_"):
            continue
        if name != CLOSURE:
            names.append(name)
    return tuple(_collapse(names))
