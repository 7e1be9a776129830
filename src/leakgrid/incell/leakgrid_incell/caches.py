"""Empties the caches that CPython's own leak hunter empties between its rounds.

The list follows ``dash_R_cleanup`` and ``clear_caches`` of CPython's ``Lib/test/libregrtest``
(``refleak.py`` and ``utils.py`` of 3.9 to 3.13; regrtest -R), each entry only where the module is
loaded and has it. Two of its entries are left out because real suites rely on what they drop:
``mimetypes._default_mime_types()`` (types that a suite added) and ``ctypes._reset_cache()``
(pointer types that ctypes code holds on to).

Beyond that list, the tables that the standard library keeps of threads and tasks are made anew: how
large such a table is depends on how many ran at once when it was last enlarged.
"""

from __future__ import annotations

import collections.abc
import copyreg
import sys
import warnings
from contextlib import nullcontext
from inspect import isabstract
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

# (module, dotted path of a function without arguments)
_CALLS = (
    ("re", "purge"),
    ("_strptime", "_regex_cache.clear"),
    ("urllib.parse", "clear_cache"),
    ("urllib.request", "urlcleanup"),
    ("linecache", "clearcache"),
    ("filecmp", "_cache.clear"),
    ("struct", "_clearcache"),
    ("fractions", "_hash_algorithm.cache_clear"),
    ("inspect", "_shadowed_dict_from_weakref_mro_tuple.cache_clear"),
    ("inspect", "_filesbymodname.clear"),
    ("inspect", "modulesbyfile.clear"),
    ("importlib.metadata", "FastPath.__new__.cache_clear"),
    ("distutils.dir_util", "_path_created.clear"),
)

# (module, dotted path of a dict or set, dotted path of the lock that guards it)
_TABLES = (
    ("threading", "_active", "_active_limbo_lock"),
    ("threading", "_dangling.data", ""),
    ("concurrent.futures.thread", "_threads_queues.data", "_global_shutdown_lock"),
    ("asyncio.tasks", "_all_tasks.data", ""),
    ("asyncio.tasks", "_scheduled_tasks.data", ""),
)


class Caches:
    """What the interpreter's caches held at the start, and the way back to it."""

    def __init__(self) -> None:
        self._filters = warnings.filters[:]
        self._dispatch = copyreg.dispatch_table.copy()
        self._importers = sys.path_importer_cache.copy()
        self._abstract = [
            value
            for name, value in vars(collections.abc).items()
            if isinstance(value, type) and isabstract(value)
        ]
        self._clear_types = getattr(
            sys, "_clear_internal_caches", getattr(sys, "_clear_type_cache", None)
        )

    def clear(self) -> None:
        """Put everything back. What code under test holds itself is never touched."""
        self._restore()
        for loaded in list(sys.modules.values()):
            names = getattr(loaded, "__dict__", None)
            if type(names) is dict and "__warningregistry__" in names:
                del names["__warningregistry__"]
        for name, path in _CALLS:
            function = _find(name, path)
            if function is not None:
                function()
        _make_tables_anew()
        for function in getattr(sys.modules.get("typing"), "_cleanups", ()):
            function()
        for abstract in self._abstract:
            for kind in [*type.__subclasses__(abstract), abstract]:
                clear = getattr(kind, "_abc_caches_clear", None)
                if clear is not None:
                    clear()
        if self._clear_types is not None:  # last: what came before fills it again
            self._clear_types()

    def _restore(self) -> None:
        if warnings.filters != self._filters:
            filters: Any = warnings.filters
            filters[:] = self._filters
            mutated = getattr(warnings, "_filters_mutated", None)
            if mutated is not None:
                mutated()
        if copyreg.dispatch_table != self._dispatch:
            copyreg.dispatch_table.clear()
            copyreg.dispatch_table.update(self._dispatch)
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(self._importers)


def _find(module: str, path: str) -> Any:
    """What the loaded module has there, or None."""
    target: Any = sys.modules.get(module) if path else None
    for name in path.split("."):
        target = getattr(target, name, None)
    return target


def _make_tables_anew() -> None:
    """Each as large as what is in it needs, with the same in it."""
    for name, path, lock in _TABLES:
        with _find(name, lock) or nullcontext():
            _make_anew(_find(name, path))


def _make_anew(table: Any) -> None:
    # One entry after the other: a whole update may take over the other's size.
    if isinstance(table, dict):
        same = list(table.items())
        table.clear()
        for key, value in same:
            table[key] = value
    elif isinstance(table, set):
        members = list(table)
        table.clear()
        for member in members:
            table.add(member)
