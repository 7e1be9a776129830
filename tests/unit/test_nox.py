"""Sessions per cell: their names, and how leakgrid's exit codes become nox's.

``leakgrid check`` is replaced by a script here; what it really does is tested elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MATRIX = """
pythons = ["3.12", "3.13"]
pyo3 = ["0.30.1"]

[targets.one]
path = "one"

[targets.two]
path = "two"
pythons = ["3.13"]

[targets.slow-one]
path = "two"
pythons = ["3.13"]
default = false

[[exclude]]
target = "one"
python = "<3.13"
reason = "known to hang"

[[tags.quick]]
target = "one"
pythons = ["3.13"]
"""
NOXFILE = """
from leakgrid.nox import Environment, sessions

sessions("matrix.toml", environment=Environment(distributions=("nox",)))
"""
# Stands in for `python -m leakgrid check`: exits with the code that the test asks for.
CHECK = """
import json, os, sys
target = sys.argv[2]
with open("calls", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
code = json.loads(os.environ["CODES"]).get(target, 0)
verdicts = {0: "clean", 1: "regressed", 3: "build-failed", 4: "blind"}
if code in verdicts:
    result = {"schema": 1, "tests": {}, "findings": [], "comparison": {},
              "target": target, "python": {"version": sys.argv[4] + ".1"},
              "pyo3": sys.argv[6], "verdict": verdicts[code], "reason": "because of " + target}
    with open(sys.argv[sys.argv.index("--json") + 1], "w") as file:
        json.dump(result, file)
print("progress of", target)
if code == 2:
    print("leakgrid: Valgrind is not installed\\nInstall it.", file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "matrix.toml": MATRIX,
        "noxfile.py": NOXFILE,
        "leakgrid/__init__.py": "",
        "leakgrid/__main__.py": CHECK,
        "one/pyproject.toml": "",
        "two/pyproject.toml": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def nox(
    project: Path, *arguments: str, codes: dict[str, int] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("NOX")},
        "CODES": json.dumps(codes or {}),
        **variables,
    }
    # Not from the project: -m would take the stand-in for leakgrid itself.
    return subprocess.run(
        [sys.executable, "-m", "nox", "-f", str(project / "noxfile.py"), *arguments],
        cwd=Path(sys.prefix),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def listed(project: Path, *arguments: str) -> list[dict[str, Any]]:
    run = nox(project, "--list", "--json", *arguments)
    assert run.returncode == 0, run.stderr
    entries: list[dict[str, Any]] = json.loads(run.stdout)
    return entries


def calls(project: Path) -> list[list[str]]:
    return [json.loads(line) for line in (project / "calls").read_text().splitlines()]


def test_session_names_are_exact(project: Path) -> None:
    assert [entry["session"] for entry in listed(project, "-s", "valgrind")] == [
        "valgrind(python='3.12', pyo3='0.30.1')",
        "valgrind(python='3.13', pyo3='0.30.1')",
        "valgrind(python='3.13', pyo3='0.30.1', target='two')",
    ]


def test_listing_leaves_nothing_behind(project: Path) -> None:
    listed(project)
    assert not (project / ".leakgrid").exists()


def test_cells_that_are_no_default_are_listed_and_run_by_name(project: Path) -> None:
    name = "valgrind(python='3.13', pyo3='0.30.1', target='slow-one')"
    assert name in nox(project, "-l").stdout
    run = nox(project, "-s", name.replace("'", '"'))
    assert run.returncode == 0, run.stdout + run.stderr
    assert [call[1] for call in calls(project)] == ["slow-one"]


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (("-t", "quick"), 1),
        (("-t", "two"), 1),
        (("-t", "slow_one"), 1),
        (("-k", "valgrind and py313"), 3),
        (("-k", "pyo3_0_30_1 and two"), 1),
    ],
)
def test_tags_and_keywords_select_cells(
    project: Path, selection: tuple[str, str], count: int
) -> None:
    assert len(listed(project, *selection)) == count


def test_check_is_called_with_the_cell_and_pytests_arguments(project: Path) -> None:
    nox(project, "-t", "quick", "--", "-k", "name")
    call = calls(project)[0]
    assert call[:6] == ["check", "one", "--python", "3.13", "--pyo3", "0.30.1"]
    assert call[call.index("--matrix") + 1] == str(project / "matrix.toml")
    assert call[-3:] == ["--", "-k", "name"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_cell_that_was_not_evaluated_is_skipped_and_fails_nothing(
    project: Path, jobs: str
) -> None:
    run = nox(project, "-j", jobs, "-s", "valgrind", codes={"two": 3}, CI="true")
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    assert "because of two" in output
    assert "excluded by matrix.toml: known to hang" in output


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_run_that_evaluated_no_cell_fails_and_says_so(project: Path, jobs: str) -> None:
    run = nox(project, "-j", jobs, "-s", "valgrind", codes={"one": 3, "two": 3})
    assert run.returncode == 1
    assert "No cell was evaluated" in run.stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("code", [1, 2, 4, 7])
def test_what_must_not_pass_fails_the_run_and_not_the_other_cells(
    project: Path, jobs: str, code: int
) -> None:
    run = nox(project, "-j", jobs, "-s", "valgrind", codes={"one": code})
    assert run.returncode == 1
    assert [call[1] for call in calls(project)].count("two") == 1
    assert "clean" in run.stdout


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_grid_of_this_run_is_printed_once_at_the_end(project: Path, jobs: str) -> None:
    run = nox(project, "-j", jobs, "-s", "valgrind", codes={"one": 1})
    assert run.stdout.count("two, PyO3 across") == 1
    grid = run.stdout[run.stdout.index("one, PyO3 across") :]
    assert "3.12    unsupported" in grid
    assert "3.13    regressed" in grid
    assert not list((project / ".leakgrid" / "nox").iterdir())


def test_the_grid_of_a_single_cell_is_left_to_check(project: Path) -> None:
    assert "PyO3 across" not in nox(project, "-t", "quick").stdout
    assert "PyO3 across" in nox(project, "-t", "quick", codes={"one": 7}).stdout


def test_output_of_a_cell_is_one_line_under_j(project: Path) -> None:
    assert "progress of two" in nox(project, "-s", "valgrind").stdout
    run = nox(project, "-j", "2", "-s", "valgrind")
    assert "progress of two" not in run.stdout
    assert "two/py3.13-pyo3-0.30.1: clean: because of two" in run.stdout


def test_a_failure_without_a_result_shows_its_output_under_j(project: Path) -> None:
    run = nox(project, "-j", "2", "-s", "valgrind", codes={"two": 2})
    assert "progress of two" in run.stdout


@pytest.mark.parametrize(
    ("jobs", "why"),
    [("1", "leakgrid ended with exit code 2"), ("2", "Valgrind is not installed Install it.")],
)
def test_what_could_not_begin_is_not_called_a_crash(project: Path, jobs: str, why: str) -> None:
    run = nox(project, "-j", jobs, "-s", "valgrind", codes={"two": 2})
    assert run.returncode == 1
    grid = run.stdout[run.stdout.index("one, PyO3 across") :]
    assert "crashed" not in grid
    assert "unsupported: two" in grid
    assert f"not evaluated: {why}" in grid


def test_what_ended_in_any_other_way_without_a_result_is_a_crash(project: Path) -> None:
    run = nox(project, "-s", "valgrind", codes={"two": 7})
    assert "crashed: two" in run.stdout


def test_a_faulty_matrix_ends_nox_with_every_fault(project: Path) -> None:
    (project / "matrix.toml").write_text(MATRIX.replace("pyo3 =", "pio3 =") + "wach = 1\n")
    run = nox(project, "-l")
    assert run.returncode == 2
    assert "pio3: unknown key, did you mean pyo3?" in run.stderr
    assert "wach" in run.stderr


def test_a_missing_environment_is_made_by_a_session_of_its_own(project: Path) -> None:
    (project / "noxfile.py").write_text(NOXFILE.replace('("nox",)', '("nothing-of-this-name",)'))
    run = nox(project, "-l")
    assert run.returncode == 0, run.stderr
    assert "leakgrid-environment" in run.stdout
