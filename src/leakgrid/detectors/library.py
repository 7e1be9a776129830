"""The extension's shared library: where its allocator begins, and the client request library."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from leakgrid import process
from leakgrid.detectors.suite import INCELL
from leakgrid.errors import DataError

_ALLOCATOR = "___rust_alloc"
"""End of the v0-mangled name of ``__rustc::__rust_alloc``, through which every Rust allocation
goes; older compilers spell it ``__rust_alloc``. It is a local symbol, present unless stripped."""

_REQUESTS = b"leakgrid_has_valgrind_requests"
"""A function that requests.c has only where Valgrind's headers were found."""


@dataclass(frozen=True, slots=True)
class Library:
    """One shared library of the extension.

    ``allocator`` is the file address of its ``__rust_alloc`` (None: stripped, or no Rust).
    """

    path: Path
    allocator: int | None


def inspect(path: Path) -> Library:
    """Read the symbols of one library. Raises DataError when it is no ELF file."""
    try:
        with path.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            address = _allocator(table) if isinstance(table, SymbolTableSection) else None
    except ELFError as error:
        raise DataError(f"{path.name} is not an ELF library", why=str(error)) from error
    return Library(path, address)


def _allocator(table: SymbolTableSection) -> int | None:
    for symbol in table.iter_symbols():
        named = symbol.name == "__rust_alloc" or symbol.name.endswith(_ALLOCATOR)
        if named and symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_value"]:
            return int(symbol["st_value"])
    return None


def client_requests(cache: Path) -> tuple[Path | None, str]:
    """Build the client request library once per source and compiler; (path, what is missing).

    With everything there nothing is missing. Without Valgrind's headers the library serves the
    native screen alone, and without a C compiler there is none: then the screen still works, but
    memcheck can neither attribute anything to a test nor plant a leak.
    """
    library, why = _compiled("requests", cache)
    if library is None or _REQUESTS in library.read_bytes():
        return library, why
    # Under a name that is not looked up: the headers may be installed later.
    native = library.with_name(f"{library.stem}-native.so")
    library.replace(native)
    return native, "Valgrind's headers are missing"


def heap_meter(cache: Path) -> Path | None:
    """Build the library that counts allocated bytes when preloaded; None where it cannot be."""
    return _compiled("heap", cache)[0]


def _compiled(name: str, cache: Path) -> tuple[Path | None, str]:
    """One of the C files as a shared library; (path, why there is none)."""
    source = INCELL / f"{name}.c"
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        return None, "no C compiler (cc) on PATH"
    digest = hashlib.sha256(source.read_bytes() + compiler.encode()).hexdigest()[:12]
    library = cache / f"{name}-{digest}.so"
    if library.exists():
        return library, ""
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f"{library.name}.{os.getpid()}"
    built = process.run(
        [compiler, "-shared", "-fPIC", "-O1", "-g", "-o", partial, source], timeout=120
    )
    if not built.ok:
        partial.unlink(missing_ok=True)
        return None, built.tail(3)
    partial.replace(library)
    return library, ""


def libc_version() -> str:
    """``glibc 2.36``, or empty where the C library does not say."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
