"""What commands that evaluate cells share: the target, its Python, its PyO3, its rules."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from leakgrid import suppression
from leakgrid.commands._common import read_layers
from leakgrid.errors import Unsupported, UsageError
from leakgrid.matrix import Cell, Target, load, target_from_pyproject, with_project_settings
from leakgrid.measurement import DETECTORS
from leakgrid.store import write_atomically
from leakgrid.toolchain import interpreters

_MATRIX = Path("matrix.toml")


def add_target(parser: argparse.ArgumentParser) -> None:
    """Declare which project is evaluated, and what its tests need."""
    parser.add_argument(
        "target",
        metavar="PATH|NAME",
        help="a project's folder, a target of the matrix file, or a requirement (mrrc==0.9.2)",
    )
    parser.add_argument(
        "--requires",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="a package that the tests need (repeatable; default: the project's test extras)",
    )
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="the matrix file for NAME")


def detectors(text: str) -> tuple[str, ...]:
    """An option's detectors. Raises ArgumentTypeError on a name that is none."""
    chosen = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in chosen if name not in DETECTORS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no detector {', '.join(unknown)}; known: {', '.join(DETECTORS)}"
        )
    return chosen


def target_of(options: argparse.Namespace) -> tuple[Target, Path]:
    """The target and the folder that its path starts from: a matrix's, a folder, an sdist."""
    name = options.target
    target, base = _in_matrix(name, options.matrix)
    if target is None:
        if Path(name).is_dir():
            target = target_from_pyproject(Path(name))
        elif re.search(r"[=<>~!]=|[<>]", name):
            target = Target(_distribution(name), requirement=name)
        else:
            raise UsageError(
                f"{name!r} is neither a folder, nor a target of the matrix, nor a requirement",
                next="Give a project's folder, a target of --matrix FILE, or NAME==VERSION.",
            )
    if options.requires:
        target = _with_requirements(target, tuple(options.requires))
    return target, base


def _in_matrix(name: str, given: Path | None) -> tuple[Target | None, Path]:
    path = given or _MATRIX
    if given is None and not path.is_file():
        return None, Path.cwd()
    matrix = load(path)
    if given is None and name not in {target.name for target in matrix.targets}:
        return None, Path.cwd()
    if os.sep in name:
        return None, matrix.base
    target = matrix.target(name)
    if target.path:
        target = with_project_settings(target, (matrix.base / target.path).resolve())
    return target, matrix.base


def _distribution(requirement: str) -> str:
    try:
        return Requirement(requirement).name
    except InvalidRequirement as error:
        raise UsageError(
            f"{requirement!r} is no requirement", why=str(error), next="Write it as NAME==VERSION."
        ) from error


def _with_requirements(target: Target, extra: tuple[str, ...]) -> Target:
    return replace(target, requirements=(*target.requirements, *extra))


def minor_of(python: str) -> str:
    """The cell's Python: its minor version, of a path what that interpreter says it is."""
    try:
        found = interpreters.find(python)
    except Unsupported:
        match = re.fullmatch(r"(\d+\.\d+)(?:\.\d+\w*)?(t?)", python)
        if match is None:
            raise
        return match[1] + match[2]
    return found.minor + ("t" if found.free_threaded else "")


def concrete(pyo3: str, option: str = "--pyo3") -> str:
    """A full version of PyO3, as it was given. Raises UsageError on anything else."""
    if not re.fullmatch(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?", pyo3):
        raise UsageError(
            f"{option} {pyo3}: a full version is needed",
            next="Write it such as 0.29.2; not a range.",
        )
    return pyo3


def rules_of(folder: Path, cell: Cell, work: Path) -> tuple[Path, ...]:
    """The rules that apply to this cell, as one file for Valgrind; none without any rule."""
    rules = suppression.compose(
        read_layers(folder), python=cell.python, pyo3=cell.pyo3, target=cell.target
    )
    if not rules:
        return ()
    path = work / f"{cell.name}.supp"
    write_atomically(path, suppression.render(rules))
    return (path,)
