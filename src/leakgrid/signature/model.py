"""Frames: as Valgrind prints them, and without anything of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Owner(StrEnum):
    """Whose code is to blame for a finding."""

    EXTENSION = "extension"
    PYO3 = "pyo3"
    DEPENDENCY = "dependency"
    CPYTHON = "cpython"
    LIBC = "libc"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame as Valgrind printed it: absolute paths, mangled leftovers and all."""

    function: str
    object: str
    directory: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame without anything of this machine.

    ``function`` is demangled without hashes; ``file`` is relative to its package (``src/lib.rs``,
    ``pyo3-0.29.0/src/err.rs``); ``object`` is the base name of the library without version or ABI
    tags; ``line`` (0: unknown) is for people and never part of a signature.
    """

    function: str
    file: str = ""
    line: int = 0
    object: str = ""
    owner: Owner = Owner.UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as result.json has it."""
        return {
            "function": self.function,
            "file": self.file,
            "line": self.line,
            "object": self.object,
            "owner": str(self.owner),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Frame:
        """Read what :meth:`to_dict` wrote. Raises KeyError, ValueError on foreign data."""
        return cls(
            function=str(data["function"]),
            file=str(data.get("file", "")),
            line=int(data.get("line", 0)),
            object=str(data.get("object", "")),
            owner=Owner(data.get("owner", "unknown")),
        )


@dataclass(frozen=True, slots=True)
class Origins:
    """Where code of each owner lies on this machine: what turns a path into an owner.

    ``extension_objects`` are absolute paths of the shared libraries that the wheel installed;
    ``source_roots`` are directories that hold the target's own sources (the staged copy).
    """

    extension_objects: frozenset[str]
    source_roots: tuple[str, ...]
