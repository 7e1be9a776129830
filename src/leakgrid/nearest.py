"""What a cell without a baseline is judged against: the baseline of the cell most like it.

A neighbour's baseline tells which findings somebody has already looked at and accepted. It says
nothing about what is gone, because another PyO3 or Python may never have had it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from leakgrid.baseline import Accepted, Baseline
from leakgrid.comparison import Comparison, Entry, compare_baseline
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import Frame, Owner, kind_family, native_segment, own_functions

_CELL = re.compile(r"(?:.*/)?py(\d+)\.(\d+)(t?)-pyo3-(\d+)\.(\d+)\.(\d+)\S*\Z")


def nearest(cell: str, others: Iterable[str]) -> str | None:
    """The name of the cell most like this one: the same Python first, then the nearest PyO3.

    Else the nearest Python. Of two that are as near the older is taken: what is new since then is
    new here as well. Names that are no cell's, and the cell itself, are passed over.
    """
    here = _numbers(cell)
    if here is None:
        return None
    found = []
    for other in others:
        there = _numbers(other)
        if there is None or other == cell:
            continue
        (python, threads, pyo3), (its_python, its_threads, its_pyo3) = here, there
        newer = (its_python > python, its_pyo3 > pyo3)
        steps = tuple(abs(a - b) for a, b in zip(pyo3, its_pyo3, strict=True))
        far = (threads != its_threads, abs(python - its_python), steps)
        found.append((far, newer, other))
    return min(found)[2] if found else None


def _numbers(name: str) -> tuple[int, str, tuple[int, ...]] | None:
    match = _CELL.match(name)
    if match is None:
        return None
    major, minor, threads, *pyo3 = match.groups()
    return int(major) * 1000 + int(minor), threads, tuple(map(int, pyo3))


def compare_nearest(result: CellResult, baseline: Baseline) -> Comparison:
    """A result against another cell's baseline: by id first, then by cause; nothing is gone.

    The cause is what PyO3's renames leave alone: the extension's own functions, else the tests.
    """
    compared = compare_baseline(result, baseline)
    paired = {entry.before.id for entry in (*compared.known, *compared.changed) if entry.before}
    waiting = [entry for entry in baseline.entries if entry.id not in paired]
    new, alike = [], []
    for entry in compared.new:
        found = entry.after
        twin = next((one for one in waiting if found and _alike(one, found)), None)
        if twin is None or found is None:
            new.append(entry)
        else:
            waiting.remove(twin)
            alike.append(Entry(twin, found))
    grown = [entry for entry in alike if entry.grown]
    same = [entry for entry in alike if not entry.grown]
    return Comparison(
        new=tuple(new),
        changed=_sorted([*compared.changed, *grown]),
        known=_sorted([*compared.known, *same]),
    )


def _alike(accepted: Accepted, found: Finding) -> bool:
    if (accepted.detector, accepted.owner) != (found.detector, found.owner):
        return False
    if kind_family(accepted.kind) != kind_family(found.kind):
        return False
    theirs = [text.partition(" [")[0] for text in accepted.frames]
    own = own_functions(native_segment(found.frames) or found.frames)
    if own:
        # A baseline does not say whose each frame is, so any may be the extension's.
        names = iter(own_functions([Frame(name, owner=Owner.EXTENSION) for name in theirs]))
        return all(name in names for name in own)
    if not set(accepted.tests) & set(found.tests):
        return False
    return not found.frames or bool({frame.function for frame in found.frames} & set(theirs))


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.id))
