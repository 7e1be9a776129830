"""Where a target's sources come from: a folder, or an sdist as pip is configured."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from leakgrid import process
from leakgrid.errors import NotEvaluated, Unsupported, UsageError
from leakgrid.matrix import Target
from leakgrid.toolchain.archive import unpack
from leakgrid.toolchain.cargo_errors import first_error
from leakgrid.toolchain.environ import clean_environ
from leakgrid.toolchain.stage import locked

DOWNLOAD_TIMEOUT = 600.0
"""Seconds that pip may take for one sdist."""


def obtain(target: Target, work: Path, base: Path) -> Path:
    """The root of the target's sources: its own folder, or its unpacked sdist below ``work``.

    ``base`` is the folder that relative paths start from. An sdist pinned with ``==`` is got once.
    Raises UsageError (no such folder, no such requirement), Unsupported (no sdist to be had),
    DataError (an archive that is not safe to unpack).
    """
    if target.path:
        folder = (base / Path(target.path).expanduser()).resolve()
        if not folder.is_dir():
            raise UsageError(
                f"target {target.name}: there is no folder {target.path}",
                why=f"looked below {base}",
                next="Correct its path in matrix.toml.",
            )
        return folder
    return sdist(target.requirement, work)


def sdist(requirement: str, work: Path) -> Path:
    """The root of an sdist such as ``mrrc==0.9.2``, unpacked below ``work``. See :func:`obtain`."""
    parsed = _parse(requirement)
    pinned = [item.version for item in parsed.specifier if item.operator == "=="]
    if len(pinned) != 1 or "*" in pinned[0]:
        raise UsageError(
            f"{requirement!r} does not name one version",
            next=f"Pin it, such as {parsed.name}==1.2.3: results are compared by version.",
        )
    final = work / f"{canonicalize_name(parsed.name)}-{pinned[0]}"
    with locked(final):
        if not final.is_dir():
            with tempfile.TemporaryDirectory(prefix="leakgrid-sdist-") as scratch:
                unpack(_download(parsed, Path(scratch)), final)
    inside = [item for item in final.iterdir() if item.is_dir()]
    return inside[0] if len(inside) == 1 and not (final / "PKG-INFO").exists() else final


def _parse(requirement: str) -> Requirement:
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement as error:
        raise UsageError(
            f"{requirement!r} is no requirement",
            why=str(error),
            next="Write it as pip does: name==1.2.3.",
        ) from error
    if parsed.url:
        raise UsageError(
            f"{requirement!r} names an address",
            next="Get the sources yourself and name their folder.",
        )
    return parsed


def _download(requirement: Requirement, folder: Path) -> Path:
    """Let pip bring the one sdist.

    Only this package is refused as a wheel (``:all:`` would build maturin itself from source), and
    without build isolation: pip asks the build backend for metadata, and maturin is here already.
    Where that does not suffice, with isolation.
    """
    # Python of leakgrid's own environment first on PATH, so that the backend finds this maturin.
    bin_folder = str(Path(sys.executable).parent)
    environ = clean_environ({"PATH": bin_folder + os.pathsep + os.environ.get("PATH", "")})
    for options in (["--no-build-isolation"], []):
        result = process.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-input",
                "--no-deps",
                "--ignore-requires-python",
                "--disable-pip-version-check",
                *options,
                "--no-binary",
                requirement.name,
                "--dest",
                folder,
                f"{requirement.name}{requirement.specifier}",
            ],
            env=environ,
            timeout=DOWNLOAD_TIMEOUT,
            cwd=folder,
        )
        found = [
            path
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name.endswith((".tar.gz", ".zip", ".tar.bz2", ".tar.xz"))
        ]
        if found:
            return found[0]
    raise _not_to_be_had(requirement, result)


def _not_to_be_had(requirement: Requirement, result: process.Completed) -> NotEvaluated:
    if "metadata-generation-failed" in result.stderr:
        return Unsupported(
            f"pip cannot tell what the sdist of {requirement} holds: its build backend failed",
            why=_backend_error(result.stdout + result.stderr),
            next="Unpack the sdist yourself, see what its Cargo.lock and its build need, and name "
            "the folder.",
        )
    lines = [
        line.removeprefix("ERROR: ")
        for line in result.stderr.splitlines()
        if line.startswith("ERROR")
    ]
    why = " ".join(lines[:2])[-600:] or result.tail(2)
    if result.timed_out:
        why = f"pip went past its limit of {DOWNLOAD_TIMEOUT:.0f} s"
    return Unsupported(
        f"there is no sdist of {requirement} to be had",
        why=why,
        next="Check the version, the network and pip's configuration, or name a folder with the "
        "sources.",
    )


def _backend_error(output: str) -> str:
    """What the build backend said, without pip's own lines around it."""
    _, _, inside = output.partition("lines of output]\n")
    said = [line.strip() for line in inside.partition("[end of output]")[0].splitlines()]
    return first_error("\n".join(said)) or " ".join(filter(None, said[-2:]))
