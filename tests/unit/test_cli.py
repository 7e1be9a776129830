import argparse
import sys

import pytest

from leakgrid import __version__, cli
from leakgrid.commands import check as command
from leakgrid.errors import Crashed, DataError, Unsupported, UsageError

CHECK = ["check", ".", "--python", "3.13", "--pyo3", "0.30.1"]


@pytest.fixture
def given(monkeypatch):
    """The options that ``check`` gets, and what it answers."""
    seen = {}

    def check(options):
        seen["options"] = options
        answer = seen.get("answer", 0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(command, "run", check)
    return seen


def test_what_is_behind_two_dashes_goes_to_pytest(given):
    assert cli.main([*CHECK, "--", "-k", "a and b", "--", "-x"]) == 0
    assert given["options"].pytest_args == ("-k", "a and b", "--", "-x")


def test_only_check_hands_on_to_pytest(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "--", "-k", "x"])
    assert ended.value.code == 2
    assert "report takes nothing after --" in capsys.readouterr().err


def test_options_have_the_documented_defaults(given):
    cli.main(CHECK)
    options = given["options"]
    assert (options.tests, options.requires, options.pytest_args) == ([], [], ())
    assert (str(options.store), str(options.baselines)) == (".leakgrid", "baselines")
    assert options.test_timeout == 60
    assert [options.fresh, options.no_undefined, options.quiet] == [False] * 3
    assert options.jobs is options.json is options.matrix is None


def test_tests_and_requirements_may_be_named_repeatedly(given):
    cli.main([*CHECK, "--tests", "a", "--tests", "b", "--requires", "numpy", "--requires", "x>1"])
    assert given["options"].tests == ["a", "b"]
    assert given["options"].requires == ["numpy", "x>1"]


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_the_commands_exit_code_is_the_programs(given, code):
    given["answer"] = code
    assert cli.main(CHECK) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("what", why="why", next="next"), 2),
        (DataError("what", why="why", next="next"), 2),
        (Unsupported("what", why="why", next="next"), 3),
        (Crashed("what", why="why", next="next"), 4),
    ],
)
def test_errors_are_told_on_stderr_with_their_exit_code(given, capsys, error, code):
    given["answer"] = error
    assert cli.main(CHECK) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "leakgrid: what\nwhy\nnext\n")


@pytest.mark.parametrize("error", [ValueError("a\nb"), FileNotFoundError(2, "gone", "x")])
def test_a_defect_is_told_as_one_and_never_ends_as_findings_would(given, capsys, error):
    given["answer"] = error
    assert cli.main(CHECK) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" in err
    last = err.splitlines()[-1]
    assert last.startswith(f"leakgrid: internal error: {type(error).__name__}: ")
    assert last.endswith("; this is a defect of leakgrid, please report it")


def test_an_interruption_says_that_nothing_is_lost(given, capsys):
    given["answer"] = KeyboardInterrupt()
    assert cli.main(CHECK) == 4
    assert "finished cells are kept" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_error(given, monkeypatch, capfd):
    given["answer"] = BrokenPipeError()
    monkeypatch.setattr(sys, "stderr", open("/dev/null", "w"))  # noqa: SIM115 - closed by main
    assert cli.main(CHECK) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["check", "."],
        [*CHECK, "--jobs", "0"],
        [*CHECK, "--test-timeout", "-1"],
        [*CHECK, "--jobs", "many"],
        ["report", "--format", "poem"],
        ["suppressions", "import"],
    ],
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert __version__ in capsys.readouterr().out


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in cli.build_parser()._actions if a.dest == "command"]
    assert isinstance(action.choices, dict)
    return action.choices


def test_every_command_of_the_design_is_there_with_its_options():
    flags = {
        name: {flag for action in parser._actions for flag in action.option_strings}
        for name, parser in subcommands().items()
    }
    assert {"--python", "--pyo3", "--tests", "--json"} <= flags["check"]
    assert {"--json"} <= flags["compare"]
    assert {"--reason"} <= flags["accept"]
    assert {"--format"} <= flags["report"]
    assert "suppressions" in flags


@pytest.mark.parametrize("name", ["", "check"])
def test_help_names_the_exit_codes_within_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([name, "--help"] if name else ["--help"])
    said = capsys.readouterr().out
    assert "exit codes:" in said
    assert "unbaselined" in said
