"""matrix.toml edited in place: new PyO3 versions, with every comment and the order kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.items import Array, String, StringType, Trivia

from leakgrid.errors import ConfigError
from leakgrid.registry import sort_key


@dataclass(frozen=True, slots=True)
class Edit:
    """The new text, and what was added where: ``("pyo3", "0.30.2")``."""

    text: str
    added: tuple[tuple[str, str], ...] = ()


def add_pyo3(text: str, versions: Iterable[str]) -> Edit:
    """Add PyO3 versions to every list that follows releases.

    The matrix's own list does. A target's own list follows where it holds the newest version of the
    matrix's, and then only with newer ones: what else it has was chosen. A version goes where the
    list's own order wants it. Raises ConfigError where the file cannot be edited.
    """
    try:
        document = tomlkit.parse(text)
        before: Any = document.unwrap()
        lists = list(_following(document))
        if not lists:
            raise ConfigError("the matrix file has no list of PyO3 versions", next="Write one.")
        added = [
            (name, version)
            for version in sorted(versions, key=sort_key)
            for name, array in lists
            if (name == "pyo3" or sort_key(version) > sort_key(_newest(array)))
            and _insert(array, version)
        ]
        edited = tomlkit.dumps(document)
        _proved(before, tomlkit.parse(edited).unwrap(), added)
    except tomlkit.exceptions.TOMLKitError as error:
        raise ConfigError("the matrix file cannot be edited", why=str(error)) from error
    return Edit(edited, tuple(added))


def _following(document: tomlkit.TOMLDocument) -> Iterable[tuple[str, Array]]:
    top = document.get("pyo3")
    targets = document.get("targets", {})
    own = [(f"targets.{name}.pyo3", table.get("pyo3")) for name, table in targets.items()]
    lists = [(name, array) for name, array in [("pyo3", top), *own] if isinstance(array, Array)]
    leading = lists[:1] if isinstance(top, Array) else lists
    newest = max((_newest(array) for _, array in leading if array), key=sort_key, default=None)
    for name, array in lists:
        if name == "pyo3" or (array and _newest(array) == newest):
            yield name, array


def _newest(array: Array) -> str:
    return max((str(item) for item in array), key=sort_key)


def _insert(array: Array, version: str) -> bool:
    """Put it where the list's own order wants it; False where the list has it, or a newer one."""
    items = [str(item) for item in array]
    minor = sort_key(version)[0][:2]
    same = [item for item in items if sort_key(item)[0][:2] == minor]
    if any(sort_key(item) >= sort_key(version) for item in same):
        return False
    array.insert(_place(items, version), _like(array, version))
    return True


def _place(items: Sequence[str], version: str) -> int:
    keys = [sort_key(item) for item in items]
    key = sort_key(version)
    if len(keys) > 1 and keys == sorted(keys, reverse=True):
        return next((at for at, other in enumerate(keys) if other < key), len(keys))
    older = [at for at, other in enumerate(keys) if other < key]
    return older[-1] + 1 if older else 0


def _like(array: Array, version: str) -> String:
    """The version in the quotes that the list uses."""
    literal = bool(array) and array[0].as_string().startswith("'")
    kind = StringType.SLL if literal else StringType.SLB
    return String(kind, version, version, Trivia())


def _proved(before: Any, after: Any, added: Sequence[tuple[str, str]]) -> None:
    """Nothing but the additions differs. Raises ConfigError, and nothing is written."""
    for name, version in added:
        table = after
        *path, last = name.split(".") if name == "pyo3" else ["targets", name[8:-5], "pyo3"]
        for key in path:
            table = table[key]
        table[last] = [item for item in table[last] if item != version]
    if before != after:
        raise ConfigError(
            "the matrix file cannot be edited without changing something else",
            next="Add the versions by hand; `leakgrid watch` names them.",
        )
