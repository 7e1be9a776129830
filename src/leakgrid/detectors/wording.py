"""Valgrind's words about an error in leakgrid's: kinds, sizes, one line for people."""

from __future__ import annotations

import re

from leakgrid.amounts import counted, number
from leakgrid.detectors.records import ErrorRecord, Stack

# Planted by the code inside a cell; a leak under one of these names is our own.
CANARIES = ("leakgrid_canary_malloc", "leakgrid_canary_object", "leakgrid_canary_rust")

_KINDS = {
    "UninitCondition": "uninitialised-condition",
    "UninitValue": "uninitialised-value",
    "SyscallParam": "syscall-parameter",
    "FdBadClose": "descriptor-closed-twice",
    "FdBadUse": "descriptor-bad-use",
    "InvalidMemPool": "invalid-memory-pool",
}
_CANARY = re.compile(r"\b(" + "|".join(CANARIES) + r")\b")
_SIZE = re.compile(r"\bof size ([\d,]+)\b")
_ADDRESS = re.compile(r"Address (0x[0-9A-Fa-f]+) (?:is )?(.*)")
_HEX_ARGUMENTS = re.compile(r"\(0x[^)]*\)")
_PLACE = re.compile(r"(.+ a block) (of size [\d,]+) (alloc|free)'d$")
_FIRST_PAGE = 4096


def canaries_in(stack: Stack) -> set[str]:
    """The names of the canaries that this stack goes through."""
    found = (_CANARY.search(frame.function) for frame in stack)
    return {match[1] for match in found if match}


def error_kind(kind: str) -> str:
    """``InvalidRead`` -> ``invalid-read``; kinds that are new to leakgrid are spelt likewise."""
    return _KINDS.get(kind) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind).lower()


def error_size(what: str) -> int:
    """The bytes of the access that ``what`` names, or 0."""
    match = _SIZE.search(what)
    return int(match[1].replace(",", "")) if match else 0


def error_summary(record: ErrorRecord) -> str:
    """One line without addresses: ``Invalid read of size 1, 0 bytes after a block of size 8``."""
    what = _HEX_ARGUMENTS.sub("", record.what)
    for item in record.auxiliary:
        match = _ADDRESS.match(item.what)
        if match is not None:
            return f"{what}, {_place(int(match[1], 16), match[2])}"
    return what


def leak_summary(blocks: float, size: float, indirect: float = 0) -> str:
    """``312 bytes in 1 block definitely lost (208 of them indirectly)``."""
    text = f"{counted(size, 'byte')} in {counted(blocks, 'block')} definitely lost"
    return f"{text} ({number(indirect)} of them indirectly)" if indirect else text


def _place(address: int, text: str) -> str:
    found = _PLACE.match(text)
    if found is not None:
        kind = found[1] if found[3] == "alloc" else found[1].replace(" a block", " a freed block")
        return f"{kind} {found[2]}"
    if "not stack'd, malloc'd" in text:
        return "through a null pointer" if address < _FIRST_PAGE else "outside any known block"
    return text
