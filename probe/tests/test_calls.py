"""Signatures, callbacks, closures, functions and modules made anew."""

import fractions

import leakgrid_probe as probe
import pytest


def test_signature_defaults():
    assert (probe.signature_defaults(1), probe.signature_defaults(1, third=3)) == (3, 6)


def test_signature_keyword_only():
    assert probe.signature_keyword_only(key="k", flag=True) == ("k", True)


def test_signature_everything():
    expected = (1, (2, [3]), 4, {"other": [5]})
    assert probe.signature_everything(1, 2, [3], named=4, other=[5]) == expected


def test_signature_with_nothing_extra():
    assert probe.signature_everything(1) == (1, (), 5, None)


def test_missing_argument():
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        probe.signature_defaults()


def test_unknown_keyword():
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        probe.signature_defaults(1, unknown=2)


def test_argument_given_twice():
    with pytest.raises(TypeError, match="multiple values"):
        probe.signature_defaults(1, first=2)


def test_wrong_argument_after_good_ones():
    with pytest.raises(TypeError):
        probe.joined(["a", "b"], 3)


def test_callback_with_arguments():
    assert probe.apply(lambda *args: list(args), [1], "two") == [[1], "two"]


def test_callback_with_keywords():
    result = probe.apply_keywords(lambda *args, **kwargs: (args, kwargs), key=["value"])
    assert result == (("made by rust", 1.5), {"key": ["value"]})


def test_callback_that_fails():
    with pytest.raises(ZeroDivisionError):
        probe.apply(lambda: 1 // 0)


def test_callback_into_rust_again():
    assert probe.apply(lambda value: probe.apply(probe.joined, value, "-"), ["a", "b"]) == "a-b"


def test_callback_of_a_class():
    assert probe.apply(probe.Plain, 3, "three").x == 3


def test_method_called_by_name():
    assert probe.call_method("text", "upper") == "TEXT"


def test_method_that_is_missing():
    with pytest.raises(AttributeError):
        probe.call_method("text", "no_such_method")


def test_callback_called_twice():
    made = probe.call_twice(list)
    assert made == ([], [])
    assert made[0] is not made[1]


def test_callback_called_twice_fails_the_second_time():
    answers = iter([["first"]])
    with pytest.raises(StopIteration):
        probe.call_twice(lambda: next(answers))


def test_closure_over_a_number():
    assert probe.closure_adder(5)(10) == 15


def test_closure_over_an_object():
    held = ["held"]
    assert probe.closure_holding(held)() is held


def test_closure_never_called():
    assert callable(probe.closure_holding(["held"]))


def test_closure_with_keywords():
    assert probe.closure_keywords()(1, 2, three=3) == 3


def test_closure_that_fails():
    with pytest.raises(TypeError, match="keywords needed"):
        probe.closure_keywords()(1)


def test_closure_with_a_wrong_argument():
    with pytest.raises(TypeError):
        probe.closure_adder(5)("text")


def test_function_wrapped_again():
    # PyO3 up to 0.26 leaked a PyMethodDef at every wrapping.
    assert probe.function_again()(1) == 2


def test_function_wrapped_again_in_its_module():
    assert probe.function_in_module()(1) == 2


def test_module_made_by_rust():
    module = probe.temporary_module()
    assert (module.CONSTANT, module.plain_inner(1), module.Plain) == ("constant", 2, probe.Plain)


def test_expression_evaluated():
    assert probe.evaluate({"a": 1, "b": 2}) == [1, 2, 3]


def test_code_run():
    assert probe.run_code() == 42


def test_imported_type():
    assert probe.imported_type("3/4") == fractions.Fraction(3, 4)


def test_capsule_drops_its_content():
    assert probe.capsule() == 1


def test_module_constants():
    assert (probe.ANSWER, probe.NAMES) == (42, ["one", "two"])


def test_function_of_the_nested_module():
    assert probe.nested.double(probe.nested.DEPTH) == 4


def test_class_of_the_nested_module():
    assert probe.nested.Inside("inside").label == "inside"


def test_version_is_the_resolved_one():
    assert probe.PYO3_VERSION.startswith("0.")
