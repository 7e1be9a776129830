"""What is new in the index, compared with the last look and with the matrix (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from leakgrid.registry import CrateVersion, sort_key


@dataclass(frozen=True, slots=True)
class Release:
    """A version that came after what was known.

    ``kind``: ``patch``, ``minor``, ``major`` or ``pre-release``. ``proposed`` is true for what the
    matrix should evaluate; else ``why_not`` says why it should not.
    """

    entry: CrateVersion
    kind: str
    proposed: bool
    why_not: str = ""

    @property
    def version(self) -> str:
        """The version's number."""
        return self.entry.version

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``; ``published`` and ``rust_version`` are null where the index is silent."""
        return {
            "version": self.entry.version,
            "kind": self.kind,
            "yanked": self.entry.yanked,
            "published": self.entry.published,
            "rust_version": self.entry.rust_version,
            "proposed": self.proposed,
            "why_not": self.why_not,
        }


@dataclass(frozen=True, slots=True)
class News:
    """What the index says that was not known before.

    ``newest`` is the newest release that can be chosen. ``new``: since the last look;
    ``proposals``: what the matrix lacks, whether new or seen before; ``yanked`` and ``unyanked``:
    versions whose state changed since the last look; ``withdrawn``: yanked ones of the matrix.
    """

    newest: CrateVersion | None
    new: tuple[Release, ...] = ()
    proposals: tuple[Release, ...] = ()
    yanked: tuple[str, ...] = ()
    unyanked: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()


def is_pre(version: str) -> bool:
    """Whether this is a pre-release (semver: a hyphen behind the numbers)."""
    return "-" in version.partition("+")[0]


def within(version: str, specifier: str) -> bool:
    """Whether a range of matrix.toml has this version; an empty one has every version."""
    try:
        number = Version(version)
    except InvalidVersion:  # a semver pre-release that Python's rules do not know
        return not specifier
    return not specifier or SpecifierSet(specifier).contains(number, prereleases=True)


def newest(
    entries: Iterable[CrateVersion], specifier: str = "", *, pre: bool = False
) -> CrateVersion | None:
    """The newest version of the range that is not yanked, or None."""
    fitting = [
        entry
        for entry in entries
        if not entry.yanked
        and (pre or not is_pre(entry.version))
        and within(entry.version, specifier)
    ]
    return max(fitting, key=lambda entry: sort_key(entry.version), default=None)


def news(
    entries: Sequence[CrateVersion],
    *,
    known: Collection[CrateVersion] | None,
    matrix: Collection[str],
    specifier: str = "",
    pre: bool = False,
) -> News:
    """Compare the index with what was ``known`` (None: no look before) and with the matrix.

    Without a look before, what the matrix evaluates is what is known: newer versions are new, and
    so are newer patches of a minor that it has.
    """
    before = None if known is None else {entry.version: entry for entry in known}
    have = set(matrix)
    missing = [entry for entry in entries if _newer_than(entry.version, have)]
    fresh = missing if before is None else [e for e in entries if e.version not in before]
    leaders = _leaders(missing, specifier, pre)
    releases = {
        entry.version: _release(entry, _kind(entry.version, entries), have, leaders, specifier, pre)
        for entry in (*fresh, *missing)
    }
    changed = [
        entry
        for entry in entries
        if before is not None
        and entry.version in before
        and before[entry.version].yanked != entry.yanked
    ]
    return News(
        newest=newest(entries, specifier, pre=pre),
        new=tuple(releases[entry.version] for entry in fresh),
        proposals=tuple(releases[e.version] for e in missing if releases[e.version].proposed),
        yanked=tuple(entry.version for entry in changed if entry.yanked),
        unyanked=tuple(entry.version for entry in changed if not entry.yanked),
        withdrawn=tuple(e.version for e in entries if e.yanked and e.version in have),
    )


def _newer_than(version: str, have: Collection[str]) -> bool:
    """Newer than everything there, or than everything of its own minor that is there."""
    if version in have:
        return False
    key = sort_key(version)
    newest_there = max((sort_key(item) for item in have), default=None)
    if newest_there is None or key > newest_there:
        return True
    same = [sort_key(item) for item in have if _minor(item) == _minor(version)]
    return bool(same) and key > max(same)


def _leaders(entries: Iterable[CrateVersion], specifier: str, pre: bool) -> dict[Any, str]:
    """The newest usable version of each minor."""
    found: dict[Any, str] = {}
    for entry in sorted(entries, key=lambda entry: sort_key(entry.version)):
        if not _objection(entry, specifier, pre):
            found[_minor(entry.version)] = entry.version
    return found


def _release(
    entry: CrateVersion,
    kind: str,
    have: Collection[str],
    leaders: dict[Any, str],
    specifier: str,
    pre: bool,
) -> Release:
    why_not = _objection(entry, specifier, pre)
    leader = leaders.get(_minor(entry.version))
    if not why_not and entry.version in have:
        why_not = "the matrix evaluates it"
    elif not why_not and leader != entry.version:
        why_not = f"{leader or 'a newer one of the matrix'} came after it"
    return Release(entry, kind, not why_not, why_not)


def _objection(entry: CrateVersion, specifier: str, pre: bool) -> str:
    if entry.yanked:
        return "it is yanked"
    if is_pre(entry.version) and not pre:
        return "pre-releases are not followed (--pre)"
    if not within(entry.version, specifier):
        return f"it is outside of the watched range {specifier}"
    return ""


def _kind(version: str, entries: Iterable[CrateVersion]) -> str:
    """What it is beside the older releases of the index: 0.30.1 is no patch where 0.30.0 failed."""
    if is_pre(version):
        return "pre-release"
    key = sort_key(version)
    older = [e.version for e in entries if not e.yanked and sort_key(e.version) < key]
    minors = {_minor(item) for item in older if not is_pre(item)}
    if _minor(version) in minors:
        return "patch"
    return "minor" if _minor(version)[0] in {minor[0] for minor in minors} else "major"


def _minor(version: str) -> tuple[int, ...]:
    numbers: tuple[int, ...] = sort_key(version)[0]
    return numbers[:2]
