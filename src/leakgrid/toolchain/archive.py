"""Unpack a source distribution that nobody here made: nothing leaves its folder."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from leakgrid.errors import DataError


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an archive may be: members, and bytes when unpacked (in all, and of one file)."""

    members: int = 50_000
    total: int = 1024**3
    single: int = 512 * 1024**2
    depth: int = 40


LIMITS = Limits()
_CHUNK = 1024 * 1024


def unpack(archive: Path, destination: Path, limits: Limits = LIMITS) -> Path:
    """Unpack a .tar.gz, .tar.bz2, .tar.xz, .tar or .zip sdist into the new folder ``destination``.

    Returns the one folder at the archive's top (else ``destination``). Refused, as DataError with
    the member's name: absolute names, ``..``, links that leave the folder, hard links to what is
    not there, devices, names that occur twice or pass through a link, more than ``limits``. What
    was unpacked by then is removed.
    """
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, temporary, limits)
        else:
            _unpack_tar(archive, temporary, limits)
        _check_links(archive, temporary)
        shutil.rmtree(destination, ignore_errors=True)
        temporary.replace(destination)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
        ValueError,
    ) as error:
        raise DataError(
            f"{archive.name} cannot be unpacked",
            why=str(error) or type(error).__name__,
            next="Get it again; an archive that is cut off or of another format is not used.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    inside = list(destination.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else destination


def _check_links(archive: Path, root: Path) -> None:
    """Links that pass through other links can leave although each one's own text stays inside."""
    real = root.resolve()
    for path in root.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real):
            raise DataError(
                f"{archive.name} is not unpacked",
                why=f"its member {path.relative_to(root).as_posix()[:200]!r} is a link that leaves "
                "the folder",
                next="This is no ordinary source distribution; look at it by hand before using it.",
            )


class _Gate:
    """Judges every member before anything of it is written."""

    def __init__(self, archive: Path, root: Path, limits: Limits) -> None:
        self._archive, self._root, self._limits = archive, root, limits
        self._count = self._total = 0
        self._files: set[PurePosixPath] = set()
        self._links: set[PurePosixPath] = set()

    def refuse(self, name: str, why: str) -> DataError:
        return DataError(
            f"{self._archive.name} is not unpacked",
            why=f"its member {name[:200]!r} {why}",
            next="This is no ordinary source distribution; look at it by hand before using it.",
        )

    def place(self, name: str, *, folder: bool, size: int = 0) -> Path:
        """Where a member goes. Raises DataError."""
        self._count += 1
        if self._count > self._limits.members:
            raise self.refuse(name, f"is past the limit of {self._limits.members} members")
        path = self._clean(name)
        if size > self._limits.single:
            raise self.refuse(name, f"is larger than {self._limits.single} bytes")
        if not folder:
            if path in self._files or path in self._links or path == PurePosixPath("."):
                raise self.refuse(name, "occurs twice")
            self._files.add(path)
        for parent in (path, *path.parents):
            if parent in self._links:
                raise self.refuse(name, "passes through a link")
            if parent != path and parent in self._files:
                raise self.refuse(name, "lies below a file")
        return self._root / path

    def link(self, name: str, target: str) -> Path:
        """Where a symbolic link goes; its target must stay inside. Raises DataError."""
        to = self.place(name, folder=False)
        path = self._clean(name)
        if PurePosixPath(target).is_absolute() or "\0" in target or not target:
            raise self.refuse(name, f"is a link to {target[:200]!r}, outside of the archive")
        self._inside(name, (*path.parent.parts, *PurePosixPath(target).parts))
        self._links.add(path)
        return to

    def hard_link(self, name: str, target: str) -> tuple[Path, Path]:
        """Where a hard link goes, and the file of this archive that it repeats."""
        source = self._clean(target)
        if source not in self._files or source in self._links:
            raise self.refuse(name, f"is a hard link to {target[:200]!r}, which is not unpacked")
        return self.place(name, folder=False), self._root / source

    def copy(self, name: str, source: IO[bytes], to: Path) -> None:
        """Write one file's content; the sizes that headers claim are not trusted."""
        to.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with to.open("xb") as target:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                self._total += len(chunk)
                if written > self._limits.single or self._total > self._limits.total:
                    raise self.refuse(name, "makes the archive larger than the limit")
                target.write(chunk)

    def _clean(self, name: str) -> PurePosixPath:
        if not name or "\0" in name or "\\" in name:
            raise self.refuse(name, "has no usable name")
        path = PurePosixPath(name)
        if path.is_absolute() or (path.parts and path.parts[0].endswith(":")):
            raise self.refuse(name, "is absolute")
        if ".." in path.parts:
            raise self.refuse(name, "leaves the folder")
        if len(path.parts) > self._limits.depth or any(
            len(os.fsencode(part)) > 255 for part in path.parts
        ):
            raise self.refuse(name, "is too deep or too long")
        return path

    def _inside(self, name: str, parts: Iterable[str]) -> None:
        level = 0
        for part in parts:
            level += -1 if part == ".." else 0 if part in (".", "") else 1
            # Level 1 is the archive's one top folder: a link may not climb out of it.
            if level < 1:
                raise self.refuse(name, "is a link that leaves the folder")


def _unpack_tar(archive: Path, root: Path, limits: Limits) -> None:
    gate = _Gate(archive, root, limits)
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if member.isdir():
                gate.place(member.name, folder=True).mkdir(parents=True, exist_ok=True)
            elif member.issym():
                to = gate.link(member.name, member.linkname)
                to.parent.mkdir(parents=True, exist_ok=True)
                to.symlink_to(member.linkname)
            elif member.islnk():
                to, source = gate.hard_link(member.name, member.linkname)
                with source.open("rb") as stream:
                    gate.copy(member.name, stream, to)
            elif member.isreg():
                to = gate.place(member.name, folder=False, size=member.size)
                content = tar.extractfile(member)
                if content is None:
                    raise gate.refuse(member.name, "has no content")
                gate.copy(member.name, content, to)
                to.chmod(0o755 if member.mode & 0o100 else 0o644)
            else:
                raise gate.refuse(member.name, "is a device, a pipe or of an unknown type")


def _unpack_zip(archive: Path, root: Path, limits: Limits) -> None:
    gate = _Gate(archive, root, limits)
    with zipfile.ZipFile(archive) as bundle:
        for item in bundle.infolist():
            if item.is_dir():
                gate.place(item.filename, folder=True).mkdir(parents=True, exist_ok=True)
                continue
            kind = (item.external_attr >> 16) & 0o170000
            if kind not in (0, 0o100000):
                raise gate.refuse(item.filename, "is a link or a device")
            to = gate.place(item.filename, folder=False, size=item.file_size)
            with bundle.open(item) as content:
                gate.copy(item.filename, content, to)
