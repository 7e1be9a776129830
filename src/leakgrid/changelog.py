"""PyO3's changelog: the entries of some releases, those that speak of leaks first.

Its form is that of keepachangelog.com: ``## [0.29.2] - 2026-08-05``, ``### Fixed``, ``- text``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

SHOWN = ("Fixed", "Changed")
"""The sections whose entries can bring or mend a leak; the others are counted."""
_RELEASE = re.compile(r"## \[?(\d[^\]\s]*)\]?(?:\([^)]*\))?(?:\s+-\s+(\S+))?")
_SECTION = re.compile(r"### (\w.*)")
_ITEM = re.compile(r"(\s*)[-*] (.*)")
# What an entry about a leak speaks of, the surest words first.
_WORDS = (
    (40, re.compile(r"\bleak", re.I)),
    (30, re.compile(r"\bref(?:erence)?[- ]?count|\breference cycle"
                    r"|never \w*\s?(?:freed|collected)", re.I)),
    (20, re.compile(r"dealloc|freed|decref|incref|\btraverse|\bdropp(?:ed|ing)\b"
                    r"|garbage|\bGC\b|reference pool", re.I)),
)  # fmt: skip
_OUTRIGHT = 30
_DULL = frozenset({"memory", "lost", "with", "that", "about", "nothing", "held", "native", "code",
                   "objects", "bytes", "call", "each", "many", "after", "holds", "import",
                   "through", "references", "extension", "python"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """One entry; ``date`` is that of its release, empty where the changelog has none.

    ``about`` is 0 where the entry does not speak of leaks, and the more the surer it does; ``near``
    is how many words it has in common with what is searched for.
    """

    version: str
    date: str
    section: str
    text: str
    about: int = 0
    near: int = 0


def read(text: str) -> tuple[Note, ...]:
    """Every entry in the order of the text; lines that are none are passed over."""
    notes: list[Note] = []
    version = date = section = heading = ""
    for line in text.splitlines():
        if release := _RELEASE.match(line):
            version, date, section, heading = release[1], release[2] or "", "", ""
        elif found := _SECTION.match(line):
            section, heading = found[1].strip(), ""
        elif version and (item := _ITEM.match(line)):
            words = item[2].strip()
            if not item[1] and words.endswith(":"):
                heading = words
                continue
            told = f"{heading} {words}" if item[1] and heading else words
            heading = heading if item[1] else ""
            notes.append(Note(version, date, section, told))
        elif notes and line.startswith(" ") and line.strip():
            last = notes.pop()
            notes.append(Note(version, last.date, last.section, f"{last.text} {line.strip()}"))
    return tuple(notes)


def between(notes: Iterable[Note], after: str, until: str) -> tuple[Note, ...]:
    """The entries of the releases behind ``after``, up to and with ``until``.

    Releases that were yanked or never reached the registry lie between two others there.
    """
    low, high = Version(after), Version(until)
    kept = []
    for note in notes:
        try:
            if low < Version(note.version) <= high:
                kept.append(note)
        except InvalidVersion:
            continue
    return tuple(kept)


def ranked(notes: Iterable[Note], title: str = "") -> tuple[Note, ...]:
    """The entries under Fixed and Changed, those first that speak of leaks, then of ``title``."""
    hints = [_stem(word) for word in re.findall(r"[a-z]{4,}", title.lower()) if word not in _DULL]
    judged = [
        replace(note, about=_about(note.text), near=_near(note.text, hints))
        for note in notes
        if note.section in SHOWN
    ]
    return tuple(sorted(judged, key=lambda note: (-note.about, -note.near)))


def _stem(word: str) -> str:
    """``classes`` -> ``class``, ``instances`` -> ``instan``: for the beginning of other words."""
    return word.removesuffix("es").removesuffix("s")[:6]


def others(notes: Sequence[Note]) -> int:
    """How many entries stand in other sections."""
    return sum(note.section not in SHOWN for note in notes)


def leaks(notes: Iterable[Note], title: str) -> tuple[Note, ...]:
    """The entries that say outright that something leaked, the nearest to ``title`` first."""
    found = [note for note in ranked(notes, title) if note.about >= _OUTRIGHT]
    return tuple(sorted(found, key=lambda note: -note.near))


def _about(text: str) -> int:
    return max((points for points, pattern in _WORDS if pattern.search(text)), default=0)


def _near(text: str, hints: Sequence[str]) -> int:
    words = re.findall(r"[a-z]+", text.lower())
    return sum(any(word.startswith(hint) for word in words) for hint in hints)
