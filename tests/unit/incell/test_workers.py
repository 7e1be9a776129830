"""Forked workers: which tests run in which process, and what happens to the rest."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from leakgrid_incell.journal import Journal
from leakgrid_incell.workers import Batch, Slots, Workers

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")


class Suite:
    """Batches whose tests write a line each, in the process that runs them."""

    def __init__(self, folder: Path, most: int = 100, deadly: int = -1) -> None:
        self.log, self.most, self.deadly = folder / "log", most, deadly
        self.journal = folder / "journal"

    def run(self, *batches: list[int], jobs: int = 2) -> list[tuple[int, int]]:
        """(process, test) of all that ran, by batch."""
        plan = {"jobs": jobs, "restart": "rest", "most_losses": 5}
        workers = Workers(plan, Journal(str(self.journal)), self.run_batch, lambda _: 60.0)
        workers.run(Batch(number, indices) for number, indices in enumerate(batches))
        lines = self.log.read_text().splitlines()
        return [(int(pid), int(test)) for pid, test in map(str.split, lines)]

    def run_batch(self, batch: Batch, slots: Slots) -> int:
        for position, index in enumerate(batch.indices):
            slots.note(batch.number, index)
            with self.log.open("a") as stream:
                stream.write(f"{os.getpid()} {index}\n")
            if index == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            if position + 1 == self.most:
                return len(batch.indices) - self.most
        return 0

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [event for event in map(json.loads, lines) if kind in event.values()]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_what_a_worker_leaves_goes_to_a_new_one_in_order(tmp_path: Path) -> None:
    suite = Suite(tmp_path, most=2)
    ran = suite.run([10, 11, 12, 13, 14], jobs=1)
    assert [test for _, test in ran] == [10, 11, 12, 13, 14]
    assert len({pid for pid, _ in ran}) == 3
    assert suite.events("lost") == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_batch_that_nobody_leaves_runs_in_one_process(tmp_path: Path) -> None:
    ran = Suite(tmp_path).run([1, 2, 3], [4, 5])
    first = {pid for pid, test in ran if test <= 3}
    second = {pid for pid, test in ran if test > 3}
    assert sorted(test for _, test in ran) == [1, 2, 3, 4, 5]
    assert len(first) == len(second) == 1
    assert first != second


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_worker_that_dies_is_charged_to_its_test_and_the_rest_goes_on(tmp_path: Path) -> None:
    suite = Suite(tmp_path, most=3, deadly=11)
    ran = suite.run([10, 11, 12, 13], jobs=1)
    assert [test for _, test in ran] == [10, 11, 12, 13]
    (lost,) = suite.events("lost")
    assert (lost["test"], lost["signal"]) == (11, signal.SIGKILL)
