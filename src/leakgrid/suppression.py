"""Valgrind's suppression files as rules: read, judge, match, write.

Syntax and matching: Valgrind manual, section "Suppressing errors", and ``m_errormgr.c``.
What a rule must say about itself stands in comments of the form ``# key: value`` directly before
its brace or inside it::

    # python: >=3.9,<3.12
    # pyo3: >=0.23
    # owner: cpython
    # reason: interned once per process, never freed
    # reference: https://...
    {
       cpython_interned
       Memcheck:Leak
       fun:malloc
       fun:init_interned_dict
    }
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from leakgrid.errors import ConfigError
from leakgrid.signature import Owner, RawFrame

ELLIPSIS = "..."
LEAK_KINDS = ("definite", "indirect", "possible", "reachable")
_KEYS = ("python", "pyo3", "owner", "reason", "reference")
_COMMENT = re.compile(r"#+\s*(\w+)\s*:\s*(.+?)\s*\Z")
_MOST_FRAMES = 24  # VG_MAX_SUPP_CALLERS: Valgrind refuses the file beyond it


@dataclass(frozen=True, slots=True)
class Rule:
    """One suppression.

    ``frames`` are ``fun:``, ``obj:`` or ``src:`` patterns or ``...``, innermost first.
    ``leak_kinds`` is empty where the rule names none, which Valgrind takes for all. ``detail`` is
    the extra line of a Param rule. ``python`` and ``pyo3`` are version specifiers (empty: any);
    ``line`` is where the rule begins in its file, 0 for a rule made in memory.
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
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with one rule that Valgrind itself would take."""

    rule: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.rule}: {self.text}"


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
            f"{name} has {len(faults)} fault(s)",
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
    if len(frames) > _MOST_FRAMES:
        faults.append(f"line {start}: {len(frames)} frames; Valgrind takes {_MOST_FRAMES}")
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
        SpecifierSet(_specifier(text))
    except InvalidSpecifier:
        return False
    return True


def _specifier(text: str) -> str:
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


_ALLOCATOR = re.compile(
    r"\*?(?:malloc|calloc|realloc|free|memalign|posix_memalign|aligned_alloc|_Zn\w+"
    r"|_?Py(?:Mem|Object)_(?:Raw)?(?:Malloc|Calloc|Realloc|Free)|_PyMem_\w+|pthread_once)\*?\Z"
)
_START_UP = re.compile(r"Py_(?:Initialize|Main|BytesMain|RunMain|Finalize)")


def lint(rules: Iterable[Rule]) -> tuple[Complaint, ...]:
    """Everything that makes a rule dangerous although Valgrind would take it."""
    return tuple(
        Complaint(rule.name, rule.line, text)
        for rule in rules
        for text in (*_missing(rule), *_too_broad(rule), *_in_vain(rule))
    )


def _missing(rule: Rule) -> list[str]:
    texts = [
        f"says nothing about its {key} (# {key}: ...)" for key in _KEYS if not getattr(rule, key)
    ]
    if rule.reference and not re.match(r"https://\S+\.\S+", rule.reference):
        texts.append("its reference is no public address (https://...)")
    if rule.owner and rule.owner not in {str(owner) for owner in Owner}:
        texts.append(f"its owner {rule.owner!r} is none of {', '.join(map(str, Owner))}")
    if rule.owner == Owner.EXTENSION:
        texts.append("hides the extension's own code; accept the finding in the baseline instead")
    if rule.kind == "Leak" and not rule.leak_kinds:
        texts.append("names no match-leak-kinds, so it hides definite leaks too")
    if "arena" in rule.name.lower():
        texts.append("PyO3 has no arena allocator; what it would hide is something else")
    return texts


def _too_broad(rule: Rule) -> list[str]:
    concrete = [frame for frame in rule.frames if _is_concrete(frame)]
    if not concrete:
        return ["names no function and no library beyond the allocator: it hides everything"]
    texts = []
    if any(re.match(r"fun:\*?PyInit_", frame) for frame in rule.frames):
        texts.append("reaches into PyInit_*: that is the extension itself")
    first = rule.frames.index(concrete[0])
    if ELLIPSIS in rule.frames[:first]:
        texts.append(
            f"'...' above {concrete[0]} hides whatever is allocated below it, the extension's too"
        )
    if swallowed := [frame for frame in rule.frames if _could_be_extension(frame)]:
        texts.append(f"{swallowed[0]} matches frames of the extension")
    last = concrete[-1].partition(":")[2]
    if re.match(r"Py[A-Z]", last) and not _START_UP.match(last):
        texts.append(f"ends at {last}, which extensions call themselves: name what calls it")
    return texts


def _is_concrete(frame: str) -> bool:
    """Whether a pattern names something: a function that is no allocator, or a library."""
    where, _, pattern = frame.partition(":")
    literal = pattern.strip("*?")
    if where == "fun":
        return len(literal) >= 4 and not _ALLOCATOR.match(pattern)
    return len(literal.strip("./")) >= 4 and literal not in (".so", "site-packages")


def _could_be_extension(frame: str) -> bool:
    where, _, pattern = frame.partition(":")
    if where == "obj":
        return any(_glob(pattern).match(f"/x/{place}/any.abi3.so")
                   for place in ("site-packages/any", "dist-packages"))  # fmt: skip
    if where == "src":
        return bool(_glob(pattern).match("lib.rs"))
    return where == "fun" and any(
        _glob(pattern).match(name) for name in ("any::function", "_ZN3any8function17h0E")
    )


def _in_vain(rule: Rule) -> list[str]:
    """Valgrind compares mangled names, so a demangled Rust or C++ name never matches."""
    return [
        f"{frame} is demangled, Valgrind matches mangled names: write fun:_ZN4pyo3*4name*"
        for frame in rule.frames
        if frame.startswith("fun:") and ("::" in frame or "<" in frame)
    ]


_XML_KINDS = {
    "Leak_DefinitelyLost": "definite",
    "Leak_IndirectlyLost": "indirect",
    "Leak_PossiblyLost": "possible",
    "Leak_StillReachable": "reachable",
    "UninitCondition": "Cond",
    "UninitValue": "Value",
    "SyscallParam": "Param",
    "InvalidFree": "Free",
    "MismatchedFree": "Free",
    "InvalidJump": "Jump",
    "InvalidRead": "Addr",
    "InvalidWrite": "Addr",
}  # the XML's words -> the suppressions' words (Valgrind: mc_errors.c)


def matches(rule: Rule, kind: str, frames: Sequence[RawFrame]) -> bool:
    """Whether Valgrind would suppress this record with this rule.

    ``kind`` is a leak kind (``definite``), a kind of the XML (``Leak_DefinitelyLost``,
    ``InvalidRead``) or of a suppression (``Addr4``). Sizes count only where both sides name
    them. Frames carry demangled names, so mangled patterns are compared by their identifiers.
    """
    return _kind_matches(rule, _XML_KINDS.get(kind, kind)) and _stack_matches(rule.frames, frames)


def _kind_matches(rule: Rule, kind: str) -> bool:
    if kind in LEAK_KINDS:
        return rule.kind == "Leak" and (
            not rule.leak_kinds or "all" in rule.leak_kinds or kind in rule.leak_kinds
        )
    if kind in ("Addr", "Value"):
        return rule.kind.rstrip("0123456789") == kind
    return rule.kind == kind


def _stack_matches(patterns: Sequence[str], frames: Sequence[RawFrame]) -> bool:
    """The patterns match a prefix of the stack; ``...`` stands for any number of frames."""
    reached = {0}  # how many frames the patterns so far may have used up
    for pattern in patterns:
        if pattern == ELLIPSIS:
            reached = set(range(min(reached), len(frames) + 1))
        else:
            reached = {
                at + 1 for at in reached if at < len(frames) and _frame_matches(pattern, frames[at])
            }
        if not reached:
            return False
    return True


def _frame_matches(pattern: str, frame: RawFrame) -> bool:
    where, _, glob = pattern.partition(":")
    if where == "obj":
        return bool(_glob(glob).match(frame.object or "???"))
    if where == "src":
        file, _, line = glob.partition(":")
        return bool(_glob(file).match(frame.file.rsplit("/", 1)[-1])) and (
            not line or line == str(frame.line)
        )
    name = frame.function or "???"
    if _glob(glob).match(name):
        return True
    identifiers = _mangled_identifiers(glob)
    return bool(identifiers) and bool(re.search(r"\b.*\b".join(map(re.escape, identifiers)), name))


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    """Valgrind knows only ``*`` and ``?``; everything else is literal."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in pattern) + r"\Z", re.DOTALL)


def _mangled_identifiers(glob: str) -> list[str]:
    """``_ZN4pyo33err*4take*`` -> pyo3, err, take: length-prefixed names, the hash left out."""
    if not re.match(r"\*?_?_(?:ZN|R)", glob):
        return []
    names: list[str] = []
    at = 0
    while match := re.compile(r"\d+").search(glob, at):
        length = int(match[0])
        name = glob[match.end() : match.end() + length]
        if len(name) == length and re.fullmatch(r"[A-Za-z_$.][\w$.]*", name):
            if not re.fullmatch(r"h[0-9a-f]{16}", name):
                names.append(name)
            at = match.end() + length
        else:
            at = match.end()
    return names


def applicable(rules: Iterable[Rule], python: str, pyo3: str) -> tuple[Rule, ...]:
    """The rules that claim this Python (``3.13``, ``3.13.0``, ``3.13t``) and this PyO3."""
    return tuple(
        rule
        for rule in rules
        if SpecifierSet(_specifier(rule.python)).contains(python.rstrip("t"), prereleases=True)
        and SpecifierSet(_specifier(rule.pyo3)).contains(pyo3, prereleases=True)
    )


def hit_counts(rules: Iterable[Rule], suppcounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Hits per rule from the XML's suppcounts (several files add up), 0 for rules without any.

    Counts of rules that are not ours, such as Valgrind's own default ones, are left out.
    """
    counted: Counter[str] = Counter()
    for name, count in suppcounts:
        counted[name] += count
    return {rule.name: counted[rule.name] for rule in rules}
