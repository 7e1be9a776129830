import argparse
import json

import pytest
from made import result

from leakgrid import cli, pipeline
from leakgrid.commands import check
from leakgrid.errors import ConfigError, UsageError
from leakgrid.matrix import Cell, Target


def options(target: str, **changes) -> argparse.Namespace:
    return argparse.Namespace(target=target, matrix=None, requires=[], **changes)


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "demo-ext"\nversion = "1"\n')
    (folder / "Cargo.toml").write_text('[package]\nname = "demo"\nversion = "1.0.0"\n')
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_folder_is_a_target(project):
    target, _ = check._target(options(str(project)))
    assert target.name == "demo-ext"


def test_a_requirement_is_a_target(project):
    target, _ = check._target(options("mrrc==0.9.2"))
    assert (target.name, target.requirement) == ("mrrc", "mrrc==0.9.2")


def test_requirements_of_the_command_line_are_added(project):
    asked = options(str(project))
    asked.requires = ["numpy"]
    assert check._target(asked)[0].requirements[-1:] == ("numpy",)


@pytest.mark.parametrize("name", ["nobody", "a b==1", "==1"])
def test_what_is_no_target_is_a_usage_error(project, name):
    with pytest.raises(UsageError):
        check._target(options(name))


@pytest.mark.parametrize("text", ["0.30", "latest", ">=0.29", "0.30.1.2", ""])
def test_pyo3_must_be_one_full_version(text):
    with pytest.raises(UsageError, match="full version"):
        check._concrete(text)


@pytest.mark.parametrize("text", ["0.30.1", "0.30.0-beta.1"])
def test_full_versions_of_pyo3_are_taken(text):
    assert check._concrete(text) == text


@pytest.mark.parametrize(
    ("asked", "minor"), [("3.99", "3.99"), ("3.99.1", "3.99"), ("3.99t", "3.99t")]
)
def test_a_python_that_is_missing_still_names_its_cell(asked, minor):
    assert check._minor(asked) == minor


# --- check ---------------------------------------------------------------------------------------


def test_check_hands_its_options_on_and_prints_json_alone(project, monkeypatch, capsys):
    seen = {}

    def check(cell, target, base, store, given, progress):
        seen.update(cell=cell, target=target, options=given)
        return result(verdict="blind")

    monkeypatch.setattr(pipeline, "check", check)
    arguments = ["--python", "3.99", "--pyo3", "0.30.1", "--jobs", "3", "--test-timeout", "7"]
    more = ["--no-undefined", "--fresh", "--json", "-", "--quiet", "--", "-k", "x"]
    assert cli.main(["check", str(project), *arguments, *more]) == 4
    assert json.loads(capsys.readouterr().out)["verdict"] == "blind"
    assert seen["cell"] == Cell("demo-ext", "3.99", "0.30.1")
    assert isinstance(seen["target"], Target)
    given = seen["options"]
    assert (given.jobs, given.test_timeout, given.undefined) == (3, 7.0, False)
    assert given.fresh
    assert given.partial
    assert given.pytest_args == ("-k", "x")
    assert given.suppressions == ()


def test_check_with_a_broken_matrix_tells_every_fault(project, capsys):
    matrix = project / "matrix.toml"
    matrix.write_text("schema = 1\nnonsense = 1\n")
    asked = options("demo-ext")
    asked.matrix = matrix
    with pytest.raises(ConfigError) as caught:
        check._target(asked)
    assert caught.value.faults
