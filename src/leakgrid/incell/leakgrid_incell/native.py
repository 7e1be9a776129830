"""Client requests, the heap's size and canaries, through the small C library that leakgrid built.

Without that library (no C compiler on the machine) every request does nothing, and the heap's size
comes from the C library directly.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

_CANARIES = 8
_LARGE, _SMALL = 5000, 72
"""Bytes: more than glibc keeps in a cache per thread, and less than pymalloc passes on."""


class Requests:
    """Valgrind's client requests; a no-op outside Valgrind or without the library."""

    def __init__(self, library: str) -> None:
        self._library: Any = None
        self._reader: Callable[[], int] | None = None
        self._wipe: Callable[[int], object] | None = None
        if library:
            import ctypes

            self._ctypes = ctypes
            self._library = ctypes.PyDLL(library)
            self._library.leakgrid_errors.restype = ctypes.c_ulong
            self._library.leakgrid_heap.restype = ctypes.c_size_t

    @property
    def available(self) -> bool:
        """Whether the library is there."""
        return self._library is not None

    @property
    def running(self) -> bool:
        """True under Valgrind."""
        return self.available and bool(self._library.leakgrid_running())

    def message(self, *words: str) -> None:
        """Put one line into Valgrind's XML; words are percent-encoded, blanks separate them."""
        if self.available:
            text = " ".join(["leakgrid"] + [quote(word, safe="/:=[]-_.,()") for word in words])
            self._library.leakgrid_message(text.encode("ascii"))

    def errors(self) -> int:
        """Memory errors of this process so far, repeats included."""
        return int(self._library.leakgrid_errors()) if self.available else 0

    def added_leak_check(self) -> None:
        """Ask memcheck to report what was lost since the last check."""
        if self.available:
            self._library.leakgrid_added_leak_check()

    def option(self, text: str) -> bool:
        """Change one of Valgrind's options, where this Valgrind can."""
        return self.available and bool(self._library.leakgrid_option(text.encode("ascii")))

    def leak_base(self) -> None:
        """Make the present state what the next added check compares with."""
        if self.available:
            self._library.leakgrid_leak_base()

    def totals(self) -> dict[str, dict[str, int]]:
        """Bytes and blocks per leak kind at the last check, or empty without the library."""
        if not self.available:
            return {}
        numbers = (self._ctypes.c_ulong * 8)()
        self._library.leakgrid_totals(numbers)
        kinds = ("lost", "possible", "reachable", "suppressed")
        return {
            kind: {"bytes": numbers[index], "blocks": numbers[index + 4]}
            for index, kind in enumerate(kinds)
        }

    def heap(self) -> int:
        """Bytes in use of the C allocator; 0 where it does not tell."""
        if self._reader is None:
            self._reader = _preloaded() or (
                self._library.leakgrid_heap if self.available else _heap_reader()
            )
        return self._reader()

    def wipe(self, on: bool) -> None:
        """Whether freed blocks are cleared from now on; only the preloaded meter can do that."""
        if self._wipe is None:
            import ctypes

            self._wipe = getattr(ctypes.CDLL(None), "leakgrid_wipe", bool)
        self._wipe(int(on))

    def try_heap(self, allocators: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """Allocate by each way an extension can; (planted, seen) are their names.

        ``allocators`` as in :meth:`plant`. What the heap's size does not show now, it would not
        show growing, either.
        """
        planted, seen = [], []
        for name, size, allocate in allocations(allocators):
            before = self.heap()
            for _ in range(_CANARIES):
                allocate()
            planted.append(name)
            if self.heap() - before >= _CANARIES * size:
                seen.append(name)
        return planted, seen

    def plant(self, allocators: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """Lose blocks by each way an extension can allocate; (planted, seen) are their names.

        ``allocators`` maps an extension library's path to the address of its ``__rust_alloc``. A
        canary is seen when the leak check behind it counts more lost blocks than the one before.
        """
        if not self.available:
            return [], []
        planted, seen = [], []
        lost = self.totals()["lost"]["blocks"]
        for name, lose in self.canaries(allocators):
            lose()
            self._library.leakgrid_canary_wipe()
            self.added_leak_check()
            before, lost = lost, self.totals()["lost"]["blocks"]
            planted.append(name)
            if lost > before:
                seen.append(name)
        return planted, seen

    def canaries(self, allocators: Mapping[str, int]) -> Iterator[tuple[str, Callable[[], object]]]:
        """(name, function that loses some blocks) for each way to allocate."""
        library, ctypes = self._library, self._ctypes
        malloc = ctypes.cast(ctypes.pythonapi.PyObject_Malloc, ctypes.c_void_p)
        yield "malloc", library.leakgrid_canary_malloc
        yield "object", lambda: library.leakgrid_canary_object(malloc)
        for place in loaded_at(allocators):
            yield "rust", partial(library.leakgrid_canary_rust, ctypes.c_void_p(place))


def allocations(allocators: Mapping[str, int]) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """(name, bytes, function that allocates as many) for each way to allocate; none is freed."""
    import ctypes

    for name, size, library, function in (
        ("malloc", _LARGE, ctypes.CDLL(None), "malloc"),
        ("object", _SMALL, ctypes.pythonapi, "PyObject_Malloc"),
    ):
        allocate = library[function]  # an object of its own: nobody else's prototype changes
        allocate.restype = ctypes.c_void_p
        yield name, size, partial(allocate, ctypes.c_size_t(size))
    kind = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
    for place in loaded_at(allocators):
        yield "rust", _LARGE, partial(kind(place), _LARGE, 8)


def _preloaded() -> Callable[[], int] | None:
    """The reader of the preloaded meter, which the programs that tests start do not need."""
    import ctypes

    read = getattr(ctypes.CDLL(None), "leakgrid_heap_in_use", None)
    if read is None:
        return None
    read.restype = ctypes.c_size_t
    _, _, rest = os.environ.get("LD_PRELOAD", "").partition(":")
    os.environ["LD_PRELOAD"] = rest
    if not rest:
        del os.environ["LD_PRELOAD"]
    return cast("Callable[[], int]", read)


def _heap_reader() -> Callable[[], int]:
    """glibc's mallinfo2 (2.33 and later, mallinfo(3)); without it a reader of nothing."""
    import ctypes

    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    fields = [(name, ctypes.c_size_t) for name in names.split()]
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return int
    ask.restype = type("Info", (ctypes.Structure,), {"_fields_": fields})

    def read() -> int:
        info = ask()
        return int(info.uordblks + info.hblkhd)

    return read


def loaded_at(functions: Mapping[str, int]) -> list[int]:
    """Addresses in this process of functions, by library and place in it, that are loaded."""
    bases = load_addresses() if sys.platform.startswith("linux") else {}
    places = ((bases.get(os.path.realpath(path)), offset) for path, offset in functions.items())
    return [base + offset for base, offset in places if base is not None]


def load_addresses() -> dict[str, int]:
    """The load address of every mapped file of this process, by real path (proc(5), maps)."""
    bases: dict[str, int] = {}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(None, 5)
            if len(fields) == 6 and fields[5].startswith("/"):
                start = int(fields[0].split("-")[0], 16) - int(fields[2], 16)
                path = fields[5]
                bases[path] = min(bases.get(path, start), start)
    return bases


def thread_count() -> int:
    """Threads of this process: a fork keeps only one of them, and a lock may stay locked."""
    return len(os.listdir("/proc/self/task")) if sys.platform.startswith("linux") else 1
