"""Exceptions: made, raised, chained, caught, translated, dropped."""

import sys
import warnings

import leakgrid_probe as probe
import pytest


def fails_with(error):
    def fail():
        raise error

    return fail


def test_own_error():
    with pytest.raises(probe.ProbeError, match="the probe failed"):
        probe.raise_probe(False)


def test_own_error_derived_with_two_arguments():
    with pytest.raises(probe.ProbeError) as caught:
        probe.raise_probe(True)
    assert type(caught.value) is probe.DetailError
    assert caught.value.args == ("with two", "arguments")


def test_error_class_with_rust_fields():
    detail = ["detail"]
    with pytest.raises(probe.RichError) as caught:
        probe.raise_rich(7, detail)
    assert caught.value.code == 7
    assert caught.value.detail is detail


def test_error_class_made_by_python():
    assert probe.RichError(1, ["detail"]).args == (1, ["detail"])


def test_chained_errors():
    with pytest.raises(ValueError, match="outer") as caught:
        probe.chain_errors()
    middle = caught.value.__cause__
    assert (type(middle), type(middle.__cause__)) == (KeyError, RuntimeError)


def test_cause_read_by_rust():
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    assert probe.cause_of(error) == "KeyError: 'inner'"


def test_cause_missing():
    assert probe.cause_of(ValueError("alone")) is None


def test_callback_error_swallowed():
    assert probe.catch_error(fails_with(KeyError("k"))) == "lookup: KeyError: 'k'"


def test_callback_error_matched():
    assert probe.catch_error(fails_with(ValueError("v"))) == "value"


def test_callback_error_passed_on():
    with pytest.raises(OSError, match="passed on"):
        probe.catch_error(fails_with(OSError("passed on")))


def test_callback_without_an_error():
    assert probe.catch_error(list) == "no error"


def test_callback_error_translated():
    with pytest.raises(probe.ProbeError, match="translated") as caught:
        probe.translate_error(fails_with(KeyError("cause")))
    assert type(caught.value.__cause__) is KeyError


def test_error_never_raised():
    assert probe.discard_error(["argument"]) == "(['argument'], 'made')"


def test_error_cloned():
    assert probe.clone_error()


def test_error_restored_and_taken():
    assert probe.restore_and_take() == "ValueError: restored"


def test_error_as_a_value():
    error = KeyError("value")
    assert probe.error_value(fails_with(error)) is error


def test_error_traceback():
    assert probe.error_traceback(fails_with(KeyError("traced"))) is True


def test_unraisable_error(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append(str(args.exc_value)))
    probe.unraisable("an object")
    assert seen == ["nobody can raise this"]


def test_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe.warn_user()
    assert [str(warning.message) for warning in caught] == ["a warning from rust"]


def test_warning_turned_into_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="a warning from rust"):
            probe.warn_user()


def test_rust_io_error():
    with pytest.raises(PermissionError, match="the door is closed"):
        probe.error_from_io()


def test_rust_parse_error():
    with pytest.raises(ValueError, match="invalid digit"):
        probe.error_from_parse("12a")


def test_rust_error_of_its_own():
    with pytest.raises(probe.DetailError, match="lost at a/b"):
        probe.error_from_own(["a", "b"])


def test_panic():
    # PanicException derives from BaseException and cannot be imported.
    with pytest.raises(BaseException, match="a panic in rust") as caught:
        probe.panic_now("a panic in rust")
    assert type(caught.value).__name__ == "PanicException"
