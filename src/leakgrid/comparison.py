"""A cell against its baseline, or one result against another: new, gone, changed, known."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from leakgrid.baseline import Accepted, Baseline, is_complete
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import Owner, cause_key, is_glue, kind_family, native_segment

RESOLUTION = 0.05
"""What two measurements of the same amount per call may differ by: they are means of many calls."""
_ALIGNED = 16.0
"""Bytes per call that the native screen may differ by: malloc hands out multiples of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cause with both its sides; at least one of them is there."""

    before: Finding | Accepted | None
    after: Finding | None

    @property
    def id(self) -> str:
        """The id of the newer side, else of the older."""
        side = self.after or self.before
        return side.id if side else ""

    @property
    def owner(self) -> Owner:
        """The owner on the newer side, else on the older."""
        side = self.after or self.before
        return side.owner if side else Owner.UNKNOWN

    @property
    def grown(self) -> bool:
        """More blocks than before; without a block count, more bytes."""
        return self.before is not None and self.after is not None and grown(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Entries by what happened to them, each sorted by id.

    ``changed`` is there on both sides with other blocks, bytes or leak kind.
    """

    new: tuple[Entry, ...] = ()
    gone: tuple[Entry, ...] = ()
    changed: tuple[Entry, ...] = ()
    known: tuple[Entry, ...] = ()

    def ids(self) -> dict[str, tuple[str, ...]]:
        """The form stored in a result."""
        return {
            "new": tuple(entry.id for entry in self.new),
            "gone": tuple(entry.id for entry in self.gone),
            "changed": tuple(entry.id for entry in self.changed),
            "known": tuple(entry.id for entry in self.known),
        }


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


def grown(before: Finding | Accepted, after: Finding) -> bool:
    """Whether the later side has more blocks than the earlier; without any, more bytes."""
    slack = RESOLUTION if after.per_call else 0.0
    if before.blocks or after.blocks:
        return after.blocks > before.blocks + slack
    return after.bytes > before.bytes + slack


def compare_baseline(result: CellResult, baseline: Baseline | None) -> Comparison:
    """Match by exact id within one cell; without a baseline every finding is new.

    A result in which not everything ran makes no accepted finding gone.
    """
    accepted = baseline.entries if baseline else ()
    same, old, new = _match(accepted, result.findings, _by_id)
    cycles, old, new = _match_cycles(old, new)
    return _sort([*same, *cycles], old if is_complete(result) else [], new)


def compare_results(before: CellResult, after: CellResult) -> Comparison:
    """Match two results, of two PyO3 versions as a rule: by id first, then by cause.

    A later result in which not everything ran makes no finding gone. Findings whose tests, or whose
    detector, one result left out are left out: nobody knows whether they are new, or gone.
    """
    later = _could_show(before, after.findings)
    same, old, new = _match(before.findings, later, _by_id)
    cycles, old, new = _match_cycles(old, new)
    alike, old, new = _match(old, new, cause_key)
    split = [_by_test(entry, before, after) for entry in (*same, *cycles, *alike)]
    held, new = _held_before([*new, *(f for _, _, more in split for f in more)], before)
    missing = _could_show(after, [*old, *(f for _, gone, _ in split for f in gone)])
    ended = is_complete(replace(after, partial=False))
    whole = not after.partial or before.tests.keys() <= after.tests.keys()
    return _sort(
        [*(entry for entry, _, _ in split), *held],
        missing if ended and whole else [],
        new,
    )


def _could_show(result: CellResult, findings: Iterable[Finding]) -> list[Finding]:
    """The findings that a result would show: it ran their tests, and their detector."""
    off = _off(result)
    return [
        f
        for f in findings
        if f.detector not in off
        and (not result.partial or not f.tests or any(t in result.tests for t in f.tests))
    ]


def _off(result: CellResult) -> frozenset[str]:
    """The detectors that did not run, as ``not_checked`` tells them: ``memcheck (why)``."""
    return frozenset(text.partition(" (")[0] for text in result.not_checked)


def _by_test(
    entry: Entry, before: CellResult, after: CellResult
) -> tuple[Entry, list[Finding], list[Finding]]:
    """A pair, and its parts in tests that were clean on the other side: gone, and new.

    Growth without a stack is named by the object that leaks. One class may leak for two reasons,
    each in tests of its own, so a name on both sides says nothing about a test that was clean. Its
    amount is the least of its tests: with other tests it cannot be compared.
    """
    old, now = entry.before, entry.after
    if not isinstance(old, Finding) or now is None or not (_by_tests(old) and _by_tests(now)):
        return entry, [], []
    less = tuple(t for t in old.tests if t not in now.tests and _clean(t, after))
    more = tuple(t for t in now.tests if t not in old.tests and _clean(t, before))
    if old.tests != now.tests and old.blocks == now.blocks:
        entry = Entry(replace(old, bytes=now.bytes), now)
    gone = [replace(old, tests=less)] if less else []
    return entry, gone, [replace(now, tests=more)] if more else []


def _held_before(new: Iterable[Finding], before: CellResult) -> tuple[list[Entry], list[Finding]]:
    """Growth that was there before in the same tests, with a holder: not new, but changed."""
    held = {
        str(item.get("what", "")).removeprefix("growth in "): str(item.get("why", ""))
        for item in before.dropped
        if "held by Python" in str(item.get("why", ""))
    }
    pairs, left = [], []
    for finding in new:
        if _by_tests(finding) and finding.tests and held.keys() >= set(finding.tests):
            old = replace(finding, kind="held", summary=held[finding.tests[0]])
            pairs.append(Entry(old, finding))
        else:
            left.append(finding)
    return pairs, left


def _clean(test: str, result: CellResult) -> bool:
    """Whether a test was repeated and no memory leaked in it."""
    record = result.tests.get(test)
    if record is None or record.outcome != "passed" or record.repeatable is False:
        return False
    return not any(test in f.tests for f in result.findings if f.detector == "growth")


_Side = TypeVar("_Side", Finding, Accepted)


def _by_id(side: Finding | Accepted) -> str:
    return side.id


def _match(
    old: Iterable[_Side], new: Iterable[Finding], key: Callable[[_Side | Finding], str]
) -> tuple[list[Entry], list[_Side], list[Finding]]:
    """Pair off what has the same key, each side once; then what is left over on either side."""
    waiting: defaultdict[str, list[_Side]] = defaultdict(list)
    for side in sorted(old, key=_by_id):
        waiting[key(side)].append(side)
    left: list[Finding] = []
    pairs: list[Entry] = []
    for finding in sorted(new, key=_by_id):
        same = waiting[key(finding)]
        if same:
            pairs.append(Entry(same.pop(0), finding))
        else:
            left.append(finding)
    return pairs, [side for sides in waiting.values() for side in sides], left


def _match_cycles(
    old: Iterable[_Side], new: Iterable[Finding]
) -> tuple[list[Entry], list[_Side], list[Finding]]:
    """Pair off two blocks of one lost cycle: in each result the other was lost through this one."""
    waiting = list(old)
    left: list[Finding] = []
    pairs: list[Entry] = []
    for finding in sorted(new, key=_by_id):
        twin = next(
            (side for side in waiting if side.id in finding.related and finding.id in side.related),
            None,
        )
        if twin is None:
            left.append(finding)
        else:
            waiting.remove(twin)
            pairs.append(Entry(twin, finding))
    return pairs, waiting, left


def _sort(
    pairs: Sequence[Entry], old: Iterable[Finding | Accepted], new: Iterable[Finding]
) -> Comparison:
    return Comparison(
        new=_sorted(Entry(None, finding) for finding in new),
        gone=_sorted(Entry(side, None) for side in old),
        changed=_sorted(entry for entry in pairs if _differs(entry)),
        known=_sorted(entry for entry in pairs if not _differs(entry)),
    )


def _differs(entry: Entry) -> bool:
    before, after = entry.before, entry.after
    if before is None or after is None:
        return True
    slack = RESOLUTION if after.per_call else 0.0
    size = _ALIGNED if _by_tests(after) else slack
    return (
        before.kind != after.kind
        or abs(before.blocks - after.blocks) > slack
        or abs(before.bytes - after.bytes) > size
    )


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.id))


# --- causes ------------------------------------------------------------------------------------

_STATES = ("new", "gone", "changed", "known")
_SUBJECTS = (
    re.compile(r"[\d.]+ reference\(s\) to (.+) lost per call"),
    re.compile(r"[\d.]+ (\S.*) per call held by native code"),
    re.compile(r"\d+ reference\(s\) more to (.+) after import"),
)
_SIZE = 64
"""Bytes: sizes per call differ by what looking itself moves."""


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
    in the stack without the extension's own. What neither names is a mechanism of its own.
    """
    name = subject(finding)
    key = f"{finding.detector}|{kind_family(finding.kind)}"
    if isinstance(finding, Finding) and finding.frames:
        chain = _underneath(finding)
        if chain:
            return f"{key}|{'|'.join(chain)}", f"{finding.kind} through {chain[0]}"
    elif name and finding.detector in ("refs", "census"):
        sort, words = _sort_of(name, finding.detector)
        when = "lost with each call" if finding.detector == "refs" else "too many after import"
        return f"{key}|{sort}", f"references to {words} {when}"
    elif finding.kind == "instance":
        return key, "memory lost with instances of a class"
    elif name and finding.detector == "growth":
        return f"{key}|{name}", f"{name} objects held by native code"
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
    """The functions of PyO3 and CPython in a stack, innermost first, without generated code."""
    return [
        frame.function
        for frame in native_segment(finding.frames)
        if frame.owner in (Owner.PYO3, Owner.CPYTHON) and not is_glue(frame)
    ]


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
    return {
        state: tuple(
            Cause(key, mechanism(_side(entries[0]))[1], tuple(entries))
            for key, entries in sorted(groups[state].items())
        )
        for state in _STATES
    }


def _known_elsewhere(entry: Entry, others: Iterable[Entry]) -> bool:
    """Whether the side that lacks this entry shows its mechanism nevertheless."""
    side = _side(entry)
    across = [
        other
        for one in others
        if (other := one.before if entry.before is None else one.after) is not None
        and other.detector == side.detector
    ]
    if _by_tests(side):
        return bool(side.tests) and set(side.tests) <= {t for other in across for t in other.tests}
    key = mechanism(side)[0]
    if not isinstance(side, Finding) or side.frames or side.detector == "census":
        return False  # the extension's own functions tell stacks apart, objects imported ones
    return any(mechanism(other)[0] == key for other in across)


def _by_tests(side: Finding | Accepted) -> bool:
    return isinstance(side, Finding) and side.detector == "growth" and not side.frames


def _side(entry: Entry) -> Finding | Accepted:
    side = entry.after or entry.before
    assert side is not None, "an entry has at least one side"
    return side
