"""A cell's Python environment: the target interpreter's own venv, pytest, the tests' needs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from leakgrid import process
from leakgrid.errors import BuildFailed, NotEvaluated, Unsupported
from leakgrid.toolchain import project_lock
from leakgrid.toolchain.environ import clean_environ
from leakgrid.toolchain.interpreters import Interpreter
from leakgrid.toolchain.layout import read as read_layout
from leakgrid.toolchain.manifest import read_toml
from leakgrid.toolchain.stage import locked

PIP_TIMEOUT = 1200.0
"""Seconds that pip may take to install an environment."""

TEST_GROUPS = ("test", "tests", "testing", "dev")
"""Extras and dependency groups that hold a project's test requirements, the best first.

Extras (``[project.optional-dependencies]``) and groups (PEP 735) of one name are taken together;
the first name that exists is used and the others are not.
"""
_NO_TEST_TOOLS = frozenset(
    {"maturin", "mypy", "pyright", "ruff", "pre-commit", "black", "nox", "tox"}
)
"""Found in ``dev`` groups; no test imports them."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A ready environment. ``python`` runs in it; ``packages`` maps installed names to versions.

    ``requirements`` are what pip was asked for, ``source`` where the tests' own came from:
    ``requirements`` of the target, ``extra test``, ``extra and group dev`` ..., or ``none
    declared``.
    """

    python: Path
    directory: Path
    requirements: tuple[str, ...]
    source: str
    packages: Mapping[str, str]


def prepare(
    interpreter: Interpreter,
    directory: Path,
    requirements: Iterable[str],
    project: Path | None = None,
    log: Path | None = None,
) -> Environment:
    """The environment for these requirements below ``directory``, made once and then reused.

    With no ``requirements`` those of the project's own tests are taken (:data:`TEST_GROUPS`), and
    the project's run-time dependencies always; then with the versions of the project's own lock,
    where they can be installed. Cells of one Python may ask at the same time.
    Raises BuildFailed when pip cannot install, Unsupported when the Python has no venv.
    """
    asked, source = tuple(requirements), "requirements"
    pins: tuple[str, ...] = ()
    if not asked and project is not None:
        asked, source = test_requirements(project)
        pins = project_lock.pins(project)
    wanted = tuple(dict.fromkeys(["pytest", *_runtime(project), *asked]))
    said = [str(interpreter.executable), interpreter.version, interpreter.abiflags, sorted(wanted)]
    key = hashlib.sha256(json.dumps([*said, *pins]).encode()).hexdigest()[:12]
    final = directory / f"py{interpreter.version}-{key}"
    done = final / "leakgrid.json"
    with locked(final):
        if not done.is_file():
            shutil.rmtree(final, ignore_errors=True)
            _make(interpreter, final, wanted, pins, log)
            # The last thing written: an environment without it was interrupted, and is made again.
            temporary = done.with_suffix(".tmp")
            temporary.write_text(json.dumps(_installed(final)), encoding="utf-8")
            temporary.replace(done)
    return Environment(
        python=final / "bin" / "python",
        directory=final,
        requirements=wanted,
        source=source,
        packages=json.loads(done.read_text(encoding="utf-8")),
    )


def test_requirements(project: Path) -> tuple[tuple[str, ...], str]:
    """The test requirements that pyproject.toml declares, and the name they are declared under."""
    path = project / "pyproject.toml"
    data = read_toml(path) if path.is_file() else {}
    extras = data.get("project", {}).get("optional-dependencies", {})
    groups = data.get("dependency-groups", {})
    own = canonicalize_name(str(data.get("project", {}).get("name", "")))
    for name in TEST_GROUPS:
        found = _extra(extras, name, own) + _group(groups, name)
        if name in extras or name in groups:
            kinds = [
                kind for kind, table in (("extra", extras), ("group", groups)) if name in table
            ]
            return tuple(dict.fromkeys(_useful(found))), f"{' and '.join(kinds)} {name}"
    return (), "none declared"


test_requirements.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it


def install_wheel(environment: Environment, wheel: Path, site: Path) -> None:
    """Unpack a wheel into ``site``, a folder of this cell alone; it goes in front on PYTHONPATH.

    Its own dependencies are in the environment already. The folder is replaced in one step.
    Raises BuildFailed for a wheel with names that leave the folder.
    """
    temporary = site.with_name(f".{site.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    data = f"{'-'.join(wheel.name.split('-')[:2])}.data"
    with zipfile.ZipFile(wheel) as archive:
        for item in archive.infolist():
            name = PurePosixPath(item.filename)
            if name.is_absolute() or ".." in name.parts:
                raise BuildFailed(f"{wheel.name} holds the unsafe name {item.filename!r}")
            if name.parts[:1] == (data,):
                # purelib and platlib belong beside the rest; scripts and headers are not needed.
                if len(name.parts) < 3 or name.parts[1] not in ("purelib", "platlib"):
                    continue
                name = PurePosixPath(*name.parts[2:])
            to = temporary / name
            if item.is_dir():
                to.mkdir(parents=True, exist_ok=True)
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(item) as source, to.open("wb") as target:
                shutil.copyfileobj(source, target)
    shutil.rmtree(site, ignore_errors=True)
    temporary.replace(site)


def check_requires_python(project: Path, interpreter: Interpreter) -> None:
    """Whether the project itself admits this Python. Raises Unsupported."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    path = project / "pyproject.toml"
    data = read_toml(path) if path.is_file() else {}
    text = str(data.get("project", {}).get("requires-python", ""))
    try:
        admitted = SpecifierSet(text).contains(interpreter.version, prereleases=True)
    except InvalidSpecifier:
        return  # maturin says it better
    if not admitted:
        raise Unsupported(
            f"{read_layout(project).distribution} does not support Python {interpreter.minor}",
            why=f"its requires-python is {text}",
            next="Choose a Python that it supports.",
        )


def _make(
    interpreter: Interpreter,
    folder: Path,
    wanted: tuple[str, ...],
    pins: tuple[str, ...],
    log: Path | None,
) -> None:
    environ = clean_environ()
    made = process.run(
        [interpreter.executable, "-m", "venv", folder],
        env=environ,
        timeout=PIP_TIMEOUT,
        log=log,
        cwd=Path("/"),
    )
    if not made.ok:
        raise Unsupported(
            f"Python {interpreter.version} cannot make a virtual environment",
            why=made.tail(3),
            next="Install its venv module (python3-venv on Debian), or use another build of it.",
        )
    installed = _install(folder, wanted, pins, log)
    if not installed.ok and pins:  # a lock may pin what this Python cannot have
        installed = _install(folder, wanted, (), log)
    if not installed.ok:
        raise _pip_error(installed, wanted, log)
    # Under Valgrind compiling costs many times more than here.
    process.run(
        [folder / "bin" / "python", "-m", "compileall", "-q", folder / "lib"],
        env=environ,
        timeout=PIP_TIMEOUT,
        cwd=folder,
    )


def _install(
    folder: Path, wanted: tuple[str, ...], pins: tuple[str, ...], log: Path | None
) -> process.Completed:
    constraints = folder / "locked.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    return process.run(
        [
            *(folder / "bin" / "python", "-m", "pip", "install", "--no-input", "--quiet"),
            *("--disable-pip-version-check", "--constraint", constraints),
            *wanted,
        ],
        env=clean_environ(),
        timeout=PIP_TIMEOUT,
        log=log,
        cwd=folder,
    )


def _pip_error(
    result: process.Completed, wanted: tuple[str, ...], log: Path | None
) -> NotEvaluated:
    lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
    return BuildFailed(
        "pip cannot install what the tests need",
        log=str(log or ""),
        why=" ".join(lines[:2]) or result.tail(3) or "pip went past its time limit",
        next=f"It was asked for {', '.join(wanted)}; set `requirements` in matrix.toml, or check "
        "the network and pip's configuration.",
    )


def _installed(folder: Path) -> dict[str, str]:
    result = process.run(
        [
            folder / "bin" / "python",
            "-m",
            "pip",
            "list",
            "--format",
            "json",
            "--disable-pip-version-check",
        ],
        env=clean_environ(),
        timeout=PIP_TIMEOUT,
        cwd=folder,
    )
    return {item["name"]: item["version"] for item in json.loads(result.stdout or "[]")}


def _runtime(project: Path | None) -> tuple[str, ...]:
    path = project / "pyproject.toml" if project is not None else None
    if path is None or not path.is_file():
        return ()
    return tuple(read_toml(path).get("project", {}).get("dependencies", ()))


def _extra(
    extras: Mapping[str, Any], name: str, own: str, seen: frozenset[str] = frozenset()
) -> list[str]:
    """An extra's requirements; ``project[other]`` inside it is that other extra."""
    found: list[str] = []
    for text in extras.get(name, ()):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) == own:
            for other in sorted(requirement.extras - seen - {name}):
                found += _extra(extras, other, own, seen | {name})
        else:
            found.append(text)
    return found


def _group(groups: Mapping[str, Any], name: str, seen: frozenset[str] = frozenset()) -> list[str]:
    """A dependency group with those that it includes (PEP 735)."""
    found: list[str] = []
    for item in groups.get(name, ()):
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Mapping) and str(item.get("include-group", "")) not in seen | {name}:
            found += _group(groups, str(item.get("include-group", "")), seen | {name})
    return found


def _useful(requirements: Iterable[str]) -> Iterable[str]:
    for text in requirements:
        match = re.match(r"[A-Za-z0-9._-]+", text)
        if match and canonicalize_name(match[0]) not in _NO_TEST_TOOLS:
            yield text
