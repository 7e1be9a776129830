"""Where references live, counted in memory: what a table holds is told from what was lost."""

from __future__ import annotations

import ctypes
import sys

import pytest
from leakgrid_incell import words

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is read through /proc"
)
TIMES = 40
MOST = TIMES * 3 // 4
"""Stale copies of an address may be gone at the second look."""


class Kind:
    pass


def gained(action: object) -> int:
    assert callable(action)
    (before,) = words.count([Kind])
    for number in range(TIMES):
        action(number)
    return words.count([Kind])[0] - before


def test_lost_references_leave_no_words() -> None:
    before = sys.getrefcount(Kind)
    assert gained(lambda _: ctypes.pythonapi.Py_IncRef(ctypes.py_object(Kind))) < TIMES / 4
    assert sys.getrefcount(Kind) >= before + TIMES


def test_references_in_a_table_that_was_reserved_before_are_words() -> None:
    table: list[object] = [None] * TIMES

    def put(number: int) -> None:
        table[number] = Kind

    assert gained(put) >= MOST


def test_references_that_only_native_memory_holds_are_words() -> None:
    table = (ctypes.c_size_t * TIMES)()

    def put(number: int) -> None:
        table[number] = id(Kind)

    assert gained(put) >= MOST


def test_addresses_with_a_tag_in_their_lowest_bits_are_words() -> None:
    table = (ctypes.c_size_t * TIMES)()

    def put(number: int) -> None:
        table[number] = id(Kind) | 1 + number % 7

    assert gained(put) >= MOST


def test_instances_hold_a_word_each() -> None:
    kept: list[object] = []
    assert gained(lambda _: kept.append(Kind())) >= MOST


def test_each_object_has_its_own_count() -> None:
    first, second = object(), object()
    table = [second] * 500
    counts = words.count([first, second])
    assert counts[1] - counts[0] >= 400
    assert len(table) == 500


def test_more_memory_than_is_worth_reading_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_MEMORY", 4096)
    assert words.count([Kind]) == []


def test_a_mapping_that_is_gone_when_it_is_read_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = [Kind] * 500
    there = words._writable()
    page = 4096
    monkeypatch.setattr(words, "_writable", lambda: [(page, 2 * page), *there])
    assert words.count([Kind])[0] >= len(table)
