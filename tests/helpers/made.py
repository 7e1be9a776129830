"""Results of commands that were not run."""

from dataclasses import replace
from pathlib import Path

from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.signature import Owner
from leakgrid.store import to_json

CELL = "demo/py3.12-pyo3-0.29.3"
PASSED = {"t::a": TestRecord("passed")}


def finding(name: str, **changes) -> Finding:
    base = Finding("memcheck", "definitely-lost", name * 12, Owner.EXTENSION, ("t::a",), 1, 64)
    return replace(base, **changes)


def result(*findings: Finding, **changes) -> CellResult:
    base = CellResult("demo", {"version": "3.12.1"}, "0.29.3", "known", "said so", tests=PASSED)
    return replace(base, findings=findings, **changes)


def written(path: Path, made: CellResult) -> str:
    path.write_text(to_json(made.to_dict()))
    return str(path)


def places(folder: Path) -> list[str]:
    return ["--store", str(folder / "store"), "--baselines", str(folder / "base")]
