"""Who holds what was born in the rounds: Python's containers, or native code.

The garbage collector's own arithmetic: of an object, count the references that come from all
containers (``gc.get_referents``). One that has more references than that is held from outside, by
native code: an orphan. Frozen containers are invisible to it, so ``gc.unfreeze`` comes first.

Modules are left out: ``gc.get_referents`` on ``_asyncio`` hangs a later collection on
CPython 3.12.1 (gh-122695). Their dictionaries are containers of their own and are counted.
"""

from __future__ import annotations

import collections
import functools
import gc
import sys
import threading
import types
import weakref
from collections import Counter
from itertools import chain, filterfalse, repeat
from typing import TYPE_CHECKING

from leakgrid_incell import containers, tracing
from leakgrid_incell.measure import BOOLS, EMPTY, FIXED, INTS, NONE, slots_of, type_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

_FILES = ("_io.FileIO", "socket.socket", "_socket.socket")
_HEAP_TYPE = 1 << 9
_MANAGED_DICT = (1 << 4) if sys.version_info >= (3, 11) else 0
_ROUNDING = (
    48  # bytes: two allocations an object, each up to 15 + 8 bytes larger (malloc(3), glibc)
)
# The size of these says what they occupy; behind others, native code may hold more.
_OPEN = (
    list, dict, tuple, set, frozenset, str, bytes, bytearray, int, float, complex, bool, type(None),
    type, object, BaseException, property, staticmethod, classmethod, slice, range,
    collections.deque, collections.OrderedDict, collections.defaultdict, functools.partial,
    weakref.ref, types.FunctionType, types.BuiltinFunctionType, types.MethodType,
    types.MethodWrapperType, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType,
    types.FrameType, types.TracebackType, types.CodeType, types.CellType, types.ModuleType,
    types.MappingProxyType, types.SimpleNamespace, types.GetSetDescriptorType,
    types.MemberDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType,
)  # fmt: skip


class Snapshot:
    """All that Python's containers held at one moment, in numbers only.

    ``held`` maps a watched object's place in the list to the references from containers;
    ``count`` and ``size`` are of everything reachable.
    """

    __slots__ = (
        "count",
        "held",
        "holders",
        "interned",
        "kept",
        "lengths",
        "opaque",
        "orphans",
        "size",
        "threads",
        "traced",
    )

    def __init__(
        self,
        watched: Sequence[object],
        born: Sequence[object] = (),
        calls: int = 0,
        before: Snapshot | None = None,
        libraries: Collection[str] = (),
    ) -> None:
        gc.unfreeze()
        gc.collect()
        tracked = [o for o in gc.get_objects() if not isinstance(o, type(sys))]
        wanted = {id(thing) for thing in watched}
        wanted.update(map(id, born))
        own = {id(watched), id(born), id(tracked), id(wanted), id(self)}
        if before is not None:  # what an earlier look left behind is no growth
            own.add(id(before))
            own.update(id(getattr(before, name)) for name in Snapshot.__slots__)
        tracked = [o for o in tracked if id(o) not in own]
        references, untracked, unheard = _walk(tracked, wanted)
        self.held = [references.get(id(thing), 0) for thing in watched]
        names, size = containers.names(chain(tracked, untracked), set(map(id, untracked)))
        self.count = len(tracked) + len(untracked) + names
        self.size = size + _sizes(tracked) + _sizes(untracked) + _inline_values(tracked)
        self.opaque = _opaque(tracked, untracked)
        self.orphans, kept = _sort_out(born, references)
        young = set(map(id, kept))
        kept = _steady(kept, calls)
        if kept:
            lost = _islands(tracked, young)
            _add_orphans(self.orphans, _telling([o for o in kept if id(o) in lost], unheard))
            kept = [thing for thing in kept if id(thing) not in lost]
        self.lengths = containers.lengths(chain(tracked, untracked))
        if before is not None:
            grown = containers.grown(
                chain(tracked, untracked), before.lengths, set(map(id, born)), calls
            )
            for name, more in containers.kept_by_statics(grown, tracked, libraries):
                self.orphans[f"entry of a {name}"] = (more, 0)
            del grown
        self.holders = _holders(tracked, kept) if kept else []
        self.kept = dict(Counter(type_name(type(thing)) for thing in kept))
        del kept
        self.threads = len(getattr(threading, "_active", ()))
        self.traced = tracing.starts
        self.interned = getattr(sys, "getunicodeinternedsize", int)()


def _walk(tracked: list[Any], wanted: set[int]) -> tuple[Counter[int], list[Any], set[int]]:
    """References to each wanted object, and what is reachable without being tracked.

    The third are the wanted types with an instance of which the collector does not hear that it
    holds its type.
    """
    references: Counter[int] = Counter()
    untracked: dict[int, Any] = {}
    layer = tracked
    while layer:
        following: dict[int, Any] = {}
        for start in range(0, len(layer), containers.CHUNK):
            found = gc.get_referents(*layer[start : start + containers.CHUNK])
            for number in filter(wanted.__contains__, map(id, found)):
                references[number] += 1
            fresh = {id(thing): thing for thing in filterfalse(gc.is_tracked, found)}
            for number in untracked.keys() & fresh.keys():
                del fresh[number]
            following.update(fresh)
            del found, fresh
        untracked.update(following)
        layer = list(following.values())
        del following
    loose_ones = list(untracked.values())
    del untracked
    return references, loose_ones, _count_instances(chain(tracked, loose_ones), wanted, references)


def _count_instances(
    things: Iterable[object], wanted: set[int], references: Counter[int]
) -> set[int]:
    """An instance holds its heap type, also where the collector does not hear of it."""
    unheard = set()
    for thing in things:
        kind = type(thing)
        if (
            id(kind) in wanted
            and kind.__flags__ & _HEAP_TYPE
            and not any(other is kind for other in gc.get_referents(thing))
        ):
            references[id(kind)] += 1
            unheard.add(id(kind))
    return unheard


def _islands(tracked: Sequence[Any], young: set[int]) -> set[int]:
    """Those of the young objects (ids) that keep only each other, and yet cannot be freed.

    Every reference to them comes from containers, so none is an orphan, and still no way leads to
    them from anything older or from what native code holds: a class does not tell the collector
    all that it holds, or lacks ``__clear__``.
    """
    roots = [thing for thing in tracked if id(thing) not in young]
    reached = set(map(id, roots))
    layer = roots
    while layer:
        following: dict[int, Any] = {}
        for start in range(0, len(layer), containers.CHUNK):
            chunk = layer[start : start + containers.CHUNK]
            for thing in chain(gc.get_referents(*chunk), map(type, chunk)):
                if id(thing) in young and id(thing) not in reached:
                    following[id(thing)] = thing
        reached.update(following)
        layer = list(following.values())
    return young - reached


def _telling(island: Sequence[object], unheard: Collection[int]) -> Sequence[object]:
    """Of what keeps only each other, that whose class is to blame, where it can be told."""
    for some in (
        [thing for thing in island if id(thing) in unheard],
        [thing for thing in island if not _is_open(type(thing))],
    ):
        if some:
            return some
    return island


def _add_orphans(orphans: dict[str, tuple[int, int]], things: Iterable[object]) -> None:
    for thing in things:
        number, size = orphans.get(type_name(type(thing)), (0, 0))
        orphans[type_name(type(thing))] = (number + 1, size + _sizes([thing]))


def _sort_out(
    born: Iterable[object], references: Mapping[int, int]
) -> tuple[dict[str, tuple[int, int]], list[object]]:
    """Born objects: the types of the orphans with number and bytes, and those that Python holds."""
    orphans: dict[str, tuple[int, int]] = {}
    kept = []
    own = _own_references() + 1  # the list of everything tracked holds each one, too
    for thing in born:
        if sys.getrefcount(thing) - own > references.get(id(thing), 0):
            _add_orphans(orphans, (thing,))
        else:
            kept.append(thing)
    return orphans, kept


def _steady(kept: Sequence[object], calls: int) -> list[object]:
    """Those of whose type there is about one for every few calls: the rest is pytest's present."""
    counts = Counter(map(type, kept))
    return [thing for thing in kept if counts[type(thing)] * 4 >= calls]


def _own_references() -> int:
    """References that looking itself makes: a list, the loop's name, an argument."""
    things: list[object] = [object()]
    for thing in things:
        return sys.getrefcount(thing)
    return 0


def _holders(tracked: list[Any], kept: Sequence[object]) -> list[str]:
    """The old containers that hold most of what Python keeps: their descriptions."""
    numbers = set(map(id, kept))
    found = [
        (inside, holder)
        for holder, inside in containers.find(tracked, numbers)
        if id(holder) not in numbers and not _is_own(holder)
    ]
    found.sort(key=lambda pair: -pair[0])
    return [_describe(holder, tracked) for _, holder in found[:3]]


def _is_own(holder: object) -> bool:
    """A frame, or an instance of leakgrid's own classes."""
    kind = type(holder)
    return kind is types.FrameType or kind.__module__.partition(".")[0] == "leakgrid_incell"


def _describe(holder: Any, tracked: list[Any]) -> str:
    """Where a container is: the name of a module's attribute, or the type of what owns it."""
    kind = type_name(type(holder))
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if type(names) is not dict:
            continue
        if names is holder:
            return f"the globals of {module.__name__}"
        for name, value in list(names.items()):
            if value is holder:
                return f"{kind} {module.__name__}.{name}"
    plain = (list, dict, tuple, types.FrameType)
    for owner, _ in containers.find(tracked, {id(holder)}):
        if type(owner) not in plain:
            return f"{kind} of a {type_name(type(owner))}"
    return kind


def _sizes(objects: Sequence[object]) -> int:
    try:
        return sum(map(sys.getsizeof, objects, repeat(0)))
    except Exception:
        total = 0
        for thing in objects:
            try:
                total += sys.getsizeof(thing, 0)
            except Exception:
                continue
        return total


def _inline_values(tracked: Sequence[object]) -> int:
    """Bytes of attributes that are kept outside of any dict, which ``__sizeof__`` leaves out.

    CPython 3.11 and later give an instance an array of one word for each attribute that its class
    is known to have, and a prefix of one byte for each (Objects/dictobject.c, init_inline_values).
    Asking for ``__dict__`` would turn the array into a dict, so the instance with most of them
    tells how many there are.
    """
    slots: dict[type, int] = {}
    counts: Counter[type] = Counter()
    for thing in tracked:
        kind = type(thing)
        if kind.__flags__ & _MANAGED_DICT:
            slots[kind] = max(slots.get(kind, 0), len(gc.get_referents(thing)))
            counts[kind] += 1
    return sum(9 * slots[kind] * number for kind, number in counts.items())


def _opaque(tracked: Sequence[object], untracked: Sequence[object]) -> dict[str, int]:
    """Instances behind which native memory may hide, by type."""
    counts = Counter(map(type, tracked))
    counts.update(map(type, untracked))
    return {type_name(kind): number for kind, number in counts.items() if not _is_open(kind)}


def _is_open(kind: type) -> bool:
    """A class statement adds nothing native to what its bases occupy; static exceptions neither."""
    return all(
        base in _OPEN
        or _from_statement(base)
        or (issubclass(base, BaseException) and not base.__flags__ & _HEAP_TYPE)
        for base in kind.__mro__
    )


class _Statement:
    """What a class made by a class statement is torn down with."""


_STATEMENT = slots_of(_Statement)[:1]


def _from_statement(kind: type) -> bool:
    return bool(kind.__flags__ & _HEAP_TYPE) and slots_of(kind)[:1] == _STATEMENT


class Change:
    """What Python's containers gained between two snapshots."""

    def __init__(self, before: Snapshot, after: Snapshot, calls: int) -> None:
        self.calls = calls
        self.size = max(0, after.size - before.size)
        self.count = max(0, after.count - before.count)
        self.most = self.size + _ROUNDING * self.count
        self.interned = max(0, after.interned - before.interned)
        self.opaque = {
            name: number - before.opaque.get(name, 0)
            for name, number in after.opaque.items()
            if number > before.opaque.get(name, 0)
        }
        self.held = [b - a for a, b in zip(before.held, after.held)]
        self.orphans = after.orphans
        self.threads = after.threads - before.threads
        self.traced = after.traced - before.traced
        self.kept = after.kept
        self.holders = after.holders

    def references(self, cell: int, watched: int) -> int:
        """References that containers gained to what one cell of a reading counts."""
        if cell >= len(FIXED):
            return self.held[cell - len(FIXED)]
        ours = self.held[watched:]
        return {NONE: ours[0], BOOLS: ours[1] + ours[2], EMPTY: ours[3], INTS: sum(ours[4:])}.get(
            cell, 0
        )

    def steady_orphans(self) -> list[tuple[str, int, int]]:
        """(type, number, bytes) of the orphans of which many calls left one."""
        return [
            (name, number, size)
            for name, (number, size) in sorted(self.orphans.items())
            if number * 24 >= self.calls
        ]

    def kept_files(self) -> int:
        """Python objects with an open file behind them."""
        return sum(n for name, n in self.opaque.items() if name in _FILES)

    def python_threads(self) -> int:
        """Threads that Python's own threading module knows."""
        return max(0, self.threads)

    def behind(self) -> list[str]:
        """Types of kept instances with native memory that their size does not tell."""
        return [name for name, number in self.opaque.items() if number * 4 >= self.calls]

    def holder_text(self) -> str:
        """What Python keeps of each call, and where."""
        kept = sorted(self.kept.items(), key=lambda pair: -pair[1])[:3]
        parts = [f"{round(number / self.calls, 2):g} {name}" for name, number in kept]
        return "held by Python ({}), each call adds {}".format(
            "; ".join(self.holders) or "where is not known", ", ".join(parts) or "plain values"
        )
