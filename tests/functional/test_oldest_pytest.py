"""The screen with the oldest pytest and Python that are supported; the rest runs on the newest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from leakgrid import cli
from leakgrid.errors import LeakgridError
from leakgrid.toolchain import interpreters

pytestmark = [pytest.mark.functional, pytest.mark.network]
PYTHON, PYTEST = "3.9", "7.4.0"
SUITE = """
import ctypes
import unittest

import pytest

@pytest.fixture
def loses_a_list():
    yield
    ctypes.pythonapi.Py_IncRef(ctypes.py_object([1, 2]))

@pytest.fixture(scope="module")
def kept():
    return []

def test_fixture(loses_a_list, kept):
    pass

def test_clean(kept, tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setenv("SEEN", "1")
    print(kept)
    assert capsys.readouterr().out

class Case(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.value = [1]

    async def test_async(self):
        assert self.value

def test_once(kept):
    kept.append(1)
    assert len(kept) == 1
"""


def test_leaks_are_found_and_the_clean_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        interpreter = interpreters.find(PYTHON)
    except LeakgridError as error:
        pytest.skip(str(error))
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([interpreter.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", f"pytest=={PYTEST}"], check=True)
    (tmp_path / "test_suite.py").write_text(SUITE)
    capsys.readouterr()
    assert cli.main(["plugin"]) == 0
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "leakgrid_incell.standalone", "--leakgrid", "-rA",
         "--strict-markers", "test_suite.py"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"pytest-{PYTEST}" in done.stdout, done.stderr
    assert "tests repeated: 4, leaking: 1" in done.stdout, done.stdout
    assert "FAILED test_suite.py::test_fixture" in done.stdout
    assert "1 list per call held by native code" in done.stdout
    assert "not judged: test_suite.py::test_once: call 2" in done.stdout
    assert done.stdout.count("not judged: ") == 1
