"""Reading values out of TOML: every fault is collected with its key path, none stops the rest."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from leakgrid.errors import ConfigError
from leakgrid.matrix.model import suggest

_PYTHON = re.compile(r"3\.\d+t?")
_PYO3 = re.compile(r"\d+\.\d+\.\d+(-(?:alpha|beta|rc)\.?\d+)?")


class Reader:
    """Takes values out of parsed TOML and collects what is wrong instead of stopping there."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong at a key path."""
        self.faults.append(f"{key}: {message}")

    def done(self, source: str) -> None:
        """Raise ConfigError when anything was wrong."""
        if self.faults:
            count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
            raise ConfigError(
                f"{source} has {count}",
                faults=tuple(self.faults),
                next="README.md describes the file under 'matrix.toml'.",
            )

    def unknown(self, table: Mapping[str, Any], allowed: Collection[str], key: str) -> None:
        """Note keys that nobody reads: most are misspelt."""
        for name in table:
            if name not in allowed:
                self.fault(join(key, name), f"unknown key{suggest(name, allowed)}")

    def string(self, table: Mapping[str, Any], name: str, key: str) -> str:
        """A text that is not empty; ``""`` when the key is missing or wrong."""
        value = table.get(name, "")
        if name in table and (not isinstance(value, str) or not value.strip()):
            self.fault(join(key, name), f"a text is required, not {kind(value)}")
            return ""
        return str(value)

    def strings(self, table: Mapping[str, Any], name: str, key: str) -> tuple[str, ...]:
        """A list of texts; empty when the key is missing."""
        value = table.get(name, [])
        if not isinstance(value, list):
            self.fault(join(key, name), f"a list of texts is required, not {kind(value)}")
            return ()
        kept: list[str] = []
        for index, item in enumerate(value):
            at = f"{join(key, name)}[{index}]"
            if not isinstance(item, str) or not item:
                hint = ' (3.10 without quotes is 3.1: write "3.10")' if name == "pythons" else ""
                self.fault(at, f"a text is required, not {kind(item)}{hint}")
            else:
                kept.append(item)
        return tuple(kept)

    def unique(self, table: Mapping[str, Any], name: str, key: str) -> tuple[str, ...]:
        """A list of texts without duplicates."""
        values = self.strings(table, name, key)
        for value in sorted({item for item in values if values.count(item) > 1}):
            self.fault(join(key, name), f"{value!r} is there twice")
        return tuple(dict.fromkeys(values))

    def pythons(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Python minor versions, ``3.13`` or ``3.13t``."""
        return self._concrete(table, "pythons", key, _PYTHON, "a minor version such as 3.13")

    def pyo3(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Concrete PyO3 versions: listing the cells must not need the registry."""
        return self._concrete(table, "pyo3", key, _PYO3, "a full version such as 0.30.1")

    def _concrete(
        self, table: Mapping[str, Any], name: str, key: str, form: re.Pattern[str], wanted: str
    ) -> tuple[str, ...]:
        values = self.unique(table, name, key)
        for value in values:
            if not form.fullmatch(value):
                extra = "; ranges belong in [watch] and exclude" if _is_range(value) else ""
                self.fault(join(key, name), f"{value!r} is not {wanted}{extra}")
        return tuple(value for value in values if form.fullmatch(value))

    def specifier(self, table: Mapping[str, Any], name: str, key: str) -> str:
        """A version specifier as packaging reads it."""
        text = self.string(table, name, key)
        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            self.fault(join(key, name), f"{text!r} is not a version specifier such as '>=3.13'")
            return ""
        return text

    def table(self, data: Mapping[str, Any], name: str, at: str) -> dict[str, Any]:
        """A table, empty when the key is missing or wrong; ``at`` is its key path."""
        value = data.get(name, {})
        if isinstance(value, dict):
            return value
        self.fault(at, f"a table is required, not {kind(value)}")
        return {}

    def tables(self, data: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
        """A table of tables, such as ``[targets.*]``."""
        value = data.get(name, {})
        if not isinstance(value, dict):
            self.fault(name, f"a table is required, not {kind(value)}")
            return {}
        for item, table in value.items():
            if not isinstance(table, dict):
                self.fault(join(name, item), f"a table is required, not {kind(table)}")
        return {item: table for item, table in value.items() if isinstance(table, dict)}

    def array(self, data: Mapping[str, Any], name: str, key: str) -> list[tuple[str, Any]]:
        """An array of tables, each with its key path."""
        value = data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fault(join(key, name), "a list of tables is required")
            return []
        return [(f"{join(key, name)}[{index}]", item) for index, item in enumerate(value)]


def join(key: str, name: str) -> str:
    """A key path; names that are not bare TOML keys are quoted."""
    part = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    return f"{key}.{part}" if key else part


def kind(value: object) -> str:
    """What a TOML value is, for messages."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list) else type(value).__name__


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Parse TOML. Raises ConfigError with the line where it breaks."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{source} is not TOML", faults=(str(error),), next="Correct the line and try again."
        ) from error


def read_toml_file(path: Path) -> dict[str, Any]:
    """Parse a TOML file; a missing one is empty. Raises ConfigError on anything else."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path.parent.name}/{path.name}",
            why=str(error),
            next="Mend its permissions, or write it in UTF-8.",
        ) from error
    return read_toml(text, f"{path.parent.name}/{path.name}")


def leaves_folder(text: str) -> bool:
    """Whether a test path is absolute or climbs out of the project (node ids keep their ``::``)."""
    path = PurePosixPath(text.partition("::")[0].replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match(r"[A-Za-z]:", text))


def is_requirement(text: str) -> bool:
    """Whether pip would read the text as a requirement."""
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def is_pinned(text: str) -> bool:
    """Whether a requirement names one version: ``name==1.2.3`` without wildcards or markers."""
    if not is_requirement(text):
        return False
    requirement = Requirement(text)
    clauses = list(requirement.specifier)
    return (
        len(clauses) == 1
        and clauses[0].operator == "=="
        and not clauses[0].version.endswith(".*")
        and requirement.url is None
        and requirement.marker is None
    )


def _is_range(text: str) -> bool:
    return bool(re.match(r"[<>=!~^]", text)) or "*" in text or "," in text
