"""What one Valgrind process wrote into its XML file, as typed values in document order.

Source of the words: Valgrind's ``docs/internals/xml-output-protocol4.txt`` (and 5, 6), checked
against files that Valgrind 3.19 wrote. Sizes are in bytes, ``unique`` is Valgrind's own number for
an error within one process and its forked children.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leakgrid.signature import RawFrame

Stack = tuple[RawFrame, ...]


@dataclass(frozen=True, slots=True)
class Preamble:
    """Who wrote this document: protocol version (4 to 6), tool, process and its parent."""

    protocol: int
    tool: str
    pid: int
    ppid: int
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Args:
    """The traced program (``exe`` and its arguments) and Valgrind's own command line."""

    exe: str
    argv: tuple[str, ...]
    valgrind_exe: str
    vargv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """``RUNNING`` (absent in a forked child) or ``FINISHED``, with Valgrind's elapsed time."""

    state: str
    time: str = ""


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """What the program printed with ``VALGRIND_PRINTF``, without the blanks around it."""

    tid: int
    text: str
    stack: Stack = ()


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """A further line about an error (``Address 0x.. is 0 bytes after ..``) and its stack."""

    what: str
    stack: Stack = ()


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """A memory error. ``kind`` is Valgrind's own word, such as ``InvalidRead``.

    It is printed once per process and context; the count of its repetitions is in ErrorCounts.
    ``descriptor`` and ``path`` are set for the file descriptor errors of protocol 5 and later.
    """

    unique: int
    tid: int
    kind: str
    what: str
    stack: Stack = ()
    auxiliary: tuple[Auxiliary, ...] = ()
    thread: str = ""
    descriptor: int | None = None
    path: str = ""

    @property
    def origin(self) -> Stack:
        """Where an uninitialised value was made (``--track-origins=yes``), or empty."""
        for item in self.auxiliary:
            if item.what.startswith("Uninitialised value was created"):
                return item.stack
        return ()


@dataclass(frozen=True, slots=True)
class LeakRecord:
    """One loss record of a leak check.

    ``kind`` is ``definitely-lost``, ``indirectly-lost``, ``possibly-lost`` or ``still-reachable``.
    ``bytes`` contains ``indirect_bytes``: what is lost only because this block is.
    The ``delta_*`` are the changes since the check before; None where the check was not relative
    (``leak_check full`` and the check at exit). They may be negative.
    """

    unique: int
    tid: int
    kind: str
    blocks: int
    bytes: int
    indirect_bytes: int = 0
    delta_blocks: int | None = None
    delta_bytes: int | None = None
    delta_indirect_bytes: int | None = None
    stack: Stack = ()
    what: str = ""


@dataclass(frozen=True, slots=True)
class DescriptorStack:
    """A stack on its own: where Valgrind 3.19 saw a still open descriptor being opened."""

    stack: Stack


@dataclass(frozen=True, slots=True)
class DescriptorRecord:
    """A descriptor that is still open at exit, as newer Valgrind writes it (``FdNotClosed``).

    An empty stack means that the process inherited it.
    """

    unique: int
    number: int
    what: str
    path: str = ""
    stack: Stack = ()


@dataclass(frozen=True, slots=True)
class FatalSignal:
    """The signal that killed the program, and where."""

    signo: int
    name: str
    event: str = ""
    tid: int = 0
    stack: Stack = ()


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """How often each error happened, by ``unique``; a forked child also counts its parent's."""

    counts: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class SuppressionCounts:
    """How often each suppression was used, by name; Valgrind leaves this out under ``-q``."""

    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class End:
    """The document is complete and nothing follows it. ``records`` were read before."""

    records: int


Record = (
    Preamble
    | Args
    | Status
    | ClientMessage
    | ErrorRecord
    | LeakRecord
    | DescriptorStack
    | DescriptorRecord
    | FatalSignal
    | ErrorCounts
    | SuppressionCounts
    | End
)
