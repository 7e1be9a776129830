"""Threads left running."""

from __future__ import annotations

from leakgrid.detectors.suspects import Suspect
from leakgrid.detectors.threads import findings


def test_numbered_threads_of_one_pool_are_one_finding() -> None:
    found = findings(
        [
            Suspect("a", "threads", "thread", "pool-3", 1, 0),
            Suspect("b", "threads", "thread", "pool-14", 1, 0),
        ]
    )
    assert [item.tests for item in found] == [("a", "b")]


def test_the_name_is_in_the_summary() -> None:
    (found,) = findings([Suspect("a", "threads", "thread", "worker", 2, 900)])
    assert "worker" in found.summary
    assert (found.blocks, found.bytes) == (2, 900)
