"""Instances with a ``__dict__``, a weak reference list, or both.

PyO3 up to 0.29.0 lost a populated ``__dict__`` and every cycle through one, and 0.28.0 to 0.29.0
lost an empty dict per instance on CPython 3.11 and 3.12.
"""

import gc
import weakref

import leakgrid_probe as probe
import pytest


class PythonChild(probe.DictBase):
    """Python's own subclass of a class with a ``__dict__``."""


def test_dict_never_touched():
    assert type(probe.Dictful()) is probe.Dictful


def test_dict_looked_at_but_empty():
    assert probe.Dictful().__dict__ == {}


def test_dict_with_one_attribute():
    dictful = probe.Dictful()
    dictful.name = ["value"]
    assert dictful.name == ["value"]


def test_dict_with_many_attributes():
    dictful = probe.Dictful()
    for name in ("a", "b", "c", "d", "e", "f", "g", "h"):
        setattr(dictful, name, [name])
    assert sorted(dictful.__dict__) == ["a", "b", "c", "d", "e", "f", "g", "h"]


def test_dict_emptied_again():
    dictful = probe.Dictful()
    dictful.name = "value"
    del dictful.name
    assert dictful.__dict__ == {}


def test_dict_replaced():
    dictful = probe.Dictful()
    dictful.old = 1
    dictful.__dict__ = {"new": 2}
    assert dictful.new == 2
    assert not hasattr(dictful, "old")


def test_dict_outlives_its_instance():
    dictful = probe.Dictful()
    dictful.name = "value"
    kept = dictful.__dict__
    del dictful
    # PyO3 up to 0.29.0 emptied it with its instance.
    assert kept in ({"name": "value"}, {})


def test_dict_filled_by_rust():
    assert probe.make_dictful({"one": [1], "two": [2]}).two == [2]


def test_dict_attribute_set_by_rust():
    dictful = probe.Dictful()
    dictful.remember("name", {"a": "dict"})
    assert dictful.name == {"a": "dict"}


def test_missing_attribute_of_a_dict():
    with pytest.raises(AttributeError):
        _ = probe.Dictful().missing


def test_cycle_through_a_dict():
    dictful = probe.Dictful()
    dictful.myself = dictful
    assert dictful.myself.myself is dictful


def test_cycle_through_two_dicts():
    first, second = probe.Dictful(), probe.Dictful()
    first.other, second.other = second, first
    assert first.other.other is first


def test_cycle_through_a_dict_and_a_list():
    dictful = probe.Dictful()
    dictful.items = [dictful]
    assert dictful.items[0] is dictful


def test_dict_of_a_class_with_a_gc_protocol():
    collected = probe.DictCollected()
    collected.name = ["value"]
    assert collected.name == ["value"]


def test_cycle_through_the_dict_of_a_class_with_a_gc_protocol():
    collected = probe.DictCollected()
    collected.myself = collected
    assert collected.myself is collected


def test_cycle_through_a_field_beside_a_dict():
    collected = probe.DictCollected()
    collected.other = collected
    alive = weakref.ref(collected)
    del collected
    gc.collect()
    assert alive() is None


def test_dict_of_the_base_class():
    child = probe.DictChild(3)
    child.name = ["value"]
    assert (child.size, child.name) == (3, ["value"])


def test_dict_of_the_base_class_never_touched():
    assert probe.DictChild(3).size == 3


def test_dict_of_a_python_subclass():
    child = PythonChild()
    child.name = ["value"]
    assert child.name == ["value"]


def test_cycle_through_the_dict_of_a_python_subclass():
    child = PythonChild()
    child.myself = child
    assert child.myself is child


def test_dict_and_weak_reference():
    both = probe.DictWeak()
    both.name = ["value"]
    assert weakref.ref(both)().name == ["value"]


def test_weak_reference_dies_with_its_object():
    weak = probe.Weak()
    reference = weakref.ref(weak)
    assert reference() is weak
    del weak
    assert reference() is None


def test_weak_reference_calls_back():
    seen = []
    weak = probe.Weak()
    reference = weakref.ref(weak, lambda gone: seen.append("gone"))
    del weak
    assert seen == ["gone"]
    assert reference() is None


def test_weak_value_dictionary():
    values = weakref.WeakValueDictionary()
    values["key"] = weak = probe.Weak()
    assert len(values) == 1
    assert len(weak.payload) == 64
    del weak
    assert len(values) == 0


def test_weak_proxy():
    weak = probe.Weak()
    assert len(weakref.proxy(weak).payload) == 64


def test_weak_reference_made_by_rust():
    assert probe.weak_alive() == (True, False)
