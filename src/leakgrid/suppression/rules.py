"""Valgrind's suppression files as rules: read and write.

Syntax and matching: Valgrind manual, section "Suppressing errors", and ``m_errormgr.c``.
What a rule must say about itself stands in comments of the form ``# key: value`` directly before
its brace or inside it::

    # python: >=3.9,<3.12
    # pyo3: >=0.23
    # owner: cpython
    # reason: interned once per process, never freed
    # reference: https://...
    # run: by-hand
    {
       cpython_interned
       Memcheck:Leak
       fun:malloc
       fun:init_interned_dict
    }

``run: by-hand`` is for rules that only a plain run of Valgrind needs, which ends with a finalized
interpreter: leakgrid's own runs never load them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from leakgrid.errors import ConfigError

ELLIPSIS = "..."
LEAK_KINDS = ("definite", "indirect", "possible", "reachable")
NEEDED = ("python", "pyo3", "owner", "reason", "reference")
_KEYS = (*NEEDED, "run")
BY_HAND = "by-hand"
_COMMENT = re.compile(r"#+\s*(\w+)\s*:\s*(.+?)\s*\Z")
MOST_FRAMES = 24  # VG_MAX_SUPP_CALLERS: Valgrind refuses the file beyond it


@dataclass(frozen=True, slots=True)
class Rule:
    """One suppression.

    ``frames`` are ``fun:``, ``obj:`` or ``src:`` patterns or ``...``, innermost first.
    ``leak_kinds`` is empty where the rule names none, which Valgrind takes for all. ``detail`` is
    the extra line of a Param rule. ``python`` and ``pyo3`` are version specifiers (empty: any);
    ``run`` is ``by-hand`` where leakgrid does not load the rule itself. ``line`` is where the rule
    begins in its file, 0 for a rule made in memory.
    """

    name: str
    tool: str
    kind: str
    frames: tuple[str, ...]
    leak_kinds: tuple[str, ...] = ()
    detail: str = ""
    python: str = ""
    pyo3: str = ""
    owner: str = ""
    reason: str = ""
    reference: str = ""
    run: str = ""
    line: int = field(default=0, compare=False)


def parse(text: str, name: str = "the suppression file") -> tuple[Rule, ...]:
    """Read a .supp file. Raises ConfigError with every fault and its line number at once."""
    faults: list[str] = []
    rules: list[Rule] = []
    notes: dict[str, str] = {}
    body: list[tuple[int, str]] | None = None
    start = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("#"):
            notes |= _note(line)
        elif line == "{" and body is None:
            body, start = [], number
        elif line == "}" and body is not None:
            rules += _rule(start, body, notes, faults)
            body, notes = None, {}
        elif body is not None:
            body += [(number, line)] if line else []
        elif line:
            faults.append(f"line {number}: {line!r} stands outside a rule; a rule begins with '{{'")
    if body is not None:
        faults.append(f"line {start}: this rule is not closed with '}}'")
    faults += _repeated(rules)
    if faults:
        raise ConfigError(
            f"faults in {name}: {len(faults)}",
            faults=tuple(faults),
            next="The syntax is in the Valgrind manual, section 'Suppressing errors'.",
        )
    return tuple(rules)


def _note(line: str) -> dict[str, str]:
    match = _COMMENT.match(line)
    return {match[1].lower(): match[2]} if match and match[1].lower() in _KEYS else {}


def _repeated(rules: Sequence[Rule]) -> list[str]:
    seen: set[str] = set()
    faults = []
    for rule in rules:
        if rule.name in seen:
            faults.append(f"line {rule.line}: the name {rule.name!r} is taken; hits count by name")
        seen.add(rule.name)
    return faults


def _rule(
    start: int, body: Sequence[tuple[int, str]], notes: Mapping[str, str], faults: list[str]
) -> list[Rule]:
    """One rule from its lines, or none with its faults told."""
    if len(body) < 2:
        faults.append(f"line {start}: a rule needs a name, 'Memcheck:Kind' and frames")
        return []
    before = len(faults)
    tool, colon, kind = body[1][1].partition(":")
    if not colon or not tool or not kind.strip():
        faults.append(f"line {body[1][0]}: {body[1][1]!r} is not of the form 'Memcheck:Leak'")
    leak_kinds, detail, frames = _patterns(kind.strip(), body[2:], faults)
    if not frames:
        faults.append(f"line {start}: the rule names no frame")
    if len(frames) > MOST_FRAMES:
        faults.append(f"line {start}: {len(frames)} frames; Valgrind takes {MOST_FRAMES}")
    if notes.get("run", BY_HAND) != BY_HAND:
        faults.append(f"line {start}: run: {notes['run']!r} is not {BY_HAND}")
    for key in ("python", "pyo3"):
        if not _valid_specifier(notes.get(key, "")):
            faults.append(f"line {start}: {key}: {notes[key]!r} is not a version specifier")
    if len(faults) > before:
        return []
    return [
        Rule(
            name=body[0][1],
            tool=tool.strip(),
            kind=kind.strip(),
            frames=frames,
            leak_kinds=leak_kinds,
            detail=detail,
            line=start,
            **notes,
        )
    ]


def _patterns(
    kind: str, body: Sequence[tuple[int, str]], faults: list[str]
) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    leak_kinds: tuple[str, ...] = ()
    detail = ""
    frames: list[str] = []
    for position, (number, line) in enumerate(body):
        if line.startswith("match-leak-kinds:"):
            leak_kinds = tuple(word.strip() for word in line.partition(":")[2].split(","))
            if unknown := [word for word in leak_kinds if word not in (*LEAK_KINDS, "all", "none")]:
                faults.append(f"line {number}: unknown leak kind {', '.join(map(repr, unknown))}")
            if kind != "Leak":
                faults.append(f"line {number}: match-leak-kinds belongs to Leak rules only")
        elif line == ELLIPSIS or re.match(r"(?:fun|obj|src):\S", line):
            frames.append(line)
        elif kind == "Param" and position == 0:
            detail = line
        else:
            faults.append(f"line {number}: {line!r} is not fun:..., obj:..., src:... or '...'")
    return leak_kinds, detail, tuple(frames)


def _valid_specifier(text: str) -> bool:
    try:
        SpecifierSet(specifier(text))
    except InvalidSpecifier:
        return False
    return True


def specifier(text: str) -> str:
    """Both ``any`` and ``*`` say in words that all versions are meant."""
    return "" if text.strip() in ("any", "*") else text


def render(rules: Iterable[Rule]) -> str:
    """The text that :func:`parse` reads back to the same rules."""
    return "\n".join(_render(rule) for rule in rules)


def _render(rule: Rule) -> str:
    notes = [f"# {key}: {value}" for key in _KEYS if (value := getattr(rule, key))]
    kinds = [f"match-leak-kinds: {','.join(rule.leak_kinds)}"] if rule.leak_kinds else []
    detail = [rule.detail] if rule.detail else []
    body = [rule.name, f"{rule.tool}:{rule.kind}", *detail, *kinds, *rule.frames]
    return "\n".join([*notes, "{", *(f"   {line}" for line in body), "}", ""])


def hit_counts(rules: Iterable[Rule], suppcounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Hits per rule from the XML's suppcounts (several files add up), 0 for rules without any.

    Counts of rules that are not ours, such as Valgrind's own default ones, are left out.
    """
    counted: Counter[str] = Counter()
    for name, count in suppcounts:
        counted[name] += count
    return {rule.name: counted[rule.name] for rule in rules}
