"""The sparse index that cargo's configuration names, where it names one.

From the cargo book, "Configuration" and "Source Replacement": ``.cargo/config.toml`` of this folder
and each above it, then that of cargo's home; the nearest wins, key by key. ``[source.crates-io]
replace-with`` may name a source with a ``registry``, or a registry, whose address an environment
variable may replace.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leakgrid.errors import ConfigError

_DEFAULT_SOURCE = "crates-io"
_SPARSE = "sparse+"


def sparse_index(folder: Path, home: Path, environ: Mapping[str, str]) -> str | None:
    """The address (``https://.../``) of the configured sparse index.

    None where cargo uses what it was built with, a git index or a local one: then only cargo
    itself knows. Raises ConfigError naming the file that is no TOML.
    """
    config: dict[str, Any] = {}
    for file in _files(folder, home):
        config = _merged(_read(file), config)
    name = _DEFAULT_SOURCE
    for _ in range(10):  # cargo refuses circles; here they end
        source = _table(config, "source", name)
        replacement = source.get("replace-with")
        if isinstance(replacement, str):
            name = replacement
            continue
        address = source.get("registry") or _registry(config, name, environ)
        if isinstance(address, str) and address.startswith(_SPARSE):
            return address.removeprefix(_SPARSE)
        return None
    return None


def _registry(config: Mapping[str, Any], name: str, environ: Mapping[str, str]) -> object:
    variable = re.sub(r"[-.]", "_", f"CARGO_REGISTRIES_{name}_INDEX").upper()
    return environ.get(variable) or _table(config, "registries", name).get("index")


def _table(config: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    tables = config.get(kind)
    table = tables.get(name) if isinstance(tables, dict) else None
    return table if isinstance(table, dict) else {}


def _files(folder: Path, home: Path) -> list[Path]:
    """The nearest first; of two names in one folder cargo takes the one without ``.toml``."""
    places = [place / ".cargo" for place in (folder.absolute(), *folder.absolute().parents)]
    if home not in places:
        places.append(home)
    found = []
    for place in places:
        names = [place / name for name in ("config", "config.toml")]
        found += [file for file in names if file.is_file()][:1]
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cargo's configuration {file} cannot be read",
            why=str(error),
            next="Mend it, or name the index with --index URL.",
        ) from error


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, dict)
        merged[key] = _merged(under, value) if both else value  # type: ignore[arg-type]
    return merged
