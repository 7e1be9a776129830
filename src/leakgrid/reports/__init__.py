"""Reports: results in, text out; one module per format.

A module of this package whose name has no leading underscore is a format; it has
``render(results, *, color=False) -> str``. Its name on the command line has ``-`` for ``_``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from leakgrid.errors import UsageError
from leakgrid.finding import CellResult
from leakgrid.reports._comparison import render_comparison

__all__ = ["formats", "render", "render_comparison"]


def formats() -> tuple[str, ...]:
    """The names of all formats, sorted."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in names if not name.startswith("_")))


def render(name: str, results: Sequence[CellResult], *, color: bool = False) -> str:
    """The results as text of one format. Raises UsageError on an unknown format."""
    if name not in formats():
        raise UsageError(
            f"there is no report format {name!r}", next=f"Known formats: {', '.join(formats())}."
        )
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return str(module.render(results, color=color))
