"""Whose code each frame is, and whose code is to blame for a stack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from leakgrid.signature.model import Frame, Origins, Owner, RawFrame
from leakgrid.signature.names import (
    OWN,
    STD,
    UNKNOWN_FUNCTION,
    clean_function,
    clean_object,
    place,
)

NATIVE = (Owner.EXTENSION, Owner.PYO3, Owner.DEPENDENCY)

_PYO3_CRATES = frozenset({"pyo3", "pyo3-ffi", "pyo3-macros", "pyo3-macros-backend"})
STD_FUNCTION = re.compile(
    r"<?&?(?:core|alloc|std|hashbrown|rustc_demangle|gimli|addr2line|compiler_builtins)::"
    r"|__rust|__rdl_|__rg_|rust_|_Unwind_|<(?:alloc|core|std)::"
)
_PYO3_FUNCTION = re.compile(r"<?&?(?:pyo3|pyo3_ffi)::")
# What PyO3's macros write into the extension's own files: a frame there names the method, but the
# code in it is PyO3's.
_GLUE = re.compile(
    r"__pymethod_\w*__|__pyfunction_\w+|__pyo3_\w+|_PYO3_DEF|\bPyInit_\w+"
    r"| as pyo3::impl_::| as pyo3::type_object::|::trampoline\Z|\Atrampoline\b"
)
_LIBC_OBJECT = re.compile(
    r"(?:libc|libm|libpthread|libdl|librt|ld|ld-linux[\w-]*|ld-musl[\w-]*|libgcc_s|libstdc\+\+"
    r"|libc\+\+|libc\.musl[\w-]*|vgpreload_[\w-]+)(?:-[\d.]+)?\.so"
)
_EVAL = re.compile(r"_?PyEval_Eval(?:Frame(?:Default|Ex)?|Code(?:Ex|WithName)?)\Z"
                   r"|_PyEval_Vector\Z|_TAIL_CALL_\w+\Z")  # fmt: skip
# A collection runs whenever a counter says so: what called the allocator then is chance.
_COLLECTOR = re.compile(r"(?:_?PyGC_Collect\w*|gc_collect\w*|_Py_RunGC|_Py_HandlePending)\Z")


def normalise(raw: Sequence[RawFrame], origins: Origins) -> tuple[Frame, ...]:
    """The same stack on any machine: no hashes, addresses, versions of libraries or local paths.

    Each frame carries the owner of its own code; frames of Rust's standard library say
    ``unknown`` (their file starts with ``rust/``) because they never decide whose fault it is.
    """
    return tuple(_normalise_one(frame, origins) for frame in raw)


def _normalise_one(raw: RawFrame, origins: Origins) -> Frame:
    function = clean_function(raw.function)
    own, otherwise = _whose_object(raw.object, origins.extension_objects)
    file, package = place(raw.directory, raw.file, origins.source_roots, own)
    owner = _own_code(function, file, package) if own else otherwise
    return Frame(function, file, raw.line, clean_object(raw.object), owner)


@lru_cache(maxsize=4096)
def _whose_object(path: str, extension_objects: frozenset[str]) -> tuple[bool, Owner]:
    """Whether a library is the target's own, and else whose it is.

    Own: the exact path, or the same package and file name (a symbolic link in the path must not
    hide the extension).
    """
    tails = {tuple(known.rsplit("/", 2)[-2:]) for known in extension_objects}
    if path and (path in extension_objects or tuple(path.rsplit("/", 2)[-2:]) in tails):
        return True, Owner.EXTENSION
    base = clean_object(path)
    if base in ("python", "libpython") or "/lib-dynload/" in path:
        return False, Owner.CPYTHON
    if _LIBC_OBJECT.fullmatch(base):
        return False, Owner.LIBC
    if "/site-packages/" in path or "/dist-packages/" in path:
        return False, Owner.DEPENDENCY
    return False, Owner.UNKNOWN


def _own_code(function: str, file: str, package: str) -> Owner:
    """Inside the extension's library: its own code, PyO3, another crate, or Rust's std."""
    if file:
        if package == OWN:
            return Owner.EXTENSION
        if package == STD:
            return Owner.UNKNOWN
        return Owner.PYO3 if package in _PYO3_CRATES else Owner.DEPENDENCY
    if function == UNKNOWN_FUNCTION or STD_FUNCTION.match(function):
        return Owner.UNKNOWN
    return Owner.PYO3 if _PYO3_FUNCTION.match(function) else Owner.EXTENSION


def is_glue(frame: Frame) -> bool:
    """Whether PyO3's macros wrote this frame of the extension."""
    return bool(_GLUE.search(frame.function))


def native_segment(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """The frames from the allocation or access up to the interpreter's loop or a collection."""
    for index, frame in enumerate(frames):
        name = frame.function
        if frame.owner in (Owner.CPYTHON, Owner.UNKNOWN) and (
            _EVAL.match(name) or _COLLECTOR.match(name)
        ):
            return tuple(frames[:index])
    return tuple(frames)


def owner_of(frames: Sequence[Frame]) -> Owner:
    """Whose code is to blame, judged in the native segment only.

    The first frame of the extension or of a dependency decides: PyO3 stands between the C API and
    the extension in almost every stack. PyO3 itself is to blame where it ran with nothing but its
    own macros' code below it, also through a crate that it uses. Frames of Rust's std never decide.
    """
    segment = native_segment(frames)
    pyo3_seen = False
    for index, frame in enumerate(segment):
        if frame.owner is Owner.PYO3:
            pyo3_seen = True
        elif frame.owner is Owner.DEPENDENCY and not _serves_pyo3(segment, index):
            return Owner.DEPENDENCY
        elif frame.owner is Owner.EXTENSION and not (pyo3_seen and is_glue(frame)):
            return Owner.EXTENSION
    present = {frame.owner for frame in segment} or {frame.owner for frame in frames}
    for owner in (Owner.PYO3, Owner.CPYTHON, Owner.LIBC):
        if owner in present:
            return owner
    return Owner.UNKNOWN


def _serves_pyo3(segment: Sequence[Frame], index: int) -> bool:
    """Whether PyO3 called this dependency (once_cell and the like), not the extension."""
    for caller in segment[index + 1 :]:
        if caller.owner not in (Owner.UNKNOWN, Owner.LIBC, Owner.DEPENDENCY):
            return caller.owner is Owner.PYO3
    return False


def enters_cpython(segment: Sequence[Frame], index: int) -> bool:
    """Whether native code called this CPython function: then it is API, not an internal."""
    for caller in segment[index + 1 :]:
        if caller.owner is not Owner.UNKNOWN:
            return caller.owner in NATIVE
    return False
