"""Two sides put in pairs: by id, by cycle, by cause, by test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from leakgrid.baseline import Accepted, Baseline, is_complete, measured_tests
from leakgrid.comparison.model import ALIGNED, RESOLUTION, Comparison, Entry, by_tests
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import cause_key


def compare_baseline(result: CellResult, baseline: Baseline | None) -> Comparison:
    """Match by exact id within one cell; without a baseline every finding is new.

    A result in which not everything ran makes no accepted finding gone. Growth without a stack has
    no better name than its object, so in tests that did not show it at acceptance it is new, unless
    tests were added since.
    """
    accepted = baseline.entries if baseline else ()
    same, old, new = _match(accepted, result.findings, _by_id)
    cycles, old, new = _match_cycles(old, new)
    if baseline and not 0 < baseline.tests < measured_tests(result.tests):
        new += [more for entry in same if (more := in_other_tests(entry)) is not None]
    return _sort([*same, *cycles], old if is_complete(result) else [], new)


def in_other_tests(entry: Entry) -> Finding | None:
    """The part of growth without a stack that is in tests in which it was not accepted."""
    before, after = entry.before, entry.after
    if before is None or after is None or not (by_tests(before) and by_tests(after)):
        return None
    more = tuple(test for test in after.tests if test not in before.tests)
    return replace(after, tests=more) if more and before.tests else None


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
    if not isinstance(old, Finding) or now is None or not (by_tests(old) and by_tests(now)):
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
        if by_tests(finding) and finding.tests and held.keys() >= set(finding.tests):
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
    size = ALIGNED if by_tests(after) else slack
    return (
        before.kind != after.kind
        or abs(before.blocks - after.blocks) > slack
        or abs(before.bytes - after.bytes) > size
    )


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.id))
