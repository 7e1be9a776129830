"""What each command does: the store, the pipeline and the reports, put together.

A command is a module with ``add(subcommands)``, which declares it, and ``run(options)``, which
returns the exit code.
"""

from __future__ import annotations

from types import ModuleType

from leakgrid.commands import accept, bisect, check, compare, plugin, report, suppressions

COMMANDS: tuple[ModuleType, ...] = (check, compare, bisect, accept, report, suppressions, plugin)
"""In the order of the help."""
