"""matrix.toml edited in place: new PyO3 versions, with every comment and the order kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.items import Array

from leakgrid.errors import ConfigError
from leakgrid.registry import sort_key

_TOKEN = re.compile(r"""\#[^\n]*|"[^"\n]*"|'[^'\n]*'""")
# Behind the last element of a line: its comma, blanks, a comment.
_REST = re.compile(r",?(?P<behind>[ \t]*(?:\#[^\n]*)?)(?=\n)")


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
            raise ConfigError(
                "the matrix file has no list of PyO3 versions",
                next='Write one at the top of it: pyo3 = ["0.30.1"].',
            )
        added = [
            (name, version)
            for version in sorted(versions, key=sort_key)
            for name, table in lists
            if (name == "pyo3" or sort_key(version) > sort_key(_newest(table["pyo3"])))
            and _insert(table, version)
        ]
        edited = tomlkit.dumps(document)
        _proved(before, tomlkit.parse(edited).unwrap(), added)
    except tomlkit.exceptions.TOMLKitError as error:
        raise ConfigError(
            "the matrix file cannot be edited",
            why=str(error),
            next="Add the versions by hand; `leakgrid watch` names them.",
        ) from error
    return Edit(edited, tuple(added))


def _following(document: tomlkit.TOMLDocument) -> Iterable[tuple[str, Any]]:
    """The tables whose list follows, each with the list's key path."""
    targets: Any = document.get("targets", {})
    own = [(f"targets.{name}.pyo3", table) for name, table in targets.items()]
    tables: list[tuple[str, Any]] = [("pyo3", document), *own]
    tables = [(name, table) for name, table in tables if isinstance(table.get("pyo3"), Array)]
    leading = tables[:1] if "pyo3" in document else tables
    every = [_newest(table["pyo3"]) for _, table in leading if table["pyo3"]]
    newest = max(every, key=sort_key, default=None)
    for name, table in tables:
        if name == "pyo3" or (table["pyo3"] and _newest(table["pyo3"]) == newest):
            yield name, table


def _newest(array: Array) -> str:
    return max((str(item) for item in array), key=sort_key)


def _insert(table: Any, version: str) -> bool:
    """Put it where the list's own order wants it; False where the list has it, or a newer one."""
    items = [str(item) for item in table["pyo3"]]
    minor = sort_key(version)[0][:2]
    same = [item for item in items if sort_key(item)[0][:2] == minor]
    if any(sort_key(item) >= sort_key(version) for item in same):
        return False
    text = _inserted(table["pyo3"].as_string(), _place(items, version), version)
    table["pyo3"] = tomlkit.parse(f"pyo3 = {text}")["pyo3"]
    return True


def _inserted(text: str, at: int, version: str) -> str:
    """An array's text with one more element: on a line of its own where its neighbour has one.

    tomlkit's own insertion breaks arrays with a comment between an element and its comma.
    """
    spans = [match.span() for match in _TOKEN.finditer(text) if match[0][0] != "#"]
    quote = text[spans[0][0]] if spans else '"'
    new = f"{quote}{version}{quote}"
    if not spans:
        return f"[{new}{text[1:]}"
    start, end = spans[max(at - 1, 0)]
    line = text.rfind("\n", 0, start) + 1
    indent = text[line:start]
    rest = _REST.match(text, end)
    alone = line > 0 and not indent.strip() and rest is not None and not _late_comma(text[end:])
    if at == 0:
        return text[:start] + new + (f",\n{indent}" if alone else ", ") + text[start:]
    if not alone or rest is None:
        return f"{text[:end]}, {new}{text[end:]}"
    return f"{text[:end]},{rest['behind']}\n{indent}{new},{text[rest.end() :]}"


def _late_comma(behind: str) -> bool:
    """Whether an element's comma stands on a later line."""
    return behind[0] != "," and re.sub(r"#[^\n]*", "", behind).lstrip()[0] == ","


def _place(items: Sequence[str], version: str) -> int:
    keys = [sort_key(item) for item in items]
    key = sort_key(version)
    if len(keys) > 1 and keys == sorted(keys, reverse=True):
        return next((at for at, other in enumerate(keys) if other < key), len(keys))
    older = [at for at, other in enumerate(keys) if other < key]
    return older[-1] + 1 if older else 0


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
