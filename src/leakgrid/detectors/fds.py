"""File descriptors that stay open with each call."""

from __future__ import annotations

import re
from collections.abc import Iterable

from leakgrid.detectors.suspects import Suspect, counted, merge
from leakgrid.finding import Finding

DETECTOR = "fds"
_DIGITS = re.compile(r"\d+")
_DELETED, _MEMFD = " (deleted)", "memfd:"
_UNNAMED = "a temporary file without a name"


def findings(suspects: Iterable[Suspect]) -> tuple[Finding, ...]:
    """One finding per file, socket, pipe. Numbers in a path are not part of its identity."""
    own = [suspect for suspect in suspects if suspect.detector == DETECTOR]
    return merge(own, lambda s: (DETECTOR, s.kind, place(s.name)), _summary)


def place(target: str) -> str:
    """A descriptor's target without what is of this run: the folder of an absolute path, numbers.

    ``/dev`` and ``/proc`` are the same everywhere and stay.
    """
    if target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
        target = target.rsplit("/", 1)[-1]
    return _DIGITS.sub("N", target)


def _summary(suspect: Suspect) -> str:
    return f"{counted(suspect.per_call, 'descriptor')} left open per call: {_told(suspect.name)}"


def _told(target: str) -> str:
    """The same place in words, where Linux has none of a person's (proc(5), memfd_create(2)).

    A file that was opened with O_TMPFILE is named after its inode.
    """
    name = place(target)
    if name == "anon_inode":
        return "one without a file, such as epoll, eventfd or timerfd (anon_inode)"
    path = name.removesuffix(_DELETED)
    if path.startswith(_MEMFD):
        return f"memory as a file, named {path.removeprefix(_MEMFD)} (memfd)"
    if path == name:
        return name
    return _UNNAMED if path == "#N" else f"{path}, a file or folder that is deleted since"
