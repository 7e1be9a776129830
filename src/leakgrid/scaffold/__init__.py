"""What ``leakgrid init`` writes into a project, as text (pure but for its own templates)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

NOXFILE = "noxfile.py"
OWN_NOXFILE = "noxfile-leakgrid.py"
"""Beside a noxfile that is there already."""
MATRIX = "matrix.toml"
WORKFLOW = ".github/workflows/memory-safety-pyo3.yml"
SUPPRESSIONS = "suppressions/README.md"


def noxfile(requirement: str) -> str:
    """The noxfile; ``requirement`` is what pip installs leakgrid from."""
    return _template("noxfile.txt").replace("REQUIREMENT", requirement)


def matrix(
    name: str, pythons: Sequence[str], pyo3: Sequence[str], watch_python: str, watch_pyo3: str
) -> str:
    """The matrix of one target, the project itself. The last two are version specifiers."""
    filled = _template("matrix.txt")
    for word, value in (
        ("NAME", _quoted(name)),
        ("TABLE", f"[targets.{_quoted(name) if '.' in name else name}]"),
        ("PYTHONS", ", ".join(map(_quoted, pythons))),
        ("PYO3S", ", ".join(map(_quoted, pyo3))),
        ("WATCH_PYTHON", _quoted(watch_python)),
        ("WATCH_PYO3", _quoted(watch_pyo3)),
    ):
        filled = filled.replace(f"<{word}>", value)
    return filled


def workflow(noxfile_name: str) -> str:
    """The nightly workflow for GitHub Actions, run through that noxfile."""
    return _template("workflow.yml").replace(f"NOXFILE: {NOXFILE}\n", f"NOXFILE: {noxfile_name}\n")


def suppressions() -> str:
    """What the suppressions folder is for; it begins empty."""
    return _template("suppressions.txt")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _template(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
