"""Makes one typed record of one element of Valgrind's XML output (see xml_records)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from leakgrid.detectors.records import (
    Args,
    Auxiliary,
    ClientMessage,
    DescriptorRecord,
    DescriptorStack,
    ErrorCounts,
    ErrorRecord,
    FatalSignal,
    LeakRecord,
    Record,
    Stack,
    Status,
    SuppressionCounts,
)
from leakgrid.signature import RawFrame

# Stacks repeat the same frames; sharing them keeps kept records small, the bound keeps it flat.
_FRAME_CACHE_LIMIT = 20_000
_AMOUNT = r"([\d,]{1,24})(?: \(([+-][\d,]{1,24})\))?"
_LOSS = re.compile(
    rf"{_AMOUNT}(?: \({_AMOUNT} direct, {_AMOUNT} indirect\))?"
    rf" bytes in {_AMOUNT} blocks? (?:are|is) "
)
_LEAK_KINDS = {
    "Leak_DefinitelyLost": "definitely-lost",
    "Leak_IndirectlyLost": "indirectly-lost",
    "Leak_PossiblyLost": "possibly-lost",
    "Leak_StillReachable": "still-reachable",
}


class FrameCache:
    """Gives equal frames as one object."""

    def __init__(self) -> None:
        self._known: dict[RawFrame, RawFrame] = {}

    def frame(self, element: Any) -> RawFrame:
        """One ``<frame>``; its function is ``???`` where Valgrind knows none."""
        parts = {child.tag: child.text or "" for child in element}
        line = parts.get("line", "")
        frame = RawFrame(
            function=parts.get("fn") or "???",
            object=parts.get("obj", ""),
            directory=parts.get("dir", ""),
            file=parts.get("file", ""),
            line=number(line) if line else 0,
        )
        if len(self._known) >= _FRAME_CACHE_LIMIT:
            self._known.clear()
        return self._known.setdefault(frame, frame)

    def stack(self, element: Any) -> Stack:
        """One ``<stack>``, innermost frame first."""
        if element is None:
            return ()
        return tuple(self.frame(child) for child in element.iterchildren("frame"))


def text_of(element: Any) -> str:
    """All text of an element without the blanks around it; empty where it is absent."""
    return "".join(element.itertext()).strip() if element is not None else ""


def number(text: str, base: int = 10) -> int:
    """A whole number as Valgrind prints it. Raises ValueError on anything else."""
    digits = text.strip()
    if len(digits) > 24 or not re.fullmatch(r"[+-]?(?:0x)?[0-9a-fA-F,]+", digits):
        raise ValueError(f"{digits[:40]!r} is not a number")
    return int(digits.replace(",", ""), base)


def _field(element: Any, tag: str, default: str | None = None) -> int:
    text = element.findtext(tag, default)
    if text is None:
        raise ValueError(f"<{tag}> is missing")
    return number(text, 16 if tag == "unique" else 10)


def _args(element: Any, _frames: FrameCache) -> Args:
    exes, lists = [], []
    for part in ("argv", "vargv"):
        exes.append(text_of(element.find(f"{part}/exe")))
        lists.append(tuple(arg.text or "" for arg in element.findall(f"{part}/arg")))
    if not exes[0]:
        raise ValueError("<argv><exe> is missing")
    return Args(exes[0], lists[0], exes[1], lists[1])


def _status(element: Any, _frames: FrameCache) -> Status:
    return Status(text_of(element.find("state")), text_of(element.find("time")))


def _message(element: Any, frames: FrameCache) -> ClientMessage:
    stack = frames.stack(element.find("stack"))
    return ClientMessage(_field(element, "tid"), text_of(element.find("text")), stack)


def _error(element: Any, frames: FrameCache) -> ErrorRecord | LeakRecord | DescriptorRecord:
    kind = text_of(element.find("kind"))
    if kind.startswith("Leak_"):
        return _leak(element, kind, frames)
    if not kind:
        raise ValueError("<kind> is missing")
    stack, auxiliary = _stacks(element, frames)
    unique, what, path = _field(element, "unique"), _what(element), text_of(element.find("path"))
    if kind == "FdNotClosed":
        return DescriptorRecord(unique, _field(element, "fd"), what, path, stack)
    return ErrorRecord(
        unique=unique,
        tid=_field(element, "tid"),
        kind=kind,
        what=what,
        stack=stack,
        auxiliary=auxiliary,
        thread=text_of(element.find("threadname")),
        descriptor=_field(element, "fd") if element.find("fd") is not None else None,
        path=path,
    )


def _what(element: Any) -> str:
    plain = element.find("what")
    return text_of(plain if plain is not None else element.find("xwhat/text"))


def _stacks(element: Any, frames: FrameCache) -> tuple[Stack, tuple[Auxiliary, ...]]:
    """The error's own stack, then each further line with the stack that follows it, if any."""
    main: Stack | None = None
    auxiliary: list[Auxiliary] = []
    for child in element:
        if child.tag == "stack":
            stack = frames.stack(child)
            if auxiliary and not auxiliary[-1].stack:
                auxiliary[-1] = Auxiliary(auxiliary[-1].what, stack)
            elif main is None:
                main = stack
            else:
                auxiliary.append(Auxiliary("", stack))
        elif child.tag == "auxwhat":
            auxiliary.append(Auxiliary(text_of(child)))
        elif child.tag == "xauxwhat":
            auxiliary.append(Auxiliary(text_of(child.find("text"))))
    return main or (), tuple(auxiliary)


def _leak(element: Any, kind: str, frames: FrameCache) -> LeakRecord:
    if kind not in _LEAK_KINDS:
        raise ValueError(f"{kind[:40]!r} is not a kind of leak")
    what = _what(element)
    found = _LOSS.match(what)
    if found is None:
        raise ValueError(f"{what[:80]!r} does not say how much is lost")
    total, delta, _, _, indirect, delta_indirect, blocks, delta_blocks = found.groups()
    return LeakRecord(
        unique=_field(element, "unique"),
        tid=_field(element, "tid"),
        kind=_LEAK_KINDS[kind],
        blocks=number(blocks),
        bytes=number(total),
        indirect_bytes=number(indirect or "0"),
        delta_blocks=number(delta_blocks) if delta_blocks else None,
        delta_bytes=number(delta) if delta else None,
        delta_indirect_bytes=number(delta_indirect or "0") if delta else None,
        stack=frames.stack(element.find("stack")),
        what=what,
    )


def _fatal(element: Any, frames: FrameCache) -> FatalSignal:
    return FatalSignal(
        signo=_field(element, "signo"),
        name=text_of(element.find("signame")),
        event=text_of(element.find("event")),
        tid=_field(element, "tid", "0"),
        stack=frames.stack(element.find("stack")),
    )


def _error_counts(element: Any, _frames: FrameCache) -> ErrorCounts:
    pairs = element.findall("pair")
    return ErrorCounts({_field(pair, "unique"): _field(pair, "count") for pair in pairs})


def _suppressions(element: Any, _frames: FrameCache) -> SuppressionCounts:
    counts: dict[str, int] = {}
    for pair in element.findall("pair"):
        name = text_of(pair.find("name"))
        counts[name] = counts.get(name, 0) + _field(pair, "count")
    return SuppressionCounts(counts)


def _bare_stack(element: Any, frames: FrameCache) -> DescriptorStack:
    return DescriptorStack(frames.stack(element))


# Every element below the root that becomes a record. Builders raise ValueError on foreign text.
BUILDERS: dict[str, Callable[[Any, FrameCache], Record]] = {
    "args": _args,
    "status": _status,
    "clientmsg": _message,
    "error": _error,
    "fatal_signal": _fatal,
    "errorcounts": _error_counts,
    "suppcounts": _suppressions,
    "stack": _bare_stack,
}
