"""This repository's own noxfile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def nox(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nox", "-f", str(ROOT / "noxfile.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_promised_session_is_listed() -> None:
    sessions = {entry["name"] for entry in json.loads(nox("-l", "--json", "-k", "not x_").stdout)}
    assert {"valgrind", "tests", "lint", "report", "accept"} <= sessions


@pytest.mark.parametrize(
    "name",
    [
        "valgrind(python='3.13', pyo3='0.30.1')",
        "valgrind(python='3.12', pyo3='0.22.6', target='mrrc')",
        "valgrind(python='3.11', pyo3='0.29.0', target='rpds-py')",
    ],
)
def test_cells_have_the_names_that_scripts_rely_on(name: str) -> None:
    run = nox("-l", "--json", "-s", name)
    assert [entry["session"] for entry in json.loads(run.stdout)] == [name]


def test_quick_selects_cells_only() -> None:
    entries = json.loads(nox("-l", "--json", "-s", "valgrind", "-t", "quick").stdout)
    assert {entry["name"] for entry in entries} == {"valgrind"}
    assert len(entries) <= 4


def test_listing_needs_only_what_nox_brings() -> None:
    """An import of anything else would break ``nox -l`` on a fresh clone."""
    code = (
        "import sys\n"
        "blocked = {'lxml', 'rich', 'tomlkit', 'elftools', 'maturin', 'pytest'}\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in blocked: raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Block())\n"
        f"sys.argv = ['nox', '-f', {str(ROOT / 'noxfile.py')!r}, '-l']\n"
        "from nox.__main__ import main\n"
        "main()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "valgrind(python='3.13', pyo3='0.30.1')" in run.stdout
