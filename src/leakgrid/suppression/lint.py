"""What makes a rule dangerous, or useless, although Valgrind would take it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from leakgrid.signature import Owner
from leakgrid.suppression.matching import glob
from leakgrid.suppression.rules import ELLIPSIS, NEEDED, Rule


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with one rule that Valgrind itself would take."""

    rule: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.rule}: {self.text}"


_ALLOCATOR = re.compile(
    r"\*?(?:alloc|malloc|calloc|realloc|free|memalign|posix_memalign|aligned_alloc|_Zn\w+"
    r"|_?Py(?:Mem|Object)_(?:Raw)?(?:Malloc|Calloc|Realloc|Free)|_PyMem_\w+|pthread_once)\*?\Z"
)
_START_UP = re.compile(r"Py_(?:Initialize|Main|BytesMain|RunMain|Finalize)")
_INTERNS = (
    "fun:PyDict_SetItemString",
    "fun:PyObject_SetAttrString",
    "fun:PyUnicode_InternFromString",
)
"""What makes an interned string of a C string: the string is CPython's, whoever calls."""


def lint(rules: Iterable[Rule]) -> tuple[Complaint, ...]:
    """Everything that makes a rule dangerous although Valgrind would take it."""
    return tuple(
        Complaint(rule.name, rule.line, text)
        for rule in rules
        for text in (*_missing(rule), *_too_broad(rule), *_in_vain(rule))
    )


def _missing(rule: Rule) -> list[str]:
    texts = [
        f"says nothing about its {key} (# {key}: ...)" for key in NEEDED if not getattr(rule, key)
    ]
    if rule.reference and not re.match(r"https://\S+\.\S+", rule.reference):
        texts.append("its reference is no public address (https://...)")
    if rule.owner and rule.owner not in {str(owner) for owner in Owner}:
        texts.append(f"its owner {rule.owner!r} is none of {', '.join(map(str, Owner))}")
    if rule.owner == Owner.EXTENSION:
        texts.append("hides the extension's own code; accept the finding in the baseline instead")
    if rule.kind == "Leak" and not rule.leak_kinds:
        texts.append("names no match-leak-kinds, so it hides definite leaks too")
    if "arena" in rule.name.lower():
        texts.append("PyO3 has no arena allocator; what it would hide is something else")
    return texts


def _too_broad(rule: Rule) -> list[str]:
    concrete = [frame for frame in rule.frames if _is_concrete(frame)]
    if not concrete:
        return ["names no function and no library beyond the allocator: it hides everything"]
    texts = []
    if any(re.match(r"fun:\*?PyInit_", frame) for frame in rule.frames):
        texts.append("reaches into PyInit_*: that is the extension itself")
    first = rule.frames.index(concrete[0])
    if ELLIPSIS in rule.frames[:first]:
        texts.append(
            f"'...' above {concrete[0]} hides whatever is allocated below it, the extension's too"
        )
    if swallowed := [frame for frame in rule.frames if _could_be_extension(frame)]:
        texts.append(f"{swallowed[0]} matches frames of the extension")
    last = concrete[-1].partition(":")[2]
    if rule.frames[-1] in _INTERNS and "fun:PyUnicode_New" in rule.frames:
        return texts
    if re.match(r"Py[A-Z]", last) and not _START_UP.match(last):
        texts.append(f"ends at {last}, which extensions call themselves: name what calls it")
    return texts


def _is_concrete(frame: str) -> bool:
    """Whether a pattern names something: a function that is no allocator, or a library."""
    where, _, pattern = frame.partition(":")
    literal = pattern.strip("*?")
    if where == "fun":
        return len(literal) >= 4 and not _ALLOCATOR.match(pattern)
    return len(literal.strip("./")) >= 4 and literal not in (".so", "site-packages")


def _could_be_extension(frame: str) -> bool:
    where, _, pattern = frame.partition(":")
    if where == "obj":
        return any(glob(pattern).match(f"/x/{place}/any.abi3.so")
                   for place in ("site-packages/any", "dist-packages"))  # fmt: skip
    if where == "src":
        return bool(glob(pattern).match("lib.rs"))
    return where == "fun" and any(
        glob(pattern).match(name) for name in ("any::function", "_ZN3any8function17h0E")
    )


def _in_vain(rule: Rule) -> list[str]:
    """Valgrind compares mangled names, so a demangled Rust or C++ name never matches."""
    return [
        f"{frame} is demangled, Valgrind matches mangled names: write fun:_ZN4pyo3*4name*"
        for frame in rule.frames
        if frame.startswith("fun:") and ("::" in frame or "<" in frame)
    ]
