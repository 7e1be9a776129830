"""The few frames of a stack that tell a person what happened."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leakgrid.signature.model import Frame, Owner
from leakgrid.signature.names import INLINED, UNKNOWN_FUNCTION
from leakgrid.signature.owners import NATIVE, STD_FUNCTION, enters_cpython, native_segment

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
        and any(frame.owner in NATIVE for frame in segment)
        and not enters_cpython(segment, index)
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
    return frame.owner is Owner.LIBC or bool(STD_FUNCTION.match(frame.function))
