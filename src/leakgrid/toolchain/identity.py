"""Which sources a result is about: one digest, the same on every machine and for every PyO3.

The fingerprint of a result also holds the interpreter and the tools of the machine; whoever asks
elsewhere whether *these sources* were measured (a release workflow) can compute this one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from leakgrid.matrix import Target
from leakgrid.toolchain import tree
from leakgrid.toolchain.manifest import read_toml

_MADE = re.compile(r"\.(so|pyd|dylib)\Z|\.egg-info(/|\Z)")
"""What building in place and editable installs leave among the sources."""
_NO_SOURCE = frozenset({".github"})


def apart(project: Path, baselines: Path) -> frozenset[Path]:
    """What leakgrid keeps inside a project: accepted findings and the matrix, no sources.

    Accepting a finding or adding a PyO3 to the matrix must not make every cell be measured again.
    ``baselines`` is the target's own folder.
    """
    found = {baselines.resolve()}
    matrix = project.resolve() / "matrix.toml"
    if matrix.is_file() and re.search(
        r"^\[targets\.", matrix.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
    ):
        found.add(matrix)
    return frozenset(found)


def sources_digest(target: Target, base: Path, baselines: Path) -> str:
    """16 hex digits over what a target's results depend on, whatever the cell.

    That is its files (with path dependencies and the workspace around it) and its settings; of an
    sdist the pinned requirement, since the package index never changes one. ``base`` is the folder
    that its path starts from, ``baselines`` the folder of its accepted findings.
    """
    total = hashlib.sha256()
    settings = [target.tests, target.pytest_args, target.requirements, target.env]
    total.update(json.dumps(settings).encode())
    if not target.path:
        total.update(target.requirement.encode())
        return total.hexdigest()[:16]
    project = (base / Path(target.path).expanduser()).resolve()
    left_out = apart(project, baselines)
    for path in sorted(_files(project, left_out)):
        total.update(os.path.relpath(path, project).encode() + b"\0")
        if path.is_symlink():
            total.update(b"-> " + os.readlink(path).encode())
        else:
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _files(project: Path, left_out: frozenset[Path]) -> set[Path]:
    """The files of the project, of path dependencies outside of it, and its workspace's own."""
    files: set[Path] = set()
    waiting, seen = [project], set[Path]()
    while waiting:
        folder = waiting.pop().resolve()
        if any(folder.is_relative_to(other) for other in seen):
            continue
        seen.add(folder)
        inside = {
            path
            for path in tree.source_files(folder, left_out)
            if not _MADE.search(path.relative_to(folder).as_posix())
            and path.relative_to(folder).parts[0] not in _NO_SOURCE
        }
        files |= inside
        for manifest in [path for path in inside if path.name == "Cargo.toml"]:
            waiting += _local_crates(manifest.parent, read_toml(manifest))
        files |= _workspace_files(folder)
    return files


def _local_crates(folder: Path, data: Mapping[str, Any]) -> Iterator[Path]:
    """The folders of crates that a manifest names by their path, in whatever table."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _local_crates(folder, value)
        elif key == "path" and isinstance(value, str) and (folder / value / "Cargo.toml").is_file():
            yield folder / value


def _workspace_files(folder: Path) -> set[Path]:
    """Manifest and lock of the workspace that the folder belongs to, where it lies above it."""
    for above in (folder, *folder.parents):
        manifest = above / "Cargo.toml"
        if manifest.is_file() and "workspace" in read_toml(manifest):
            return {path for path in (manifest, above / "Cargo.lock") if path.is_file()}
    return set()
