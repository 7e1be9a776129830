"""Values that go to Rust and come back."""

import datetime
import math
import os
import pathlib
import types

import leakgrid_probe as probe
import pytest

UTC = datetime.timezone.utc


@pytest.mark.parametrize("value", [0, 2**64, 2**128 - 1], ids=["zero", "64bit", "largest"])
def test_u128(value):
    assert probe.roundtrip_u128(value) == value


@pytest.mark.parametrize(
    "value", [-(2**127), -1, 2**127 - 1], ids=["smallest", "minus1", "largest"]
)
def test_i128(value):
    assert probe.roundtrip_i128(value) == value


def test_u128_overflows():
    with pytest.raises(OverflowError):
        probe.roundtrip_u128(2**128)


def test_u64_refuses_a_negative_number():
    with pytest.raises(OverflowError):
        probe.roundtrip_u64(-1)


def test_u64_refuses_text():
    with pytest.raises(TypeError):
        probe.roundtrip_u64("text")


def test_floats():
    assert probe.roundtrip_f64(0.1) == 0.1
    assert math.isnan(probe.roundtrip_f64(math.nan))


def test_bools_and_chars():
    assert (probe.roundtrip_bool(True), probe.roundtrip_char("ß")) == (True, "ß")


def test_char_refuses_two():
    with pytest.raises(ValueError, match="length 1"):
        probe.roundtrip_char("ab")


@pytest.mark.parametrize(
    "value",
    ["", "ascii", "ümläut", "日本", "\U0001f40d"],
    ids=["empty", "ascii", "latin", "wide", "astral"],
)
def test_strings(value):
    assert probe.roundtrip_str(value) == value


def test_string_with_a_lone_surrogate_is_refused():
    with pytest.raises(UnicodeEncodeError):
        probe.roundtrip_str("\ud800")


def test_string_upper_case():
    assert probe.string_upper("straße") == "STRASSE"


def test_string_shared_with_rust():
    assert probe.shared_text("shared", "and more ") == (6, "and more shared")


def test_paths():
    # A str before PyO3 0.24, a Path since.
    assert os.fspath(probe.roundtrip_path(pathlib.PurePosixPath("a/b"))) == "a/b"


def test_vectors_of_vectors():
    value = [["a"], [], ["b", "c"]]
    assert probe.roundtrip_vec(value) == value


def test_vector_with_a_wrong_item():
    with pytest.raises(TypeError):
        probe.roundtrip_vec([["right"], [1]])


def test_vector_refuses_a_string():
    with pytest.raises(TypeError):
        probe.joined("text", ",")


def test_arrays():
    assert probe.roundtrip_array([1, 2, 3]) == [1, 2, 3]


def test_array_of_the_wrong_length():
    with pytest.raises(ValueError, match="length 3"):
        probe.roundtrip_array([1, 2])


def test_hash_maps():
    value = {"a": [1], "b": []}
    assert probe.roundtrip_hashmap(value) == value


def test_hash_map_with_a_wrong_value():
    with pytest.raises(TypeError):
        probe.roundtrip_hashmap({"a": [1], "b": ["text"]})


def test_tree_maps():
    assert list(probe.roundtrip_btree({2: "two", 1: "one"})) == [1, 2]


def test_hash_sets():
    assert probe.roundtrip_hashset({"a", "b"}) == {"a", "b"}


def test_complex_numbers():
    assert probe.roundtrip_complex(1 + 2j) == 1 + 2j


def test_options():
    assert (probe.option_or("text"), probe.option_or(None), probe.option_or()) == (
        "text!",
        None,
        None,
    )


def test_pairs_in_a_list():
    assert probe.pair_list([("a", 1.0), ("b", None)]) == [(1.0, "a"), (None, "b")]


def test_enum_takes_its_first_variant():
    assert probe.tagged(3) == "whole 3"


def test_enum_takes_a_tuple_variant():
    assert probe.tagged((3, "three")) == "pair 3 three"


def test_enum_takes_a_struct_variant():
    assert probe.tagged(types.SimpleNamespace(x=1.0, y=2.5)) == "point 1 2.5"


def test_enum_takes_its_last_variant():
    assert probe.tagged([1, 2]) == "list of 2"


def test_enum_refuses_what_no_variant_takes():
    with pytest.raises(TypeError, match="Tagged"):
        probe.tagged({"no": "variant"})


def test_struct_from_attributes():
    assert probe.pick_attributes(types.SimpleNamespace(name="n", other_name=3)) == ("n", 3)


def test_struct_from_attributes_that_are_missing():
    with pytest.raises(AttributeError):
        probe.pick_attributes(types.SimpleNamespace(name="n"))


def test_struct_from_items():
    assert probe.pick_items({"name": "n", "nested": [1.0, 2.0]}) == ("n", 3.0)


def test_struct_into_a_dict():
    assert probe.record_dict("record") == {"name": "record", "scores": [1, 2, 3]}


def test_struct_into_a_tuple():
    assert probe.record_tuple("record") == ("record", 9)


def test_enum_into_either():
    assert (probe.describe_number(2.0), probe.describe_number(math.nan)) == (4.0, "not a number")


def test_durations():
    assert probe.duration_double(datetime.timedelta(1, 2, 3)) == datetime.timedelta(2, 4, 6)


def test_duration_refuses_a_negative_one():
    with pytest.raises(ValueError, match="negative"):
        probe.duration_double(datetime.timedelta(-1))


def test_datetime_without_a_zone():
    assert probe.time_stamp() == datetime.datetime(2024, 2, 29, 12, 30, 45, 500_000)


def test_datetime_with_a_zone():
    assert probe.time_stamp(UTC).tzinfo is UTC


def test_datetime_taken_apart():
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
    assert probe.time_parts(moment) == (2020, 1, 2, 3, 6)


def test_datetime_shifted():
    moment = datetime.datetime(2020, 1, 1)
    shifted = probe.time_shift(moment, datetime.timedelta(days=1, hours=1))
    assert shifted == datetime.datetime(2020, 1, 3, 2)


def test_date_and_time():
    assert probe.time_today() == (datetime.date(2024, 12, 31), datetime.time(23, 59, 58, 7))
