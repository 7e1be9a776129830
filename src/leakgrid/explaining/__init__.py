"""One finding in plain words: what it is and costs, whose code, why, how to see it again (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from leakgrid.amounts import counted
from leakgrid.explaining._again import reproducers
from leakgrid.explaining._model import Cause, Explanation
from leakgrid.explaining._what import ERRORS, NOT_MEASURED, cost, pattern_of, size, what
from leakgrid.explaining._why import USUAL, known
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import Frame, Owner, native_segment, own_functions

__all__ = ["Cause", "Explanation", "explain"]


def explain(finding: Finding, result: CellResult) -> Explanation:
    """Explain a finding of this result."""
    pattern = pattern_of(finding)
    return Explanation(
        what=what(finding, pattern),
        cost=cost(finding, pattern),
        owner=_owner(finding, result),
        causes=(*known(finding, result), *USUAL[pattern]),
        reproducers=reproducers(finding, result, pattern),
        classes={} if pattern in ERRORS else _classes(result),
        bytes_per_1000_calls=finding.bytes * 1000 if finding.per_call and finding.bytes else None,
    )


_OWNERS = {
    Owner.EXTENSION: "The extension's own code: of the frames that could decide, the innermost is "
    "its own.",
    Owner.PYO3: "PyO3's code: it ran with nothing of the extension below it but what PyO3's macros "
    "wrote.",
    Owner.DEPENDENCY: "A crate or package that the extension uses{name}.",
    Owner.CPYTHON: "CPython's own code; the extension is not in the part of the stack that "
    "decides. It can still be the extension that does not give an object back.",
    Owner.LIBC: "The C library; nothing else is in the part of the stack that decides.",
    Owner.UNKNOWN: "Not known: what saw this names the object and has no stack.",
}


def _owner(finding: Finding, result: CellResult) -> str:
    name = ""
    if finding.owner is Owner.DEPENDENCY:
        segment = native_segment(finding.frames)
        files = [f.file for f in segment if f.owner is Owner.DEPENDENCY and "/" in f.file]
        name = f" ({PurePosixPath(files[0]).parts[0]})" if files else ""
    text = _OWNERS[finding.owner].format(name=name)
    if finding.owner is Owner.UNKNOWN and finding.detector != "growth":
        text += " A count has none: the object and the tests narrow it down."
    elif finding.owner is Owner.UNKNOWN and "memcheck" not in result.detectors:
        text += " With Valgrind, `--detectors memcheck,growth` looks for the place."
    if finding.owner in (Owner.PYO3, Owner.CPYTHON) and finding.detector == "growth":
        text = f"{text} {_holder(finding)}"
    elif finding.owner is Owner.PYO3:
        text += " Another version may not do it: see `leakgrid bisect`."
    return text


def _holder(finding: Finding) -> str:
    """Where to look first: a stack tells who allocated, and of growth somebody else may hold it."""
    told = "That is who allocated, not who holds it. "
    if finding.subject:
        told += "An instance of the extension's own class is allocated by PyO3 and CPython, too. "
    entry = _entry(finding.frames)
    told += (
        f"Look first at {entry} of the extension, which asked for it, and at what keeps it."
        if entry
        else "No function of the extension is in the stack: look first at what the tests hand to "
        "it, and what it keeps of that."
    )
    if finding.owner is Owner.PYO3:
        told += (
            " Only where the extension keeps nothing is it PyO3's: then `leakgrid bisect` finds "
            "a version without it."
        )
    return told


def _entry(frames: Sequence[Frame]) -> str:
    """The extension's innermost function, in the part of the stack that decides if it is there."""
    for part in (native_segment(frames), frames):
        for frame in part:
            if names := own_functions((frame,)):
                within, _, last = frame.function.rpartition("::")
                name = f"{within}::{names[0]}" if within and last.isidentifier() else names[0]
                where = f" ({frame.file}:{frame.line})" if frame.file else ""
                return f"`{name}`{where}"
    return ""


def _classes(result: CellResult) -> dict[str, str]:
    """Valgrind's classes of loss in this run; a class that was not measured says so."""
    ran = "memcheck" in result.detectors if result.detectors else bool(result.totals)
    lost = result.totals.get("definitely-lost")
    if not ran or lost is None:
        off = bool(result.detectors) and not ran
        why = NOT_MEASURED + (": the memcheck detector did not run" if off else "")
        return dict.fromkeys(
            ("definitely lost", "indirectly lost", "possibly lost", "still reachable"), why
        )
    owners = lost.values() if isinstance(lost, Mapping) else ()
    blocks = sum(float(amount.get("blocks", 0)) for amount in owners)
    total = sum(float(amount.get("bytes", 0)) for amount in owners)
    return {
        "definitely lost": f"{counted(blocks, 'block')}, {size(total)}" if blocks else "none",
        "indirectly lost": "not counted apart: with the definitely lost block that they hang off",
        "possibly lost": _largest(result, "possible", "pointers into the middle of blocks, as hash "
                                  "maps keep them; proves nothing"),
        "still reachable": _largest(result, "reachable", "caches and module state as well as "
                                    "objects whose count never falls to zero; see growth and refs"),
    }  # fmt: skip


def _largest(result: CellResult, name: str, meaning: str) -> str:
    amount = result.totals.get(name, {}).get("all")
    if not amount:
        return NOT_MEASURED
    told = f"{counted(amount['blocks'], 'block')}, {size(amount['bytes'])} in the largest process"
    return f"{told} ({meaning})"
