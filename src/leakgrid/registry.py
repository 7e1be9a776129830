"""Cargo's index, as cargo is configured: versions of a crate, yanked or not, and their sources.

leakgrid asks no registry itself. A cargo command in a scratch project makes cargo refresh its
own index cache, whatever its configuration says (source replacement, proxies, offline), and that
cache is then read. Its layout is cargo's own (cargo's sources/registry/index/cache.rs, cache
version 3): one byte cache version, four bytes little-endian index schema, a NUL-terminated text
of cargo's, then pairs of NUL-terminated version and JSON line (the JSON as in the cargo book,
"Index format").
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from leakgrid import process
from leakgrid.errors import DataError, Unsupported

CACHE_VERSION = 3
INDEX_SCHEMAS = (1, 2)
TIMEOUT = 300.0
"""Seconds that cargo may take to refresh its index or to bring a crate's sources."""
_CACHE_TRIES, _CACHE_PAUSE = 20, 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Dependency:
    """A dependency as the index tells it: ``crate`` is the real name behind a renamed one."""

    crate: str
    requirement: str
    kind: str


@dataclass(frozen=True, slots=True)
class CrateVersion:
    """One version of a crate in the index.

    ``published`` is an ISO 8601 time in UTC where the index tells it; ``rust_version`` the oldest
    Rust that builds it; ``links`` the native library of which a build can hold only one crate.
    """

    version: str
    yanked: bool
    published: str | None = None
    rust_version: str | None = None
    links: str | None = None
    dependencies: tuple[Dependency, ...] = ()
    features: tuple[str, ...] = ()

    def requires(self, crate: str) -> tuple[str, ...]:
        """The requirements on ``crate`` of a build (development dependencies left out)."""
        return tuple(
            dependency.requirement
            for dependency in self.dependencies
            if dependency.crate == crate and dependency.kind != "dev"
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """What cargo's index says of a crate; ``fresh`` is false where only the cache was read.

    ``note`` says in one sentence why it is not fresh.
    """

    crate: str
    versions: tuple[CrateVersion, ...]
    fresh: bool
    note: str = ""

    def get(self, version: str) -> CrateVersion | None:
        """The entry of exactly this version."""
        return next((entry for entry in self.versions if entry.version == version), None)


def versions(crate: str) -> tuple[CrateVersion, ...]:
    """Every version of ``crate`` in cargo's index, oldest first. See :func:`lookup`."""
    return lookup(crate).versions


@functools.lru_cache(maxsize=256)
def lookup(crate: str) -> Listing:
    """What cargo's index says of ``crate``; asked once per process.

    Raises Unsupported when the index has no such crate, DataError when the cache is of a form
    unknown here or cargo uses no index at all, ToolMissing without cargo.
    """
    with tempfile.TemporaryDirectory(prefix="leakgrid-index-") as scratch:
        manifest = _scratch_project(Path(scratch), crate, "*")
        result = process.run(
            [*cargo(), "generate-lockfile", "--manifest-path", str(manifest)],
            timeout=TIMEOUT,
            env=_plain_environ(),
        )
        if "no matching package" in result.stderr and " found" in result.stderr:
            raise Unsupported(
                f"cargo's index has no crate {crate!r}",
                why=_first_error(result.stderr),
                next="Check the name, and cargo's source configuration (.cargo/config.toml).",
            )
        cache = _cache_file(crate, manifest)
        fresh = re.search(r"^\s*Updating .*\bindex", result.stderr, re.MULTILINE) is not None
        fresh = fresh and not _network_trouble(result.stderr)
        if cache is None:
            raise DataError(
                f"cargo has no index entry of {crate!r} to read",
                why=_first_error(result.stderr) or "cargo uses a source without an index",
                next="Connect this machine to cargo's registry once, or check its configuration.",
            )
        note = (
            ""
            if fresh
            else (
                "read from cargo's cache without asking the registry: "
                + (_first_error(result.stderr) or "cargo is offline")
            )
        )
        return Listing(crate, _read_cache(cache), fresh, note)


def require(crate: str, version: str) -> CrateVersion:
    """The index entry of a version that can be built.

    Raises Unsupported with one sentence for a missing and for a yanked version.
    """
    listing = lookup(crate)
    entry = listing.get(version)
    if entry is None:
        near = ", ".join(_neighbours(listing.versions, version))
        raise Unsupported(
            f"{crate} {version} is not in cargo's index",
            why=f"the nearest releases there are {near}"
            + (f" ({listing.note})" if listing.note else ""),
            next="A tag or an announcement is not a release; name a version of the index.",
        )
    if entry.yanked:
        near = ", ".join(_neighbours(listing.versions, version))
        raise Unsupported(
            f"{crate} {version} was yanked",
            why=f"cargo does not choose yanked versions; the nearest others are {near}",
            next="Name a version that is not yanked.",
        )
    return entry


def _read_cache(path: Path) -> tuple[CrateVersion, ...]:
    """Read a cache file; cargo truncates it before it writes, so a bad one is read again."""
    for _ in range(_CACHE_TRIES):
        try:
            return parse_cache(path.read_bytes(), path.name)
        except (DataError, FileNotFoundError):
            time.sleep(_CACHE_PAUSE)
    return parse_cache(path.read_bytes(), path.name)


def parse_cache(data: bytes, name: str = "index entry") -> tuple[CrateVersion, ...]:
    """Read one file of cargo's index cache. Raises DataError on any form not known here."""
    if len(data) < 5 or data[0] != CACHE_VERSION:
        raise _unknown(name, f"cache version {data[0] if data else 'none'}, known is 3")
    schema = int.from_bytes(data[1:5], "little")
    if schema not in INDEX_SCHEMAS:
        raise _unknown(name, f"index schema {schema}, known are 1 and 2")
    if not data.endswith(b"\0"):
        raise _unknown(name, "it is cut off")
    _, *fields = data[5:-1].split(b"\0")
    if len(fields) % 2:
        raise _unknown(name, "versions and their records do not pair")
    entries = []
    for version, record in zip(fields[::2], fields[1::2], strict=True):
        try:
            entries.append(_entry(version.decode(), json.loads(record)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unknown(name, f"the record of {version!r}: {error}") from error
    return tuple(sorted(entries, key=lambda entry: sort_key(entry.version)))


def parse_index(data: bytes, crate: str) -> tuple[CrateVersion, ...]:
    """Read an index entry as a registry serves it: a JSON line for each version, oldest first.

    Raises DataError on anything else, entries of another crate included.
    """
    entries: dict[str, CrateVersion] = {}
    for number, line in enumerate(data.splitlines(), 1):
        try:
            record = json.loads(line)
            if record["name"] != crate:
                raise ValueError(f"it is about {record['name']!r}")
            version = str(record["vers"])
            if not re.match(r"\d+\.\d+\.\d+(?:[-+]|\Z)", version):
                raise ValueError(f"{version!r} is no version")
            entries[version] = _entry(version, record)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(
                f"this is not the index entry of {crate}", why=f"line {number}: {error}"
            ) from error
    return tuple(sorted(entries.values(), key=lambda entry: sort_key(entry.version)))


def source(crate: str, version: str) -> Path:
    """The folder of a version's sources, brought by cargo where it is not there yet.

    Raises Unsupported when cargo cannot bring it, ToolMissing without cargo.
    """
    with tempfile.TemporaryDirectory(prefix="leakgrid-source-") as scratch:
        manifest = _scratch_project(Path(scratch), crate, f"={version}")
        result = process.run(
            [*cargo(), "metadata", "--format-version", "1", "--manifest-path", str(manifest)],
            timeout=TIMEOUT,
            env=_plain_environ(),
        )
        if not result.ok:
            raise Unsupported(
                f"cargo cannot bring the sources of {crate} {version}",
                why=_first_error(result.stderr),
                next="Check the network, and cargo's source configuration (.cargo/config.toml).",
            )
        for package in json.loads(result.stdout)["packages"]:
            if package["name"] == crate and package["version"] == version:
                return Path(package["manifest_path"]).parent
    raise Unsupported(
        f"cargo resolved {crate} to another version than {version}",
        next="Look for [patch], [replace] and paths in cargo's configuration (.cargo/config.toml).",
    )


def cargo() -> tuple[str, ...]:
    """The cargo to run: the one of the environment (``CARGO``), else the one on PATH."""
    return (os.environ.get("CARGO") or "cargo",)


def cargo_home() -> Path:
    """Where cargo keeps its caches (cargo book: ``CARGO_HOME``, default ``~/.cargo``)."""
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()


def sort_key(version: str) -> tuple[Any, ...]:
    """An order for versions: semver's, as far as it matters (pre-releases before releases)."""
    core, _, pre = version.split("+", 1)[0].partition("-")
    numbers = tuple(int(part) if part.isdigit() else 0 for part in core.split("."))
    return (numbers, pre == "", tuple((part.isdigit(), part.zfill(12)) for part in pre.split(".")))


def _scratch_project(folder: Path, crate: str, requirement: str) -> Path:
    (folder / "src").mkdir()
    (folder / "src" / "lib.rs").write_text("")
    manifest = folder / "Cargo.toml"
    manifest.write_text(
        '[package]\nname = "leakgrid-scratch"\nversion = "0.0.0"\nedition = "2021"\n\n'
        f"[workspace]\n\n[dependencies]\n{json.dumps(crate)} = {json.dumps(requirement)}\n"
    )
    return manifest


def _plain_environ() -> dict[str, str]:
    """Without colours and translations, because cargo's messages are read."""
    return {**os.environ, "CARGO_TERM_COLOR": "never", "LC_ALL": "C"}


def index_path(crate: str) -> str:
    """Where an index keeps a crate, such as ``py/o3/pyo3``."""
    return _relative_path(crate).as_posix()


def _relative_path(crate: str) -> Path:
    """Where the index keeps a crate (cargo book, "Index files")."""
    name = crate.lower()
    if len(name) <= 2:
        return Path(str(len(name))) / name
    if len(name) == 3:
        return Path("3") / name[0] / name
    return Path(name[:2]) / name[2:4] / name


def _cache_file(crate: str, manifest: Path) -> Path | None:
    """The cache entry, of the registry that cargo uses where several are cached."""
    root = cargo_home() / "registry" / "index"
    found = sorted(root.glob(f"*/.cache/{_relative_path(crate)}"))
    if len(found) < 2:
        return found[0] if found else None
    # Several registries know the crate: the folder of its unpacked sources has the index's name.
    result = process.run(
        [*cargo(), "metadata", "--format-version", "1", "--manifest-path", str(manifest)],
        timeout=TIMEOUT,
        env=_plain_environ(),
    )
    if result.ok:
        for package in json.loads(result.stdout)["packages"]:
            if package["name"] == crate:
                index = Path(package["manifest_path"]).parent.parent.name
                return next((file for file in found if root / index in file.parents), None)
    return max(found, key=lambda file: file.stat().st_mtime)


def _entry(version: str, record: Mapping[str, Any]) -> CrateVersion:
    if record["vers"] != version:
        raise ValueError(f"the record is that of {record['vers']}")
    features = {**record.get("features", {}), **(record.get("features2") or {})}
    return CrateVersion(
        version=version,
        yanked=bool(record.get("yanked", False)),
        published=record.get("pubtime"),
        rust_version=record.get("rust_version"),
        links=record.get("links"),
        dependencies=tuple(
            Dependency(
                crate=item.get("package") or item["name"],
                requirement=item["req"],
                kind=item.get("kind") or "normal",
            )
            for item in record["deps"]
        ),
        features=tuple(
            sorted({*features, *(i["name"] for i in record["deps"] if i.get("optional"))})
        ),
    )


def _unknown(name: str, why: str) -> DataError:
    return DataError(
        f"cargo's index cache of {name!r} cannot be read",
        why=why,
        next="This cargo is newer or older than leakgrid knows; update leakgrid, or use another "
        "cargo.",
    )


def _neighbours(entries: Iterable[CrateVersion], version: str) -> list[str]:
    """The releases around a version, those of its own minor first."""
    usable = [entry.version for entry in entries if not entry.yanked and "-" not in entry.version]
    try:
        wanted = Version(version).release
    except InvalidVersion:
        return usable[-3:]
    older = [item for item in usable if Version(item).release < wanted]
    newer = [item for item in usable if Version(item).release > wanted]
    return [*older[-2:], *newer[:2]] or ["none"]


def _network_trouble(stderr: str) -> bool:
    return any(
        mark in stderr
        for mark in (
            "spurious network error",
            "failed to download",
            "failed to fetch",
            "failed to query",
            "download of config.json failed",
            "Unable to update",
            "attempting to make an HTTP request",
        )
    )


def _first_error(stderr: str) -> str:
    """Cargo's first error with its causes, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith("error"):
            causes = [text for text in lines[number + 1 :] if text != "Caused by:"]
            return "; ".join([line.removeprefix("error: "), *causes[:4]])
    return ""


__all__ = [
    "CrateVersion",
    "Dependency",
    "Listing",
    "cargo",
    "cargo_home",
    "index_path",
    "lookup",
    "parse_cache",
    "parse_index",
    "require",
    "sort_key",
    "source",
    "versions",
]
