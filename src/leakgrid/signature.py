"""Stacks and what makes two of them the same on another machine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

from leakgrid.names import (
    CLOSURE,
    INLINED,
    OWN,
    STD,
    UNKNOWN_FUNCTION,
    clean_function,
    clean_object,
    leaf_name,
    place,
    without_generics,
    without_version,
)


class Owner(StrEnum):
    """Whose code is to blame for a finding."""

    EXTENSION = "extension"
    PYO3 = "pyo3"
    DEPENDENCY = "dependency"
    CPYTHON = "cpython"
    LIBC = "libc"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame as Valgrind printed it: absolute paths, mangled leftovers and all."""

    function: str
    object: str
    directory: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame without anything of this machine.

    ``function`` is demangled without hashes; ``file`` is relative to its package (``src/lib.rs``,
    ``pyo3-0.29.0/src/err.rs``); ``object`` is the base name of the library without version or ABI
    tags; ``line`` (0: unknown) is for people and never part of a signature.
    """

    function: str
    file: str = ""
    line: int = 0
    object: str = ""
    owner: Owner = Owner.UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of DESIGN section 5."""
        return {
            "function": self.function,
            "file": self.file,
            "line": self.line,
            "object": self.object,
            "owner": str(self.owner),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Frame:
        """Read what :meth:`to_dict` wrote. Raises KeyError, ValueError on foreign data."""
        return cls(
            function=str(data["function"]),
            file=str(data.get("file", "")),
            line=int(data.get("line", 0)),
            object=str(data.get("object", "")),
            owner=Owner(data.get("owner", "unknown")),
        )


@dataclass(frozen=True, slots=True)
class Origins:
    """Where code of each owner lies on this machine: what turns a path into an owner.

    ``extension_objects`` are absolute paths of the shared libraries that the wheel installed;
    ``source_roots`` are directories that hold the target's own sources (the staged copy).
    """

    extension_objects: frozenset[str]
    source_roots: tuple[str, ...]


# --- owners ------------------------------------------------------------------------------------

_PYO3_CRATES = frozenset({"pyo3", "pyo3-ffi", "pyo3-macros", "pyo3-macros-backend"})
_STD_FUNCTION = re.compile(
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
    if function == UNKNOWN_FUNCTION or _STD_FUNCTION.match(function):
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


# --- for people --------------------------------------------------------------------------------

_DULL_CPYTHON = re.compile(
    r"_?Py(?:Mem|Object)_(?:Raw)?(?:Malloc|Calloc|Realloc|Free)\Z|_PyMem_\w+|_?PyObject_GC_\w+"
    r"|_PyObject_(?:Malloc|New|Init)\w*|gc_alloc|\w*[vV]ectorcall\w*|_PyObject_Call\w*"
    r"|_PyFunction_\w+|_?PyEval_\w+|_Py_\w*Run\w*|run_\w+|pymain_\w+|Py_\w*Main\Z"
)  # fmt: skip


def story(frames: Sequence[Frame], most: int = 6) -> tuple[Frame, ...]:
    """The few frames that tell it: no allocators, std adapters, trampolines, interpreter loops.

    At most ``most`` frames, except that the extension's own frames are never left out.
    """
    segment = native_segment(frames) or tuple(frames)
    told = [f for i, f in enumerate(segment) if not _is_dull(f) and not _is_inner(segment, i)]
    told = told or [f for f in segment if f.function != UNKNOWN_FUNCTION][:most]
    room = most - sum(frame.owner is Owner.EXTENSION for frame in told)
    kept: list[Frame] = []
    for frame in told:
        own = frame.owner is Owner.EXTENSION
        if kept and not own and kept[-1].function == frame.function:
            continue
        if own or room > 0:
            kept.append(frame)
            room -= not own
    return tuple(kept)


def _is_inner(segment: Sequence[Frame], index: int) -> bool:
    """CPython's internals, where the C API function that native code called tells it all."""
    return (
        segment[index].owner is Owner.CPYTHON
        and any(frame.owner in _NATIVE for frame in segment)
        and not _enters(segment, index)
    )


def _is_dull(frame: Frame) -> bool:
    if frame.owner is Owner.EXTENSION:
        return False
    if frame.function in (UNKNOWN_FUNCTION, INLINED) or frame.file.startswith("rust/"):
        return True
    if frame.owner is Owner.PYO3:
        return "/impl_/trampoline" in frame.file or "trampoline" in frame.function
    if frame.owner is Owner.CPYTHON:
        return bool(_DULL_CPYTHON.match(frame.function))
    return frame.owner is Owner.LIBC or bool(_STD_FUNCTION.match(frame.function))


# --- identity ----------------------------------------------------------------------------------

_NATIVE = (Owner.EXTENSION, Owner.PYO3, Owner.DEPENDENCY)


def signature_id(detector: str, kind: str, frames: Sequence[Frame]) -> str:
    """12 hex digits (of SHA-256) that name this leak on every machine.

    What counts: detector, kind, and the chain of functions of the extension, PyO3 and other
    crates, with the C API function through which they entered CPython. Rust's std, the allocator,
    CPython's internals and how the test called the extension do not: they move with compilers
    and builds. Without such frames, CPython's own functions up to its loop count.
    """
    parts = [detector, kind, *_chain(native_segment(frames) or tuple(frames))]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:12]


def _chain(segment: Sequence[Frame]) -> list[str]:
    """What identifies a stack, innermost first, repetitions collapsed (recursion)."""
    native = [i for i, frame in enumerate(segment) if frame.owner in _NATIVE]
    if not native:
        names = [f.function for f in segment if f.owner is not Owner.LIBC]
        return _collapse(name for name in names if name != UNKNOWN_FUNCTION)
    own = [i for i in native if segment[i].owner is Owner.EXTENSION]
    last = own[-1] if own else native[-1]  # PyO3's trampolines outside the extension say nothing
    parts: list[str] = []
    for i, frame in enumerate(segment[: last + 1]):
        if i == last:
            # The outermost own function is never inlined: its whole path tells `A.new` from `B.new`
            parts.append(_located(without_generics(frame.function), frame.file))
        elif frame.owner in _NATIVE:
            name = leaf_name(frame.function)
            if name not in (CLOSURE, INLINED) or frame.owner is Owner.EXTENSION:
                parts.append(_located(name, frame.file))
        elif frame.owner is Owner.CPYTHON and _enters(segment, i):
            parts.append(frame.function)
    return _collapse(parts)


def _enters(segment: Sequence[Frame], index: int) -> bool:
    """Whether native code called this CPython function (so it is API, not CPython's internals)."""
    for caller in segment[index + 1 :]:
        if caller.owner is not Owner.UNKNOWN:
            return caller.owner in _NATIVE
    return False


def _located(name: str, file: str) -> str:
    return f"{name}@{without_version(file)}"


def _collapse(names: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for name in names:
        if name and (not kept or kept[-1] != name):
            kept.append(name)
    return kept


class Caused(Protocol):
    """What :func:`cause_key` needs to know: a Finding, or anything else with these fields."""

    @property
    def detector(self) -> str:
        """The detector's name."""

    @property
    def kind(self) -> str:
        """The kind of leak or error."""

    @property
    def tests(self) -> tuple[str, ...]:
        """Node ids of the tests that showed it."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The normalised stack."""


def kind_family(kind: str) -> str:
    """Leak kinds move between versions (definite, possible, reachable); their family does not."""
    lower = kind.lower()
    if any(word in lower for word in ("leak", "definite", "indirect", "possib", "reachable")):
        return "leak"
    if lower.startswith("uninit") or "syscallparam" in lower:
        return "uninitialised"
    return lower


def cause_key(finding: Caused) -> str:
    """What stays the same when PyO3 or Python changes underneath: for matching two results.

    The extension's own functions decide; without any, the tests and the C API function at the
    border. PyO3's and CPython's internals and versions in file names never take part.
    """
    segment = native_segment(finding.frames) or finding.frames
    parts = [finding.detector, kind_family(finding.kind)]
    own = own_functions(segment)
    if own:
        return "|".join([*parts, "own", *own])
    border = [f.function for i, f in enumerate(segment)
              if f.owner is Owner.CPYTHON and _enters(segment, i)]  # fmt: skip
    if not border and not any(f.owner in _NATIVE for f in segment):
        border = _chain(segment)
    return "|".join([*parts, "tests", *sorted(finding.tests), *border[:1]])


def own_functions(frames: Sequence[Frame]) -> tuple[str, ...]:
    """The extension's functions, innermost first, as its author knows them (no macro names)."""
    names: list[str] = []
    for frame in frames:
        if frame.owner is not Owner.EXTENSION or frame.function in (INLINED, UNKNOWN_FUNCTION):
            continue
        name = leaf_name(frame.function)
        if match := re.match(r"__pymethod_(?:[gs]et_)?(\w+?)__\Z|__pyfunction_(\w+)\Z", name):
            name = match[1] or match[2]
        elif is_glue(frame) and not name.startswith("PyInit_"):
            continue
        if name != CLOSURE:
            names.append(name)
    return tuple(_collapse(names))
