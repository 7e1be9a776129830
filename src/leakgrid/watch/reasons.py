"""Why a re-evaluation is due (pure): everything that was seen goes in, named reasons come out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from leakgrid.changelog import Note
from leakgrid.finding import CellResult
from leakgrid.matrix import CellPlan
from leakgrid.registry import sort_key
from leakgrid.watch import surface
from leakgrid.watch.advisories import Advisory
from leakgrid.watch.releases import News
from leakgrid.watch.surface import Surface

REVIEW = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. ``kind`` is its name, ``key`` tells it from others, ``cells`` are to be run."""

    kind: str
    key: str
    text: str
    cells: tuple[str, ...] = ()
    details: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "kind": self.kind,
            "key": self.key,
            "text": self.text,
            "cells": list(self.cells),
            "details": list(self.details),
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What is judged.

    ``plans`` are the cells of the matrix as it would be with every proposal; ``results`` the stored
    ones by cell name. ``pythons`` maps a minor to the version installed here, ``valgrind`` is the
    one installed here (empty: none). ``surfaces`` are those of the local targets now,
    ``evaluated`` those that were evaluated last. ``open`` maps keys to when they were first seen.
    ``reviewed`` is the day of the last review, None where none is recorded. ``max_age`` is in days.
    """

    now: datetime
    plans: tuple[CellPlan, ...]
    news: News | None = None
    results: Mapping[str, CellResult] = field(default_factory=dict)
    advisories: tuple[Advisory, ...] = ()
    changes: tuple[Note, ...] = ()
    pythons: Mapping[str, str] = field(default_factory=dict)
    valgrind: str = ""
    surfaces: Mapping[str, Surface] = field(default_factory=dict)
    evaluated: Mapping[str, Surface] = field(default_factory=dict)
    open: Mapping[str, str] = field(default_factory=dict)
    reviewed: date | None = None
    max_age: int = 90

    def cells(self, *, target: str = "", python: str = "", pyo3: str = "") -> tuple[str, ...]:
        """The default cells that fit, without excluded ones."""
        return tuple(
            plan.cell.name
            for plan in self.plans
            if plan.default
            and not plan.excluded
            and target in ("", plan.cell.target)
            and python in ("", plan.cell.python)
            and pyo3 in ("", plan.cell.pyo3)
        )

    def measured_since(self, cells: Collection[str], since: str) -> bool:
        """Whether each of the cells has a result that began after ``since``."""
        return bool(cells) and all(
            name in self.results and moment(self.results[name].started) > moment(since)
            for name in cells
        )


def due(facts: Facts) -> tuple[Reason, ...]:
    """Every reason, the most urgent first."""
    found: list[Reason] = []
    for judge in (_releases, _yanks, _advisories, _programs, _surfaces, _review, _stale):
        found += judge(facts)
    return tuple(found)


def remembered(facts: Facts, reasons: Iterable[Reason]) -> dict[str, str]:
    """What to keep as open: the reasons that nothing else would tell again.

    A new release is one of them: once it is in the matrix only this tells that it was never run.
    """
    keys = [
        reason.key.replace("pyo3:", "not-measured:", 1) if reason.kind == "new-pyo3" else reason.key
        for reason in reasons
        if reason.kind in ("new-pyo3", "not-measured", "un-yanked", "surface")
    ]
    now = stamp(facts.now)
    return {key: facts.open.get(key, now) for key in keys}


def surfaces_to_keep(facts: Facts, reasons: Iterable[Reason]) -> dict[str, Surface]:
    """The surfaces as evaluated: what is not due to be evaluated is what was."""
    pending = {reason.key for reason in reasons if reason.kind == "surface"}
    return {
        target: facts.evaluated[target] if f"surface:{target}" in pending else now
        for target, now in facts.surfaces.items()
    }


def moment(text: str) -> datetime:
    """An ISO 8601 time; one that is missing or broken lies before all others."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def stamp(now: datetime) -> str:
    """A time as the state file has it."""
    return now.astimezone(UTC).isoformat(timespec="seconds")


def _releases(facts: Facts) -> Iterator[Reason]:
    if facts.news is None:
        return
    proposed = {release.version for release in facts.news.proposals}
    for release in facts.news.proposals:
        entry = release.entry
        told = [
            f"published {entry.published[:10]}" if entry.published else "date unknown",
            f"needs Rust {entry.rust_version}" if entry.rust_version else "oldest Rust unknown",
        ]
        yield Reason(
            "new-pyo3",
            f"pyo3:{release.version}",
            f"PyO3 {release.version} ({release.kind}) is not in the matrix; {', '.join(told)}",
            facts.cells(pyo3=release.version),
            _changelog(facts, release.version),
        )
    fresh = {release.version for release in facts.news.new}
    for version in sorted({plan.cell.pyo3 for plan in facts.plans} - proposed, key=sort_key):
        key = f"not-measured:{version}"
        if version in fresh or key in facts.open or _ahead(facts, version):
            missing = [name for name in facts.cells(pyo3=version) if name not in facts.results]
            if missing and version not in facts.news.withdrawn:
                yield Reason(
                    "not-measured",
                    key,
                    f"PyO3 {version} is in the matrix; {len(missing)} of its cells have no result",
                    tuple(missing),
                    _changelog(facts, version),
                )


def _ahead(facts: Facts, version: str) -> bool:
    """Newer than everything measured, where something was."""
    measured = [sort_key(result.pyo3) for result in facts.results.values()]
    return bool(measured) and sort_key(version) > max(measured)


def _changelog(facts: Facts, version: str) -> tuple[str, ...]:
    """The lines of this version, and of those before it that the matrix has not."""
    have = {plan.cell.pyo3 for plan in facts.plans} - {version}
    older = [sort_key(item) for item in have if sort_key(item) < sort_key(version)]
    floor = max(older, default=None)
    return tuple(
        f"changelog of {change.version}: {change.text}"
        for change in facts.changes
        if sort_key(change.version) <= sort_key(version)
        and (floor is None or sort_key(change.version) > floor)
    )


def _yanks(facts: Facts) -> Iterator[Reason]:
    if facts.news is None:
        return
    for version in facts.news.withdrawn:
        yield Reason(
            "yanked",
            f"yanked:{version}",
            f"PyO3 {version}, which the matrix evaluates, is yanked: its cells cannot be built "
            "any more; take it out of the matrix",
        )
    have = {plan.cell.pyo3 for plan in facts.plans}
    have -= {release.version for release in facts.news.proposals}
    back = {f"un-yanked:{version}" for version in facts.news.unyanked if version in have}
    for key in sorted(back | {key for key in facts.open if key.startswith("un-yanked:")}):
        version = key.partition(":")[2]
        cells = facts.cells(pyo3=version)
        if (
            cells
            and version in have
            and not facts.measured_since(cells, facts.open.get(key, stamp(facts.now)))
        ):
            yield Reason("un-yanked", key, f"PyO3 {version} is no longer yanked", cells)


def _advisories(facts: Facts) -> Iterator[Reason]:
    """Those about versions of the matrix that neither a measurement nor a review has seen."""
    versions = sorted({plan.cell.pyo3 for plan in facts.plans}, key=sort_key)
    for advisory in facts.advisories:
        hit = [version for version in versions if advisory.affects(version)]
        cells = tuple(name for version in hit for name in facts.cells(pyo3=version))
        reviewed = facts.reviewed is not None and moment(advisory.modified).date() < facts.reviewed
        if hit and not reviewed and not facts.measured_since(cells, advisory.modified):
            names = " ".join([advisory.id, *(f"({alias})" for alias in advisory.aliases)])
            yield Reason(
                "advisory",
                f"advisory:{advisory.id}",
                f"{names} concerns PyO3 {', '.join(hit)} of the matrix: {advisory.summary}",
                cells,
            )


def _programs(facts: Facts) -> Iterator[Reason]:
    """Another CPython or Valgrind than the one that stored results were made with."""
    measured = _still_wanted(facts)
    for minor, here in facts.pythons.items():
        cells = [plan.cell.name for plan in facts.plans if plan.cell.python == minor]
        other = {
            name: version
            for name in cells
            if name in measured and (version := str(measured[name].python.get("version", "")))
            if version not in (here, minor)
        }
        if other:
            yield Reason(
                "new-cpython",
                f"cpython:{minor}:{here}",
                f"CPython {here} is installed, results were made with {_list(other.values())}",
                tuple(other),
            )
    other = {
        name: version
        for name, result in measured.items()
        if (version := result.toolchain.get("valgrind", "")) and version != facts.valgrind
    }
    if facts.valgrind and other:
        yield Reason(
            "new-valgrind",
            f"valgrind:{facts.valgrind}",
            f"Valgrind {facts.valgrind} is installed, results were made with "
            f"{_list(other.values())}",
            tuple(other),
        )


def _surfaces(facts: Facts) -> Iterator[Reason]:
    for target, now in facts.surfaces.items():
        before = facts.evaluated.get(target)
        if before is None or before == now:
            continue
        key = f"surface:{target}"
        cells = facts.cells(target=target)
        if key in facts.open and facts.measured_since(cells, facts.open[key]):
            continue
        changed = surface.difference(before, now)
        yield Reason(
            "surface",
            key,
            f"the surface of {target} towards Python changed: {len(changed)} differences since it "
            "was last evaluated",
            cells,
            changed,
        )


def _review(facts: Facts) -> Iterator[Reason]:
    if facts.reviewed is None or facts.now.date() - facts.reviewed < REVIEW:
        return
    yield Reason(
        "review",
        "review",
        f"the last yearly review was on {facts.reviewed}: go through baselines and suppressions, "
        "evaluate everything, then write the day into [watch] reviewed",
        facts.cells(),
    )


def _stale(facts: Facts) -> Iterator[Reason]:
    limit = facts.now - timedelta(days=facts.max_age)
    old = {
        name: moment(result.started)
        for name, result in _still_wanted(facts).items()
        if moment(result.started) < limit
    }
    if old:
        oldest = min(old.values())
        since = f"of {oldest.date()}" if oldest.year > 1 else "without a date"
        yield Reason(
            "stale",
            "stale",
            f"{len(old)} results are older than {facts.max_age} days, the oldest {since}",
            tuple(old),
        )


def _still_wanted(facts: Facts) -> dict[str, CellResult]:
    wanted = facts.cells()
    return {name: facts.results[name] for name in wanted if name in facts.results}


def _list(versions: Iterable[str]) -> str:
    return ", ".join(sorted(set(versions), key=sort_key))
