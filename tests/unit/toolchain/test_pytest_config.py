"""Whose configuration pytest reads."""

import pytest

from leakgrid.toolchain import pytest_config


@pytest.fixture
def place(tmp_path):
    """A project within another one that configures pytest."""
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--maxfail=1'\n")
    root = tmp_path / "project"
    (root / "tests" / "deep").mkdir(parents=True)
    return root


def test_without_a_configuration_of_its_own_a_target_gets_an_empty_one(place, tmp_path):
    (place / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (place / "setup.cfg").write_text("[metadata]\nname = x\n")
    given = pytest_config.arguments(place, ["tests"], tmp_path)
    assert given == (f"--rootdir={place}", "-c", str(tmp_path / "pytest.ini"))
    assert (tmp_path / "pytest.ini").read_text() == "[pytest]\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-q'\n"),
        ("pyproject.toml", "[tool.pytest]\naddopts = ['-q']\n"),
        ("pytest.ini", ""),
        ("tests/deep/pytest.ini", ""),
        ("tox.ini", "[pytest]\n"),
        ("setup.cfg", "[tool:pytest]\n"),
    ],
)
def test_a_targets_own_configuration_is_left_to_pytest(place, tmp_path, name, text):
    (place / name).write_text(text)
    given = pytest_config.arguments(place, ["tests/deep/test_x.py::test_y"], tmp_path)
    assert given == (f"--rootdir={place}",)


@pytest.mark.parametrize("name", ["pyproject.toml", "tox.ini", "setup.cfg"])
def test_a_broken_file_configures_nothing(place, tmp_path, name):
    (place / name).write_text("[[[\n\0")
    assert "-c" in pytest_config.arguments(place, [], tmp_path)
