"""The screen without a matrix: a real pytest run with ``--leakgrid``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leakgrid import cli

pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(sys.platform != "linux", reason="the screen needs Linux"),
]
SUITE = """
import ctypes
import pytest

def lose(thing):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))

def test_clean():
    assert [1]

def test_loses_a_list():
    lose([1, 2])

@pytest.mark.leakgrid_accept(reason="known since the first release")
def test_accepted():
    lose({"key": []})

@pytest.mark.leakgrid_accept
def test_accepted_without_a_reason():
    lose([3])

calls = []

def test_passes_once():
    calls.append(1)
    assert len(calls) == 1

def test_fails():
    assert not "failing"
"""


def run(
    folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str, prepared: bool = True
) -> subprocess.CompletedProcess[str]:
    (folder / "test_suite.py").write_text(SUITE)
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    assert cli.main(["plugin"]) == 0
    variables = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    environ |= variables if prepared else {"PYTHONPATH": variables["PYTHONPATH"]}
    command = [sys.executable, "-m", "pytest", "-p", "leakgrid_incell.standalone", "-rA"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "--strict-markers", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_heap_s_meter_is_built_once_and_preloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LD_PRELOAD", "")
    assert cli.main(["plugin"]) == 0
    preloaded = [x for x in capsys.readouterr().out.splitlines() if x.startswith("LD_PRELOAD=")]
    assert [Path(line.partition("=")[2]).parent.name for line in preloaded] == ["leakgrid"]


def test_leaking_tests_fail_with_what_they_lose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, capsys, "--leakgrid")
    assert done.returncode == 1, done.stderr
    assert "FAILED test_suite.py::test_loses_a_list - leakgrid: the test passes, but" in done.stdout
    assert "1 list per call held by native code" in done.stdout
    assert "FAILED test_suite.py::test_clean" not in done.stdout
    assert "tests repeated: 5, leaking: 3" in done.stdout
    assert "3 failed, 5 passed" in done.stdout


def test_an_accepted_leak_fails_nothing_and_is_listed_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, capsys, "--leakgrid", "-k", "test_accepted and not reason")
    assert done.returncode == 0, done.stdout
    assert "accepted: test_suite.py::test_accepted: 1 dict per call" in done.stdout
    assert "(known since the first release)" in done.stdout


def test_accepting_needs_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(tmp_path, capsys, "--leakgrid", "-k", "without_a_reason")
    assert done.returncode == 1
    assert "leakgrid_accept needs a reason" in done.stdout


def test_what_cannot_be_repeated_is_named_and_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, capsys, "--leakgrid", "-k", "passes_once or clean")
    assert done.returncode == 0, done.stdout
    assert "not judged: test_suite.py::test_passes_once: call 2" in done.stdout


def test_without_the_option_nothing_is_repeated_and_the_marker_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, capsys, prepared=False)
    assert "1 failed, 5 passed" in done.stdout
    assert "leakgrid:" not in done.stdout


def test_an_environment_that_cannot_be_measured_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, capsys, "--leakgrid", prepared=False)
    assert done.returncode == 4
    assert "PYTHONMALLOC is not malloc" in done.stderr
    assert "env $(leakgrid plugin) python -m pytest" in done.stderr
