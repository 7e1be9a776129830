"""Plain classes, properties, class attributes, enums."""

import leakgrid_probe as probe
import pytest


def test_instance_keeps_its_fields():
    plain = probe.Plain(4, "four")
    assert (plain.x, plain.label) == (4, "four")


def test_fields_can_be_set():
    plain = probe.Plain()
    plain.x, plain.label = 9, "nine"
    assert repr(plain) == 'Plain(9, "nine")'


def test_setting_a_wrong_type_fails():
    with pytest.raises(TypeError):
        probe.Plain().x = "text"


def test_method_returns_a_new_instance():
    assert probe.Plain(1, "a").moved(2).x == 3


def test_method_returns_self():
    plain = probe.Plain(1, "a")
    assert plain.move_in_place(5) is plain


def test_argument_of_the_same_class():
    assert probe.Plain(1).add(probe.Plain(2)) == 3


def test_argument_borrowed_twice():
    plain = probe.Plain(4)
    assert plain.add(plain) == 8


def test_static_method():
    assert probe.Plain.zero().label == "zero"


def test_class_method():
    assert probe.Plain.named("made by the class").label == "made by the class"


def test_class_getitem():
    assert probe.Plain[int] == (probe.Plain, int)


def test_holder_gives_back_what_it_holds():
    value = ["held"]
    assert probe.Holder(value).value is value


def test_holder_takes_a_new_value():
    holder = probe.Holder(["old"])
    holder.value = new = {"new": 1}
    assert holder.value is new


def test_holder_moves_its_value_out():
    holder = probe.Holder(["moved"])
    assert holder.take() == ["moved"]
    assert holder.value is None


def test_holder_is_dropped_with_its_value():
    assert probe.Holder([b"x" * 300]).inner_x() == 3


def test_inner_instance_is_shared():
    holder = probe.Holder(None)
    holder.bump_inner()
    assert holder.inner.x == 4


def test_computed_getter():
    assert probe.Properties(100.0).fahrenheit == 212.0


def test_computed_setter():
    properties = probe.Properties(0.0)
    properties.fahrenheit = 212.0
    assert properties.fahrenheit == 212.0


def test_setter_that_fails():
    with pytest.raises(ValueError, match="absolute zero"):
        probe.Properties(0.0).fahrenheit = -500.0


def test_getter_that_makes_a_list():
    assert probe.Properties(0.0).parts == [0.0, 32.0]


def test_getter_that_fails():
    with pytest.raises(ValueError, match="always fails"):
        _ = probe.Properties(0.0).broken


def test_class_attribute_from_a_constant():
    assert probe.ClassAttributes.LIMIT == 1000
    assert probe.ClassAttributes.TITLE == "class attributes"


def test_class_attribute_from_a_function():
    assert probe.ClassAttributes.table == {"one": 1}
    assert probe.ClassAttributes.names == ["a name of its own"]


def test_class_attribute_of_its_own_class():
    assert type(probe.ClassAttributes.FIRST) is probe.ClassAttributes


def test_class_attribute_through_an_instance():
    assert probe.ClassAttributes(2).FIRST.rank == 1


def test_frozen_class_changes_through_an_atomic():
    frozen = probe.Frozen()
    assert [frozen.hit(), frozen.hit()] == [1, 2]


def test_instances_from_a_free_list():
    assert [probe.Free(text).text for text in ("a", "b", "c")] == ["a", "b", "c"]


def test_more_instances_than_the_free_list_holds():
    assert len([probe.Free("many") for _ in range(10)]) == 10


def test_unsendable_class_in_its_thread():
    unsendable = probe.Unsendable()
    assert [unsendable.step(), unsendable.step()] == [1, 2]


def test_renamed_class_and_method():
    renamed = probe.PythonName()
    assert renamed.python_method() == "renamed"
    assert type(renamed).__module__ == "leakgrid_probe.elsewhere"


def test_simple_enum_compares_and_hashes():
    assert probe.Color.Red == probe.Color.pick(False)
    assert probe.Color.Green == 2
    assert hash(probe.Color.Green) == hash(probe.Color.pick(True))


def test_simple_enum_returned_by_rust():
    assert [probe.Color.pick(green).is_red() for green in (True, False)] == [False, True]


def test_complex_enum_made_by_python():
    shape = probe.Shape.Polygon(corners=[(0.0, 0.0), (1.0, 2.0)])
    assert shape.corners_count() == 2
    assert shape.corners[1] == (1.0, 2.0)


def test_complex_enum_made_by_rust():
    shape = probe.Shape.unit()
    assert isinstance(shape, probe.Shape.Circle)
    assert shape.radius == 1.0


def test_complex_enum_with_a_tuple_variant():
    note = probe.Shape.Note("text", 3)
    assert (note._0, note[1], len(note)) == ("text", 3, 2)


def test_complex_enum_variant_without_fields():
    assert probe.Shape.Nothing().corners_count() == 0


def test_instances_made_and_dropped_in_a_row():
    for number in range(20):
        probe.Plain(number, "dropped")
    assert probe.Plain(20).x == 20
