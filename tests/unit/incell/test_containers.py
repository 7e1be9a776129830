"""Names in dicts, containers that grew, and who keeps them."""

from __future__ import annotations

import gc
import os
import sys

import pytest
from leakgrid_incell import containers, words
from leakgrid_incell.native import load_addresses

KEPT: list[object] = []


def tracked() -> list[object]:
    return [thing for thing in gc.get_objects() if not isinstance(thing, type(sys))]


def test_keys_that_the_collector_is_not_shown_are_counted_once() -> None:
    key, other = "".join(("a", "name")), "".join(("another", "name"))
    number, size = containers.names([{key: 1}, {key: 2, other: 3, 4: 5}, [key]], shown=())
    assert (number, size) == (2, sys.getsizeof(key) + sys.getsizeof(other))
    assert containers.names([{key: 1}], shown={id(key)}) == (0, 0)


def test_old_containers_that_gain_an_entry_in_every_few_calls_have_grown() -> None:
    steady, rare, young = [1], {2: 2}, [3]
    before = containers.lengths([steady, rare, young])
    steady += range(10)
    rare[4] = 4
    young += range(20)
    found = containers.grown([steady, rare, young, []], before, {id(young)}, calls=20)
    assert found == [(steady, 10)]


def test_a_container_that_only_a_static_keeps_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "in_statics", lambda thing, libraries: True)
    loose: list[object] = [[]]  # no container holds it, as if a static did
    everything = tracked()
    assert containers.kept_by_statics([(loose, 7)], everything, ["lib"]) == [("list", 7)]
    assert containers.kept_by_statics([(KEPT, 7)], everything, ["lib"]) == []


def test_the_outermost_container_is_looked_for_in_the_statics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(words, "in_statics", lambda thing, libraries: asked.append(thing))
    inner: list[object] = [[]]
    outer = [inner]
    everything = tracked()
    assert containers.kept_by_statics([(inner, 7)], everything, ["lib"]) == []
    assert asked == [outer]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="its main interpreter is no static")
def test_an_address_in_a_static_is_found_and_one_on_the_heap_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is gone since it was loaded is passed over.
    gone = os.path.realpath("gone.so")
    libraries = [gone, *load_addresses()]
    monkeypatch.setattr(words, "load_addresses", lambda: {**load_addresses(), gone: 0})
    assert words.in_statics(sys.modules, libraries)
    assert not words.in_statics(sys.modules, [])
    assert not words.in_statics(bytes(100_000), libraries)
