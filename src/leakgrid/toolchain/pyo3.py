"""What a PyO3 version supports, read from its own sources."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from leakgrid import registry
from leakgrid.errors import DataError, Unsupported
from leakgrid.toolchain.interpreters import Interpreter

Minor = tuple[int, int]

_TABLE = re.compile(
    r"SUPPORTED_VERSIONS_CPYTHON\s*:\s*SupportedVersions\s*=\s*"
    r"SupportedVersions\s*\{(?P<body>.*?)\n\};",
    re.DOTALL,
)
_FIELD = (
    r"\b%s\s*:\s*(?:PythonVersion\s*\{\s*major\s*:\s*(\d+)\s*,\s*minor\s*:\s*(\d+)\s*,?\s*\}"
    r"|(?:\w+::)*(?:PY_?)(\d)_?(\d+))"
)


@functools.lru_cache(maxsize=64)
def supported_pythons(version: str) -> tuple[Minor, Minor]:
    """The oldest and the newest CPython minor that PyO3 ``version`` builds for.

    Read from pyo3-ffi's build.rs (``SUPPORTED_VERSIONS_CPYTHON``). Raises Unsupported when cargo
    cannot bring the sources, DataError when they say it in a way unknown here.
    """
    script = registry.source("pyo3-ffi", version) / "build.rs"
    return parse_bounds(script.read_text(encoding="utf-8"), f"pyo3-ffi {version}")


def parse_bounds(text: str, name: str = "pyo3-ffi") -> tuple[Minor, Minor]:
    """The CPython bounds in the text of a pyo3-ffi build script. Raises DataError."""
    table = _TABLE.search(text)
    bounds = []
    for field in ("min", "max"):
        match = table and re.search(_FIELD % field, table["body"])
        if not match:
            raise DataError(
                f"the build script of {name} does not say its supported Pythons in a known way",
                next="Update leakgrid; this PyO3 is newer or older than it knows.",
            )
        major, minor = [part for part in match.groups() if part is not None]
        bounds.append((int(major), int(minor)))
    return bounds[0], bounds[1]


def check_pair(version: str, interpreter: Interpreter) -> None:
    """Whether PyO3 ``version`` and this interpreter can be a cell.

    Raises Unsupported: yanked, not in the index, Python outside of PyO3's bounds.
    """
    registry.require("pyo3", version)
    oldest, newest = supported_pythons(version)
    python = interpreter.release[:2]
    if oldest <= python <= newest:
        return
    word = "older than the oldest" if python < oldest else "newer than the newest"
    bound = oldest if python < oldest else newest
    raise Unsupported(
        f"PyO3 {version} does not support Python {interpreter.minor}",
        why=f"it is {word} it builds for, {bound[0]}.{bound[1]}",
        next=f"Choose a Python from {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}, or another "
        "PyO3.",
    )


def changelog(version: str) -> Path:
    """PyO3's CHANGELOG.md as it ships inside the crate of ``version``. Raises Unsupported."""
    path = registry.source("pyo3", version) / "CHANGELOG.md"
    if not path.is_file():
        raise Unsupported(f"the crate pyo3 {version} ships no CHANGELOG.md")
    return path
