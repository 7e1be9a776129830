"""Copies of a user's folder that never touch it, and that keep cargo's freshness honest."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leakgrid.errors import UsageError

MAX_FILES = 100_000
MAX_BYTES = 4 * 1024**3
"""More than this is no extension's sources; the copy is refused."""

_SKIPPED = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".jj",
        ".nox",
        ".tox",
        ".venv",
        "venv",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".leakgrid",
        "node_modules",
        ".eggs",
        ".pixi",
        ".direnv",
        ".benchmarks",
    }
)
_SKIPPED_ENDS = (".pyc", ".pyo", ".pyd.tmp")


def is_skipped(folder: Path) -> bool:
    """Whether a folder is a cache, a build or an environment, and no source."""
    name = folder.name
    if name in _SKIPPED or (folder / "pyvenv.cfg").exists():
        return True
    # cargo and others mark what can be made again (the "Cache Directory Tagging" convention).
    return (folder / "CACHEDIR.TAG").exists() or (
        name == "target" and (folder / ".rustc_info.json").exists()
    )


@dataclass(slots=True)
class _Copy:
    """What one copy has seen so far; ``kept`` are the paths that belong to the copy."""

    source: Path
    destination: Path
    texts: Mapping[Path, str]
    apart: frozenset[Path]
    kept: set[Path] = field(default_factory=set)
    files: int = 0
    size: int = 0


def synchronise(
    source: Path,
    destination: Path,
    texts: Mapping[Path, str] | None = None,
    apart: frozenset[Path] = frozenset(),
) -> None:
    """Make ``destination`` a copy of the sources in ``source``.

    ``texts`` replaces the content of files, ``apart`` are left out (absolute paths in the source).
    A file of the same content is left alone, a changed one gets the present time: cargo judges by
    times, and a file put back with an old one would otherwise be built from a stale cache. Links
    that stay inside are kept as links, links that leave are replaced by what they point to (never
    followed twice), broken ones are left out, as are devices and sockets. What is not in the source
    is removed. Raises UsageError for a folder that is too large.
    """
    source = source.resolve()
    copy = _Copy(source, destination, texts or {}, apart)
    destination.mkdir(parents=True, exist_ok=True)
    _folder(copy, source, destination, through_link=False)
    for path in sorted(destination.rglob("*"), reverse=True):
        if path not in copy.kept:
            remove(path)


def source_files(folder: Path, apart: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Every file and link that :func:`synchronise` would copy; links are not followed."""
    for entry in os.scandir(folder):
        path = Path(entry.path)
        if path in apart:
            continue
        if entry.is_symlink():
            yield path
        elif entry.is_dir():
            if not is_skipped(path):
                yield from source_files(path, apart)
        elif entry.is_file() and not entry.name.endswith(_SKIPPED_ENDS):
            yield path


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of every file below ``folder``."""
    total = hashlib.sha256()
    for path in sorted(_walk(folder)):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        if path.is_symlink():
            total.update(b"-> " + os.readlink(path).encode())
        else:
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def replace_text(path: Path, text: str) -> None:
    """Write ``text`` atomically, and only where it differs, so that the time stays as it was."""
    if path.is_file() and not path.is_symlink() and path.read_text(encoding="utf-8") == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


def _folder(copy: _Copy, source: Path, destination: Path, *, through_link: bool) -> None:
    for entry in sorted(os.scandir(source), key=lambda item: item.name):
        path, to = Path(entry.path), destination / entry.name
        if path in copy.apart:
            continue
        if entry.is_symlink():
            _link(copy, path, to, through_link=through_link)
        elif entry.is_dir():
            if not is_skipped(path):
                _make_folder(copy, to)
                _folder(copy, path, to, through_link=through_link)
        elif entry.is_file() and not entry.name.endswith(_SKIPPED_ENDS):
            _file(copy, path, to)


def _link(copy: _Copy, path: Path, to: Path, *, through_link: bool) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return
    if target.is_relative_to(copy.source) and not through_link:
        text = os.path.relpath(target, path.parent.resolve())
        if not (to.is_symlink() and os.readlink(to) == text):
            remove(to)
            to.symlink_to(text)
        copy.kept.add(to)
    elif target.is_file():
        _file(copy, target, to)
    elif target.is_dir() and not through_link and not is_skipped(target):
        _make_folder(copy, to)
        _folder(copy, target, to, through_link=True)


def _make_folder(copy: _Copy, to: Path) -> None:
    if to.is_symlink() or (to.exists() and not to.is_dir()):
        remove(to)
    to.mkdir(exist_ok=True)
    copy.kept.add(to)


def _file(copy: _Copy, path: Path, to: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return
    copy.files += 1
    copy.size += status.st_size
    if copy.files > MAX_FILES or copy.size > MAX_BYTES:
        raise UsageError(
            f"{copy.source} is too large to copy",
            why=f"it holds more than {MAX_FILES} files or {MAX_BYTES // 1024**3} GiB of sources",
            next="Name the extension's own folder, or remove build output from it.",
        )
    copy.kept.add(to)
    if to.is_symlink() or to.is_dir():
        remove(to)
    if path in copy.texts:
        replace_text(to, copy.texts[path])
    elif not _same(path, status.st_size, to):
        temporary = to.with_name(f".{to.name}.leakgrid-tmp")
        shutil.copyfile(path, temporary)
        temporary.replace(to)
    # Never a set-id bit, and always writable for its owner, or the next copy could not replace it.
    to.chmod((status.st_mode & 0o777) | 0o600)


def _same(path: Path, size: int, to: Path) -> bool:
    return to.is_file() and to.stat().st_size == size and to.read_bytes() == path.read_bytes()


def remove(path: Path) -> None:
    """Remove a file, a link (not what it points to) or a folder; nothing there is no error."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
