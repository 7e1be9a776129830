"""What each command does: the store, the pipeline and the reports, put together.

A command is a module with ``add(subcommands)``, which declares it, and ``run(options)``, which
returns the exit code.
"""

from __future__ import annotations

from types import ModuleType

from leakgrid.commands import (
    accept,
    bisect,
    check,
    compare,
    explain,
    gate,
    init,
    merge,
    plugin,
    report,
    suppressions,
    watch,
)

COMMANDS: tuple[ModuleType, ...] = (
    check,
    compare,
    bisect,
    explain,
    accept,
    report,
    merge,
    gate,
    suppressions,
    watch,
    init,
    plugin,
)
"""In the order of the help."""
