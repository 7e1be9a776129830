"""What leakgrid costs beside the classic recipe, on one target: CPU seconds and ratios.

    python benchmarks/recipe.py [TARGET] [--python 3.12] [--pyo3 0.29.0] [--release]

The recipe is the one people write by hand: ``maturin develop`` (a debug build) and
``valgrind --leak-check=full --show-leak-kinds=all --track-fds=yes python -m pytest``. With
``--release`` it gets leakgrid's own release build instead, which is the
fairest comparison. Both run the same tests on the same machine, one after the other; CPU seconds
(user and system, all processes) are compared because wall time depends on what else runs.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from leakgrid import pipeline, process
from leakgrid.console import Live
from leakgrid.finding import CellResult
from leakgrid.matrix import Cell, load
from leakgrid.store import Store
from leakgrid.toolchain import accommodations, build, environment, interpreters, runtree, stage
from leakgrid.toolchain.environ import clean_environ

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ("valgrind", "--leak-check=full", "--show-leak-kinds=all", "--track-fds=yes")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to look: CPU seconds, what it reported, and what that is worth."""

    name: str
    cpu: float
    reported: str


def main() -> int:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("target", nargs="?", default="mrrc")
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--pyo3", default="0.29.0")
    parser.add_argument("--release", action="store_true", help="the recipe on a release build")
    options = parser.parse_args()
    cell = Cell(options.target, options.python, options.pyo3)
    result = leakgrid_run(cell)
    recipe = recipe_row(cell, release=options.release)
    rows = [native_row(result), recipe, *leakgrid_rows(result)]
    print(table(rows))
    return 0


def leakgrid_run(cell: Cell) -> CellResult:
    """A fresh evaluation of the cell."""
    matrix = load(ROOT / "matrix.toml")
    options = pipeline.Options(interpreter=cell.python, jobs=2, fresh=True)
    with (
        tempfile.TemporaryDirectory(prefix="leakgrid-baselines-") as nowhere,
        Live(cell.name) as live,
    ):
        store = Store(ROOT / ".leakgrid", Path(nowhere))
        return pipeline.check(cell, matrix.target(cell.target), matrix.base, store, options, live)


def native_row(result: CellResult) -> Row:
    """The suite without any tool."""
    passed = sum(record.outcome == "passed" for record in result.tests.values())
    return Row("the suite natively", result.timing["screen"]["cpu"], f"{passed} tests passed")


def leakgrid_rows(result: CellResult) -> list[Row]:
    """What leakgrid does under Valgrind, what it does natively, and what that led to."""

    def cpu(*stages: str) -> float:
        return float(sum(result.timing.get(name, {}).get("cpu", 0) for name in stages))

    lost = [f for f in result.findings if f.detector == "memcheck"]
    repeated = len(result.findings) - len(lost)
    return [
        Row("leakgrid, memcheck", cpu("memcheck", "explain", "confirm"), f"{len(lost)} findings"),
        Row("leakgrid, repeating each test", cpu("repeat", "growth"), f"{repeated} findings"),
    ]


def recipe_row(cell: Cell, *, release: bool) -> Row:
    """The recipe on the same sources, environment and tests."""
    matrix = load(ROOT / "matrix.toml")
    target = matrix.target(cell.target)
    work = ROOT / ".leakgrid"
    folder = work / "benchmarks" / cell.name
    interpreter = interpreters.find(cell.python)
    project = work / "cells" / cell.name / "project"
    ready = environment.prepare(
        interpreter, work / "environments" / cell.target, target.requirements, project
    )
    site = work / "cells" / cell.name / "site"
    root = project
    if not release:
        root, site = debug_build(cell, folder, ready)
    environ = clean_environ(target.env) | {"PYTHONPATH": str(site)}
    log = folder / "recipe.log"
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        *RECIPE,
        f"--log-file={log}",
        ready.python,
        "-m",
        "pytest",
        "-q",
        *accommodations.arguments(ready.packages),
        *target.pytest_args,
        *target.tests,
    ]
    print("running the recipe ...", file=sys.stderr, flush=True)
    done = process.run(command, cwd=root, env=environ)
    name = f"the recipe, {'release' if release else 'debug'} build"
    return Row(name, done.cpu_seconds, summary(log.read_text(errors="replace")))


def debug_build(cell: Cell, folder: Path, ready: environment.Environment) -> tuple[Path, Path]:
    """What ``maturin develop`` would build, from the sources that leakgrid staged."""
    staged = ROOT / ".leakgrid" / "stage" / cell.target
    projects = (path.parent for path in staged.rglob("pyproject.toml"))
    staged = min(projects, key=lambda path: len(path.parts))
    out = folder / "wheel"
    with stage.locked(staged):
        done = process.run(
            [
                *build.maturin_command(),
                "build",
                "-i",
                ready.python,
                "--out",
                out,
                "--target-dir",
                ROOT / ".leakgrid" / "build" / f"{cell.target}-debug",
            ],
            cwd=staged,
            env=clean_environ(),
            log=folder / "build.log",
        )
    if not done.ok:
        raise SystemExit(f"the debug build failed: {folder / 'build.log'}\n{done.tail(10)}")
    wheel = max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    site, root = folder / "site", folder / "project"
    environment.install_wheel(ready, wheel, site)
    runtree.make(staged, root, wheel)
    return root, site


def summary(log: str) -> str:
    """What the recipe's last lines say, in records that a person would have to read."""
    counts = {}
    for kind in ("definitely", "indirectly", "possibly"):
        counts[kind] = len(re.findall(rf"blocks? are {kind} lost", log))
    return ", ".join(f"{count} {kind} lost records" for kind, count in counts.items())


def table(rows: list[Row]) -> str:
    """Markdown, with every cost as a ratio of the recipe's."""
    recipe = next(row.cpu for row in rows if row.name.startswith("the recipe"))
    lines = ["| | CPU s | of the recipe's | reports |", "|---|---:|---:|---|"]
    lines += [
        f"| {row.name} | {row.cpu:.0f} | {row.cpu / recipe:.2f} | {row.reported} |" for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
