"""Entries by the mistake that makes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from leakgrid.baseline import Accepted
from leakgrid.comparison.model import Comparison, Entry, by_tests
from leakgrid.finding import Finding
from leakgrid.signature import Owner, is_glue, kind_family, native_segment

_STATES = ("new", "gone", "changed", "known")
_SUBJECTS = (
    re.compile(r"[\d.,]+ reference(?:s|\(s\))? to (.+) lost per call"),
    re.compile(r"[\d.,]+ (\S.*) per call held by native code"),
    re.compile(r"[\d,]+ reference(?:s|\(s\))? more to (.+) after import"),
)
_NOBODY = (Owner.LIBC, Owner.UNKNOWN)
_OWN = (Owner.EXTENSION, Owner.DEPENDENCY)
_C_API = re.compile(r"Py[A-Z][A-Za-z]+_(?!Malloc|Calloc|Realloc|GC)")
_SIZE = 64
"""Bytes: sizes per call differ by what looking itself moves."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Entries that one mechanism makes: one mistake shows in every class, and in every test.

    ``key`` is the same for both results; ``title`` is for people.
    """

    key: str
    title: str
    entries: tuple[Entry, ...]

    @property
    def tests(self) -> tuple[str, ...]:
        """All tests of its entries, sorted."""
        return tuple(sorted({test for entry in self.entries for test in _side(entry).tests}))


def subject(finding: Finding | Accepted) -> str:
    """The object that a finding without a stack is about; of older results from the summary."""
    if not isinstance(finding, Finding):
        return ""
    for pattern in () if finding.subject else _SUBJECTS:
        if match := pattern.match(finding.summary):
            return match[1]
    return finding.subject


def mechanism(finding: Finding | Accepted) -> tuple[str, str]:
    """What makes findings the same mistake: a key, and words for people.

    Only what the finding itself says counts: the kind of object, the functions of PyO3 and CPython
    in the stack without the extension's own. What neither names is a mechanism of its own. Of an
    object that lost its owner the stack says who made it, not who lost it.
    """
    name = subject(finding)
    key = f"{finding.detector}|{kind_family(finding.kind)}"
    if finding.kind == "instance":
        return key, "memory lost with instances of a class"
    if name and finding.detector == "growth" and finding.owner not in _OWN:
        return f"{key}|{name}", f"{name} objects held by native code"
    if isinstance(finding, Finding) and finding.frames:
        chain = _underneath(finding)
        if chain:
            public = next(filter(_C_API.match, chain), chain[0])
            return f"{key}|{'|'.join(chain)}", f"{finding.kind} through {public}"
    elif name and finding.detector in ("refs", "census"):
        sort, words = _sort_of(name, finding.detector)
        when = "lost with each call" if finding.detector == "refs" else "too many after import"
        return f"{key}|{sort}", f"references to {words} {when}"
    elif finding.kind == "native-memory" and isinstance(finding, Finding) and not finding.frames:
        size = max(1, round(finding.bytes / _SIZE)) * _SIZE
        return f"{key}|{size}", f"memory that nothing in Python holds, about {size} bytes per call"
    summary = finding.summary if isinstance(finding, Finding) else ""
    return f"{key}|{finding.id}", summary or finding.kind


def _sort_of(name: str, detector: str) -> tuple[str, str]:
    """Types, attributes of classes, and anything else by its name.

    Types within a class are named as its attributes; what loses references with each call and is
    spelt as PEP 8 spells classes is one.
    """
    last = name.rpartition(".")[2]
    if name.startswith("type "):
        return "type", "types of the extension"
    if "." not in name:
        return name, name
    if detector == "refs" and re.fullmatch(r"[A-Z]\w*[a-z]\w*", last):
        return "type", "types of the extension"
    return "attribute", "attributes of classes"


def _underneath(finding: Finding) -> list[str]:
    """The functions of PyO3 and CPython in a stack, innermost first, without generated code.

    Of a stack without native code only up to the C API function that made what was lost: what
    CPython called that for is another matter in each test.
    """
    segment = native_segment(finding.frames)
    chain = [
        frame.function
        for frame in segment
        if frame.owner in (Owner.PYO3, Owner.CPYTHON) and not is_glue(frame)
    ]
    if finding.owner is Owner.CPYTHON and kind_family(finding.kind) == "leak":
        for number, function in enumerate(chain, 1):
            if _C_API.match(function):
                return chain[:number]
    return chain


def causes(compared: Comparison) -> dict[str, tuple[Cause, ...]]:
    """A comparison by cause: ``new``, ``gone``, ``changed`` and ``known``.

    A mechanism that is on both sides is neither new nor gone because it shows in another class: it
    is changed. Growth is judged by its tests instead: it is new where a test was clean.
    """
    pairs = [*compared.known, *compared.changed]
    groups: dict[str, dict[str, list[Entry]]] = {state: {} for state in _STATES}
    for state in _STATES:
        others = [*pairs, *(compared.gone if state == "new" else compared.new)]
        for entry in getattr(compared, state):
            where = state
            if state in ("new", "gone") and _known_elsewhere(entry, others):
                where = "changed"
            groups[where].setdefault(mechanism(_side(entry))[0], []).append(entry)
    for state in ("new", "gone"):
        _fold(groups[state])
    return {
        state: tuple(
            Cause(key, mechanism(_side(entries[0]))[1], tuple(entries))
            for key, entries in sorted(groups[state].items())
        )
        for state in _STATES
    }


def _fold(groups: dict[str, list[Entry]]) -> None:
    """Put blocks that memcheck calls lost to the growth of the very same tests: it is one leak.

    Only such as CPython made; what the extension or PyO3 asked for itself is another mistake.
    """
    growing = {key: _tests(entries) for key, entries in groups.items() if key.startswith("growth|")}
    for key in [key for key in groups if key.startswith("memcheck|leak")]:
        tests = _tests(groups[key])
        if not tests or not tests <= set().union(*growing.values()):
            continue
        if not all(_made_by_cpython(_side(entry)) for entry in groups[key]):
            continue
        nearest = max(sorted(growing), key=lambda other: len(tests & growing[other]))
        groups[nearest] += groups.pop(key)


def _tests(entries: Iterable[Entry]) -> set[str]:
    return {test for entry in entries for test in _side(entry).tests}


def _known_elsewhere(entry: Entry, others: Iterable[Entry]) -> bool:
    """Whether the side that lacks this entry shows its mechanism nevertheless."""
    side = _side(entry)
    across = [
        other
        for one in others
        if (other := one.before if entry.before is None else one.after) is not None
    ]
    if _made_by_cpython(side):
        leaking = [other for other in across if _loses_memory(other)]
        return _in_tests_of(side, leaking)
    across = [other for other in across if other.detector == side.detector]
    if by_tests(side):
        return _in_tests_of(side, across)
    key = mechanism(side)[0]
    if not isinstance(side, Finding) or side.frames or side.detector == "census":
        return False  # the extension's own functions tell stacks apart, objects imported ones
    return any(mechanism(other)[0] == key for other in across)


def _made_by_cpython(side: Finding | Accepted) -> bool:
    """Whether these are lost blocks of an object that CPython made, for whomever.

    Where that was says as little about the mistake as an object's name.
    """
    if not isinstance(side, Finding) or side.detector != "memcheck" or not _loses_memory(side):
        return False
    owners = (frame.owner for frame in native_segment(side.frames))
    return next((o for o in owners if o not in _NOBODY), None) is Owner.CPYTHON


def _loses_memory(side: Finding | Accepted) -> bool:
    return side.detector == "growth" or kind_family(side.kind) == "leak"


def _in_tests_of(side: Finding | Accepted, others: Iterable[Finding | Accepted]) -> bool:
    return bool(side.tests) and set(side.tests) <= {t for other in others for t in other.tests}


def _side(entry: Entry) -> Finding | Accepted:
    side = entry.after or entry.before
    assert side is not None, "an entry has at least one side"
    return side
