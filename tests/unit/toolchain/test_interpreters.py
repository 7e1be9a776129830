from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from leakgrid import registry
from leakgrid.errors import DataError, Unsupported, UsageError
from leakgrid.toolchain import build, interpreters, pyo3
from leakgrid.toolchain.interpreters import Interpreter

REAL = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one empty folder, and no version manager."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    monkeypatch.setattr(interpreters, "_PLACES", ())
    interpreters.ask.cache_clear()
    return folder


def shim(folder: Path, name: str, wanted_dir: Path) -> Path:
    """Like a version manager's: refuses to run where a .python-version file asks for another."""
    path = folder / name
    path.write_text(
        f'#!/bin/sh\n[ -z "$PYENV_VERSION" ] || exit 1\n'
        f'[ "$PWD" = "{wanted_dir}" ] && exit 1\nexec "{sys.executable}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def test_the_real_program_behind_a_shim_and_a_venv_is_found(
    only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim(only, "python3", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYENV_VERSION", "3.9")
    monkeypatch.setenv("PATH", f"{only}:/bin")
    found = interpreters.find(HERE)
    assert found.executable == REAL
    assert found.minor == HERE
    assert found.implementation == "cpython"


def test_a_missing_version_says_what_was_found_and_what_to_install(only: Path) -> None:
    (only / "python3").symlink_to(REAL)
    with pytest.raises(Unsupported, match=r"Python 3\.99 is not installed") as error:
        interpreters.find("3.99")
    assert ".".join(map(str, sys.version_info[:3])) in error.value.why
    assert "install 3.99" in error.value.next


def test_an_explicit_path_is_taken_as_it_is() -> None:
    assert interpreters.find(str(REAL)).executable == REAL


@pytest.mark.parametrize("spec", ["/bin/sh", "/no/such/python"])
def test_what_is_no_python_is_refused(spec: str) -> None:
    with pytest.raises(Unsupported):
        interpreters.find(spec)


@pytest.mark.parametrize("spec", ["latest", "3", "abc", ""])
def test_what_names_no_python_is_wrong_usage(spec: str) -> None:
    with pytest.raises(UsageError, match="names no Python"):
        interpreters.find(spec)


def test_a_release_build_comes_before_a_debug_build_and_a_newer_patch_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = tuple(
        Interpreter(Path(path), version, "", "cpython", debug, threaded)
        for path, version, debug, threaded in (
            ("/a", "3.13.0", True, False),
            ("/b", "3.13.0", False, False),
            ("/c", "3.13.2", False, False),
            ("/d", "3.13.9", False, True),
        )
    )
    monkeypatch.setattr(interpreters, "discover", lambda: known)
    assert interpreters.find("3.13").executable == Path("/c")
    assert interpreters.find("3.13.0").executable == Path("/b")
    assert interpreters.find("3.13t").executable == Path("/d")


@pytest.mark.parametrize(
    ("lowest", "highest"),
    [
        ("PythonVersion { major: 3, minor: 7 }", "PythonVersion {\n  major: 3,\n  minor: 14,\n }"),
        ("PY_3_7", "PY_3_14"),
        ("PythonVersion::PY37", "PythonVersion::PY314"),
    ],
)
def test_pyo3s_bounds_are_read_from_its_build_script(lowest: str, highest: str) -> None:
    text = (
        "const SUPPORTED_VERSIONS_CPYTHON: SupportedVersions = SupportedVersions {\n"
        f"    min: {lowest},\n    max: {highest},\n}};\n"
        "const SUPPORTED_VERSIONS_PYPY: SupportedVersions = SupportedVersions {\n"
        "    min: PY_3_11,\n    max: PY_3_12,\n};\n"
    )
    assert pyo3.parse_bounds(text) == ((3, 7), (3, 14))


def test_bounds_said_in_another_way_are_an_error_and_no_guess() -> None:
    with pytest.raises(DataError, match="known way"):
        pyo3.parse_bounds("const SUPPORTED: u8 = 3;")


@pytest.mark.parametrize(("python", "word"), [("3.6.9", "older"), ("3.15.0", "newer")])
def test_a_python_outside_the_bounds_is_unsupported(
    python: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "require", lambda crate, version: None)
    monkeypatch.setattr(pyo3, "supported_pythons", lambda version: ((3, 7), (3, 14)))
    interpreter = Interpreter(Path("/p"), python, "", "cpython", False, False)
    with pytest.raises(Unsupported, match=r"PyO3 0\.28\.3 does not support Python") as error:
        pyo3.check_pair("0.28.3", interpreter)
    assert word in error.value.why
    pyo3.check_pair("0.28.3", Interpreter(Path("/p"), "3.14.0", "", "cpython", False, False))


def test_an_abi3_wheel_serves_later_release_builds_only() -> None:
    name = "x-1.0-cp310-abi3-linux_x86_64.whl"

    def python(version: str, debug: bool = False, threaded: bool = False) -> Interpreter:
        return Interpreter(Path("/p"), version, "", "cpython", debug, threaded)

    assert build.serves(name, python("3.13.0"))
    assert build.serves(name, python("3.10.1"))
    assert not build.serves(name, python("3.9.18"))
    assert not build.serves(name, python("3.13.0", threaded=True))
    assert not build.serves(name, python("3.13.0", debug=True))
    assert not build.serves("x-1.0-cp313-cp313-linux_x86_64.whl", python("3.13.0"))


def test_a_build_keeps_lines_and_frames_whatever_the_profile_is_called() -> None:
    environ = build.build_environ("my-fast", base={"CARGO_TARGET_DIR": "/t", "RUSTFLAGS": "x"})
    assert environ["CARGO_PROFILE_MY_FAST_STRIP"] == "none"
    assert environ["CARGO_PROFILE_MY_FAST_LTO"] == "off"
    assert environ["CARGO_PROFILE_MY_FAST_DEBUG"] == "limited"
    assert "CARGO_TARGET_DIR" not in environ
    assert environ["RUSTFLAGS"] == "x"
