"""Containers, iterators, numbers, comparison, calls, contexts, attributes, descriptors."""

import leakgrid_probe as probe
import pytest


class Owner:
    """Has a descriptor of the probe."""

    field = probe.Descriptor(None)


def run_to_its_end(coroutine):
    """Drives a coroutine without an event loop: what it yields, and what it returns."""
    yielded = []
    while True:
        try:
            yielded.append(coroutine.send(None))
        except StopIteration as stop:
            return yielded, stop.value


def test_mapping_stores_and_finds():
    table = probe.Table()
    table["key"] = value = ["value"]
    assert table["key"] is value
    assert len(table) == 1


def test_mapping_replaces_a_value():
    table = probe.Table()
    table["key"] = ["old"]
    table["key"] = ["new"]
    assert table["key"] == ["new"]


def test_mapping_deletes():
    table = probe.Table()
    table["key"] = ["value"]
    del table["key"]
    assert "key" not in table


def test_mapping_dropped_with_its_values():
    table = probe.Table()
    for key in ("a", "b", "c"):
        table[key] = [key]
    assert "b" in table


def test_mapping_without_the_key():
    with pytest.raises(KeyError, match="missing"):
        probe.Table()["missing"]


def test_sequence_indexing():
    assert probe.Row([1, 2, 3])[1] == 2


def test_sequence_out_of_range():
    with pytest.raises(IndexError):
        probe.Row([1])[1]


def test_sequence_concatenation():
    assert list(probe.Row([1]) + probe.Row([2, 3])) == [1, 2, 3]


def test_sequence_repetition():
    assert list(probe.Row([1, 2]) * 2) == [1, 2, 1, 2]


def test_iterator_keeps_its_container():
    walker = iter(probe.Row([4, 5]))
    assert list(walker) == [4, 5]


def test_iterator_left_half_way():
    walker = iter(probe.Row([4, 5]))
    assert next(walker) == 4


def test_iterator_over_new_objects():
    assert list(probe.Countdown(2)) == ["1 to go", "0 to go"]


def test_iterator_that_fails():
    with pytest.raises(IndexError, match="countdown failed"):
        list(probe.Countdown(3, fail_at=1))


def test_number_addition():
    assert (probe.Number(1) + probe.Number(2)).value == 3


def test_number_reflected_addition():
    assert (10 + probe.Number(2)).value == 12


def test_number_in_place_addition():
    number = probe.Number(1)
    number += 4
    assert number.value == 5


def test_number_refuses_a_wrong_operand():
    with pytest.raises(TypeError):
        probe.Number(1) - "text"


def test_number_arithmetic():
    number = probe.Number(6)
    assert [(number * 2).value, (number << 1).value, (-number).value] == [12, 12, -6]


def test_number_pairs():
    assert (probe.Number(3) @ probe.Number(4), divmod(probe.Number(7), 2)) == ((3, 4), (3, 1))


def test_number_power():
    assert (probe.Number(2) ** 10, pow(probe.Number(2), 10, 1000)) == (1024, 24)


def test_number_division_by_zero():
    with pytest.raises(ZeroDivisionError):
        probe.Number(1) / 0.0


def test_number_conversions():
    number = probe.Number(-3)
    assert (int(number), float(number), bool(number), abs(number).value) == (-3, -3.0, True, 3)


def test_number_as_an_index():
    assert "abc"[probe.Number(2)] == "c"


def test_number_ordering():
    ordered = sorted([probe.Number(2), probe.Number(1)])
    assert [number.value for number in ordered] == [1, 2]


def test_number_compared_with_another_type():
    assert probe.Number(1) != "one"


def test_number_as_a_key():
    assert {probe.Number(1): "one"}[probe.Number(1)] == "one"


def test_derived_comparison():
    assert probe.Ordered("a") < probe.Ordered("b") <= probe.Ordered("b")


def test_derived_hash_and_equality():
    assert len({probe.Ordered("a"), probe.Ordered("a"), probe.Ordered("b")}) == 2


def test_derived_text():
    assert str(probe.Ordered("key")) == "ordered key"


def test_format():
    assert format(probe.Ordered("key"), "--") == "--key--"


def test_call_with_everything():
    called = probe.Callable()
    assert called(1, [2], three=[3]) == ((1, [2]), {"three": [3]})
    assert called.calls == 1


def test_call_with_nothing():
    assert probe.Callable()() == ((), None)


def test_context_left_normally():
    with probe.Context() as context:
        assert context.log == ["entered"]
    assert context.log == ["entered", "left"]


def test_context_swallows_an_error():
    with probe.Context() as context:
        raise KeyError("swallowed")
    assert context.log[1] == "left with KeyError('swallowed')"


def test_context_lets_an_error_through():
    with pytest.raises(ValueError, match="through"), probe.Context():
        raise ValueError("through")


def test_attributes_in_rust():
    attributes = probe.Attributes()
    attributes.name = value = ["value"]
    assert attributes.name is value


def test_attribute_deleted_in_rust():
    attributes = probe.Attributes()
    attributes.name = ["value"]
    del attributes.name
    assert not hasattr(attributes, "name")


def test_descriptor():
    owner = Owner()
    owner.field = value = ["value"]
    assert owner.field is value


def test_awaitable():
    async def waits():
        await probe.Awaitable()
        return "done"

    assert run_to_its_end(waits()) == ([1], "done")
