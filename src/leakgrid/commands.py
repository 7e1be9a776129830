"""What each command does: the store, the pipeline and the reports, put together."""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from leakgrid import baseline as baselines
from leakgrid import pipeline, reports, suppression
from leakgrid.baseline import python_minor
from leakgrid.comparison import Comparison, Entry, causes, compare_results, subject
from leakgrid.console import Live
from leakgrid.detectors import census
from leakgrid.detectors.screen import ENVIRON
from leakgrid.detectors.suite import INCELL
from leakgrid.errors import Unsupported, UsageError
from leakgrid.finding import CellResult, Finding
from leakgrid.matrix import Cell, Target, load, target_from_pyproject, with_project_settings
from leakgrid.process import terminate_as_interrupt
from leakgrid.store import Store, read_result, to_json, write_atomically
from leakgrid.toolchain import interpreters
from leakgrid.verdict import exit_code

FORMATS = ("terminal", *(name for name in reports.formats() if name != "terminal"))
_MATRIX = Path("matrix.toml")


def check(options: argparse.Namespace) -> int:
    """``leakgrid check``: one cell."""
    target, base = _target(options)
    cell = Cell(target.name, _minor(options.python), _concrete(options.pyo3))
    store = Store(options.store, options.baselines)
    with terminate_as_interrupt(), Live(cell.name, quiet=options.quiet) as live:
        result = pipeline.check(cell, target, base, store, _options(options, cell, base), live)
    if options.json is not None:
        _write(options.json, to_json(result.to_dict()))
    if options.json != Path("-"):
        print(reports.render("terminal", [result], color=sys.stdout.isatty()))
    return exit_code(result.verdict)


def _options(options: argparse.Namespace, cell: Cell, base: Path) -> pipeline.Options:
    return pipeline.Options(
        interpreter=options.python,
        jobs=options.jobs or os.cpu_count() or 1,
        test_timeout=float(options.test_timeout),
        tests=tuple(options.tests),
        pytest_args=options.pytest_args,
        undefined=not options.no_undefined,
        detectors=options.detectors,
        fresh=options.fresh,
        suppressions=_rules(base / "suppressions", cell, options.store.resolve() / "rules"),
    )


def _target(options: argparse.Namespace) -> tuple[Target, Path]:
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


def _minor(python: str) -> str:
    """The cell's Python: its minor version, of a path what that interpreter says it is."""
    try:
        found = interpreters.find(python)
    except Unsupported:
        match = re.fullmatch(r"(\d+\.\d+)(?:\.\d+\w*)?(t?)", python)
        if match is None:
            raise
        return match[1] + match[2]
    return found.minor + ("t" if found.free_threaded else "")


def _concrete(pyo3: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?", pyo3):
        raise UsageError(
            f"--pyo3 {pyo3}: a full version is needed", next="Write it such as 0.29.2; not a range."
        )
    return pyo3


def _rules(folder: Path, cell: Cell, work: Path) -> tuple[Path, ...]:
    """The rules that apply to this cell, as one file for Valgrind; none without any rule."""
    rules = suppression.applicable(
        _read_rules(folder, cell.target), cell.python.removesuffix("t"), cell.pyo3
    )
    if not rules:
        return ()
    path = work / f"{cell.name}.supp"
    write_atomically(path, suppression.render(rules))
    return (path,)


def _read_rules(folder: Path, target: str = "") -> tuple[suppression.Rule, ...]:
    """Every rule below a folder; those in ``target/<name>/`` only for the target of that name."""
    rules: list[suppression.Rule] = []
    for path in sorted(folder.glob("**/*.supp")):
        parts = path.relative_to(folder).parts
        if parts[0] == "target" and target and target not in (parts[1], path.stem):
            continue
        rules += suppression.parse(path.read_text(encoding="utf-8"), str(path))
    return tuple(rules)


def compare(options: argparse.Namespace) -> int:
    """``leakgrid compare``: two results; new findings exit 1."""
    before, after = read_result(options.before), read_result(options.after)
    compared = compare_cells(before, after)
    if options.json is not None:
        _write(options.json, to_json(_comparison_data(before, after, compared)))
    if options.json != Path("-"):
        print(reports.render_comparison(before, after, compared, color=sys.stdout.isatty()))
    return 1 if compared.new else 0


def compare_cells(before: CellResult, after: CellResult) -> Comparison:
    """Two results, with the references that import left too many where both counted them.

    A reference count says something only beside one of the same Python.
    """
    compared = compare_results(before, after)
    old, now = (result.totals.get(census.DETECTOR) or {} for result in (before, after))
    if not old or not now or python_minor(before.python) != python_minor(after.python):
        return compared
    shared = _shared_now(compared)
    more = census.compare(old, now)
    less = census.compare(now, old)
    kept = [item for item in more if subject(item).rpartition(".")[0] in shared]
    return replace(
        compared,
        new=(*compared.new, *(Entry(None, item) for item in more if item not in kept)),
        gone=(*compared.gone, *(Entry(item, None) for item in less)),
        changed=(*compared.changed, *(Entry(replace(item, blocks=0), item) for item in kept)),
    )


def _shared_now(compared: Comparison) -> set[str]:
    """Classes of which the tests make no new instances any more.

    Their attributes have a reference more because native code keeps them, to hand them out again:
    PyO3 0.28 does so with the variants of simple enums.
    """
    names = {subject(entry.before) for entry in compared.gone if entry.before is not None}
    still = {subject(entry.after) for entry in compared.known if entry.after is not None}
    return {name.removeprefix("type ") for name in names - still if name.startswith("type ")}


def _comparison_data(
    before: CellResult, after: CellResult, compared: Comparison
) -> dict[str, object]:
    def side(result: CellResult) -> dict[str, object]:
        return {
            "target": result.target,
            "python": dict(result.python),
            "pyo3": result.pyo3,
            "verdict": result.verdict,
        }

    def entries(items: tuple[Entry, ...]) -> list[dict[str, object]]:
        return [
            {
                "id": entry.id,
                "before": entry.before.to_dict() if isinstance(entry.before, Finding) else None,
                "after": entry.after.to_dict() if entry.after is not None else None,
            }
            for entry in items
        ]

    return {
        "schema": 1,
        "before": side(before),
        "after": side(after),
        "new": entries(compared.new),
        "gone": entries(compared.gone),
        "changed": entries(compared.changed),
        "known": entries(compared.known),
        "causes": {
            state: [
                {
                    "key": cause.key,
                    "title": cause.title,
                    "ids": [entry.id for entry in cause.entries],
                    "tests": list(cause.tests),
                }
                for cause in found
            ]
            for state, found in causes(compared).items()
        },
    }


def accept(options: argparse.Namespace) -> int:
    """``leakgrid accept``: stored results become baselines."""
    if os.environ.get("CI"):
        raise UsageError(
            "baselines are not written in CI",
            why="a run that accepts its own findings can never fail",
            next="Accept on your machine and commit the files below the baselines folder.",
        )
    store = Store(options.store, options.baselines)
    results = _stored(store, options.cells)
    if not results:
        raise UsageError(
            f"there are no results in {options.store}", next="Run leakgrid check, or nox, first."
        )
    for name, result in results.items():
        previous = store.load_baseline(name)
        new = baselines.accept(result, previous, options.reason)
        path = store.save_baseline(new)
        print(f"{name}: {len(new.entries)} accepted findings in {path}")
    return 0


def _stored(store: Store, names: list[str]) -> dict[str, CellResult]:
    if not names:
        results = store.results()
        return {name: item for name, item in results.items() if exit_code(item.verdict) < 2}
    found = {}
    for name in names:
        result = store.load_result(name)
        if result is None:
            known = ", ".join(store.results()) or "none"
            raise UsageError(f"there is no result of {name}", why=f"stored: {known}")
        found[name] = result
    return found


def report(options: argparse.Namespace) -> int:
    """``leakgrid report``: the stored results in one of the formats."""
    results = list(Store(options.store, options.baselines).results().values())
    if not results:
        raise UsageError(
            f"there are no results in {options.store}", next="Run leakgrid check, or nox, first."
        )
    print(reports.render(options.format, results, color=sys.stdout.isatty()))
    return 0


def suppressions(options: argparse.Namespace) -> int:
    """``leakgrid suppressions export``: one file for people who run Valgrind by hand."""
    rules = _read_rules(options.rules)
    if options.python or options.pyo3:
        rules = suppression.applicable(rules, options.python or "", options.pyo3 or "")
    text = (
        suppression.render(rules) or "# leakgrid has no rule for this: see suppressions/README.md\n"
    )
    _write(options.output, text)
    return 0


def plugin(options: argparse.Namespace) -> int:
    """``leakgrid plugin``: variables for ``env``, so that any pytest run can load the screen."""
    path = str(INCELL)
    if any(character.isspace() for character in path):
        raise UsageError(
            "`env $(leakgrid plugin)` cannot take a folder with a blank in its name",
            why=path,
            next="Install leakgrid into another folder.",
        )
    if rest := os.environ.get("PYTHONPATH"):
        path = f"{path}{os.pathsep}{rest}"
    variables = {"PYTHONPATH": path, **ENVIRON}
    print(*(f"{name}={value}" for name, value in variables.items()), sep="\n")
    return 0


def _write(path: Path, text: str) -> None:
    """Write to a file at once and whole, or to stdout for ``-``."""
    if path == Path("-"):
        sys.stdout.write(text)
    else:
        write_atomically(path, text)
