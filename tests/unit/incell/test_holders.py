"""The collector's arithmetic: orphans, and what Python's containers hold."""

from __future__ import annotations

import ctypes
import functools
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


class Slot(ctypes.Structure):
    _fields_ = (("number", ctypes.c_int), ("function", ctypes.c_void_p))


class Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_int),
        ("item", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(Slot)),
    )


@functools.cache
def a_base_that_hides_the_class() -> type:
    """A heap type whose tp_traverse visits nothing, as those of PyO3 before 0.30 (PyO3 #6269)."""
    nothing = ctypes.CDLL("libm.so.6").fegetround  # any C function that returns 0
    tp_traverse, base_type, have_gc = 71, 1 << 10, 1 << 14
    slots = (Slot * 2)(Slot(tp_traverse, ctypes.cast(nothing, ctypes.c_void_p)), Slot(0, None))
    spec = Spec(b"tests.Hiding", object.__basicsize__, 0, base_type | have_gc, slots)
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype = ctypes.py_object
    made: type = make(ctypes.byref(spec))
    hang_on_its_class(made)  # the first subclass makes the base's list of subclasses
    return made


def hang_on_its_class(base: type) -> type:
    local = type("Local", (base,), {})
    local.only = local()  # type: ignore[attr-defined]
    return local


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


def test_a_class_on_an_island_that_the_collector_does_not_see_whole_is_an_orphan() -> None:
    base = a_base_that_hides_the_class()
    change = observe(lambda: hang_on_its_class(base), [])
    assert [(name, number) for name, number, _ in change.steady_orphans()] == [("type", CALLS)]


def test_such_a_class_is_none_while_a_list_reaches_it() -> None:
    base = a_base_that_hides_the_class()
    change = observe(lambda: KEPT.append(hang_on_its_class(base)), [])
    assert change.steady_orphans() == []
    change = observe(lambda: KEPT.append([hang_on_its_class(base).only]), [])  # type: ignore[attr-defined]
    assert change.steady_orphans() == []


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


def test_names_of_a_dict_whose_keys_are_all_strings_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: dict[str, str] = {}
    monkeypatch.setattr(sys.modules[__name__], "NAMES", names, raising=False)
    numbers = iter(range(10_000))
    change = observe(lambda: names.setdefault(f"{next(numbers):0500}", "value"), [])
    assert change.size >= CALLS * 500


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
