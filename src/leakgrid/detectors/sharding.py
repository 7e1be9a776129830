"""Splitting a suite into batches of about equal cost, by measured durations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PER_TEST = 0.001
"""Seconds added to each test's native duration: what pytest itself costs per test."""


def split(tests: Sequence[str], seconds: Mapping[str, float], batches: int) -> list[list[str]]:
    """Cut ``tests`` into at most ``batches`` runs of neighbours with about equal summed seconds.

    The order stays, and neighbours stay together, so that module and class fixtures are set up
    about as often as in an undivided run. No batch is empty.
    """
    if not tests:
        return []
    weights = [max(0.0, seconds.get(test, 0.0)) + PER_TEST for test in tests]
    share = sum(weights) / max(1, batches)
    result: list[list[str]] = [[]]
    filled = 0.0
    for test, weight in zip(tests, weights, strict=True):
        boundary = share * len(result)
        if result[-1] and len(result) < batches and filled + weight / 2 > boundary:
            result.append([])
        result[-1].append(test)
        filled += weight
    return result
