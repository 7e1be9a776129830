"""``leakgrid init`` in a small project, and then what it tells a person to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leakgrid import cli

pytestmark = pytest.mark.functional
PYTHON, PYO3 = "3.12", "0.30.1"
ROOT = Path(__file__).resolve().parents[2]


def nox(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # leakgrid is installed here: nox need not make an environment from what the noxfile says.
    environ = {**os.environ, "NOX_SCRIPT_MODE": "none"}
    return subprocess.run(
        [sys.executable, "-m", "nox", *arguments],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_init_then_nox_gives_a_verdict_and_opens_the_gate(bench, capsys) -> None:
    project = bench.project("healthy", name="written")
    bench.store.mkdir(exist_ok=True)
    (project / ".leakgrid").symlink_to(bench.store)  # builds are shared with the other tests
    cell = ["--python", PYTHON, "--pyo3", PYO3]
    assert cli.main(["init", str(project), "--source", str(ROOT), *cell]) == 0
    assert capsys.readouterr().out.count("wrote") == 4

    listed = nox(project, "-l")
    assert f"* valgrind(python='{PYTHON}', pyo3='{PYO3}')" in listed.stdout, listed.stderr

    ran = nox(project, "-s", "valgrind")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"subject/py{PYTHON}-pyo3-{PYO3}: clean" in ran.stderr

    gate = ("-s", "gate", "--", "--newest", PYO3)
    opened = nox(project, *gate)
    assert opened.returncode == 0, opened.stdout + opened.stderr
    assert f"Open: PyO3 {PYO3} was evaluated for these sources" in opened.stdout

    with (project / "src" / "lib.rs").open("a") as file:
        file.write("// another source\n")
    closed = nox(project, *gate)
    assert closed.returncode == 1
    assert "it was measured for other sources" in closed.stdout
