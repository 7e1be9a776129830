"""Open descriptors at exit (``--track-fds=yes``), from Valgrind's log or from its XML.

Measured with Valgrind 3.19: in XML mode the list goes to the log (stderr) as text without
backtraces, and the backtraces stand as bare ``<stack>`` elements at the end of the XML, in the same
order, for those descriptors that the process did not inherit. Valgrind 3.23 and later write one
``FdNotClosed`` error each (docs/internals/xml-output-protocol5.txt).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from leakgrid.detectors.records import DescriptorRecord, DescriptorStack, Stack

_KIND = r"file descriptor|AF_[A-Z0-9]+ socket|pf-\d+ socket|socket|pipe"
_DESCRIBED = re.compile(rf"Open ({_KIND}) (\d{{1,9}})(?::|$)\s*(.*)$")
# The program may have written half a line before Valgrind's own; --time-stamp adds a time.
_LINE = re.compile(r"==(?:[\d:.]+ +)?(\d{1,10})== ?(.*)$")


@dataclass(frozen=True, slots=True)
class OpenDescriptor:
    """A descriptor still open at exit.

    ``what`` is ``file``, ``pipe``, ``AF_INET socket`` and so on; ``detail`` is a path or the two
    ends of a connection, empty where Valgrind knows none (a pipe in 3.19 is a file without a path).
    ``stack`` shows where it was opened; empty if inherited, or where that is not known.
    """

    number: int
    what: str
    detail: str = ""
    inherited: bool = False
    stack: Stack = ()


def parse_log(lines: Iterable[str]) -> Mapping[int, tuple[OpenDescriptor, ...]]:
    """The open descriptors of every process, by process id, in the order of the log.

    Other lines are passed over. Of several lists of one process (a monitor command prints one) the
    last is the one at exit.
    """
    found: dict[int, list[OpenDescriptor]] = {}
    for line in lines:
        match = _LINE.search(line.rstrip())
        if match is None:
            continue
        pid, text = int(match[1]), match[2]
        if text.startswith("FILE DESCRIPTORS:"):
            found[pid] = []
            continue
        listed = found.setdefault(pid, [])
        described = _described(text)
        if described is not None:
            listed.append(described)
        elif listed and text.strip() == "<inherited from parent>":
            listed[-1] = replace(listed[-1], inherited=True)
    return {pid: tuple(listed) for pid, listed in found.items() if listed}


def pair(
    listed: Sequence[OpenDescriptor], stacks: Sequence[DescriptorStack]
) -> tuple[OpenDescriptor, ...]:
    """Give the descriptors of one process their bare stacks.

    Both are in the same order. If their numbers differ (a list cut short), no stack can be
    trusted to belong to its descriptor, and none is given.
    """
    own = sum(not item.inherited for item in listed)
    if own != len(stacks):
        return tuple(listed)
    remaining = iter(stacks)
    return tuple(
        item if item.inherited else replace(item, stack=next(remaining).stack) for item in listed
    )


def from_record(record: DescriptorRecord) -> OpenDescriptor:
    """The form of newer versions, where the XML says it all."""
    described = _described(record.what)
    return OpenDescriptor(
        number=record.number,
        what=described.what if described else "file",
        detail=record.path or (described.detail if described else ""),
        inherited=not record.stack,
        stack=record.stack,
    )


def _described(text: str) -> OpenDescriptor | None:
    match = _DESCRIBED.match(text)
    if match is None:
        return None
    what = "file" if match[1] == "file descriptor" else match[1]
    return OpenDescriptor(int(match[2]), what, match[3].strip())
