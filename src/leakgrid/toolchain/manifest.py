"""Cargo manifests: what they depend on, and the same manifest with another PyO3."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from leakgrid.errors import UsageError

_KINDS = ("dependencies", "build-dependencies", "dev-dependencies")
_TABLES = {
    "pyproject.toml": (
        *("build-system", "dependency-groups", "project", "project.optional-dependencies"),
        *("tool", "tool.maturin"),
    ),
    "Cargo.toml": ("package", "patch", "patch.*", "replace", "target", "target.*", "workspace"),
}
"""What leakgrid reads as tables (``*``: each entry), by the name of the file."""
_LISTS = {
    "pyproject.toml": (
        *("dependency-groups.*", "project.dependencies", "project.optional-dependencies.*"),
        "tool.maturin.features",
    )
}
_CORRECT = "Correct it and try again."
_OTHER_SOURCES = ("git", "branch", "tag", "rev", "path", "registry", "registry-index", "base")


@dataclass(frozen=True, slots=True)
class Entry:
    """One dependency as a manifest writes it; ``crate`` is the real name behind a renamed one."""

    crate: str
    table: str
    requirement: str
    features: tuple[str, ...]
    inherited: bool


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain data. Raises UsageError naming the file and the place, or the key."""
    try:
        data = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no valid TOML", why=str(error), next=_CORRECT) from error
    faults = [*_faults(data, path.name)]
    if faults:
        raise UsageError(f"{path} cannot be used", why="\n".join(faults), next=_CORRECT)
    return data


def read_text(path: Path) -> str:
    """A project's file of text. Raises UsageError where it cannot be read, or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no valid TOML", why=str(error), next=_CORRECT) from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read",
            why=error.strerror or str(error),
            next="Mend its permissions, or name another folder.",
        ) from error


def _faults(data: Mapping[str, Any], file: str) -> Iterator[str]:
    """What is not of the form in which leakgrid reads it: key and reason, one line each."""
    wrong = [key for key in _TABLES.get(file, ()) for key in _not_of(Mapping, data, key)]
    yield from (f"{key}: a table is required" for key in wrong)
    for wanted in _LISTS.get(file, ()):
        yield from (f"{key}: a list is required" for key in _not_of(list, data, wanted))
    if file != "Cargo.toml" or wrong:
        return
    found: Iterator[tuple[str, Any]] = _tables(data)
    for table, dependencies in found:
        if not isinstance(dependencies, Mapping):
            yield f"{table}: a table is required"
            continue
        for name, value in dependencies.items():
            if not isinstance(value, (str, Mapping)):
                yield f"{table}.{name}: a version or a table is required"
            elif isinstance(value, Mapping) and not isinstance(value.get("features", []), list):
                yield f"{table}.{name}.features: a list is required"


def _not_of(kind: type, data: Mapping[str, Any], key: str) -> list[str]:
    """The key paths, of those that ``key`` stands for, whose value is of another kind."""
    places: list[tuple[str, Any]] = [("", data)]
    for part in key.split("."):
        # What is no table itself is said under its own key.
        tables = [(place, table) for place, table in places if isinstance(table, Mapping)]
        places = [
            (f"{place}.{name}", table[name])
            for place, table in tables
            for name in (table if part == "*" else (part,))
            if name in table
        ]
    return [place[1:] for place, value in places if not isinstance(value, kind)]


def entries(data: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Every dependency of a manifest: each kind, target-specific ones, those of the workspace."""
    found = []
    for table, dependencies in _tables(data):
        for key, value in dependencies.items():
            plain = {"version": value} if isinstance(value, str) else dict(value)
            found.append(
                Entry(
                    crate=str(plain.get("package", key)),
                    table=table,
                    requirement=str(plain.get("version", "")),
                    features=tuple(str(item) for item in plain.get("features", ())),
                    inherited=bool(plain.get("workspace", False)),
                )
            )
    return tuple(found)


def rewrite(path: Path, moves: Mapping[str, str], *, standalone: bool = False) -> str:
    """The manifest's text with every requirement on a crate of ``moves`` set to that one version.

    Sources other than the registry are taken away from moved crates, and patches of them too.
    ``standalone`` adds an empty ``[workspace]``, so that cargo looks for none above the copy.
    Formatting and comments stay. Raises UsageError for a manifest that is no TOML.
    """
    try:
        document = tomlkit.parse(read_text(path))
    except TOMLKitError as error:
        raise UsageError(f"{path} is no valid TOML", why=str(error), next=_CORRECT) from error
    for _, dependencies in _tables(document):
        for key in list(dependencies):
            _move(dependencies, key, moves)
    _drop_patches(document, moves)
    if standalone and "workspace" not in document:
        document["workspace"] = tomlkit.table()
    return tomlkit.dumps(document)


def _tables(data: Mapping[str, Any]) -> Iterator[tuple[str, MutableMapping[str, Any]]]:
    for kind in _KINDS:
        for name in (kind, kind.replace("-", "_")):
            if name in data and not (name == "dependencies" != kind):
                yield name, data[name]
                break
    for target, tables in data.get("target", {}).items():
        for kind in _KINDS:
            if kind in tables:
                yield f"target.{target}.{kind}", tables[kind]
    workspace = data.get("workspace", {})
    if "dependencies" in workspace:
        yield "workspace.dependencies", workspace["dependencies"]


def _move(dependencies: MutableMapping[str, Any], key: str, moves: Mapping[str, str]) -> None:
    value = dependencies[key]
    if isinstance(value, str):
        if key in moves:
            dependencies[key] = f"={moves[key]}"
        return
    crate = str(value.get("package", key))
    if crate not in moves or value.get("workspace"):
        return
    for name in _OTHER_SOURCES:
        if name in value:
            del value[name]
    value["version"] = f"={moves[crate]}"


def _drop_patches(document: MutableMapping[str, Any], moves: Mapping[str, str]) -> None:
    for source in document.get("patch", {}).values():
        for key in list(source):
            value = source[key]
            name = value.get("package", key) if isinstance(value, Mapping) else key
            if name in moves:
                del source[key]
    for key in list(document.get("replace", {})):
        if key.rpartition("#")[2].split(":")[0].split("@")[0] in moves:
            del document["replace"][key]
