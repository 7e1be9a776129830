"""Client requests and canaries, through the small C library that leakgrid built.

Without that library (no C compiler on the machine) every request does nothing.
"""

import os
import sys
from urllib.parse import quote


class Requests:
    """Valgrind's client requests; a no-op outside Valgrind or without the library."""

    def __init__(self, library):
        self._library = None
        if library:
            import ctypes  # noqa: PLC0415 - not loaded into a cell that has no use for it

            self._ctypes = ctypes
            self._library = ctypes.PyDLL(library)
            self._library.leakgrid_errors.restype = ctypes.c_ulong
            self._library.leakgrid_heap.restype = ctypes.c_size_t

    @property
    def available(self):
        return self._library is not None

    @property
    def running(self):
        """True under Valgrind."""
        return self.available and bool(self._library.leakgrid_running())

    def message(self, *words):
        """Put one line into Valgrind's XML; words are percent-encoded, blanks separate them."""
        if self.available:
            text = " ".join(["leakgrid"] + [quote(word, safe="/:=[]-_.,()") for word in words])
            self._library.leakgrid_message(text.encode("ascii"))

    def errors(self):
        """Memory errors of this process so far, repeats included."""
        return self._library.leakgrid_errors() if self.available else 0

    def added_leak_check(self):
        """Ask memcheck to report what was lost since the last check."""
        if self.available:
            self._library.leakgrid_added_leak_check()

    def option(self, text):
        """Change one of Valgrind's options, where this Valgrind can."""
        return self.available and bool(self._library.leakgrid_option(text.encode("ascii")))

    def leak_base(self):
        """Make the present state what the next added check compares with."""
        if self.available:
            self._library.leakgrid_leak_base()

    def totals(self):
        """Bytes and blocks per leak kind at the last check, or an empty dict without the library."""
        if not self.available:
            return {}
        numbers = (self._ctypes.c_ulong * 8)()
        self._library.leakgrid_totals(numbers)
        kinds = ("lost", "possible", "reachable", "suppressed")
        return {
            kind: {"bytes": numbers[index], "blocks": numbers[index + 4]}
            for index, kind in enumerate(kinds)
        }

    def heap(self):
        """Bytes in use of the C allocator."""
        return self._library.leakgrid_heap() if self.available else 0

    def plant(self, allocators):
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

    def canaries(self, allocators):
        """(name, function that loses some blocks) for each way to allocate."""
        library, ctypes = self._library, self._ctypes
        malloc = ctypes.cast(ctypes.pythonapi.PyObject_Malloc, ctypes.c_void_p)
        yield "malloc", library.leakgrid_canary_malloc
        yield "object", lambda: library.leakgrid_canary_object(malloc)
        bases = load_addresses()
        for path, offset in allocators.items():
            base = bases.get(os.path.realpath(path))
            if base is not None:
                address = ctypes.c_void_p(base + offset)
                yield "rust", lambda address=address: library.leakgrid_canary_rust(address)


def load_addresses():
    """The load address of every mapped file of this process, by real path (proc(5), maps)."""
    bases = {}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(None, 5)
            if len(fields) == 6 and fields[5].startswith("/"):
                start = int(fields[0].split("-")[0], 16) - int(fields[2], 16)
                path = fields[5]
                bases[path] = min(bases.get(path, start), start)
    return bases


def thread_count():
    """Threads of this process: a fork keeps only one of them, and a lock may stay locked."""
    return len(os.listdir("/proc/self/task")) if sys.platform.startswith("linux") else 1
