"""Everything that ``leakgrid watch`` looks at: the index, advisories, stored results, programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from leakgrid import changelog, registry
from leakgrid.amounts import counted
from leakgrid.detectors import valgrind
from leakgrid.errors import DataError, LeakgridError, UsageError
from leakgrid.finding import CellResult
from leakgrid.matrix import Matrix, expand, load, parse
from leakgrid.registry import CrateVersion
from leakgrid.store import Store, write_atomically
from leakgrid.toolchain import interpreters, pyo3
from leakgrid.watch import (
    advisories,
    changes,
    configuration,
    edit,
    index,
    reasons,
    releases,
    surface,
)
from leakgrid.watch import state as states
from leakgrid.watch.http import Client
from leakgrid.watch.reasons import Facts
from leakgrid.watch.report import Report
from leakgrid.watch.state import State

CRATE = "pyo3"
_SOURCES_LIMIT = 64 * 1024 * 1024  # bytes of Rust sources of one target
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. ``index`` and ``advisories`` are addresses; empty: the configured ones.

    ``since`` is a version that stands for the last look; ``max_age`` is in days.
    """

    matrix: Path
    store: Store
    state: Path
    now: datetime
    index: str = ""
    advisories: str = ""
    since: str = ""
    pre: bool = False
    offline: bool = False
    max_age: int = 90


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found; ``matrix`` is as it would be with every proposal, ``edit`` its text."""

    report: Report
    facts: Facts
    matrix: Matrix
    edit: edit.Edit
    versions: tuple[CrateVersion, ...]
    state: State


def look(question: Question, client: Client) -> Seen:
    """Look at everything once.

    What cannot be looked at becomes a trouble of the report. Raises ConfigError, DataError and
    UsageError for what is wrong here: the matrix, the state file, an address.
    """
    matrix = load(question.matrix)
    before = _state(question)
    troubles: list[LeakgridError] = []
    notes: list[str] = []
    found = None
    if not question.offline:
        found = _try(troubles, lambda: _index(question, before, client))
    versions = found.versions if found else before.versions or ()
    fresh = _news(question, matrix, before, versions) if versions else None
    edited, matrix = _edited(question.matrix, matrix, fresh)
    facts = Facts(
        now=question.now,
        plans=expand(matrix),
        news=fresh,
        results=_results(question.store, notes),
        advisories=_advisories(question, client, troubles),
        changes=_changes(fresh, versions, notes) if found else (),
        surfaces=_surfaces(matrix),
        evaluated=before.surfaces,
        open=before.open,
        reviewed=matrix.watch.reviewed,
        max_age=question.max_age,
    )
    facts = _programs(facts, matrix, notes)
    due = reasons.due(facts)
    report = Report(
        news=fresh,
        reasons=due,
        troubles=tuple(troubles),
        notes=(*_notes(facts, question, before), *notes),
        before=f"PyO3 {question.since}" if question.since else before.looked,
        source=found.source if found else "",
        unchanged=found.unchanged if found else False,
    )
    return Seen(report, facts, matrix, edited, versions, _after(before, found, facts, due))


def _after(
    before: State, found: index.Look | None, facts: Facts, due: tuple[reasons.Reason, ...]
) -> State:
    """The state to keep; what could not be looked at stays as it was."""
    after = replace(
        before,
        open=reasons.remembered(facts, due),
        surfaces=reasons.surfaces_to_keep(facts, due),
    )
    if found is None:
        return after
    return replace(
        after,
        versions=found.versions,
        validators=found.validators,
        looked=reasons.stamp(facts.now),
    )


def save(question: Question, seen: Seen) -> None:
    """Keep what was seen. Only after everything that the look asked for was done."""
    if question.state.parent == question.store.root:
        ignore = question.store.root / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, "*\n")
    write_atomically(question.state, states.render(seen.state))


def index_address(given: str, environ: Mapping[str, str], folder: Path) -> str:
    """Where the index is: as given, of the environment, of cargo's configuration, else cargo."""
    wanted = given or environ.get("LEAKGRID_INDEX", "")
    if wanted:
        if wanted != index.CARGO and "://" not in wanted:
            raise UsageError(
                f"{wanted!r} is not the address of an index",
                next="Write https://HOST/PATH/ of a sparse index, or the word cargo.",
            )
        return wanted
    return configuration.sparse_index(folder, registry.cargo_home(), environ) or index.CARGO


def _state(question: Question) -> State:
    try:
        text = question.state.read_text(encoding="utf-8")
    except FileNotFoundError:
        return State()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{question.state} cannot be read", why=str(error), next="Mend or remove it."
        ) from error
    return states.read(text, str(question.state))


def _try(troubles: list[LeakgridError], look_at: Callable[[], _T]) -> _T | None:
    """What was seen; an error that is not the user's to mend becomes a trouble."""
    try:
        return look_at()
    except LeakgridError as error:
        if error.exit_code < 3:
            raise
        troubles.append(error)
        return None


def _index(question: Question, before: State, client: Client) -> index.Look:
    address = index_address(question.index, os.environ, question.matrix.resolve().parent)
    return index.look(
        CRATE, address, client, known=before.versions or (), validators=before.validators
    )


def _news(
    question: Question, matrix: Matrix, before: State, versions: tuple[CrateVersion, ...]
) -> releases.News:
    known = before.versions
    if question.since:
        limit = registry.sort_key(question.since)
        known = tuple(entry for entry in versions if registry.sort_key(entry.version) <= limit)
    return releases.news(
        versions,
        known=known,
        matrix={plan.cell.pyo3 for plan in expand(matrix)},
        specifier=matrix.watch.pyo3,
        pre=question.pre,
    )


def _edited(path: Path, matrix: Matrix, fresh: releases.News | None) -> tuple[edit.Edit, Matrix]:
    text = path.read_bytes().decode("utf-8")  # its line ends stay
    if fresh is None or not fresh.proposals:
        return edit.Edit(text), matrix
    edited = edit.add_pyo3(text, [release.version for release in fresh.proposals])
    return edited, parse(edited.text, source=path.name, base=matrix.base)


def _results(store: Store, notes: list[str]) -> dict[str, CellResult]:
    results = store.results()
    partial = [name for name, result in results.items() if result.partial]
    if partial:
        one = len(partial) == 1
        notes.append(
            f"{counted(len(partial), 'stored result')} {'is' if one else 'are'} partial (tests or "
            f"detectors) and {'does' if one else 'do'} not count"
        )
    if not results:
        notes.append(
            "no result is stored here, so nothing can be said about stale ones, a new CPython or a "
            "new Valgrind"
        )
    return {name: result for name, result in results.items() if not result.partial}


def _advisories(
    question: Question, client: Client, troubles: list[LeakgridError]
) -> tuple[advisories.Advisory, ...]:
    address = question.advisories or os.environ.get("LEAKGRID_ADVISORIES") or advisories.DEFAULT
    if question.offline or address == "none":
        return ()
    return _try(troubles, lambda: advisories.ask(CRATE, address, client)) or ()


def _changes(
    fresh: releases.News | None, versions: tuple[CrateVersion, ...], notes: list[str]
) -> tuple[changelog.Note, ...]:
    """What the changelog inside the newest new crate says; a note where it cannot be read."""
    told = [*fresh.new, *fresh.proposals] if fresh else []
    usable = [release.version for release in told if not release.entry.yanked]
    if not usable:
        return ()
    try:
        newest = max(usable, key=registry.sort_key)
        text = pyo3.changelog(newest).read_text(encoding="utf-8", errors="replace")
    except (LeakgridError, OSError) as error:
        notes.append(f"the changelog could not be read: {getattr(error, 'what', error)}")
        return ()
    entries = changelog.read(text)
    since = min((release.version for release in told), key=registry.sort_key)
    released = {
        entry.version
        for entry in versions
        if registry.sort_key(entry.version) >= registry.sort_key(since)
    }
    if missing := changes.unreleased(entries, released):
        notes.append(f"announced, but not in the index: {', '.join(missing)}; not proposed")
    return changes.about_memory(entries, {release.version for release in told})


def _surfaces(matrix: Matrix) -> dict[str, surface.Surface]:
    """Of the targets in folders; a pinned release from an index cannot change."""
    return {
        target.name: surface.scan(_rust_sources(matrix.base / target.path))
        for target in matrix.targets
        if target.path
    }


def _rust_sources(folder: Path) -> list[str]:
    texts = []
    left = _SOURCES_LIMIT
    for path in sorted(folder.rglob("*.rs")):
        parts = path.relative_to(folder).parts
        # Build output, and hidden folders such as virtual environments and leakgrid's own store.
        if "target" in parts[:-1] or any(part.startswith(".") for part in parts):
            continue
        if path.is_file() and (left := left - path.stat().st_size) > 0:
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    return texts


def _programs(facts: Facts, matrix: Matrix, notes: list[str]) -> Facts:
    """What is installed here; only where there are results to compare it with."""
    if not facts.results:
        return facts
    found = {}
    for minor in dict.fromkeys(plan.cell.python for plan in expand(matrix)):
        try:
            found[minor] = interpreters.find(minor).version
        except LeakgridError:
            notes.append(f"Python {minor} is not installed here, so it was not compared")
    notes += _new_minors(matrix)
    try:
        here = valgrind.version(valgrind.locate())
    except LeakgridError as error:
        here = ""
        notes.append(f"Valgrind was not compared: {error.what}")
    return replace(facts, pythons=found, valgrind=here)


def _new_minors(matrix: Matrix) -> list[str]:
    """CPythons that are installed, newer than all of the matrix, and in its watched range."""
    newest = max(
        tuple(map(int, plan.cell.python.removesuffix("t").split("."))) for plan in expand(matrix)
    )
    return [
        f"CPython {found.version} is installed, and the matrix has no {found.minor}"
        for found in interpreters.discover()
        if found.release[:2] > newest and releases.within(found.version, matrix.watch.python)
    ]


def _notes(facts: Facts, question: Question, before: State) -> list[str]:
    found = []
    if before.versions is None and not question.since and not question.offline:
        found.append(
            f"there is no {question.state.name} of a look before this one: what the matrix "
            "evaluates counts as known, and the surfaces of the targets are taken as evaluated"
        )
    if facts.reviewed is None:
        found.append("no yearly review is recorded; write its day: [watch] reviewed = 2026-01-31")
    if question.offline:
        found.append("neither the index nor advisories were looked at (--offline)")
    return found
