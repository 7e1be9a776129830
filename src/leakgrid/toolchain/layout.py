"""How an extension project is laid out: where its manifest, its crate and its Python code are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakgrid.errors import UsageError
from leakgrid.toolchain.manifest import read_toml


@dataclass(frozen=True, slots=True)
class Layout:
    """A maturin project. Paths are relative to its root.

    ``python_source`` holds the Python packages. ``module`` is the dotted name of the extension
    module as pyproject.toml gives it, or empty. ``features`` and ``profile`` are maturin's.
    """

    manifest: Path
    python_source: Path
    module: str
    distribution: str
    features: tuple[str, ...]
    profile: str


def read(project: Path) -> Layout:
    """The layout of the project in this folder. Raises UsageError saying what was looked for."""
    if not project.is_dir():
        raise UsageError(
            f"{project} is no folder", next="Name the folder that holds pyproject.toml."
        )
    pyproject = project / "pyproject.toml"
    data = read_toml(pyproject) if pyproject.is_file() else {}
    maturin = _table(_table(data, "tool"), "maturin")
    manifest = _manifest(project, maturin, data)
    crate = read_toml(project / manifest)
    source = Path(str(maturin.get("python-source", ".")))
    if "python-source" not in maturin and "module-name" not in maturin:
        # maturin's own convention for a manifest in a folder of its own (its "Project Layout").
        source = (
            Path("python")
            if (project / "python").is_dir() and manifest != Path("Cargo.toml")
            else source
        )
    name = str(_table(data, "project").get("name") or _table(crate, "package").get("name") or "")
    return Layout(
        manifest=manifest,
        python_source=source,
        module=str(maturin.get("module-name", "")),
        distribution=name,
        features=tuple(str(item) for item in maturin.get("features", ())),
        profile=str(maturin.get("profile", "release")),
    )


def _manifest(project: Path, maturin: Mapping[str, Any], data: Mapping[str, Any]) -> Path:
    if "manifest-path" in maturin:
        manifest = Path(str(maturin["manifest-path"]))
        if not (project / manifest).is_file():
            raise UsageError(
                f"{project.name} has no {manifest}",
                why="[tool.maturin] manifest-path in its pyproject.toml names it",
                next="Put manifest-path right: it starts from the folder of pyproject.toml.",
            )
        return manifest
    for candidate in (Path("Cargo.toml"), Path("rust/Cargo.toml")):
        if (project / candidate).is_file():
            return candidate
    backend = _table(data, "build-system").get("build-backend", "")
    raise UsageError(
        f"{project} is no PyO3 project that maturin builds",
        why="looked for [tool.maturin] manifest-path in pyproject.toml, Cargo.toml and "
        "rust/Cargo.toml" + (f"; its build backend is {backend}" if backend else ""),
        next="Name the folder of the extension, the one with its pyproject.toml.",
    )


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    return value if isinstance(value, Mapping) else {}
