"""The journal that the code inside a cell writes, read as it grows."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TestEvent:
    """One test as one run saw it; ``errors`` are memory errors under Valgrind, repeats included."""

    outcome: str
    seconds: float = 0.0
    errors: int = 0
    why: str = ""

    __test__ = False  # pytest would take the name for a test class


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """What a process said after its last test.

    ``planted`` are the canaries, ``seen`` those that a leak check counted; ``totals`` are bytes and
    blocks per leak kind.
    """

    number: int
    pid: int
    loaded: tuple[str, ...]
    planted: tuple[str, ...]
    seen: tuple[str, ...]
    totals: Mapping[str, Mapping[str, int]]


@dataclass(slots=True)
class Journal:
    """Everything said by one or more processes of one run of the suite (a growing record)."""

    first_number: int = 0
    collected: list[str] | None = None
    collecting: str = ""
    collection_errors: dict[str, str] = field(default_factory=dict)
    threads: int = 0
    allocator: str = ""
    zygotes: list[int] = field(default_factory=list)
    tests: dict[str, TestEvent] = field(default_factory=dict)
    running: dict[int, str] = field(default_factory=dict)
    ends: list[BatchEnd] = field(default_factory=list)
    lost_pids: set[int] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    screened: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    explained: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    census: dict[str, int] = field(default_factory=dict)
    heap_planted: set[str] = field(default_factory=set)
    heap_seen: set[str] = field(default_factory=set)
    repeating: set[str] = field(default_factory=set)
    done: bool = False
    hung: bool = False
    forkless: bool = False
    returncode: int = 0
    last_event: float = field(default_factory=time.monotonic)
    _offset: int = 0

    def read(self, path: Path) -> bool:
        """Take in the complete lines that came since the last call; tell whether any did."""
        try:
            with path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return False
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            self.take(json.loads(line))
        return bool(complete)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event; kinds that this leakgrid does not know are passed over."""
        self.last_event = time.monotonic()
        handler = getattr(self, "_on_" + str(event["event"]).replace("-", "_"), None)
        if handler is not None:
            handler(event)

    def merge(self, other: Journal) -> None:
        """Add what another process of the same run said."""
        self.collected = self.collected if self.collected is not None else other.collected
        self.collecting = other.collecting
        self.collection_errors.update(other.collection_errors)
        self.threads = max(self.threads, other.threads)
        self.allocator = other.allocator or self.allocator
        self.zygotes += other.zygotes
        self.tests.update(other.tests)
        self.ends += other.ends
        self.screened.update(other.screened)
        self.explained.update(other.explained)
        self.census.update(other.census)
        self.heap_planted |= other.heap_planted
        self.heap_seen |= other.heap_seen
        self.lost_pids |= other.lost_pids
        self.faults += other.faults
        self.done = other.done

    def lose(self, number: int, test: str, *, hung: bool, code: int) -> None:
        """A process ended in the middle of ``test`` (empty: outside any test)."""
        if hung:
            event = TestEvent("hung", why="it went past its time limit")
        else:
            event = TestEvent("crashed", why=describe_exit(code))
        if test in self.repeating:  # it passed: only its repetition ended the process
            self.repeating.discard(test)
            why = f"its repetition: {event.why}"
            self.screened[test] = {"status": "not-repeatable", "why": why}
        elif test:
            self.tests[test] = event
        else:
            self.faults.append(f"a process of batch {number} ended outside any test: {event.why}")
        self.running.pop(number, None)

    def give_up(self, tests: Sequence[str]) -> None:
        """Tests that were not reached because too much died before them."""
        for test in tests:
            self.tests.setdefault(test, TestEvent("not-run", why="its process died before it"))

    def _name(self, index: int) -> str:
        tests = self.collected or []
        return tests[index] if 0 <= index < len(tests) else ""

    def _on_collecting(self, event: Mapping[str, Any]) -> None:
        self.collecting = str(event["path"])

    def _on_collection_error(self, event: Mapping[str, Any]) -> None:
        self.collection_errors[str(event["path"])] = str(event["why"])

    def _on_collected(self, event: Mapping[str, Any]) -> None:
        self.collected = [str(test) for test in event["tests"]]
        self.allocator = str(event["allocator"])
        self.zygotes.append(int(event["pid"]))
        self.forkless = not event["fork"]

    def _on_threads(self, event: Mapping[str, Any]) -> None:
        self.threads = int(event["count"])

    def _on_begin(self, event: Mapping[str, Any]) -> None:
        self.running[int(event["batch"])] = self._name(int(event["test"]))

    def _on_end(self, event: Mapping[str, Any]) -> None:
        self.running.pop(int(event["batch"]), None)
        self.tests[self._name(int(event["test"]))] = TestEvent(
            str(event["outcome"]), float(event["seconds"]), int(event["errors"]), str(event["why"])
        )

    def _on_screen_begin(self, event: Mapping[str, Any]) -> None:
        test = self._name(int(event["test"]))
        self.running[int(event["batch"])] = test
        self.repeating.add(test)

    def _on_screened(self, event: Mapping[str, Any]) -> None:
        test = self._name(int(event["test"]))
        self.running.pop(int(event["batch"]), None)
        self.repeating.discard(test)
        self.screened[test] = event

    def _on_explained(self, event: Mapping[str, Any]) -> None:
        self.explained[self._name(int(event["test"]))] = event

    def _on_census(self, event: Mapping[str, Any]) -> None:
        self.census = {str(name): int(count) for name, count in event["objects"].items()}

    def _on_heap_canary(self, event: Mapping[str, Any]) -> None:
        self.heap_planted |= set(event["planted"])
        self.heap_seen |= set(event["seen"])

    def _on_batch_end(self, event: Mapping[str, Any]) -> None:
        self.ends.append(
            BatchEnd(
                self.first_number + int(event["batch"]),
                int(event["pid"]),
                tuple(event["loaded"]),
                tuple(event["planted"]),
                tuple(event["seen"]),
                dict(event["totals"]),
            )
        )

    def _on_lost(self, event: Mapping[str, Any]) -> None:
        code = -int(event["signal"]) if event["signal"] else int(event["exit"] or 0)
        self.lost_pids.add(int(event["pid"]))
        batch = int(event["batch"])
        self.lose(batch, self._name(int(event["test"])), hung=bool(event["hung"]), code=code)

    def _on_gave_up(self, event: Mapping[str, Any]) -> None:
        self.give_up([self._name(int(index)) for index in event["tests"]])

    def _on_worker_error(self, event: Mapping[str, Any]) -> None:
        self.faults.append(str(event["error"]))

    def _on_done(self, event: Mapping[str, Any]) -> None:
        self.done = True


def describe_exit(code: int) -> str:
    """A return code in words: ``killed by SIGSEGV``, ``ended with exit status 3``."""

    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"ended the interpreter with exit status {code}"
