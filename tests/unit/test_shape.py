"""The shape of the code: sizes, and the in-cell code that stands alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "leakgrid"
INCELL = SRC / "incell"
MODULES = sorted(SRC.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 45
    }
    assert not long
    assert len(text.splitlines()) <= 400


def test_the_in_cell_code_stands_alone() -> None:
    """It runs in the cell's interpreter, where leakgrid is not installed."""
    own = [path for path in MODULES if path.is_relative_to(INCELL)]
    assert own
    for path in own:
        assert not [name for name in imports(path) if name.partition(".")[0] == "leakgrid"], path
    for path in set(MODULES) - set(own):
        names = [name for name in imports(path) if "incell" in name]
        assert not names, path
