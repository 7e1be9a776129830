"""Built-in containers handled from Rust, and statics that keep Python objects."""

import types

import leakgrid_probe as probe
import pytest


def test_list_edited():
    assert probe.list_edit([1, 2, 3]) == ["appended", 3, "replaced", 0.5]


def test_lists_in_lists():
    assert probe.list_nested(3) == [[[[]]]]


def test_tuple_of_one_object():
    item = ["item"]
    assert all(entry is item for entry in probe.tuple_of(item, 5))


def test_empty_tuple():
    assert probe.tuple_of(None, 0) == ()


def test_tuple_swapped():
    assert probe.tuple_swap((["first"], ["second"])) == (["second"], ["first"])


def test_dict_inverted():
    assert probe.dict_invert({"one": 1, "two": 2}) == {1: "one", 2: "two"}


def test_dict_copied_and_updated():
    source = {"key": ["value"]}
    assert probe.dict_copy(source) == source


def test_dict_lookup_finds():
    value = ["value"]
    assert probe.dict_lookup({"key": value}, "key") is value


def test_dict_lookup_misses():
    assert probe.dict_lookup({"key": 1}, ("no", "key")) is None


def test_keys_of_a_mapping():
    assert probe.mapping_keys(types.MappingProxyType({"key": 1})) == ["key"]


def test_set_made_by_rust():
    assert probe.set_of(["a", "b", "a"]) == {"a", "b"}


def test_frozenset_made_by_rust():
    assert probe.frozenset_of([1, (2, 3)]) == frozenset([1, (2, 3)])


def test_set_edited():
    assert probe.set_edit({"a", "b"}) == 2


def test_set_of_unhashable_items_fails():
    with pytest.raises(TypeError, match="unhashable"):
        probe.set_of([["unhashable"]])


def test_slice():
    assert probe.slice_of([0, 1, 2, 3], 1, 3) == [1, 2]


def test_interned_attribute_name():
    value = ["value"]
    assert probe.interned_attribute(types.SimpleNamespace(an_interned_name=value)) is value


def test_object_kept_in_a_static():
    assert probe.cached_table() is probe.cached_table()
