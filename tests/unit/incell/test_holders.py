"""The collector's arithmetic: orphans, and what Python's containers hold."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator

import pytest
from leakgrid_incell.holders import Change, Snapshot

CALLS = 20
KEPT: list[object] = []


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    KEPT.clear()
    yield
    KEPT.clear()
    gc.unfreeze()


def observe(action: Callable[[], object], watched: list[object]) -> Change:
    before = Snapshot(watched)
    gc.collect()
    gc.freeze()
    for _ in range(CALLS):
        action()
    gc.collect()
    return Change(before, Snapshot(watched, gc.get_objects(), CALLS, before), CALLS)


def take_reference(thing: object) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class Kind:
    pass


class Wide:
    def __init__(self) -> None:
        self.a = self.b = self.c = self.d = self.e = self.f = self.g = self.h = None


def test_a_list_with_a_reference_from_outside_is_an_orphan() -> None:
    change = observe(lambda: take_reference([1]), [])
    assert [(name, number) for name, number, _ in change.steady_orphans()] == [("list", CALLS)]


def test_what_an_orphan_refers_to_is_none() -> None:
    change = observe(lambda: take_reference({"inner": []}), [])
    assert [name for name, _, _ in change.steady_orphans()] == ["dict"]


def test_what_a_list_of_a_module_keeps_is_no_orphan_and_has_its_holder_named() -> None:
    change = observe(lambda: KEPT.append([1]), [])
    assert change.steady_orphans() == []
    assert change.kept["list"] >= CALLS
    assert "KEPT" in change.holder_text()


def test_the_size_that_containers_gained_covers_what_they_keep() -> None:
    change = observe(lambda: KEPT.append(bytes(1000)), [])
    assert change.size >= CALLS * 1000


def test_attributes_that_no_dict_holds_count_with_their_instance() -> None:
    change = observe(lambda: KEPT.append(Wide()), [])
    assert change.size >= CALLS * (sys.getsizeof(Wide()) + 8 * 8)


def test_nothing_kept_is_nothing_gained() -> None:
    change = observe(lambda: [1, 2, 3], [])
    assert change.size < 2000
    assert change.steady_orphans() == []


def test_references_from_kept_instances_explain_their_type() -> None:
    change = observe(lambda: KEPT.append(Kind()), [Kind])
    assert change.held == [CALLS]


def test_a_reference_taken_from_outside_is_explained_by_no_container() -> None:
    change = observe(lambda: take_reference(Kind), [Kind])
    assert change.held == [0]
