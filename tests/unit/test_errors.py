import inspect

import pytest

from leakgrid import errors
from leakgrid.errors import BuildFailed, ConfigError, LeakgridError
from leakgrid.verdict import Verdict, exit_code

CLASSES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, LeakgridError)
]


def test_an_error_says_what_why_and_what_next():
    assert str(LeakgridError("what", why="why", next="next")) == "what\nwhy\nnext"
    assert str(LeakgridError("what")) == "what"


def test_a_sentence_is_one_line():
    assert LeakgridError("what", why="a\n  b").sentence() == "what: a b"


def test_a_configuration_error_lists_all_its_faults():
    error = ConfigError("bad", faults=("a: x", "b: y"))
    assert error.faults == ("a: x", "b: y")
    assert str(error) == "bad\n  a: x\n  b: y"


def test_a_failed_build_names_its_log():
    assert BuildFailed("no", log="build.log").log == "build.log"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_errors_exit_code_is_that_of_its_verdict(cls):
    if cls.verdict is None:
        assert cls.exit_code == 2
    else:
        assert cls.exit_code == exit_code(Verdict(cls.verdict))
