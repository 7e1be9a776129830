"""Which crates must move with PyO3, and to which version: decided by cargo's index, not by a list.

A crate is coupled to PyO3 when the lock says that it depends on it. PyO3's own parts (pyo3-ffi,
pyo3-macros, pyo3-build-config) are those that it, or one of them, requires with ``=``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from leakgrid import registry
from leakgrid.errors import Unsupported, UsageError
from leakgrid.toolchain.manifest import Entry
from leakgrid.toolchain.semver import matches

PYO3 = "pyo3"
_LOCK = "the project's Cargo.lock"


def moves(lock: str, direct: Iterable[Entry], version: str) -> dict[str, str]:
    """The crates to move and their versions, so that the project builds with PyO3 ``version``.

    ``lock`` is the text of the project's Cargo.lock, ``direct`` the dependencies written in its
    manifests. Only crates written there can be moved, and none of the project's own, whatever the
    registry has under their names. Raises Unsupported when PyO3's version cannot be built, or a
    coupled crate has no release for it; UsageError where the lock cannot be read.
    """
    registry.require(PYO3, version)
    family = family_of(version)
    chosen = {PYO3: version}
    # A package without a source is the project's own or lies at a path (Cargo.lock's format).
    others = [package for package in _packages(lock) if "source" in package]
    locked = _newest(others)
    for crate in sorted({entry.crate for entry in direct}):
        if crate in family:
            chosen[crate] = family[crate]
        elif crate in locked and _depends_on_pyo3(others, crate):
            target = _partner(crate, locked[crate], version, family)
            if target is not None:
                chosen[crate] = target
    return chosen


def family_of(version: str) -> dict[str, str]:
    """PyO3's own parts and their versions, for PyO3 ``version``."""
    found = {PYO3: version}
    open_ends = [(PYO3, version)]
    while open_ends:
        crate, release = open_ends.pop()
        entry = registry.lookup(crate).get(release)
        for dependency in entry.dependencies if entry else ():
            exact = dependency.requirement.removeprefix("=").strip()
            if dependency.requirement.startswith("=") and dependency.crate not in found:
                found[dependency.crate] = exact
                open_ends.append((dependency.crate, exact))
    return found


def locked_versions(lock: str, name: str = _LOCK) -> dict[str, str]:
    """Crate to version in a Cargo.lock; of several versions of one crate the newest.

    ``name`` is for messages. Raises UsageError where it cannot be read.
    """
    return _newest(_packages(lock, name))


def _newest(packages: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for package in packages:
        name, version = str(package["name"]), str(package["version"])
        if name not in found or registry.sort_key(version) > registry.sort_key(found[name]):
            found[name] = version
    return found


def check_features(direct: Iterable[Entry], extra: Iterable[str], version: str) -> None:
    """Whether this PyO3 has every feature that the project asks of it.

    ``extra`` are features as maturin's configuration writes them (``pyo3/extension-module``).
    Raises Unsupported naming those that it does not have.
    """
    entry = registry.require(PYO3, version)
    wanted = {feature for item in direct if item.crate == PYO3 for feature in item.features}
    wanted |= {
        feature.partition("/")[2] for feature in extra if feature.startswith(("pyo3/", "pyo3?/"))
    }
    missing = sorted(wanted - set(entry.features))
    if missing:
        raise Unsupported(
            f"PyO3 {version} has no feature {', '.join(missing)}",
            why="the project's manifest asks for it",
            next=f"See PyO3's migration guide for what replaced it, or leave PyO3 {version} out.",
        )


def _partner(crate: str, current: str, version: str, family: Mapping[str, str]) -> str | None:
    """The release of a coupled crate for this PyO3; None where the present one fits already."""
    try:
        listing = registry.lookup(crate)
    except Unsupported:
        return None  # a path or git dependency: part of the project, not of the registry
    fitting = [
        entry.version
        for entry in listing.versions
        if not entry.yanked and _accepts(entry, version, family)
    ]
    if current in fitting:
        return None
    stable = [item for item in fitting if "-" not in item] or fitting
    if not stable:
        newest = max(listing.versions, key=lambda entry: registry.sort_key(entry.version))
        asked = ", ".join(newest.requires(PYO3) or newest.requires("pyo3-ffi")) or "none"
        raise Unsupported(
            f"{crate} has no release for PyO3 {version}",
            why=f"its newest, {newest.version}, requires pyo3 {asked}",
            next=f"Wait for a release of {crate}, or leave PyO3 {version} out.",
        )
    return stable[-1]


def _accepts(entry: registry.CrateVersion, version: str, family: Mapping[str, str]) -> bool:
    asked = [(version, text) for text in entry.requires(PYO3)]
    asked += [(family.get("pyo3-ffi", version), text) for text in entry.requires("pyo3-ffi")]
    return bool(asked) and all(matches(text, release) for release, text in asked)


def _depends_on_pyo3(packages: Iterable[Mapping[str, Any]], crate: str) -> bool:
    return any(
        str(dependency).split(" ")[0] in (PYO3, "pyo3-ffi")
        for package in packages
        if package["name"] == crate
        for dependency in package.get("dependencies", ())
    )


def _packages(lock: str, name: str = _LOCK) -> list[dict[str, Any]]:
    """A lock's packages. Raises UsageError; what breaks a file that cargo wrote is a merge."""
    try:
        packages: Any = tomllib.loads(lock).get("package", [])
        why = (
            ""
            if _are_packages(packages)
            else "package: a list of tables with name and version is required"
        )
    except tomllib.TOMLDecodeError as error:
        packages, why = [], str(error)
    if why:
        raise UsageError(
            f"{name} cannot be read",
            why=why,
            next="Settle what a merge left in it, or remove it and run `cargo generate-lockfile`.",
        )
    return list(packages)


def _are_packages(packages: object) -> bool:
    return isinstance(packages, list) and all(
        isinstance(package, dict)
        and all(isinstance(package.get(key), str) for key in ("name", "version"))
        and isinstance(package.get("dependencies", []), list)
        for package in packages
    )
