"""Valgrind's command line: what is asked, and why."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from leakgrid import process
from leakgrid.errors import PlatformError, ToolMissing

CALLERS = 40
"""Frames per stack: enough to reach the extension below a deep interpreter (12, Valgrind's own
number, are not)."""
FEW_CALLERS = 8
"""Frames of an error in a run that only finds out whether there is one."""

_ANSWER = "Use a Linux machine (x86-64 or arm64), a container or CI on one."


def locate() -> str:
    """The path of Valgrind. Raises PlatformError, ToolMissing."""
    if not sys.platform.startswith("linux"):
        raise PlatformError(
            f"Valgrind does not run on {platform.system() or sys.platform}",
            why="it needs Linux on x86-64 or arm64",
            next=_ANSWER,
        )
    if platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"):
        raise PlatformError(
            f"leakgrid does not know Valgrind on {platform.machine()}",
            why="it needs Linux on x86-64 or arm64",
            next=_ANSWER,
        )
    path = shutil.which("valgrind")
    if path is None:
        raise ToolMissing(
            "Valgrind is not installed",
            next="Install your system's package (apt-get install valgrind libc6-dbg), "
            "or run scripts/bootstrap.py, which does.",
        )
    return path


def version(path: str) -> str:
    """``3.19.0``. Raises ToolMissing when it does not answer."""
    answer = process.run([path, "--version"], timeout=60)
    if not answer.ok:
        raise ToolMissing(
            f"{path} does not run",
            why=answer.tail(2),
            next="Run `valgrind --version`; install it again where that fails too.",
        )
    return answer.stdout.strip().removeprefix("valgrind-")


def command(
    path: str, xml: Path, *, undefined: bool, stacks: bool, suppressions: Sequence[Path]
) -> tuple[str, ...]:
    """What stands before python. ``xml`` is a folder; each process writes ``mc.<pid>.xml`` there.

    Without ``stacks`` memcheck only tells that something was lost, which costs less (measured on
    mrrc: 78 CPU s, 123 with them); with them also where, and where undefined values come from.

    Leak checks are asked for by the code in the cell, between tests and before the end, so the one
    at exit is off. ``--log-file`` must not be given: with it 3.19 lets forked processes write into
    their parent's XML.
    """
    return (
        path,
        "--tool=memcheck",
        "--xml=yes",
        f"--xml-file={xml}/mc.%p.xml",
        "--leak-check=no",
        "--show-leak-kinds=definite,indirect",
        "--errors-for-leak-kinds=definite",
        "--leak-resolution=high",
        f"--num-callers={CALLERS if stacks else FEW_CALLERS}",
        f"--keep-stacktraces={'alloc-and-free' if stacks else 'none'}",
        "--keep-debuginfo=yes",
        "--error-limit=no",
        "--vgdb=no",
        "--track-fds=yes",
        "--trace-children=no",
        "--child-silent-after-fork=no",
        f"--undef-value-errors={'yes' if undefined else 'no'}",
        f"--track-origins={'yes' if stacks and undefined else 'no'}",
        *(f"--suppressions={suppression}" for suppression in suppressions),
    )
