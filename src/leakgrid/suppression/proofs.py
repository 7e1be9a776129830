"""The captured stacks that prove that a rule is needed: one TOML file beside each layer."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leakgrid.errors import ConfigError
from leakgrid.signature import RawFrame

_FRAME = re.compile(r"(?P<function>.+?)(?: \[(?P<object>/[^\]]*)\])?\Z")


@dataclass(frozen=True, slots=True)
class Proof:
    """One record of a real run: its ``kind`` as a suppression names it, and its frames.

    ``seen`` says in which run, ``frames`` are as Valgrind printed them but for the folders of that
    machine.
    """

    kind: str
    seen: str
    frames: tuple[RawFrame, ...]


def read_proofs(text: str, name: str = "the proofs") -> dict[str, Proof]:
    """The captured stacks by the name of their rule. Raises ConfigError naming line or key."""
    remedy = "Each table is a rule's name, with kind, seen and frames: see suppressions/README.md."
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not TOML", why=str(error), next=remedy) from error
    faults: list[str] = []
    proofs = {rule: _proof(rule, item, faults) for rule, item in data.items()}
    if faults:
        raise ConfigError(
            f"faults in {name}: {len(faults)}",
            faults=tuple(faults),
            next=remedy,
        )
    return proofs


def _proof(rule: str, item: Any, faults: list[str]) -> Proof:
    table: Mapping[str, Any] = item if isinstance(item, dict) else {}
    if table is not item:
        faults.append(f"{rule}: must be a table")
    faults += [
        f"{rule}.{key}: unknown key" for key in sorted(set(table) - {"kind", "seen", "frames"})
    ]
    for key in ("kind", "seen"):
        if not isinstance(table.get(key), str):
            faults.append(f"{rule}.{key}: must be a string")
    frames = table.get("frames")
    if not isinstance(frames, list) or not frames or not all(isinstance(f, str) for f in frames):
        faults.append(f"{rule}.frames: must be an array of strings")
        frames = []
    return Proof(
        str(table.get("kind")), str(table.get("seen")), tuple(map(_frame, map(str, frames)))
    )


def _frame(text: str) -> RawFrame:
    match = _FRAME.match(text)
    return RawFrame(match["function"], match["object"] or "") if match else RawFrame(text, "")


def render_proof(rule: str, proof: Proof) -> str:
    """The table that :func:`read_proofs` reads back."""
    frames = [
        f"{frame.function} [{frame.object}]" if frame.object else frame.function
        for frame in proof.frames
    ]
    texts = [json.dumps(text, ensure_ascii=False) for text in (proof.kind, proof.seen)]
    lines = [f"    {json.dumps(frame, ensure_ascii=False)}," for frame in frames]
    head = [f'["{rule}"]', f"kind = {texts[0]}", f"seen = {texts[1]}", "frames = ["]
    return "\n".join([*head, *lines, "]", ""])
