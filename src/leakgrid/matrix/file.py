"""The matrix file and ``[tool.leakgrid]``: TOML in, a :class:`Matrix` or every fault out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from leakgrid.errors import ConfigError, UsageError
from leakgrid.matrix.model import Exclusion, Matrix, Tag, Target, Watch, expand, suggest
from leakgrid.matrix.reader import (
    Reader,
    is_pinned,
    is_requirement,
    join,
    kind,
    leaves_folder,
    read_toml,
    read_toml_file,
)

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# The part of a target that its own pyproject.toml may carry under [tool.leakgrid].
_OWN_KEYS = ("tests", "pytest-args", "requirements", "env", "pythons", "pyo3")
_TARGET_KEYS = ("path", "requirement", "default", *_OWN_KEYS)
_MATRIX_KEYS = ("default-target", "pythons", "pyo3", "targets", "exclude", "tags", "watch")


def load(path: Path) -> Matrix:
    """Read a matrix file. Raises ConfigError naming every fault, or that there is no such file.

    Targets with a local folder are completed from ``[tool.leakgrid]`` of their pyproject.toml;
    what the matrix file says itself wins.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the matrix file {path.name}",
            why=str(error),
            next="Give its path with --matrix, or name a project's folder instead of a target.",
        ) from error
    return parse(text, source=path.name, base=path.resolve().parent)


def parse(text: str, *, source: str = "matrix.toml", base: Path | None = None) -> Matrix:
    """Parse a matrix file's text; ``source`` is its name in messages.

    With ``base`` the folders of local targets are looked at, too (see :func:`load`).
    Raises ConfigError, whose ``faults`` name every fault by its key path.
    """
    data = read_toml(text, source)
    reader = Reader()
    reader.unknown(data, _MATRIX_KEYS, "")
    pythons = reader.pythons(data, "")
    pyo3 = reader.pyo3(data, "")
    targets = tuple(
        _complete(reader, _target(reader, name, table), base)
        for name, table in reader.tables(data, "targets").items()
    )
    matrix = Matrix(
        targets=targets,
        pythons=pythons,
        pyo3=pyo3,
        default_target=_default_target(reader, data, targets),
        exclusions=_exclusions(reader, data, targets),
        tags=_tags(reader, data),
        watch=_watch(reader, data),
        base=base or Path(),
    )
    _cross_check(reader, data, matrix)
    reader.done(source)
    return matrix


def target_from_pyproject(path: Path) -> Target:
    """The target that a local project's folder describes: its name and its ``[tool.leakgrid]``.

    Raises UsageError when the folder is no Python or Rust project, ConfigError when its
    ``[tool.leakgrid]``, or what names it, is wrong.
    """
    folder = path.resolve()
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {path}", next="Give the path of a PyO3 extension's project."
        )
    project = _name_in(folder / "pyproject.toml", "project")
    crate = _name_in(folder / "Cargo.toml", "package")
    if not any((folder / name).is_file() for name in ("pyproject.toml", "Cargo.toml")):
        raise UsageError(
            f"{path} is not a PyO3 project",
            why="It has neither a pyproject.toml nor a Cargo.toml.",
            next="Give the folder that maturin builds from.",
        )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(project or crate or folder.name)).strip("-._")
    return with_project_settings(Target(name=name or "project", path=str(folder)), folder)


def _name_in(path: Path, key: str) -> object:
    """The ``name`` in a table of a project's file. Raises ConfigError where it is no table."""
    table = read_toml_file(path).get(key, {})
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path.parent.name}/{path.name} has 1 fault",
            faults=(f"{key}: a table is required, not {kind(table)}",),
            next="Correct it and try again.",
        )
    return table.get("name")


def with_project_settings(target: Target, folder: Path) -> Target:
    """Complete a target from ``[tool.leakgrid]`` of the pyproject.toml in ``folder``.

    What the target already says wins. Raises ConfigError naming every fault.
    """
    reader = Reader()
    completed = _from_project(reader, target, folder)
    reader.done(f"{folder.name}/pyproject.toml")
    return completed


def _target(reader: Reader, name: str, table: Mapping[str, Any]) -> Target:
    key = join("targets", name)
    if not _NAME.fullmatch(name):
        reader.fault(key, "a name has letters, digits, '.', '-' and '_' only")
    reader.unknown(table, _TARGET_KEYS, key)
    path = reader.string(table, "path", key)
    requirement = reader.string(table, "requirement", key)
    if ("path" in table) == ("requirement" in table):
        reader.fault(key, "exactly one of 'path' and 'requirement' is required")
    if requirement and not is_pinned(requirement):
        reader.fault(f"{key}.requirement", f"{requirement!r} is not of the form name==version")
    default = table.get("default", True)
    if not isinstance(default, bool):
        reader.fault(f"{key}.default", f"true or false is required, not {kind(default)}")
    own = _own_part(reader, table, key)
    return replace(own, name=name, path=path, requirement=requirement, default=bool(default))


def _own_part(reader: Reader, table: Mapping[str, Any], key: str) -> Target:
    """The keys that a target may also set in its own pyproject.toml."""
    tests = reader.unique(table, "tests", key)
    for test in tests:
        if leaves_folder(test):
            reader.fault(f"{join(key, 'tests')}", f"{test!r} is not a path below the project")
    requirements = reader.unique(table, "requirements", key)
    for item in requirements:
        if not is_requirement(item):
            reader.fault(join(key, "requirements"), f"{item!r} is not a pip requirement")
    return Target(
        name="",
        tests=tests,
        pytest_args=reader.strings(table, "pytest-args", key),
        requirements=requirements,
        env=_env(reader, table, key),
        pythons=reader.pythons(table, key),
        pyo3=reader.pyo3(table, key),
    )


def _env(reader: Reader, table: Mapping[str, Any], key: str) -> tuple[tuple[str, str], ...]:
    value = table.get("env", {})
    at = join(key, "env")
    if not isinstance(value, dict):
        reader.fault(at, f"a table is required, not {kind(value)}")
        return ()
    for name, text in value.items():
        if not _VARIABLE.fullmatch(name):
            reader.fault(join(at, name), "not a name for an environment variable")
        if not isinstance(text, str):
            reader.fault(join(at, name), f"a text is required, not {kind(text)}")
    return tuple((name, text) for name, text in value.items() if isinstance(text, str))


def _complete(reader: Reader, target: Target, base: Path | None) -> Target:
    """Let a local target's own pyproject.toml fill what the matrix file leaves open."""
    if base is None or not target.path:
        return target
    folder = base / target.path
    if not folder.is_dir():
        reader.fault(f"targets.{target.name}.path", f"there is no folder {target.path!r}")
        return target
    return _from_project(reader, target, folder)


def _from_project(reader: Reader, target: Target, folder: Path) -> Target:
    """Fill what the target leaves open from ``[tool.leakgrid]`` of its folder."""
    try:
        data = read_toml_file(folder / "pyproject.toml")
    except ConfigError as error:
        reader.faults.append(error.sentence())  # with the file's name: it is not the matrix file
        return target
    at = f"{folder.name}/pyproject.toml: tool"
    key = f"{at}.leakgrid"
    table = reader.table(reader.table(data, "tool", at), "leakgrid", key)
    reader.unknown(table, _OWN_KEYS, key)
    own = _own_part(reader, table, key)
    fields = ("tests", "pytest_args", "requirements", "env", "pythons", "pyo3")
    return replace(target, **{name: getattr(target, name) or getattr(own, name) for name in fields})


def _default_target(reader: Reader, data: Mapping[str, Any], targets: tuple[Target, ...]) -> str:
    name = reader.string(data, "default-target", "")
    known = [target.name for target in targets]
    if not targets:
        reader.fault("targets", "at least one target is required")
    if name and name not in known:
        reader.fault("default-target", f"no target {name!r}{suggest(name, known)}")
    return name or (known[0] if known else "")


def _exclusions(
    reader: Reader, data: Mapping[str, Any], targets: tuple[Target, ...]
) -> tuple[Exclusion, ...]:
    known = [target.name for target in targets]
    found = []
    for key, table in reader.array(data, "exclude", ""):
        reader.unknown(table, ("target", "python", "pyo3", "reason"), key)
        target = reader.string(table, "target", key)
        if target and target not in known:
            reader.fault(f"{key}.target", f"no target {target!r}{suggest(target, known)}")
        if "reason" not in table:
            reader.fault(key, "a reason is required")
        if not {"target", "python", "pyo3"} & set(table):
            reader.fault(key, "one of target, python and pyo3 is required")
        python = reader.specifier(table, "python", key)
        pyo3 = reader.specifier(table, "pyo3", key)
        found.append(Exclusion(reader.string(table, "reason", key), target, python, pyo3))
    return tuple(found)


def _tags(reader: Reader, data: Mapping[str, Any]) -> tuple[Tag, ...]:
    value = data.get("tags", {})
    if not isinstance(value, dict):
        reader.fault("tags", f"a table is required, not {kind(value)}")
        return ()
    found = []
    for name in value:
        # nox -k reads tags as Python names.
        if not name.isidentifier():
            reader.fault(join("tags", name), "a tag has letters, digits and '_' only")
        for key, table in reader.array(value, name, "tags"):
            reader.unknown(table, ("target", "pythons", "pyo3"), key)
            target = reader.string(table, "target", key)
            pythons, pyo3 = reader.pythons(table, key), reader.pyo3(table, key)
            found.append(Tag(name, target, pythons, pyo3))
    return tuple(found)


def _watch(reader: Reader, data: Mapping[str, Any]) -> Watch:
    table = data.get("watch", {})
    if not isinstance(table, dict):
        reader.fault("watch", f"a table is required, not {kind(table)}")
        return Watch()
    reader.unknown(table, ("python", "pyo3", "reviewed"), "watch")
    reviewed = table.get("reviewed")
    if reviewed is not None and type(reviewed) is not date:
        reader.fault("watch.reviewed", f"a day (2026-01-31) is required, not {kind(reviewed)}")
        reviewed = None
    return Watch(
        python=reader.specifier(table, "python", "watch"),
        pyo3=reader.specifier(table, "pyo3", "watch"),
        reviewed=reviewed,
    )


def _cross_check(reader: Reader, data: Mapping[str, Any], matrix: Matrix) -> None:
    """What only shows when the parts are together; tags only when every part is readable."""
    readable = not reader.faults
    for target in matrix.targets:
        places = (data, data["targets"][target.name])
        for name, values in (("pythons", target.pythons), ("pyo3", target.pyo3)):
            written = any(name in place for place in places)  # then it was faulty, and said so
            if not values and not getattr(matrix, name) and not written:
                reader.fault(f"targets.{target.name}.{name}", "missing here and at the top")
    if not readable:
        return
    plans = expand(matrix)
    for tag in matrix.tags:
        selected = {plan.cell for plan in plans if tag.selects(plan.cell)}
        if not selected:
            reader.fault(f"tags.{tag.name}", f"{_describe(tag)} selects no cell of the matrix")


def _describe(tag: Tag) -> str:
    parts = [tag.target, *tag.pythons, *tag.pyo3]
    return f"({', '.join(part for part in parts if part)})"
