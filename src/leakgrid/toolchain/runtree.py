"""The folder that the tests run in: the target's own files with this cell's build among them."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from leakgrid.toolchain import layout, tree

_LIBRARY = re.compile(r"^(?P<stem>[^.]+)(\.(cpython-|abi3|pypy)[^/]*)?\.(so|pyd|dylib)$")


def make(project: Path, run_root: Path, wheel: Path) -> tuple[Path, ...]:
    """Copy the project to ``run_root`` and put the wheel's libraries where its packages are.

    Returns the libraries put there (none: the tests import the installed wheel).
    """
    tree.synchronise(project, run_root)
    return overlay(run_root, wheel)


def overlay(run_root: Path, wheel: Path) -> tuple[Path, ...]:
    """Put each library of the wheel into the package of the same name below ``run_root``.

    Suites often have the project's root first on sys.path, and would then import the package
    without its extension, or with a stale one that an earlier ``maturin develop`` left. Those are
    removed. Returns the paths of the libraries put there.
    """
    roots = _package_roots(run_root)
    placed = []
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            inside = PurePosixPath(name)
            match = _LIBRARY.match(inside.name)
            if match is None or ".." in inside.parts or inside.is_absolute():
                continue
            for root in roots:
                _remove_stale(root / inside.parent, match["stem"])
                if len(inside.parts) > 1 and _is_package(root, inside):
                    to = root / inside
                    to.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(name) as source, to.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    placed.append(to)
    return tuple(placed)


def _package_roots(run_root: Path) -> tuple[Path, ...]:
    """Where Python packages may lie: maturin's python-source, the root, ``src``, ``python``."""
    plan = layout.read(run_root)
    folders = (plan.python_source, Path("."), Path("src"), Path("python"))
    return tuple(
        dict.fromkeys(
            (run_root / folder).resolve() for folder in folders if (run_root / folder).is_dir()
        )
    )


def _is_package(root: Path, inside: PurePosixPath) -> bool:
    """A folder that holds Python code; maturin makes a package of a bare module, which is none."""
    folder = root / inside.parts[0]
    return folder.is_dir() and any(folder.glob("**/*.py"))


def _remove_stale(folder: Path, stem: str) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        match = _LIBRARY.match(path.name)
        if match is not None and match["stem"] == stem:
            path.unlink()
