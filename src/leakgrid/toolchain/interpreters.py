"""Find Python interpreters, and the real executable behind a version manager's shim."""

from __future__ import annotations

import functools
import glob
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from leakgrid import process
from leakgrid.errors import ToolMissing, Unsupported, UsageError
from leakgrid.toolchain.environ import clean_environ

ASK_TIMEOUT = 30.0
"""Seconds that an interpreter may take to say what it is."""

# Where version managers keep what they install; each is their documented default and variable.
_PLACES = (
    ("PYENV_ROOT", "~/.pyenv", "versions/*/bin"),
    ("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python", "*/bin"),
    ("ASDF_DATA_DIR", "~/.asdf", "installs/python/*/bin"),
    ("MISE_DATA_DIR", "~/.local/share/mise", "installs/python/*/bin"),
    ("RYE_HOME", "~/.rye", "py/*/bin"),
    ("", "/opt/python", "*/bin"),
    ("", "/usr/local", "bin"),
    ("", "/usr", "bin"),
)

_QUESTION = """
import json, platform, sys, sysconfig
print(json.dumps({
    "executable": sys.executable,
    "base": getattr(sys, "_base_executable", None) or sys.executable,
    "version": platform.python_version(),
    "abiflags": getattr(sys, "abiflags", ""),
    "implementation": sys.implementation.name,
    "debug": hasattr(sys, "gettotalrefcount"),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python as it describes itself; ``executable`` is the real program, no shim, no venv."""

    executable: Path
    version: str
    abiflags: str
    implementation: str
    debug: bool
    free_threaded: bool

    @property
    def minor(self) -> str:
        """``3.13``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def release(self) -> tuple[int, int, int]:
        """``(3, 13, 0)``; of a pre-release the numbers alone."""
        match = re.match(r"(\d+)\.(\d+)\.(\d+)", self.version)
        if match is None:
            return (0, 0, 0)
        major, minor, micro = match.groups()
        return (int(major), int(minor), int(micro))

    def to_dict(self) -> dict[str, object]:
        """The ``python`` part of a result, without the path."""
        return {
            "version": self.version,
            "abiflags": self.abiflags,
            "implementation": self.implementation,
            "debug": self.debug,
            "free_threaded": self.free_threaded,
        }


@functools.lru_cache(maxsize=256)
def ask(program: Path) -> Interpreter | None:
    """What a python program says of itself; None when it does not run or is no Python.

    A shim is followed, a virtual environment is left for the Python that it was made from.
    """
    # A shim chooses by PYENV_VERSION and by .python-version files, so it is asked from a folder
    # without any; -I keeps the user's own modules out of the answer.
    try:
        result = process.run(
            [program, "-I", "-c", _QUESTION],
            cwd=Path("/"),
            env=clean_environ(),
            timeout=ASK_TIMEOUT,
        )
        said = json.loads(result.stdout)
        base = Path(said["base"])
        real = base if base.exists() else Path(said["executable"])
        return Interpreter(
            executable=real.resolve(),
            version=str(said["version"]),
            abiflags=str(said["abiflags"]),
            implementation=str(said["implementation"]),
            debug=bool(said["debug"]),
            free_threaded=bool(said["free_threaded"]),
        )
    except (ToolMissing, ValueError, KeyError, TypeError):
        return None


def discover() -> tuple[Interpreter, ...]:
    """Every CPython on PATH and in the version managers' folders, newest first.

    Of the same version the first one found is first: PATH, then the version managers.
    """
    return tuple(_unique(ask(program) for program in _programs()))


def find(spec: str) -> Interpreter:
    """The interpreter for ``3.13``, ``3.13.0``, ``3.13t``, or an explicit path.

    A release build comes before a debug build, the newest patch release before older ones.
    Raises Unsupported with what was found and what to install, UsageError where ``spec`` is
    neither.
    """
    if os.sep in spec:
        found = ask(Path(spec).expanduser().absolute())
        if found is None:
            raise Unsupported(
                f"{spec} is not a Python that runs",
                next="Name the executable itself, such as /usr/bin/python3.13.",
            )
        return _usable(found)
    match = re.fullmatch(r"(?:python|cpython-)?(\d+\.\d+(?:\.\d+\w*)?)(t?)", spec)
    if match is None:
        raise UsageError(f"{spec!r} names no Python", next="Write 3.13, 3.13.0, 3.13t, or a path.")
    wanted, threaded = match[1], bool(match[2])
    known = discover()
    fitting = [
        candidate
        for candidate in known
        if candidate.implementation == "cpython"
        and candidate.free_threaded == threaded
        and (candidate.version == wanted or candidate.minor == wanted)
    ]
    if not fitting:
        seen = ", ".join(candidate.version for candidate in known) or "none"
        raise Unsupported(
            f"Python {spec} is not installed",
            why=f"found on PATH and in version managers' folders: {seen}",
            next=f"Install it (pyenv install {spec}, uv python install {spec}, or your system's "
            f"package with its -dev part), or name its path.",
        )
    return min(fitting, key=lambda item: (item.debug, tuple(-part for part in item.release)))


def _usable(found: Interpreter) -> Interpreter:
    if found.implementation != "cpython":
        raise Unsupported(
            f"{found.executable.name} is {found.implementation} {found.version}",
            why="leakgrid reads CPython's memory; other implementations are not measured",
            next="Name a CPython.",
        )
    return found


def _programs() -> Iterable[Path]:
    """Candidates in the order of preference; each path once."""
    folders = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    for variable, default, pattern in _PLACES:
        root = os.environ.get(variable) if variable else None
        folders += map(Path, sorted(glob.glob(str(Path(root or default).expanduser() / pattern))))
    seen: set[Path] = set()
    for folder in folders:
        for program in sorted(folder.glob("python3*")):
            if not re.fullmatch(r"python3(\.\d+t?)?", program.name):
                continue
            # One file may have several names; a shim is one file for several Pythons, and stays.
            key = program if folder.name == "shims" else program.resolve()
            if key not in seen and shutil.which(str(program)):
                seen.add(key)
                yield program


def _unique(found: Iterable[Interpreter | None]) -> list[Interpreter]:
    by_path: dict[Path, Interpreter] = {}
    for item in found:
        if item is not None and item.implementation == "cpython":
            by_path.setdefault(item.executable, item)
    return sorted(by_path.values(), key=lambda item: item.release, reverse=True)
