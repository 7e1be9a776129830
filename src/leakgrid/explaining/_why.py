"""Likely causes for each pattern, with links; PyO3's own leaks are from its changelog.

docs/pyo3-leaks.md has the measurements of those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from leakgrid.baseline import python_minor
from leakgrid.comparison import subject
from leakgrid.explaining._model import Cause
from leakgrid.explaining._what import pattern_of
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import Owner

_PYO3 = "https://pyo3.rs/latest"
_PYTHON = "https://docs.python.org/3"
_PULL = "https://github.com/PyO3/pyo3/pull"
_REFERENCE_RULES = f"{_PYTHON}/extending/extending.html#reference-counts"
_OWNED = Cause(
    "A reference that was taken and never given up: `Py::into_ptr`, `Bound::into_ptr`, "
    "`std::mem::forget`, `ManuallyDrop`, `Box::leak`, or "
    "an FFI call whose new reference nobody took over.",
    (f"{_PYO3}/types.html#pyo3s-smart-pointers", _REFERENCE_RULES),
)
_GLOBAL = Cause(
    "A Rust collection that lives as long as the process (a `static`, a `OnceLock`, a cache "
    "without a limit) and grows with each call. With a limit it is a cache and no leak.",
    (f"{_PYO3}/class/thread-safety.html",),
)
_CYCLE = Cause(
    "A cycle of references through a `#[pyclass]` that has no `__traverse__` and `__clear__`: the "
    "garbage collector cannot see it and never frees it.",
    (
        f"{_PYO3}/class/protocols.html#garbage-collector-integration",
        f"{_PYTHON}/c-api/gcsupport.html",
    ),
)
_NO_GIL = Cause(
    "A `Py<T>` dropped by a thread that is not attached to the interpreter: PyO3 gives the "
    "reference up when one attaches next, and never if it was built with "
    "`pyo3_leak_on_drop_without_reference_pool`.",
    (f"{_PYO3}/performance.html#disable-the-global-reference-pool",),
)
_RAW = Cause(
    "`Box::into_raw`, `CString::into_raw`, `Box::leak` or `std::mem::forget` without the call that "
    "takes the memory back.",
    ("https://doc.rust-lang.org/std/boxed/struct.Box.html#method.into_raw",),
)
_FOREIGN = Cause(
    "A C library that wants its own call to free what it returned, or an error path that leaves "
    "before that call.",
    (f"{_PYTHON}/c-api/memory.html",),
)
_UNSAFE = Cause(
    "A pointer or slice that outlives what it points to in an `unsafe` block, or a borrowed "
    "reference used after its owner gave the object up.",
    (f"{_PYTHON}/extending/extending.html#thin-ice", f"{_PYO3}/types.html#borroweda-py-t"),
)
USUAL: Mapping[str, tuple[Cause, ...]] = {
    "lost": (_RAW, _OWNED, _FOREIGN),
    "import": (
        Cause(
            "Tables and names that are made once for the process and never freed. The system takes "
            "them back at its end; a module imported again in a subinterpreter would lose them "
            "again.",
            (f"{_PYO3}/module.html", f"{_PYTHON}/howto/isolating-extensions.html"),
        ),
    ),
    "memory": (_RAW, _GLOBAL, _FOREIGN, _OWNED),
    "object": (_OWNED, _CYCLE, _GLOBAL, _NO_GIL),
    "instance": (_CYCLE, _OWNED, _GLOBAL),
    "type-reference": (
        Cause(
            "A deallocator of a heap type that does not give up the instance's reference to its "
            "type (`Py_DECREF(Py_TYPE(self))`), as it must since Python 3.8.",
            (f"{_PYTHON}/c-api/typeobj.html#c.PyTypeObject.tp_dealloc",),
        ),
        _OWNED,
    ),
    "reference": (_OWNED, _NO_GIL),
    "descriptor": (
        Cause(
            "A file or socket that Rust handed out as a raw descriptor (`into_raw_fd`), or whose "
            "owner leaks.",
            ("https://doc.rust-lang.org/std/os/fd/trait.IntoRawFd.html",),
        ),
        Cause(
            "A Python file object that native code keeps; Python's development mode warns of those "
            "that are only freed and not closed.",
            (f"{_PYTHON}/library/devmode.html",),
        ),
    ),
    "thread": (
        Cause(
            "A pool or runtime (rayon, tokio) made with each call instead of once, or a thread "
            "that nobody joins and that waits for ever.",
            (f"{_PYO3}/parallelism.html",),
        ),
    ),
    "access": (_UNSAFE,),
    "free": (
        Cause(
            "Memory of one allocator given to another (`PyMem_Free` of what Rust allocated, or the "
            "other way round), or a reference given up twice.",
            (f"{_PYTHON}/c-api/memory.html", _REFERENCE_RULES),
        ),
        _UNSAFE,
    ),
    "undefined": (
        Cause(
            "`MaybeUninit::assume_init`, `Vec::set_len` or an FFI structure that was read before "
            "all of it was written.",
            ("https://doc.rust-lang.org/std/mem/union.MaybeUninit.html",),
        ),
    ),
    "error": (
        Cause(
            "See the frames: they are where it happened.",
            ("https://valgrind.org/docs/manual/mc-manual.html",),
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Known:
    """A leak of PyO3's own: in which versions, how it shows, what it is."""

    since: str
    fixed: str
    pull: int
    fits: Callable[[Finding, str], bool]
    text: str
    pythons: tuple[str, ...] = ()


_KNOWN = (
    _Known("0", "0.29.1", 6224, lambda f, p: p == "type-reference",
           "every instance of every `#[pyclass]` kept a reference to its class when it was freed"),
    _Known("0.28.0", "0.29.1", 6234, lambda f, p: p == "instance" or "dict" in subject(f),
           "each instance of a `#[pyclass(dict)]` lost one empty dict", ("3.11", "3.12")),
    _Known("0", "0.29.1", 6198, lambda f, p: p == "instance" or "dict" in subject(f),
           "an instance of a `#[pyclass(dict)]` whose `__dict__` had anything in it lost that "
           "dict, and cycles through it were never freed"),
    _Known("0", "0.30.0", 6269, lambda f, p: p == "object" and subject(f) == "type",
           "a class that its own instance keeps alive was never freed, as the collector was not "
           "told of that reference"),
    _Known("0", "0.27.0", 5459, lambda f, p: p == "memory" and f.bytes < 128,
           "each wrapping of a `#[pyfunction]` made a `PyMethodDef` that was never freed"),
)  # fmt: skip


def known(finding: Finding, result: CellResult) -> list[Cause]:
    """PyO3's own leaks that look like this, where this version has them."""
    pattern = pattern_of(finding)
    if finding.owner not in (Owner.PYO3, Owner.UNKNOWN, Owner.CPYTHON):
        return []
    found = []
    for known in _KNOWN:
        if (
            _within(result.pyo3, known.since, known.fixed)
            and known.fits(finding, pattern)
            and (not known.pythons or python_minor(result.python) in known.pythons)
        ):
            found.append(
                Cause(
                    f"PyO3 before {known.fixed}: {known.text}. This run used {result.pyo3}.",
                    (f"{_PULL}/{known.pull}", f"{_PYO3}/changelog.html"),
                )
            )
    return found


def _within(version: str, since: str, fixed: str) -> bool:
    try:
        return Version(since) <= Version(version) < Version(fixed)
    except InvalidVersion:
        return False
