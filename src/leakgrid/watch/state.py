"""What the last look saw, as a small JSON file.

It may be absent: then the matrix says what is known. It may be committed, or cached between
fresh machines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leakgrid.errors import DataError
from leakgrid.registry import CrateVersion
from leakgrid.watch.index import Validators
from leakgrid.watch.surface import Surface

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class State:
    """``versions`` is None before the first look. Times are ISO 8601 in UTC.

    ``open`` maps the key of a reason to when it was first seen; only reasons that nothing
    committed or stored would tell again are kept here. ``surfaces`` are those of the targets when
    they were last evaluated.
    """

    versions: tuple[CrateVersion, ...] | None = None
    validators: Validators = field(default_factory=Validators)
    looked: str = ""
    open: Mapping[str, str] = field(default_factory=dict)
    surfaces: Mapping[str, Surface] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The file's form."""
        return {
            "schema": SCHEMA,
            "looked": self.looked,
            "index": {
                "url": self.validators.url,
                "etag": self.validators.etag,
                "modified": self.validators.modified,
            },
            "versions": None
            if self.versions is None
            else {
                entry.version: {
                    "yanked": entry.yanked,
                    "published": entry.published,
                    "rust_version": entry.rust_version,
                }
                for entry in self.versions
            },
            "open": dict(sorted(self.open.items())),
            "surfaces": {name: item.to_dict() for name, item in sorted(self.surfaces.items())},
        }


def read(text: str, name: str) -> State:
    """Read the file's text; ``name`` is for messages. Raises DataError on anything else."""
    try:
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise DataError(f"its schema is {data['schema']!r}, leakgrid reads {SCHEMA}")
        seen = data["versions"]
        index = data["index"]
        return State(
            versions=None
            if seen is None
            else tuple(
                CrateVersion(
                    version=str(version),
                    yanked=bool(entry["yanked"]),
                    published=_optional(entry.get("published")),
                    rust_version=_optional(entry.get("rust_version")),
                )
                for version, entry in seen.items()
            ),
            validators=Validators(*(str(index[key]) for key in ("url", "etag", "modified"))),
            looked=str(data["looked"]),
            open={str(key): str(since) for key, since in data["open"].items()},
            surfaces={str(k): Surface.from_dict(v) for k, v in data["surfaces"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError) as error:
        why = error.sentence() if isinstance(error, DataError) else f"{type(error).__name__}: "
        raise DataError(
            f"{name} is not a state of the watcher",
            why=why if isinstance(error, DataError) else why + str(error),
            next="Remove it; the next look starts from what the matrix evaluates.",
        ) from error


def render(state: State) -> str:
    """The file's text."""
    return json.dumps(state.to_dict(), indent=1) + "\n"


def _optional(value: object) -> str | None:
    return None if value is None else str(value)
