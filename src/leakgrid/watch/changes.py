"""Lines of PyO3's changelog that speak of memory (pure)."""

from __future__ import annotations

import re
from collections.abc import Collection

from leakgrid.changelog import Note
from leakgrid.registry import sort_key

_MEMORY = re.compile(
    r"leak|ref(?:erence)?[ -]?count|use[ -]after[ -]free|double[ -]free|dangling|unsound"
    r"|soundness|memory safety|invalid (?:read|write|memory)|out[ -]of[ -]bounds|uninitiali[sz]ed"
    r"|segfault|segmentation fault|undefined behaviou?r|data race|Py_(?:INC|DEC)REF|dealloc",
    re.IGNORECASE,
)


def about_memory(notes: Collection[Note], versions: Collection[str]) -> tuple[Note, ...]:
    """The entries of these versions that speak of leaks, reference counts, use after free."""
    return tuple(n for n in notes if n.version in versions and _MEMORY.search(n.text))


def unreleased(notes: Collection[Note], released: Collection[str]) -> tuple[str, ...]:
    """Versions that the changelog announces between the released ones, and the index has not."""
    keys = [sort_key(version) for version in released]
    return tuple(
        version
        for version in dict.fromkeys(note.version for note in notes)
        if version not in released and keys and min(keys) < sort_key(version) < max(keys)
    )
