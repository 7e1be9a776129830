"""Targets, cells and the matrix: what is to be evaluated (stdlib and packaging only).

The matrix file is TOML; :func:`load` reports every fault in it at once. ``noxfile.py`` imports this
package to list its sessions, so nothing here starts a program or needs the network.
"""

from leakgrid.matrix.file import load, parse, target_from_pyproject, with_project_settings
from leakgrid.matrix.model import (
    Cell,
    CellPlan,
    Exclusion,
    Matrix,
    Tag,
    Target,
    Watch,
    expand,
    suggest,
)

__all__ = [
    "Cell",
    "CellPlan",
    "Exclusion",
    "Matrix",
    "Tag",
    "Target",
    "Watch",
    "expand",
    "load",
    "parse",
    "suggest",
    "target_from_pyproject",
    "with_project_settings",
]
