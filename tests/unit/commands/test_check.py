import json

import pytest
from made import result

from leakgrid import cli, pipeline
from leakgrid.matrix import Cell, Target


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "demo-ext"\nversion = "1"\n')
    (folder / "Cargo.toml").write_text('[package]\nname = "demo"\nversion = "1.0.0"\n')
    monkeypatch.chdir(tmp_path)
    return folder


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
