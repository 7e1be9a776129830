"""``leakgrid init``: what a PyO3 project needs to run its own matrix; nothing is overwritten."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from leakgrid import provenance, scaffold
from leakgrid.commands import _looking
from leakgrid.commands._common import Subcommands
from leakgrid.errors import LeakgridError, UsageError
from leakgrid.matrix import Target, parse, target_from_pyproject
from leakgrid.registry import sort_key
from leakgrid.store import write_atomically
from leakgrid.toolchain import coupled, interpreters, layout, pyo3
from leakgrid.toolchain.interpreters import Interpreter
from leakgrid.toolchain.manifest import entries, read_text, read_toml
from leakgrid.watch import index, releases
from leakgrid.watch.http import Client

_MEASURED = ((3, 9), (3, 13))
"""The oldest and the newest CPython that leakgrid's own tests run; others may work."""


def add(subcommands: Subcommands) -> None:
    """Declare the command and its options."""
    parser = subcommands.add_parser(
        "init",
        help="set up a PyO3 project's own matrix",
        description="Write a noxfile, matrix.toml, a suppressions folder and a nightly workflow "
        "into a project. What is there already is left alone, and named.",
    )
    parser.add_argument(
        "project", nargs="?", type=Path, default=Path(), metavar="PATH", help="default: here"
    )
    parser.add_argument(
        "--source",
        default="",
        metavar="SOURCE",
        help="where others install leakgrid from: git+https://..., an archive's address or a "
        "folder (default: where this one was installed from)",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="X.Y",
        help="repeatable (default: the newest one here that the project and PyO3 support)",
    )
    parser.add_argument(
        "--pyo3",
        action="append",
        default=[],
        metavar="VERSION",
        help="repeatable (default: the one in Cargo.lock, and the newest)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """``leakgrid init``: write what is not there, name what is."""
    project = options.project.resolve()
    target = target_from_pyproject(project)
    _check_pyo3(project)
    source = _source(options.source)
    noxfile = _noxfile_name(project)
    files: dict[str, Callable[[], str]] = {
        noxfile: lambda: scaffold.noxfile(provenance.requirement(source)),
        scaffold.MATRIX: lambda: _matrix(options, project, target),
        scaffold.SUPPRESSIONS: scaffold.suppressions,
        scaffold.WORKFLOW: lambda: scaffold.workflow(noxfile),
    }
    texts = {name: text() for name, text in files.items() if not _is_there(project / name)}
    for name, text in texts.items():
        write_atomically(project / name, text)
        print(f"wrote       {name}")
    for name in dict.fromkeys((scaffold.NOXFILE, *files)):
        if name not in texts and _is_there(project / name):
            print(f"left alone  {name}")
    for line in _advice(project, noxfile, source, texts):
        print(line, file=sys.stderr)
    return 0


def _source(given: str) -> str:
    source = given or provenance.installed_from()
    if not source:
        raise UsageError(
            "nobody noted where this leakgrid was installed from",
            why="an installation from a package index, or none at all; the name leakgrid is not "
            "taken there, so the bare name would install whatever somebody puts there",
            next="Give --source git+https://HOST/OWNER/leakgrid@COMMIT, or a folder or wheel.",
        )
    return provenance.checked(source)


def _check_pyo3(project: Path) -> None:
    manifest = project / layout.read(project).manifest
    if not any(entry.crate in ("pyo3", "pyo3-ffi") for entry in entries(read_toml(manifest))):
        raise UsageError(
            f"{project.name} does not depend on PyO3",
            why=f"looked for pyo3 in {manifest.relative_to(project)}",
            next="Name the folder of the extension itself.",
        )


def _noxfile_name(project: Path) -> str:
    """Another name where somebody else's noxfile is there."""
    path = project / scaffold.NOXFILE
    if not _is_there(path) or _is_ours(path):
        return scaffold.NOXFILE
    return scaffold.OWN_NOXFILE


def _is_ours(path: Path) -> bool:
    try:
        return "leakgrid.nox" in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _matrix(options: argparse.Namespace, project: Path, target: Target) -> str:
    chosen = options.pyo3 or _pyo3_versions(project)
    requires = _requires_python(project)
    pythons = options.python or [_python(requires, chosen)]
    oldest = min(chosen, key=sort_key)
    text = scaffold.matrix(
        target.name,
        pythons,
        chosen,
        watch_python=requires or ">=3.9",
        watch_pyo3=f">={'.'.join(oldest.split('.')[:2])}",
    )
    parse(text, source=scaffold.MATRIX, base=project)
    return text


def _pyo3_versions(project: Path) -> list[str]:
    """The one that the project is locked to, and the newest release where it is another."""
    locked = _locked(project)
    try:
        address = _looking.index_address("", os.environ, project)
        seen = index.look(_looking.CRATE, address, Client()).versions
    except LeakgridError as error:
        if not locked:
            raise
        _say(f"the newest PyO3 is not known ({error.sentence()}); the matrix has {locked} alone")
        return [locked]
    newest = releases.newest(seen)
    usable = {entry.version for entry in seen if not entry.yanked}
    if locked and locked not in usable:
        _say(f"Cargo.lock has PyO3 {locked}, which is yanked or no release: left out")
        locked = ""
    found = [locked] if locked else []
    return list(dict.fromkeys([*found, *([newest.version] if newest else [])]))


def _locked(project: Path) -> str:
    """PyO3's version in the project's lock, or in that of the workspace around it."""
    manifest = project / layout.read(project).manifest
    for folder in (manifest.parent, *manifest.parent.parents):
        lock = folder / "Cargo.lock"
        if lock.is_file():
            versions = coupled.locked_versions(read_text(lock), str(lock))
            return versions.get("pyo3", versions.get("pyo3-ffi", ""))
    return ""


def _requires_python(project: Path) -> str:
    path = project / "pyproject.toml"
    data = read_toml(path) if path.is_file() else {}
    text = str(data.get("project", {}).get("requires-python", ""))
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return ""  # maturin says it better
    return text


def _python(requires: str, versions: Sequence[str]) -> str:
    """The newest Python here that the project and every PyO3 support."""
    for found in interpreters.discover():
        if (
            _MEASURED[0] <= found.release[:2] <= _MEASURED[1]
            and not found.free_threaded
            and not found.debug
            and SpecifierSet(requires).contains(found.version, prereleases=True)
            and all(_supports(version, found) for version in versions)
        ):
            return found.minor
    wanted = _MEASURED[1]
    _say(
        f"no Python from 3.9 to 3.13 was found that the project supports: the matrix names "
        f"{wanted[0]}.{wanted[1]}, whose cells are evaluated once it is installed"
    )
    return f"{wanted[0]}.{wanted[1]}"


def _supports(version: str, interpreter: Interpreter) -> bool:
    """Whether the pair can be built; true where nobody can say, since the cell then says it."""
    try:
        oldest, newest = pyo3.supported_pythons(version)
    except LeakgridError:
        return True
    return oldest <= interpreter.release[:2] <= newest


def _advice(project: Path, noxfile: str, source: str, written: dict[str, str]) -> Iterator[str]:
    option = "" if noxfile == scaffold.NOXFILE else f" -f {noxfile}"
    if option:
        yield (
            f"{scaffold.NOXFILE} was there, so leakgrid's sessions are in {noxfile}. To have them "
            "in yours:\n    from leakgrid.nox import sessions\n"
            f'    sessions("{scaffold.MATRIX}")'
        )
    if noxfile in written and provenance.is_local(source):
        yield (
            f"{noxfile} installs leakgrid from a folder of this machine ({source}). For CI and "
            f"for others remove {noxfile} and run leakgrid init again with --source git+https://..."
        )
    if scaffold.WORKFLOW in written and not (project / ".git").exists():
        above = next((path for path in project.parents if (path / ".git").exists()), None)
        if above is not None:
            yield f"GitHub reads workflows only in {above / '.github'}: move {scaffold.WORKFLOW}."
    yield f"Now: nox{option} -s valgrind"


def _say(text: str) -> None:
    print(f"leakgrid: {text}", file=sys.stderr)
