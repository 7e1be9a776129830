"""Where references live: the words of this process's memory that hold an object's address.

Whatever keeps a reference keeps the object's address somewhere: a container's slot, an instance's
type, a native table that was reserved long ago. So where a reference count rises and no more words
hold the address, references were lost: nobody can give them back. That holds however large a pool
may be, which is why few calls are enough.

It is what a conservative collector looks for. Stale copies of an address (freed blocks, old stack
frames) are counted, too; only the difference between two moments means anything. An address whose
lowest bits are used as a tag counts like the plain one.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from leakgrid_incell.native import load_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_CHUNK = 1 << 20
_LOAD, _WRITE = 1, 2
_TAG = 7
"""The bits of an address that alignment leaves free."""
MOST_MEMORY = 1 << 30
"""Bytes: to read more takes longer than to call a test a few hundred times."""


def count(things: Sequence[object]) -> list[int]:
    """For each object the words that hold its address; empty where memory cannot be read."""
    found = [0] * len(things)
    addresses = [id(thing).to_bytes(8, "little") for thing in things]
    # Three times as fast as find() is here.
    patterns = [re.compile(re.escape(address[1:])) for address in addresses]
    if sys.byteorder != "little" or not sys.platform.startswith("linux"):
        return []
    try:
        for buffer, length in _memory():
            for place, (address, pattern) in enumerate(zip(addresses, patterns)):
                found[place] += _occurrences(buffer, length, address, pattern)
    except (OSError, ValueError):
        return []
    return found


def in_statics(thing: object, libraries: Iterable[str]) -> bool:
    """Whether a static variable of one of the libraries holds the object's address."""
    if sys.byteorder != "little" or not sys.platform.startswith("linux"):
        return False
    address = id(thing).to_bytes(8, "little")
    bases = load_addresses()
    for path in map(os.path.realpath, libraries):
        try:
            if path in bases and any(address in part for part in _read(bases[path], path)):
                return True
        except (OSError, ValueError, struct.error):  # of a file that is gone by now
            continue
    return False


def _read(base: int, library: str) -> Iterator[bytes]:
    """The statics of a library that is loaded at ``base``, as they are now."""
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for place, size in _statics(library):
            memory.seek(base + place)
            yield memory.read(size)


def _statics(library: str) -> list[tuple[int, int]]:
    """(address from the load address on, bytes) of what can be written: elf(5), PT_LOAD."""
    with open(library, "rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":  # 64 bits, little endian
            return []
        (start,) = struct.unpack_from("<Q", head, 32)
        size, number = struct.unpack_from("<HH", head, 54)
        file.seek(start)
        table = file.read(size * number)
    found = []
    for place in range(0, len(table), size):
        kind, flags, _, address, _, _, length = struct.unpack_from("<IIQQQQQ", table, place)
        if kind == _LOAD and flags & _WRITE:
            found.append((address, length))
    return found


def _memory() -> Iterator[tuple[mmap.mmap, int]]:
    """All that can hold an address, a piece at a time: (buffer, how much of it is filled)."""
    ranges = _writable()
    if sum(high - low for low, high in ranges) > MOST_MEMORY:
        raise ValueError("too much memory")
    # A shared mapping, so that the buffer itself is none of what is read.
    with open("/proc/self/mem", "rb", buffering=0) as memory, mmap.mmap(-1, _CHUNK) as buffer:
        view = memoryview(buffer)
        try:
            for low, high in ranges:
                memory.seek(low)
                # A mapping may be gone by now, as the stack of a thread that ended.
                with suppress(OSError):
                    while low < high:
                        length = memory.readinto(view[: min(_CHUNK, high - low)])
                        if not length:
                            break
                        low += length
                        yield buffer, length
        finally:
            view.release()


def _writable() -> list[tuple[int, int]]:
    """Private writable mappings of this process (proc(5), maps)."""
    ranges = []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            place, rights = line.split(None, 2)[:2]
            if rights == "rw-p" and "[vvar" not in line:
                low, high = place.split("-")
                ranges.append((int(low, 16), int(high, 16)))
    return ranges


def _occurrences(buffer: mmap.mmap, length: int, address: bytes, pattern: re.Pattern[bytes]) -> int:
    """Words in the filled part whose untagged value is the address."""
    return sum(
        buffer[found.start() - 1] & ~_TAG == address[0] & ~_TAG
        for found in pattern.finditer(buffer, 1, length)
    )
