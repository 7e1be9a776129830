"""The set-up script: what it decides, on machines unlike this one, too."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "bootstrap.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bootstrap = _load()


def program(folder: Path, name: str, text: str = "exit 0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it; returns the folder that is its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("CARGO_HOME", "CC", "PYENV_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(bootstrap, "has_header", lambda: True)
    return folder


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["valgrind"], ("valgrind", False, [])),
        (["tests", "--yes"], ("tests", True, [])),
        (["valgrind", "-y", "-j", "2"], ("valgrind", True, ["-j", "2"])),
        (["valgrind", "--", "-k", "x", "--yes"], ("valgrind", False, ["--", "-k", "x", "--yes"])),
    ],
)
def test_the_command_line_is_split(argv: list[str], expected: tuple[object, ...]) -> None:
    assert tuple(bootstrap.parse(argv)) == expected


def test_an_unknown_command_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        bootstrap.parse(["valgrnd"])
    assert caught.value.code == 2
    assert "valgrind, tests" in capsys.readouterr().err


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64", "arm64"])
def test_linux_on_both_processors_is_accepted(machine: str) -> None:
    assert bootstrap.check_platform("linux", machine) is None


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [("darwin", "arm64", "macOS"), ("win32", "AMD64", "Windows"), ("linux", "riscv64", "linux")],
)
def test_elsewhere_it_says_what_to_do_instead(
    system: str, machine: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        bootstrap.check_platform(system, machine)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "Valgrind needs Linux on x86-64 or arm64" in said
    assert name in said
    assert "in CI" in said


def test_everything_missing_is_named_at_once(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "usable", lambda *_: False)
    assert bootstrap.missing() == ["valgrind", "compiler", "rust", "python"]


def test_valgrind_without_its_headers_is_missing(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("valgrind", "cc", "cargo", "rustc"):
        program(bare, name)
    assert bootstrap.missing() == []
    monkeypatch.setattr(bootstrap, "has_header", lambda: False)
    assert bootstrap.missing() == ["valgrind"]


def test_cargo_is_found_where_rustup_puts_it(bare: Path) -> None:
    program(bare.parent / ".cargo" / "bin", "cargo")
    program(bare.parent / ".cargo" / "bin", "rustc")
    bootstrap.add_cargo_to_path()
    assert "rust" not in bootstrap.missing()


@pytest.mark.parametrize("manager", sorted(bootstrap.PACKAGES))
def test_each_package_manager_knows_every_need(
    bare: Path, manager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare, manager)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    *_, last = bootstrap.install_commands(list(bootstrap.NEEDS))
    assert last[0] == manager
    assert "valgrind" in last
    assert set(bootstrap.PACKAGES[manager]) == set(bootstrap.NEEDS)


def test_without_root_the_commands_use_sudo(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare, "apt-get")
    program(bare, "sudo")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    assert bootstrap.install_commands(["valgrind"])[0] == ["sudo", "apt-get", "update"]


def test_nothing_is_installed_unasked(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(bare, "apt-get", f"touch {bare}/ran")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    with pytest.raises(SystemExit) as caught:
        bootstrap.install(["valgrind"], yes=False)
    assert caught.value.code == 2
    assert "apt-get install -y --no-install-recommends valgrind" in capsys.readouterr().err
    assert not (bare / "ran").exists()


def test_with_yes_the_printed_commands_run(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(bare, "apt-get", f'echo "$@" >> {bare}/ran')
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    bootstrap.install(["valgrind"], yes=True)
    assert (bare / "ran").read_text().splitlines() == [
        "update",
        "install -y --no-install-recommends valgrind",
    ]
    assert "+ apt-get update" in capsys.readouterr().err


def test_a_failing_package_manager_ends_with_2(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(bare, "apt-get", "exit 100")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    with pytest.raises(SystemExit) as caught:
        bootstrap.install(["valgrind"], yes=True)
    assert caught.value.code == 2
    assert "failed with exit code 100" in capsys.readouterr().err


def test_without_a_package_manager_it_says_so(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        bootstrap.install(["valgrind"], yes=True)
    assert caught.value.code == 2
    assert "no known package manager" in capsys.readouterr().err


def test_a_version_managers_pythons_are_found(bare: Path) -> None:
    folder = bare.parent / ".pyenv" / "versions" / "3.13.0" / "bin"
    path = program(folder, "python", f'exec {sys.executable} "$@"')
    assert path in bootstrap.interpreters("3.13")


def test_a_shim_without_its_version_does_not_count(bare: Path) -> None:
    program(bare, "python3.13", "echo 'not installed' >&2; exit 127")
    assert not bootstrap.found("3.13")


def test_a_python_that_is_too_old_or_broken_is_not_usable(bare: Path) -> None:
    assert bootstrap.usable(Path(sys.executable))
    assert not bootstrap.usable(Path(sys.executable), (9, 0))
    assert not bootstrap.usable(program(bare, "broken", "exit 1"))
    assert not bootstrap.usable(bare / "missing")


def test_old_rust_is_noted_and_not_fatal(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(bare, "rustc", "echo 'rustc 1.66.0 (x 2022-12-12)'")
    monkeypatch.setattr(bootstrap, "missing", lambda: [])
    bootstrap.provide(bootstrap.Arguments("valgrind", False, []))
    assert "Rust 1.66 is older than" in capsys.readouterr().err


CELLS = [
    {"session": "a", "python": "3.12", "pyo3": "0.30.1", "target": "probe"},
    {"session": "b", "python": "3.11", "pyo3": "0.30.1", "target": "probe"},
    {"session": "c", "python": "3.11", "pyo3": "0.27.2", "target": "probe"},
]


@pytest.mark.parametrize(
    ("pythons", "arguments", "expected"),
    [
        ({"3.12"}, [], ["-s", "valgrind", "-t", "quick"]),
        ({"3.12"}, ["-j", "2"], ["-s", "valgrind", "-t", "quick", "-j", "2"]),
        ({"3.12"}, ["--", "-k", "x"], ["-s", "valgrind", "-t", "quick", "--", "-k", "x"]),
        ({"3.12"}, ["-t", "mrrc"], ["-t", "mrrc"]),
        ({"3.11"}, [], ["-s", "b"]),
        (set(), [], ["-s", "valgrind", "-t", "quick"]),
    ],
)
def test_the_quick_cells_run_unless_others_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, pythons: set[str], arguments: list[str], expected: list[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "found", lambda python: python in pythons)
    monkeypatch.setattr(
        bootstrap, "listed", lambda *selection: CELLS[:1] if "quick" in selection else CELLS
    )
    monkeypatch.setattr(bootstrap, "nox", lambda given: ran.append(given) or 0)
    assert bootstrap.valgrind(arguments) == 0
    assert ran == [expected]


def test_the_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    venv = tmp_path / ".venv"
    monkeypatch.setattr(bootstrap, "VENV", venv)
    monkeypatch.setattr(bootstrap, "PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(bootstrap, "STAMP", venv / "stamp")

    def run(command: list[str]) -> None:
        ran.append(command)
        if "venv" in command:
            program(venv / "bin", "python", f'exec {sys.executable} "$@"')

    monkeypatch.setattr(bootstrap, "run", run)
    bootstrap.make_venv()
    assert [command[2] for command in ran] == ["venv", "pip"]
    bootstrap.make_venv()
    assert len(ran) == 2


def test_it_runs_on_old_pythons() -> None:
    """It has to start on any system's python3: nothing newer than 3.9 in its syntax."""
    olds = [path for path in bootstrap.interpreters("3.9") if bootstrap.answers(path, "3.9")]
    if not olds:
        pytest.skip("no Python 3.9 on this machine")
    run = subprocess.run(
        [str(olds[0]), str(SCRIPT), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert (run.returncode, "valgrind" in run.stdout) == (0, True), run.stderr


def test_ci_runs_exactly_the_set_up_for_tests() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    assert "python3 scripts/bootstrap.py tests --yes" in text
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
