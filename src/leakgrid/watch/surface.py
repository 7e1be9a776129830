"""The surface between Rust and Python in an extension's sources (pure).

Enough of Rust's lexis to leave out comments, strings and characters; then attributes, the item
behind each, and ``unsafe``. A macro that writes such items is not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_KINDS = ("pyclass", "pyfunction", "pymethods", "pymodule")

# Rust Reference, "Tokens" and "Comments"; block comments nest, so they are followed by hand.
_SKIPPED = re.compile(
    r"""
      //[^\n]*
    | (?P<block>/\*)
    | \b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)
    | (?:\b[bc])?"(?:\\.|[^"\\])*"
    | (?:\bb)?'(?:\\(?:u\{[^}']*\}|x..|.)|[^'\\\n])'
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ATTRIBUTE = re.compile(
    r"#\s*\[\s*(?:cfg_attr\s*\([^\[\]]*?,\s*)?(?:pyo3\s*::\s*)?(?P<kind>"
    + "|".join(_KINDS)
    + r")\b"
)
_NAMED = re.compile(
    r"\b(?:struct|enum|union|fn|mod)\s+(?:r\#)?(?P<name>\w+)|\bimpl\b(?P<impl>[^{;]*)"
)
_UNSAFE = re.compile(r"\bunsafe\s*(?=\{|fn\b|impl\b|extern\b)")


@dataclass(frozen=True, slots=True)
class Surface:
    """``names`` are sorted ``kind name``; ``unsafe`` counts unsafe blocks, functions and impls."""

    names: tuple[str, ...] = ()
    unsafe: int = 0

    def count(self, kind: str) -> int:
        """How many items carry this attribute."""
        return sum(name.startswith(f"{kind} ") for name in self.names)

    def to_dict(self) -> dict[str, Any]:
        """For the state file."""
        return {"names": list(self.names), "unsafe": self.unsafe}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Surface:
        """Read what :meth:`to_dict` wrote. Raises KeyError, ValueError, TypeError."""
        return cls(tuple(str(name) for name in data["names"]), int(data["unsafe"]))


def scan(sources: Iterable[str]) -> Surface:
    """The surface of these Rust sources."""
    names: list[str] = []
    unsafe = 0
    for source in sources:
        text = code_only(source)
        unsafe += len(_UNSAFE.findall(text))
        for attribute in _ATTRIBUTE.finditer(text):
            names.append(f"{attribute['kind']} {_item(text, attribute.end())}")
    return Surface(tuple(sorted(names)), unsafe)


def difference(before: Surface, after: Surface) -> tuple[str, ...]:
    """What changed, one short phrase each; empty where nothing did."""
    told = []
    for sign, ours, others in (("new", after, before), ("gone", before, after)):
        left = list(others.names)
        for name in ours.names:
            if name in left:
                left.remove(name)
            else:
                told.append(f"{sign}: {name}")
    if before.unsafe != after.unsafe:
        told.append(f"unsafe: {before.unsafe} -> {after.unsafe}")
    return tuple(told)


def code_only(source: str) -> str:
    """The source with every comment, string and character replaced by a space or quotes."""
    parts: list[str] = []
    at = 0
    while match := _SKIPPED.search(source, at):
        parts.append(source[at : match.start()])
        at = match.end()
        if match["block"]:
            at = _comment_end(source, at)
            parts.append(" ")
        else:
            parts.append(" " if match[0].startswith("//") else '""')
    parts.append(source[at:])
    return "".join(parts)


def _comment_end(source: str, at: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(source, at)
        if edge is None:
            return len(source)
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()
    return at


def _item(text: str, at: int) -> str:
    """The name of the item behind an attribute; of an ``impl`` what it is for."""
    match = _NAMED.search(text, _behind_bracket(text, at))
    if match is None:
        return "?"
    if match["name"]:
        return match["name"]
    words = match["impl"].partition(" where ")[0]
    while "<" in words and words != (shorter := re.sub(r"<[^<>]*>", "", words)):
        words = shorter
    return words.split()[-1] if words.split() else "?"


def _behind_bracket(text: str, at: int) -> int:
    depth = 1
    while depth and at < len(text):
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        at += 1
    return at
