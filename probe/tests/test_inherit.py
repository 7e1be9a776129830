"""Inheritance: Rust over Rust, Rust over built-in, Python over Rust; conversions to the base."""

import leakgrid_probe as probe
import pytest

PYO3 = tuple(int(part) for part in probe.PYO3_VERSION.split(".")[:2])


class PythonMiddle(probe.Middle):
    """Python's own subclass of a derived class."""

    def whoami(self):
        return "python over " + super().whoami()


def test_base_alone():
    assert probe.Base("alone").whoami() == "base of alone"


def test_derived_class_has_the_fields_of_both():
    middle = probe.Middle("middle", [1, 2])
    assert (middle.name, middle.numbers) == ("middle", [1, 2])


def test_derived_class_calls_the_base_method():
    assert probe.Middle("middle", []).whoami() == "base of middle"


def test_three_levels():
    leaf = probe.Leaf("leaf", ["kept"])
    assert isinstance(leaf, probe.Middle)
    assert leaf.numbers == [1, 2]
    assert leaf.kept == ["kept"]


def test_three_levels_made_by_rust():
    assert probe.make_leaf(["kept"]).name == "made by rust"


def test_reference_as_super():
    assert probe.Middle("named", []).super_name() == "named"


def test_mutable_reference_into_super():
    middle = probe.Middle("old", [])
    middle.rename("new")
    assert middle.name == "new"


def test_reference_into_super_twice():
    assert probe.Leaf("leaf", None).base_name() == "leaf"


def test_bound_as_super():
    assert probe.base_of_leaf(probe.Leaf("leaf", None)) == "leaf"


def test_bound_into_super():
    leaf = probe.Leaf("leaf", None)
    assert probe.base_of_leaf_by_value(leaf) is leaf


def test_bound_into_super_of_a_temporary():
    assert probe.base_of_leaf_by_value(probe.Leaf("leaf", ["kept"])).kept == ["kept"]


def test_into_super_of_a_frozen_base():
    assert probe.MutableChild(5, 6).tag_through_super() == 5


def test_borrow_is_given_back_after_into_super():
    # PyO3 gives it back since 0.26; before, the child stayed borrowed for ever.
    child = probe.MutableChild(5, 6)
    child.tag_through_super()
    if PYO3 >= (0, 26):
        child.value = 7
        assert child.value == 7
    else:
        with pytest.raises(RuntimeError, match="borrowed"):
            child.value = 7


def test_class_over_dict():
    counting = probe.CountingDict()
    counting.store("key", ["value"])
    assert counting == {"key": ["value"]}
    assert counting.stores == 1


def test_cycle_through_a_class_over_dict():
    counting = probe.CountingDict()
    counting["myself"] = counting
    assert counting["myself"] is counting


def test_python_subclass_overrides_a_method():
    assert PythonMiddle("name", []).whoami() == "python over base of name"


def test_python_subclass_has_attributes_of_its_own():
    middle = PythonMiddle("name", [])
    middle.extra = ["extra"]
    assert middle.extra == ["extra"]


def test_wrong_base_is_refused():
    with pytest.raises(TypeError):
        probe.base_of_leaf(probe.Base("no leaf"))
