"""Where pytest takes a target's configuration from: the target, never the folders above it.

pytest looks for a configuration file from its arguments upwards, as far as the root of the file
system (its reference, "Initialization: determining rootdir and configfile"). A staged project often
lies within another one, whose options would then apply to it and whose folder would be part of
every test's name.
"""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Iterable
from pathlib import Path

_OWN = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
_SECTIONS = {"tox.ini": "pytest", "setup.cfg": "tool:pytest"}
EMPTY = "[pytest]\n"


def arguments(root: Path, tests: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Arguments for pytest: ``root`` as its root, and an empty file where the target has none.

    ``tests`` are paths below ``root``; the empty file is written to ``folder``.
    """
    if any(_configures(place) for place in _places(root, tests)):
        return (f"--rootdir={root}",)
    empty = folder / "pytest.ini"
    empty.write_text(EMPTY, encoding="utf-8")
    return (f"--rootdir={root}", "-c", str(empty))


def _places(root: Path, tests: Iterable[str]) -> set[Path]:
    """``root``, the folders of the tests, and those between."""
    found = {root}
    for test in tests:
        place = root / test.partition("::")[0]
        found.update(p for p in (place, *place.parents) if p.is_dir() and p.is_relative_to(root))
    return found


def _configures(folder: Path) -> bool:
    if any((folder / name).is_file() for name in _OWN):
        return True
    if _in_pyproject(folder / "pyproject.toml"):
        return True
    return any(_in_ini(folder / name, section) for name, section in _SECTIONS.items())


def _in_pyproject(path: Path) -> bool:
    try:
        tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, ValueError):
        return False
    return isinstance(tool, dict) and "pytest" in tool


def _in_ini(path: Path, section: str) -> bool:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return False
    return parser.has_section(section)
