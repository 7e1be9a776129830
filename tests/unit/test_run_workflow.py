"""What run_workflow.py removes, and what it refuses; test_workflows.py runs one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "run_workflow.py"
MINE = ("artifacts", "outputs", "logs")


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_workflow_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


script = _load()


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    path = tmp_path / "workflow.yml"
    path.write_text('jobs: {one: {steps: [{run: echo fine >> "$GITHUB_STEP_SUMMARY"}]}}\n')
    (tmp_path / "clone").mkdir()
    return str(path)


def run(workflow: str, out: Path, *more: str) -> int:
    clone = Path(workflow).parent / "clone"
    return int(script.main([workflow, "--out", str(out), "--checkout", str(clone), *more]))


def refused(capsys: pytest.CaptureFixture[str], workflow: str, out: Path, *more: str) -> str:
    with pytest.raises(SystemExit) as ended:
        run(workflow, out, *more)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_folder_of_somebody_else_is_refused_and_left_alone(
    workflow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "project"
    (out / "artifacts").mkdir(parents=True)
    (out / "work.txt").write_text("weeks")
    assert "name a new or empty folder" in refused(capsys, workflow, out)
    assert "name a new or empty folder" in refused(capsys, workflow, out / "work.txt")
    assert (out / "work.txt").read_text() == "weeks"


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_empty_folder_is_taken(workflow: str, tmp_path: Path, there: bool) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    assert run(workflow, out) == 0
    assert (out / "summary.md").read_text() == "fine\n"


def test_what_an_earlier_run_left_goes_and_nothing_else(workflow: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(workflow, out) == 0
    for name in (*MINE, "checkout"):
        (out / name).mkdir(exist_ok=True)
        (out / name / "old").touch()
    (out / "notes.txt").touch()
    assert run(workflow, out) == 0
    assert not any((out / name / "old").exists() for name in MINE)
    assert (out / "summary.md").read_text() == "fine\n"
    assert (out / "notes.txt").exists()
    assert (out / "checkout" / "old").exists()  # --checkout was given: it is nobody's here


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--input", "tag"], "argument --input: 'tag' is not NAME=VALUE"),
        (["--input", "=quick"], "argument --input: '=quick' is not NAME=VALUE"),
        (["--cells", "-1"], "argument --cells: '-1' is no number of jobs"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    workflow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert told in refused(capsys, workflow, tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()


def test_an_input_may_be_empty_and_have_an_equals_sign() -> None:
    options = script._options(["--out", "new", "--input", "a=", "--input", "b=c=d"])
    assert dict(options.input) == {"a": "", "b": "c=d"}


@pytest.mark.parametrize("repository", ["", "one/two"])
def test_without_a_repository_no_issue_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("GITHUB_REPOSITORY", repository)
    path = tmp_path / "workflow.yml"
    path.write_text('jobs: {one: {steps: [{run: echo gate --issue >> "$GITHUB_STEP_SUMMARY"}]}}\n')
    (tmp_path / "clone").mkdir()
    assert run(str(path), tmp_path / "out") == 0
    said = (tmp_path / "out" / "summary.md").read_text()
    assert said == ("gate --issue\n" if repository else "gate\n")
