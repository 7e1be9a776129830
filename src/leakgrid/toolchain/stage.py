"""A copy of the target with another PyO3: all that cargo needs, the user's tree untouched."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leakgrid import process, registry
from leakgrid.errors import BuildFailed, UsageError
from leakgrid.toolchain import coupled, layout, tree
from leakgrid.toolchain.cargo_errors import explain
from leakgrid.toolchain.environ import clean_environ
from leakgrid.toolchain.manifest import Entry, entries, read_text, read_toml, rewrite

CARGO_TIMEOUT = 600.0
"""Seconds for cargo to read manifests, or to resolve and download the crates."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged project.

    ``root`` is the copy of the project's root, ``manifest`` the extension's Cargo.toml in it,
    ``lock`` the Cargo.lock as resolved. ``moved`` are the crates set to one version, PyO3 among
    them. ``digest`` is a SHA-256 of everything staged. ``layout`` is the project's.
    """

    root: Path
    manifest: Path
    lock: Path
    pyo3: str
    moved: tuple[tuple[str, str], ...]
    digest: str
    layout: layout.Layout


@dataclass(frozen=True, slots=True)
class _Crates:
    """What cargo reads of a project: its workspace's root and every local manifest."""

    workspace: Path
    manifests: tuple[Path, ...]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process: others wait (flock(2), let go when the process ends)."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def stage(
    project: Path,
    destination: Path,
    pyo3: str,
    log: Path | None = None,
    apart: frozenset[Path] = frozenset(),
) -> Staged:
    """Copy ``project`` below ``destination``, but for ``apart``, and set its PyO3 to ``pyo3``.

    The same destination may serve every PyO3 of a target, one after the other (hold it with
    :func:`locked` until the build is done): then crates that do not depend on PyO3 are built once.
    Raises UsageError (no maturin/PyO3 project), Unsupported (no such PyO3, feature or release of a
    coupled crate), BuildFailed (cargo cannot resolve), ToolMissing (no cargo).
    """
    project = project.resolve()
    plan = layout.read(project)
    crates = _local_crates(project / plan.manifest, project, log)
    direct = _direct_dependencies(crates, project)
    coupled.check_features(direct, plan.features, pyo3)
    units = _units(project, crates)
    base = Path(os.path.commonpath([unit.parent for unit in units]))
    lock = crates.workspace / "Cargo.lock"
    text = _lock_text(lock, project, units, base, destination, crates, log, apart)
    chosen = coupled.moves(text, direct, pyo3)
    _copy(units, base, destination, crates, chosen, apart)
    staged_lock = destination / lock.relative_to(base)
    manifest = destination / (project / plan.manifest).relative_to(base)
    root = destination / project.relative_to(base)
    _resolve(manifest, root, feature_options(plan), staged_lock, pyo3, log)
    return Staged(
        root=root,
        manifest=manifest,
        lock=staged_lock,
        pyo3=pyo3,
        moved=tuple(sorted(chosen.items())),
        digest=tree.digest(destination),
        layout=plan,
    )


def _direct_dependencies(crates: _Crates, project: Path) -> list[Entry]:
    """What the project's manifests depend on. Raises UsageError where PyO3 is not among it."""
    direct = [entry for path in crates.manifests for entry in entries(read_toml(path))]
    if not any(entry.crate in ("pyo3", "pyo3-ffi") for entry in direct):
        raise UsageError(
            f"{project.name} does not depend on PyO3",
            why="looked for pyo3 in "
            + ", ".join(os.path.relpath(path, project) for path in crates.manifests),
            next="Name the folder of the extension itself.",
        )
    return direct


def metadata(
    manifest: Path, cwd: Path, *options: str, log: Path | None = None, pyo3: str = ""
) -> dict[str, object]:
    """``cargo metadata`` of a manifest. Raises BuildFailed with cargo's first error."""
    result = process.run(
        [
            *registry.cargo(),
            "metadata",
            "--format-version",
            "1",
            "--manifest-path",
            manifest,
            *options,
        ],
        cwd=cwd,
        timeout=CARGO_TIMEOUT,
        env=clean_environ({"CARGO_TERM_COLOR": "never"}),
    )
    if log is not None and result.stderr:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(result.stderr)
    if not result.ok:
        raise explain(result.stderr, log, pyo3=pyo3, doing="cargo cannot resolve the project")
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def _local_crates(manifest: Path, project: Path, log: Path | None) -> _Crates:
    """The extension's workspace and path dependencies, outside of the project too."""
    workspace = manifest.parent
    waiting, seen = [manifest], set[Path]()
    while waiting:
        path = waiting.pop().resolve()
        if path in seen:
            continue
        answer = metadata(path, project, "--no-deps", log=log)
        root = Path(str(answer["workspace_root"])).resolve()
        if path == manifest.resolve():
            workspace = root
        seen.add(path)
        if (root / "Cargo.toml").is_file():
            seen.add(root / "Cargo.toml")
        packages = answer["packages"]
        assert isinstance(packages, list)
        for package in packages:
            seen.add(Path(package["manifest_path"]).resolve())
            waiting += [
                Path(item["path"]) / "Cargo.toml"
                for item in package["dependencies"]
                if item.get("path")
            ]
    for item in _patched_paths(workspace):
        if (item / "Cargo.toml").is_file():
            seen.add((item / "Cargo.toml").resolve())
    return _Crates(workspace, tuple(sorted(seen)))


def _patched_paths(workspace: Path) -> list[Path]:
    patches = read_toml(workspace / "Cargo.toml").get("patch", {})
    return [
        workspace / value["path"]
        for source in patches.values()
        for value in source.values()
        if isinstance(value, dict) and "path" in value
    ]


def _units(project: Path, crates: _Crates) -> tuple[Path, ...]:
    """The folders to copy: the project, its workspace, path dependencies; none inside another."""
    folders = {project, crates.workspace, *(path.parent for path in crates.manifests)}
    units = tuple(
        sorted(
            folder
            for folder in folders
            if not any(folder != other and folder.is_relative_to(other) for other in folders)
        )
    )
    for unit in units:
        if unit == Path(unit.anchor) or unit == Path.home():
            raise UsageError(
                f"{project.name} belongs to a cargo workspace at {unit}",
                why="a root or home folder is not copied",
                next="Move the project, or give its manifest a [workspace] table of its own.",
            )
    return units


def _copy(
    units: tuple[Path, ...],
    base: Path,
    destination: Path,
    crates: _Crates,
    chosen: dict[str, str],
    apart: frozenset[Path],
) -> None:
    top = crates.workspace / "Cargo.toml"
    texts = {path: rewrite(path, chosen, standalone=path == top) for path in crates.manifests}
    wanted = {unit.relative_to(base).parts[0] for unit in units}
    for stale in destination.iterdir() if destination.is_dir() else ():
        if stale.name not in wanted:  # of an earlier version or another folder of this target
            tree.remove(stale)
    for unit in units:
        tree.synchronise(unit, destination / unit.relative_to(base), texts, apart)


def _lock_text(
    lock: Path,
    project: Path,
    units: tuple[Path, ...],
    base: Path,
    destination: Path,
    crates: _Crates,
    log: Path | None,
    apart: frozenset[Path],
) -> str:
    """The project's Cargo.lock; made in the copy where the project has none."""
    if lock.is_file():
        return read_text(lock)
    _copy(units, base, destination, crates, {}, apart)
    copy = destination / lock.relative_to(base)
    result = process.run(
        [*registry.cargo(), "generate-lockfile", "--manifest-path", copy.parent / "Cargo.toml"],
        cwd=destination / project.relative_to(base),
        timeout=CARGO_TIMEOUT,
        env=clean_environ({"CARGO_TERM_COLOR": "never"}),
        log=log,
    )
    if not result.ok:
        raise explain(result.stderr, log, doing="cargo cannot resolve the project as it is")
    return copy.read_text(encoding="utf-8")


def feature_options(plan: layout.Layout) -> tuple[str, ...]:
    """The features that maturin's configuration adds, as cargo's options."""
    return ("--features", ",".join(plan.features)) if plan.features else ()


def _resolve(
    manifest: Path, root: Path, features: tuple[str, ...], lock: Path, pyo3: str, log: Path | None
) -> None:
    """Let cargo settle the lock for the new requirements, and look at what it chose."""
    metadata(manifest, root, *features, log=log, pyo3=pyo3)
    resolved = coupled.locked_versions(lock.read_text(encoding="utf-8"))
    found = resolved.get("pyo3", resolved.get("pyo3-ffi", "none"))
    if found != pyo3:
        raise BuildFailed(
            f"cargo chose PyO3 {found} where {pyo3} was asked for",
            log=str(log or ""),
            why="something in the project's cargo configuration overrides its requirement",
            next="Look for [patch], [replace] and paths in .cargo/config.toml.",
        )
