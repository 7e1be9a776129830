"""What the rounds of a test add up to: findings, what was dropped and why, what stays open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakgrid_incell import judge, measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from leakgrid_incell.holders import Change
    from leakgrid_incell.measure import Meter

    Gained = Sequence[tuple[str, int]]

_NAME = 256
"""Bytes: an interned name takes less with its share of the table, unless it is a very long one."""


def result(
    status: str,
    why: str = "",
    suspects: Iterable[dict[str, Any]] = (),
    dropped: Iterable[str] = (),
) -> dict[str, Any]:
    """The fields of a ``screened`` event.

    ``status``: flat, settled, held, irregular, leak, undecided, not-repeatable.
    """
    return {
        "status": status,
        "why": why[-600:],
        "suspects": list(suspects),
        "dropped": list(dropped),
    }


def lost(references: Iterable[tuple[str, int]]) -> dict[str, Any]:
    """The outcome where nothing but references were lost: (name, how many per call)."""
    suspects = [_suspect("refs", "reference", name, number) for name, number in references]
    return result("leak", suspects=suspects)


def held_by_python(
    meter: Meter, before: Sequence[int], after: Sequence[int], change: Change
) -> bool:
    """Whether Python's containers explain everything that grew between two rows.

    Where they gained far more than the heap did, looking itself moved more than the test: that
    explains nothing yet.
    """
    grown = max(0, after[measure.HEAP] - before[measure.HEAP])
    if change.size > 2 * grown > 0 or change.steady_orphans():
        return False
    return all(
        _explained(meter, cell, new - old, change)
        for cell, (old, new) in enumerate(zip(before, after))
    )


def _explained(meter: Meter, cell: int, growth: int, change: Change) -> bool:
    if growth <= 0:
        return True
    if cell == measure.HEAP:
        return growth <= change.most
    if cell == measure.TOTAL:
        return change.count > 0
    if cell == measure.FDS:
        return change.kept_files() >= growth
    if cell == measure.THREADS:
        return change.python_threads() >= growth
    return change.references(cell, len(meter.watched)) >= growth


def open_suspect(name: str, per_call: float, cell: int) -> dict[str, Any]:
    """Something that still grew, without a name for what it is."""
    detector = {measure.HEAP: "growth", measure.FDS: "fds", measure.THREADS: "threads"}
    suspect = _suspect(detector.get(cell, "refs"), "undecided", name, round(per_call, 4))
    if cell == measure.HEAP:
        suspect["bytes"] = round(per_call, 2)
    return suspect


def conclude(
    meter: Meter,
    rows: Sequence[Sequence[int]],
    change: Change,
    windows: Sequence[tuple[int, int]],
    share: float,
    files: Gained,
    threads: Gained,
) -> dict[str, Any]:
    """The outcome of the late windows."""
    words = {}
    doubled = False
    for cell in range(len(rows[0])):
        values = [row[cell] for row in rows]
        if values[-1] == values[0] == max(values):
            continue
        words[cell] = judge.judge(values)
        if cell == measure.HEAP and words[cell] != judge.LEAK and judge.doubles(windows):
            words[cell], doubled = judge.LEAK, True
    outcome = _Conclusion(meter, rows, change, words, share, files, threads).outcome()
    for suspect in outcome["suspects"]:
        suspect["doubles"] = doubled and suspect["detector"] == "growth"
        suspect["doubtful"] = outcome["status"] == "held"
    return outcome


def _suspect(
    detector: str, kind: str, name: str, per_call: float, size: float = 0
) -> dict[str, Any]:
    return {
        "detector": detector,
        "kind": kind,
        "object": name,
        "per_call": per_call,
        "bytes": size,
    }


def _usual(values: Sequence[int]) -> int:
    """Growth over all windows, as most of them show it.

    What happened in one of them only (CPython made a cache for some function) is no slope.
    """
    steps = sorted(after - before for before, after in zip(values, values[1:]))
    if steps[0] <= 0:
        return values[-1] - values[0]
    return steps[len(steps) // 2] * len(steps)


class _Conclusion:
    """Puts the measures of one test together, so that one leak is one finding."""

    def __init__(
        self,
        meter: Meter,
        rows: Sequence[Sequence[int]],
        change: Change,
        words: Mapping[int, str],
        share: float,
        files: Gained,
        threads: Gained,
    ) -> None:
        self.meter, self.calls, self.change, self.words = meter, change.calls, change, words
        self.share = share  # of the calls that add anything
        self.files, self.threads = files, threads
        self.growth = [a - b for a, b in zip(rows[-1], rows[0])]
        self.growth[measure.HEAP] = _usual([row[measure.HEAP] for row in rows])
        self.suspects: list[dict[str, Any]] = []
        self.dropped: list[str] = []
        self.doubtful: list[dict[str, Any]] = []  # only a stack can say whose it is

    def leaks(self, cell: int) -> bool:
        return self.words.get(cell) == judge.LEAK

    def rate(self, number: float) -> float:
        return round(number / self.calls, 4)

    def outcome(self) -> dict[str, Any]:
        self._descriptors()
        self._threads()
        drifting = self._references()
        if self.leaks(measure.HEAP):
            drifting = self._heap(drifting)
        for name, growth in drifting:
            self.suspects.append(_suspect("refs", "reference", name, self.rate(growth)))
        if self.suspects:
            return result("leak", suspects=self.suspects, dropped=self.dropped)
        unclear = [cell for cell, word in self.words.items() if word == judge.UNCLEAR]
        held = [cell for cell in unclear if self._is_held(cell)]
        unclear = [cell for cell in unclear if cell not in held]
        if unclear:
            open_ones = [
                open_suspect(self.meter.name(c), self.growth[c] / self.calls, c) for c in unclear
            ]
            return result("unclear", "it neither kept its slope nor stopped", open_ones)
        if self.dropped:
            return result("held", "; ".join(self.dropped), self.doubtful, self.dropped)
        if held:
            return result("held", self.change.holder_text())
        if judge.IRREGULAR in self.words.values():
            return result("irregular", "it rises and falls, without a slope")
        return result("settled", "it stopped growing")

    def _is_held(self, cell: int) -> bool:
        """Whether Python's containers explain what one cell gained."""
        if cell == measure.HEAP and self.change.steady_orphans():
            return False
        return _explained(self.meter, cell, self.growth[cell], self.change)

    def _descriptors(self) -> None:
        if not self.leaks(measure.FDS):
            return
        if self.change.kept_files() * 2 >= self.growth[measure.FDS]:
            self.dropped.append("open files " + self.change.holder_text())
            return
        for name, number in self.files[:3]:
            self.suspects.append(_suspect("fds", "descriptor", name, self.rate_of(number, "fds")))

    def rate_of(self, number: int, which: str) -> float:
        """Per call, scaled to the late windows: names were only listed before and after them."""
        total = sum(n for _, n in (self.files if which == "fds" else self.threads))
        cell = measure.FDS if which == "fds" else measure.THREADS
        return round(self.growth[cell] / self.calls * number / max(1, total), 4)

    def _threads(self) -> None:
        if not self.leaks(measure.THREADS):
            return
        if self.change.python_threads() * 2 >= self.growth[measure.THREADS]:
            self.dropped.append("threads that Python started and still lists")
            return
        for name, number in self.threads[:3]:
            self.suspects.append(
                _suspect("threads", "thread", name, self.rate_of(number, "threads"))
            )

    def _references(self) -> list[tuple[str, int]]:
        """(name, growth) of what drifts and is not held by containers."""
        drifting = []
        watched = len(self.meter.watched)
        for cell, word in self.words.items():
            if word != judge.LEAK or cell in (measure.HEAP, measure.FDS, measure.THREADS):
                continue
            if cell == measure.TOTAL:
                continue
            if self.meter.is_text(cell) and self.growth[measure.HEAP] > 0:
                continue  # a dict does not show the collector keys that are all strings
            surplus = self.growth[cell] - self.change.references(cell, watched)
            if surplus * 2 >= self.growth[cell]:
                drifting.append((self.meter.name(cell), surplus))
            else:
                self.dropped.append(
                    f"references to {self.meter.name(cell)} {self.change.holder_text()}"
                )
        if not drifting and self.leaks(measure.TOTAL) and not self.leaks(measure.HEAP):
            drifting.append(("total references", self.growth[measure.TOTAL]))
        return drifting

    def _heap(self, drifting: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Heap bytes: orphans by type, instances by their drifting type, else plain memory."""
        change, size = self.change, self.growth[measure.HEAP]
        orphans = change.steady_orphans()
        if orphans:
            for name, number, own in orphans:
                bytes_ = size if len(orphans) == 1 else own
                self.suspects.append(
                    _suspect("growth", "object", name, self.rate(number), self.rate(bytes_))
                )
            names = {"type " + name for name, _, _ in orphans}
            return [(name, growth) for name, growth in drifting if name not in names]
        if size <= change.most:
            self.dropped.append("memory " + change.holder_text())
            return drifting
        if change.behind():
            self.dropped.append("memory behind " + change.holder_text())
            return drifting
        instances = [(n, g) for n, g in drifting if n.startswith("type ")]
        rest = size - change.size
        if instances and rest >= 16 * sum(g for _, g in instances):
            for name, growth in instances:
                share = rest / len(instances)
                self.suspects.append(
                    _suspect("growth", "instance", name[5:], self.rate(growth), self.rate(share))
                )
            return [pair for pair in drifting if pair not in instances]
        if any(s["detector"] in ("threads", "fds") for s in self.suspects):
            self.suspects[0]["bytes"] = self.rate(rest)
            return drifting
        self._memory(rest)
        return drifting

    def _memory(self, rest: int) -> None:
        change = self.change
        memory = _suspect("growth", "native-memory", "native memory", self.share, self.rate(rest))
        if change.interned * 4 >= self.calls:
            self.dropped.append(
                f"names that this Python interns for ever: {self.rate(change.interned):g} per call"
            )
            if rest > _NAME * change.interned:
                self.doubtful.append(memory)
        elif change.traced:
            self.dropped.append("tracemalloc ran, whose own memory is not told apart")
            self.doubtful.append(memory)
        else:
            self.suspects.append(memory)
