from __future__ import annotations

import json
from pathlib import Path

import pytest
from made import result

from leakgrid import cli
from leakgrid.store import Store

MATRIX = """\
pythons = ["3.12", "3.13"]
pyo3 = ["0.28.3", "0.29.0"]
targets.a.requirement = "a==1.0"
targets.b = { requirement = "b==1.0", default = false }
exclude = [{ target = "a", python = "==3.13", pyo3 = "<0.29", reason = "why" }]
tags.few = [{ target = "a", pyo3 = ["0.29.0"] }]
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "matrix.toml").write_text(MATRIX)
    places = ["--matrix", str(tmp_path / "matrix.toml"), "--store", str(tmp_path / "store")]
    return ["watch", "--offline", *places]


def planned(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [job["cells"] for job in json.loads(capsys.readouterr().out)["include"]]


@pytest.mark.parametrize(
    ("more", "cells"),
    [
        ([], ["a/py3.12-pyo3-0.28.3", "a/py3.12-pyo3-0.29.0", "a/py3.13-pyo3-0.29.0"]),
        (["--tag", "few"], ["a/py3.12-pyo3-0.29.0", "a/py3.13-pyo3-0.29.0"]),
        (["--target", "b", "--pyo3", "0.28.3"], ["b/py3.12-pyo3-0.28.3", "b/py3.13-pyo3-0.28.3"]),
        (["--shard", "2/2"], ["a/py3.13-pyo3-0.29.0"]),
        (
            ["--capacity", "2"],
            ["a/py3.12-pyo3-0.28.3", "a/py3.12-pyo3-0.29.0 a/py3.13-pyo3-0.29.0"],
        ),
    ],
)
def test_all_cells_are_planned_and_options_narrow_them(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    cells: list[str],
) -> None:
    assert cli.main([*arguments, "--plan", "--all", *more]) == 0
    assert planned(capsys) == cells


def test_a_plan_without_cells_is_empty_and_says_so_by_its_exit_code(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--plan"]) == 0
    assert planned(capsys) == []
    nothing = ["--tag", "few", "--pyo3", "0.28.3"]
    assert cli.main([*arguments, "--plan", "--all", *nothing]) == 3
    assert planned(capsys) == []


def test_stale_cells_are_planned(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a/py3.12-pyo3-0.29.0"
    Store(tmp_path / "store", tmp_path).save_result(name, result(pyo3="0.29.0", started=""))
    assert cli.main([*arguments, "--plan"]) == 10
    assert planned(capsys) == [name]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--since", "0.29"], "a full version is needed"),
        (["--since", "0.29.0garbage"], "--since 0.29.0garbage: a full version is needed"),
        (["--tag", "fwe"], "the matrix has no tag 'fwe', did you mean few?\nIt has: few."),
        (["--pyo3", "9.9.9"], "no PyO3 '9.9.9'\nIt has: 0.28.3, 0.29.0."),
        (["--target", "c"], "no target 'c'"),
        (["--github-output"], "GITHUB_OUTPUT is not set"),
        (["--issue"], "no repository"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    told: str,
) -> None:
    for name in ("GITHUB_OUTPUT", "GITHUB_REPOSITORY", "GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main([*arguments, "--plan", *more]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/2", "3/2", "x", "1"])
def test_a_part_that_does_not_exist_is_refused(arguments: list[str], shard: str) -> None:
    with pytest.raises(SystemExit):
        cli.main([*arguments, "--plan", "--shard", shard])


def test_a_broken_state_is_named_and_left_alone(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.json"
    state.write_text("{")
    assert cli.main([*arguments, "--state", str(state)]) == 2
    assert "is not a state of the watcher" in capsys.readouterr().err
    assert state.read_text() == "{"


def test_what_was_not_looked_at_is_never_called_not_due(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "neither the index nor advisories were looked at (--offline)" in said
    assert "Nothing is due" not in said
    with pytest.raises(SystemExit):
        cli.main(["watch", "--help"])
    assert "With --offline neither the index nor advisories" in capsys.readouterr().out


def test_an_outcome_that_cannot_be_written_is_told(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nosuch" / "x"
    assert cli.main([*arguments, "--github-output", str(nowhere)]) == 2
    told = capsys.readouterr().err
    assert f"--github-output: {nowhere} cannot be written" in told
    assert "Traceback" not in told


def test_the_store_of_a_first_look_stays_out_of_git(arguments: list[str], tmp_path: Path) -> None:
    assert cli.main(arguments) == 0
    assert (tmp_path / "store" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / "store" / "watch.json").exists()


@pytest.mark.parametrize(
    ("day", "code", "told"),
    [
        ("2020-01-31", 10, "the last yearly review was on 2020-01-31"),
        ("2999-01-31", 0, "Nothing else is known to be due"),
        ('"2020-01-31"', 2, "watch.reviewed: a day (2026-01-31) is required, not the text"),
        ("2020-01-31T00:00:00", 2, "watch.reviewed: a day (2026-01-31) is required"),
    ],
)
def test_the_day_of_the_last_review_is_in_the_matrix_file(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    day: str,
    code: int,
    told: str,
) -> None:
    with (tmp_path / "matrix.toml").open("a") as file:
        file.write(f"watch.reviewed = {day}\n")
    assert cli.main(arguments) == code
    said = capsys.readouterr()
    assert told in said.out + said.err


@pytest.mark.parametrize(
    ("pythons", "told"),
    [
        (["3.12"], "1 stored result is partial (tests or detectors) and does not count"),
        (["3.12", "3.13"], "2 stored results are partial (tests or detectors) and do not count"),
    ],
)
def test_partial_results_are_counted_and_do_not_count(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    pythons: list[str],
    told: str,
) -> None:
    store = Store(tmp_path / "store", tmp_path / "base")
    for python in pythons:
        made = result(target="a", partial=True, detectors=("growth",))
        store.save_result(f"a/py{python}-pyo3-0.29.0", made)
    cli.main(arguments)
    printed = capsys.readouterr()
    assert told in printed.out + printed.err
