import argparse

import pytest

from leakgrid.commands import _cells
from leakgrid.errors import ConfigError, UsageError


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
    target, _ = _cells.target_of(options(str(project)))
    assert target.name == "demo-ext"


def test_a_requirement_is_a_target(project):
    target, _ = _cells.target_of(options("mrrc==0.9.2"))
    assert (target.name, target.requirement) == ("mrrc", "mrrc==0.9.2")


def test_requirements_of_the_command_line_are_added(project):
    asked = options(str(project))
    asked.requires = ["numpy"]
    assert _cells.target_of(asked)[0].requirements[-1:] == ("numpy",)


@pytest.mark.parametrize("name", ["nobody", "a b==1", "==1"])
def test_what_is_no_target_is_a_usage_error(project, name):
    with pytest.raises(UsageError):
        _cells.target_of(options(name))


@pytest.mark.parametrize("text", ["0.30", "latest", ">=0.29", "0.30.1.2", ""])
def test_pyo3_must_be_one_full_version(text):
    with pytest.raises(UsageError, match="full version"):
        _cells.concrete(text)


@pytest.mark.parametrize("text", ["0.30.1", "0.30.0-beta.1"])
def test_full_versions_of_pyo3_are_taken(text):
    assert _cells.concrete(text) == text


@pytest.mark.parametrize(
    ("asked", "minor"), [("3.99", "3.99"), ("3.99.1", "3.99"), ("3.99t", "3.99t")]
)
def test_a_python_that_is_missing_still_names_its_cell(asked, minor):
    assert _cells.minor_of(asked) == minor


def test_a_broken_matrix_tells_every_fault(project, capsys):
    matrix = project / "matrix.toml"
    matrix.write_text("schema = 1\nnonsense = 1\n")
    asked = options("demo-ext")
    asked.matrix = matrix
    with pytest.raises(ConfigError) as caught:
        _cells.target_of(asked)
    assert caught.value.faults
