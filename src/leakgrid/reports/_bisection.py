"""What a search between two PyO3 versions found, for people at a terminal and for programs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leakgrid import changelog
from leakgrid.bisection import Answer
from leakgrid.changelog import Note
from leakgrid.reports import _common as common
from leakgrid.reports.terminal import painter

_WIDTH = 100
_LATER = 5
_LINK = re.compile(r"\[(#\d+)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Told:
    """One search. ``left_out`` says why releases in the range were not considered.

    ``states`` has for each cause's key which evaluated versions show it (None: nobody knows),
    ``reasons`` why versions tell nothing, ``notes`` by cause's key the changelog between the last
    version before and the first behind the change, ``later`` what releases after it say of leaks.
    ``store`` is where the results are.
    """

    target: str
    python: str
    fixed: bool
    versions: tuple[str, ...]
    left_out: Mapping[str, str]
    answers: tuple[Answer, ...]
    states: Mapping[str, Mapping[str, bool | None]]
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)
    later: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)
    builds: int = 0
    store: str = ""


def render(told: Told, *, color: bool = False) -> str:
    """Each cause with its version, then the changelog of those versions."""
    paint = painter(color)
    out = ", ".join(f"{version} {why}" for version, why in told.left_out.items())
    lines = [
        f"{common.one_line(told.target)}, Python {told.python}: PyO3 {told.versions[0]} to "
        f"{told.versions[-1]}, {len(told.versions)} releases" + (f" (left out: {out})" * bool(out)),
        "",
    ]
    for one in told.answers:
        lines += [paint(_title(one), "bold"), *_wrapped(_sentence(one, told), "  ")]
        lines += [*_wrapped(_seen(told.states.get(one.sought.key, {})), "  "), *_where(one), ""]
    for version, why in told.reasons.items():
        lines += _wrapped(f"{version} tells nothing: {why}", "")
    if told.reasons:
        lines.append("")
    lines += _changelogs(told)
    count = "1 build" if told.builds == 1 else f"{told.builds or 'no'} builds"
    lines.append(f"{count}; the results are kept in {told.store}")
    return "\n".join(lines) + "\n"


def _title(one: Answer) -> str:
    count = len(one.sought.ids)
    text = f"{one.sought.title}" + (f" ({count} findings)" if count > 1 else "")
    return common.one_line(text)


def _sentence(one: Answer, told: Told) -> str:
    """Which version it is, or between which ones nobody knows."""
    begins, has = ("is gone with", "still has") if told.fixed else ("begins with", "does not have")
    if one.found:
        text = f"{begins} PyO3 {one.first}; {one.without} {has} it"
    elif one.open:
        text = (
            f"{begins} one of {', '.join((*one.open, *one.untold, one.first))}: not searched for "
            f"any further after {told.builds} builds; to go on, add --finding {one.sought.ids[0]} "
            "or more --builds"
        )
    else:
        why = [told.reasons.get(version, "") for version in one.untold]
        few = "" if all(why) else " (where too few of its tests could be measured)"
        text = (
            f"{begins} one of {', '.join((*one.untold, one.first))}: "
            f"{', '.join(one.untold)} could not be judged{few}"
        )
    if one.back:
        text += f". It comes and goes: {', '.join(one.back)} is as before again"
    return text


def _seen(states: Mapping[str, bool | None]) -> str:
    words = {True: "yes", False: "no", None: "not told"}
    told = ", ".join(f"{version} {words[state]}" for version, state in states.items())
    return f"seen in: {told}"


def _where(one: Answer) -> list[str]:
    lines = [f"  findings: {common.some(one.sought.ids, 4)}"]
    if tests := one.sought.tests:
        lines.append(f"  tests: {common.some(tests, 2)}")
    return lines


def _changelogs(told: Told) -> list[str]:
    """The changelog of each answer; causes that end at the same version share it."""
    lines: list[str] = []
    shared: dict[tuple[str, str], list[Answer]] = {}
    for one in told.answers:
        if one.sought.key in told.notes:
            shared.setdefault((one.without, one.first), []).append(one)
    for (without, first), answers in shared.items():
        notes = told.notes[answers[0].sought.key]
        titles = " ".join(one.sought.title for one in answers)
        lines += _changelog(notes, titles, without, first)
        if later := told.later.get(answers[0].sought.key):
            lines += ["  what later releases say of leaks:", *_listed(later[:_LATER])]
        lines.append("")
    return lines


def _changelog(notes: Sequence[Note], titles: str, without: str, first: str) -> list[str]:
    ranked = changelog.ranked(notes, titles)
    about = [note for note in ranked if note.about]
    rest = [note for note in ranked if not note.about]
    lines = [f"PyO3's changelog behind {without}, up to {first}:"]
    if about:
        lines += ["  entries that speak of leaks, references or deallocation:", *_listed(about)]
    else:
        lines.append("  no entry under Fixed or Changed speaks of leaks or references")
    if rest:
        lines += ["  the other entries under Fixed and Changed:", *_listed(rest)]
    if others := changelog.others(notes):
        noun = "entry" if others == 1 else "entries"
        lines.append(f"  and {others} {noun} under other headings")
    lines.append(f"  https://pyo3.rs/v{first}/changelog.html")
    return lines


def _listed(notes: Sequence[Note]) -> list[str]:
    lines = []
    for note in notes:
        text = _LINK.sub(r"\1", common.one_line(note.text))
        lines += _wrapped(f"{note.version} {note.section}: {text}", "    ", "      ")
    return lines


def _wrapped(text: str, indent: str, further: str | None = None) -> list[str]:
    return textwrap.wrap(
        common.one_line(text),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  " if further is None else further,
        break_on_hyphens=False,
        break_long_words=False,
    )


def data(told: Told) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": 1,
        "target": told.target,
        "python": told.python,
        "fixed": told.fixed,
        "versions": list(told.versions),
        "left_out": dict(told.left_out),
        "not_told": dict(told.reasons),
        "builds": told.builds,
        "causes": [_cause(one, told) for one in told.answers],
    }


def _cause(one: Answer, told: Told) -> dict[str, Any]:
    notes = changelog.ranked(told.notes.get(one.sought.key, ()), one.sought.title)
    return {
        "key": one.sought.key,
        "title": one.sought.title,
        "findings": list(one.sought.ids),
        "tests": list(one.sought.tests),
        "found": one.found,
        "first": one.first if one.found else None,
        "last_before": one.without,
        "candidates": [*one.untold, *one.open, one.first],
        "as_before_again": list(one.back),
        "shown": dict(told.states.get(one.sought.key, {})),
        "changelog": [_note(note) for note in notes],
        "later": [_note(note) for note in told.later.get(one.sought.key, ())],
    }


def _note(note: Note) -> dict[str, Any]:
    return {
        "version": note.version,
        "section": note.section,
        "text": note.text,
        "speaks_of_leaks": note.about > 0,
    }
