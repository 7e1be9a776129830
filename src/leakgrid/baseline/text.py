"""A baseline as it lies in git: TOML in, TOML out.

The file is sorted and has one fact per line, so that a review shows what was accepted. It holds no
addresses, line numbers, symbol hashes, crate versions or machine paths. Comments that people add
stay with the entry that they stand at.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leakgrid.baseline.model import SCHEMA, Accepted, Baseline
from leakgrid.errors import ConfigError, DataError
from leakgrid.signature import Owner

_ID = re.compile(r"[0-9a-f]{12}\Z")
_CONFLICT = re.compile(r"(?:<{7}|\|{7}|>{7})(?: |\Z)|={7}\Z")
_HEAD = "# Accepted findings of one cell, written by `leakgrid accept`; reviewed like code."


def write(baseline: Baseline) -> str:
    """The TOML text; the same baseline always gives the same text."""
    lines = [
        _HEAD,
        *baseline.notes.get("", ()),
        f"schema = {baseline.schema}",
        f"target = {_string(baseline.target)}",
        f"python = {_string(baseline.python)}",
        f"pyo3 = {_string(baseline.pyo3)}",
        f"tests = {baseline.tests}",
    ]
    for entry in sorted(baseline.entries, key=lambda entry: entry.id):
        lines += [
            "",
            *baseline.notes.get(entry.id, ()),
            "[[accepted]]",
            f"id = {_string(entry.id)}",
            f"detector = {_string(entry.detector)}",
            f"kind = {_string(entry.kind)}",
            f"owner = {_string(str(entry.owner))}",
            f"blocks = {_number(entry.blocks)}",
            f"bytes = {_number(entry.bytes)}",
            f"per_call = {str(entry.per_call).lower()}",
            f"reason = {_string(entry.reason)}",
            *([f"reproducer = {_string(entry.reproducer)}"] if entry.reproducer else []),
            *([f"link = {_string(entry.link)}"] if entry.link else []),
            *_array("tests", sorted(entry.tests)),
            *_array("frames", entry.frames),
            *_array("related", entry.related),
        ]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for DEL, and TOML has no surrogates."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _array(key: str, items: tuple[str, ...] | list[str]) -> list[str]:
    if not items:
        return [f"{key} = []"]
    return [f"{key} = [", *(f"    {_string(item)}," for item in items), "]"]


_MEND = "Mend it by hand or take it back from git; or remove it and run `leakgrid accept` again."


def read(text: str, name: str = "the baseline") -> Baseline:
    """Read a baseline; ``name`` says in messages which one it is.

    Raises DataError where it is no TOML or of another schema, ConfigError with every fault at once
    where its content is wrong.
    """
    _refuse_conflicts(text, name)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{name} is not TOML", why=str(error), next=_MEND) from error
    _require_schema(data.get("schema"), name)
    faults: list[str] = []
    reader = _Reader(data, "", faults)
    target, python, pyo3 = reader.text("target"), reader.text("python"), reader.text("pyo3")
    tests = int(reader.number("tests", whole=True))
    entries = _read_entries(data.get("accepted", []), faults)
    reader.unknown({"schema", "target", "python", "pyo3", "tests", "accepted"})
    if faults:
        raise ConfigError(
            f"faults in {name}: {len(faults)}",
            faults=tuple(faults),
            next=_MEND,
        )
    return Baseline(target, python, pyo3, entries, tests, notes=_notes(text, data))


def _refuse_conflicts(text: str, name: str) -> None:
    lines = [str(n) for n, line in enumerate(text.splitlines(), 1) if _CONFLICT.match(line)]
    if lines:
        raise DataError(
            f"{name} has the marks of an unfinished merge",
            why=f"in line {', '.join(lines)}",
            next="Keep every [[accepted]] table that either side wants, once; remove the marks. "
            "Then run the cell and `leakgrid accept`, which shows what it would change.",
        )


def _require_schema(schema: object, name: str) -> None:
    if schema == SCHEMA and not isinstance(schema, bool):
        return
    if isinstance(schema, int) and schema > SCHEMA:
        raise DataError(
            f"{name} has schema {schema}, this leakgrid reads schema {SCHEMA}",
            why="a newer leakgrid wrote it",
            next="Update leakgrid; or remove the file and run `leakgrid accept` again.",
        )
    told = "no schema" if schema is None else f"schema {schema!r}"
    raise DataError(f"{name} has {told}, leakgrid reads schema {SCHEMA}", next=_MEND)


def _notes(text: str, data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Comment lines by the id of the entry that they stand before or in (empty: the head).

    None at all where leaving out these lines would change the data: then they are part of it.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    comments = [line.lstrip().startswith("#") for line in lines]
    kept = "\n".join(line for line, comment in zip(lines, comments, strict=True) if not comment)
    try:
        if tomllib.loads(kept) != data:
            return {}
    except tomllib.TOMLDecodeError:
        return {}
    ids = [str(item["id"]) for item in data.get("accepted", [])]
    notes: dict[str, list[str]] = {}
    waiting: list[str] = []
    index, key = -1, ""
    for line, comment in zip(lines, comments, strict=True):
        if comment:
            waiting += [line.strip()] if line.strip() != _HEAD else []
        elif line.strip():
            if re.match(r"\s*\[\[\s*accepted\s*\]\]", line):
                index += 1
                key = ids[index] if index < len(ids) else key
            notes.setdefault(key, []).extend(waiting)
            waiting = []
    notes.setdefault(key, []).extend(waiting)
    return {key: tuple(told) for key, told in notes.items() if told}


def _read_entries(items: Any, faults: list[str]) -> tuple[Accepted, ...]:
    if not isinstance(items, list):
        faults.append("accepted: must be an array of tables ([[accepted]])")
        return ()
    entries: dict[str, Accepted] = {}
    for index, item in enumerate(items):
        path = f"accepted[{index}]"
        if not isinstance(item, dict):
            faults.append(f"{path}: must be a table")
            continue
        entry = _read_entry(item, f"{path}.", faults)
        if entry.id and entry.id in entries:
            faults.append(f"{path}.id: {entry.id} is accepted twice")
        entries[entry.id] = entry
    return tuple(entries[key] for key in sorted(entries))


def _read_entry(item: Mapping[str, Any], path: str, faults: list[str]) -> Accepted:
    reader = _Reader(item, path, faults)
    identity = reader.text("id")
    if identity and not _ID.match(identity):
        faults.append(f"{path}id: {identity!r} is not 12 hex digits")
    reason = reader.text("reason")
    owner = reader.text("owner")
    if owner and owner not in {str(known) for known in Owner}:
        known = ", ".join(str(word) for word in Owner)
        faults.append(f"{path}owner: {owner!r} is none of {known}")
        owner = ""
    per_call = item.get("per_call", False)
    if not isinstance(per_call, bool):
        faults.append(f"{path}per_call: must be true or false")
    reader.unknown(set(Accepted.__dataclass_fields__))
    return Accepted(
        id=identity,
        detector=reader.text("detector"),
        kind=reader.text("kind"),
        owner=Owner(owner) if owner else Owner.UNKNOWN,
        tests=reader.texts("tests"),
        blocks=reader.number("blocks"),
        bytes=reader.number("bytes"),
        per_call=bool(per_call),
        frames=reader.texts("frames"),
        related=reader.texts("related"),
        reason=reason,
        reproducer=reader.text("reproducer", needed=False),
        link=reader.text("link", needed=False),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed access to one table; every fault goes to ``faults`` with its key path."""

    data: Mapping[str, Any]
    path: str
    faults: list[str]

    def text(self, key: str, *, needed: bool = True) -> str:
        value = self.data.get(key)
        if value is None and not needed:
            return ""
        if isinstance(value, str) and value.strip():
            return value
        what = "is missing" if value is None else "must be a string that is not empty"
        self.faults.append(f"{self.path}{key}: {what}")
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.data.get(key, [])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.faults.append(f"{self.path}{key}: must be an array of strings")
        return ()

    def number(self, key: str, *, whole: bool = False) -> float:
        value = self.data.get(key, 0)
        kinds = (int,) if whole else (int, float)
        if isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < float("inf"):
            return value
        self.faults.append(f"{self.path}{key}: must be a number, 0 or more")
        return 0

    def unknown(self, known: set[str]) -> None:
        for key in sorted(set(self.data) - known):
            self.faults.append(f"{self.path}{key}: unknown key")
