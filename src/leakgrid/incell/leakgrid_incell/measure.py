"""What is read after each round: heap bytes, reference counts, open files, threads.

A reading is one row of a table that is made before the first round, because what a reading itself
allocates would show in the next one.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from array import array
from itertools import chain
from typing import TYPE_CHECKING

from leakgrid_incell import tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import CodeType, ModuleType
    from typing import Any

    import pytest

_LINUX = sys.platform.startswith("linux")
_SETTLE_SECONDS = 1.0
HEAP, FDS, THREADS, TOTAL, NONE, BOOLS, EMPTY, INTS = range(8)
FIXED = ("heap", "fds", "threads", "total references", "None", "True and False", "()", "small ints")
CONSTANTS = (NONE, BOOLS, EMPTY, INTS)
_SMALL = list(range(-5, 257))  # _PY_NSMALLNEGINTS and _PY_NSMALLPOSINTS of CPython


class Meter:
    """Reads everything that may grow, for the objects in ``watched``.

    ``watched`` is a list of (object, its name); the names of a row's cells are FIXED, then those.
    """

    def __init__(self, heap: Callable[[], int]) -> None:
        self._heap = heap
        self._total = getattr(sys, "gettotalrefcount", None)
        self._threads = 0
        self._patience = _SETTLE_SECONDS
        self.watched: list[object] = []
        self.names: list[str] = []

    def watch(self, named: Iterable[tuple[object, str]]) -> None:
        """Choose the objects whose references are counted; each once."""
        unique: dict[int, tuple[object, str]] = {}
        for thing, name in named:
            unique.setdefault(id(thing), (thing, name))
        self.watched = [thing for thing, _ in unique.values()]
        self.names = [name for _, name in unique.values()]

    def name(self, cell: int) -> str:
        """What a cell of a row counts."""
        return FIXED[cell] if cell < len(FIXED) else self.names[cell - len(FIXED)]

    def thing(self, cell: int) -> object:
        """The object whose references a cell counts; only of cells behind FIXED."""
        return self.watched[cell - len(FIXED)]

    def is_text(self, cell: int) -> bool:
        """Whether a cell counts the references to a string."""
        return cell >= len(FIXED) and type(self.thing(cell)) is str

    def table(self, rows: int) -> list[array[int]]:
        """Rows to read into. Everything is allocated here."""
        width = len(FIXED) + len(self.watched)
        return [array("q", bytes(8 * width)) for _ in range(rows)]

    def read(self, row: array[int]) -> None:
        """Read everything into a row."""
        count = sys.getrefcount
        row[THREADS] = self._settled_threads()
        row[FDS] = len(os.listdir("/proc/self/fd")) if _LINUX else 0
        row[len(FIXED) :] = array("q", map(count, self.watched))
        row[NONE] = count(None)
        row[BOOLS] = count(True) + count(False)
        row[EMPTY] = count(())
        row[INTS] = sum(map(count, _SMALL))
        row[TOTAL] = self._total() if self._total is not None else 0
        row[HEAP] = self._heap() - tracing.kept()

    def start(self) -> None:
        """Note the threads that are there before the rounds."""
        self._threads = _threads()
        self._patience = _SETTLE_SECONDS

    def _settled_threads(self) -> int:
        """A thread that has been joined may still be exiting: wait for it for a moment."""
        pause, limit = 0.0005, time.monotonic() + self._patience
        count = _threads()
        while count > self._threads and time.monotonic() < limit:
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
            count = _threads()
        if count > self._threads:  # these stay: no use in waiting as long for the next ones
            self._threads, self._patience = count, self._patience / 4
        return count


def _threads() -> int:
    return len(os.listdir("/proc/self/task")) if _LINUX else 0


def open_files() -> dict[str, int]:
    """The target of every open descriptor (proc(5)), sockets and pipes without their number."""
    found: dict[str, int] = {}
    if _LINUX:
        for number in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink("/proc/self/fd/" + number)
            except OSError:  # the directory's own descriptor, closed again
                continue
            kind, _, rest = target.partition(":")
            if rest.startswith("["):
                target = kind
            found[target] = found.get(target, 0) + 1
    return found


def thread_names() -> dict[str, int]:
    """How many threads of each name (proc(5), comm: at most 15 characters)."""
    found: dict[str, int] = {}
    if _LINUX:
        for number in os.listdir("/proc/self/task"):
            try:
                with open(f"/proc/self/task/{number}/comm", encoding="utf-8") as stream:
                    name = stream.read().rstrip("\n")
            except OSError:
                continue
            found[name] = found.get(name, 0) + 1
    return found


def gained(before: Mapping[str, int], after: Mapping[str, int]) -> list[tuple[str, int]]:
    """(name, number) of what there is more of now, most first."""
    more = [(name, number - before.get(name, 0)) for name, number in after.items()]
    return sorted((pair for pair in more if pair[1] > 0), key=lambda pair: -pair[1])


class Targets:
    """The extension's own objects: what its libraries define, or its modules lead to."""

    def __init__(self, libraries: Iterable[str]) -> None:
        self._real: dict[str, str] = {}
        self._paths = {os.path.realpath(path) for path in libraries}
        self._ranges: list[tuple[int, int]] = []
        self._loaded: set[str] = set()
        self._types: dict[int, type] = {}

    def refresh(self, objects: Sequence[object] | None = None) -> None:
        """Look for new types among ``objects`` (default: everything that is tracked)."""
        if len(self._loaded) < len(self._paths):
            self._ranges, self._loaded = _mapped(self._paths)
        everything = gc.get_objects() if objects is None else objects
        for kind in everything:
            if isinstance(kind, type) and self._defines(kind):
                self._types[id(kind)] = kind
        for module in self.modules():
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__flags__ & (1 << 9):
                    self._types.setdefault(id(value), value)

    def modules(self) -> list[ModuleType]:
        """Modules that live in the extension's libraries, and their submodules without a file."""
        found = {}
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and self._real_path(path) in self._paths:
                found[id(module)] = module
        waiting = list(found.values())
        while waiting:
            for value in list(vars(waiting.pop()).values()):
                inner = type(value) is type(sys) and getattr(value, "__file__", None) is None
                if inner and value.__spec__ is None and id(value) not in found:
                    found[id(value)] = value
                    waiting.append(value)
        return list(found.values())

    def named(self) -> Iterator[tuple[object, str]]:
        """(object, name) of every type, its attributes, and every module's functions, constants."""
        for kind in self._types.values():
            name = type_name(kind)
            yield kind, "type " + name
            for attribute, value in list(vars(kind).items()):
                if not _is_common(value) and not attribute.startswith("__"):
                    yield value, f"{name}.{attribute}"
        for module in self.modules():
            for attribute, value in list(vars(module).items()):
                if not _is_common(value) and not attribute.startswith("__"):
                    yield value, f"{module.__name__}.{attribute}"

    def _real_path(self, path: str) -> str:
        """Links followed, once per path: every test asks for every module's."""
        if path not in self._real:
            self._real[path] = os.path.realpath(path)
        return self._real[path]

    def _defines(self, kind: type) -> bool:
        """Whether one of the extension's libraries defines this type: its slots lead there."""
        for slot in slots_of(kind):
            for low, high in self._ranges:
                if low <= slot < high:
                    return True
        return False


def of_test(item: pytest.Item) -> Iterator[tuple[object, str]]:
    """(object, name) of a test's own constants and its module's globals: leaked arguments."""
    function = getattr(item, "function", None)
    function = getattr(function, "__wrapped__", function)
    code = getattr(function, "__code__", None)
    for value in _constants(code, 3):
        if not _is_common(value):
            yield value, f"constant {value!r:.40}"
    module = getattr(item, "module", None)
    for name, value in list(getattr(module, "__dict__", {}).items()):
        if not name.startswith("__") and not _is_common(value):
            yield value, "{}.{}".format(getattr(module, "__name__", "?"), name)


def _constants(code: CodeType | None, depth: int) -> Iterator[object]:
    for value in getattr(code, "co_consts", ()):
        if isinstance(value, (str, bytes, float, tuple, frozenset, complex, int)):
            yield value
        elif depth:
            yield from _constants(value, depth - 1)


def _is_common(value: object) -> bool:
    """Shared by everything that runs: counted apart, or with no meaning for one extension."""
    if value is None or value is ... or isinstance(value, (bool, type(sys))):
        return True
    if isinstance(value, int):
        return -5 <= value <= 256
    return isinstance(value, (str, bytes, tuple)) and len(value) <= 1


def type_name(kind: type) -> str:
    """A type's module and qualified name; of a builtin one only the name."""
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", None) or kind.__name__
    return name if module in (None, "builtins") else f"{module}.{name}"


# -- the library behind a type ----------------------------------------------------------------

_SIZE_OFFSET, _SLOT_OFFSETS = 32, (48, 184, 304, 312)  # tp_basicsize; dealloc, traverse, alloc, new


def _layout_known() -> Any:
    """CPython's PyTypeObject on a 64-bit build with the usual object header (Include/cpython)."""
    try:
        import ctypes
    except ImportError:
        return None
    if ctypes.sizeof(ctypes.c_void_p) != 8 or "t" in getattr(sys, "abiflags", ""):
        return None
    word = ctypes.c_ssize_t
    try:
        known = (object, type, dict, list, BaseException)
        offset = sys.getsizeof(object()) - 16  # a debug build may put two pointers in front
        if offset or any(word.from_address(id(k) + 32).value != k.__basicsize__ for k in known):
            return None
    except ValueError:
        return None
    return ctypes.c_size_t


_word = _layout_known() if sys.implementation.name == "cpython" else None


def slots_of(kind: type) -> Sequence[int]:
    """Addresses of a type's functions that tell where it was defined, the destructor first."""
    if _word is None:
        return ()
    return [_word.from_address(id(kind) + offset).value for offset in _SLOT_OFFSETS]


def _mapped(paths: set[str]) -> tuple[list[tuple[int, int]], set[str]]:
    """Address ranges of the given files in this process, neighbours as one; and which are there."""
    ranges: list[tuple[int, int]] = []
    loaded = set()
    if _LINUX:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            for line in maps:
                fields = line.rstrip("\n").split(None, 5)
                if len(fields) == 6 and fields[5] in paths:
                    low, high = (int(address, 16) for address in fields[0].split("-"))
                    if ranges and ranges[-1][1] == low:
                        low = ranges.pop()[0]
                    ranges.append((low, high))
                    loaded.add(fields[5])
    return ranges, loaded


def all_named(targets: Targets, item: pytest.Item) -> Iterator[tuple[object, str]]:
    """(object, name) of all whose references are counted in a test."""
    return chain(targets.named(), of_test(item))
