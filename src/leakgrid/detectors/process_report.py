"""From the records of one process to a report of what it lost and did wrong.

What the program says about itself comes in client messages that begin with ``leakgrid``: the words
after it are percent-encoded (``urllib.parse.quote``) and separated by blanks::

    leakgrid test-begin <nodeid>
    leakgrid test-end <nodeid> errors=<n>      n: memory errors during the test, repeats included
    leakgrid phase <name>

Memory errors and added leak checks belong to the test that was running. A forked child starts
with everything that its parent (the zygote) had: its lost blocks, its open descriptors, its error
and suppression counts. Measured with 3.19: an error that the parent already showed is only
counted in the child, never printed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from leakgrid.detectors import descriptors
from leakgrid.detectors.descriptors import OpenDescriptor
from leakgrid.detectors.records import (
    Args,
    ClientMessage,
    DescriptorRecord,
    DescriptorStack,
    End,
    ErrorCounts,
    ErrorRecord,
    FatalSignal,
    LeakRecord,
    Preamble,
    Record,
    Stack,
    Status,
    SuppressionCounts,
)
from leakgrid.detectors.wording import canaries_in, error_kind, error_size, error_summary
from leakgrid.detectors.xml_records import TruncatedXml
from leakgrid.signature import (
    Frame,
    Origins,
    Owner,
    native_segment,
    normalise,
    owner_of,
    signature_id,
)

DETECTOR = "memcheck"
DEFINITE = "definitely-lost"
INDIRECT = "indirectly-lost"
_MESSAGE = "leakgrid "
CANARY = "canary"
"""The phase in which the code in the cell loses blocks on purpose."""
_INVOLVED = (Owner.EXTENSION, Owner.PYO3, Owner.DEPENDENCY)
_INT = re.compile(r"_?PyLong_")
_LIVE_BLOCK = re.compile(r"bytes inside a block of size [\d,]+ alloc'd")
_CACHE_LIMIT = 5_000


@dataclass(frozen=True, slots=True)
class Leak:
    """All loss records of one kind and signature in one leak check of one process.

    ``bytes`` contains ``indirect_bytes``. All three are changes since the check before, and may be
    negative.
    """

    kind: str
    id: str
    owner: Owner
    frames: tuple[Frame, ...]
    blocks: int
    bytes: int
    indirect_bytes: int = 0


@dataclass(frozen=True, slots=True)
class AddedLeak:
    """What an added leak check reported; ``test`` is empty between tests."""

    test: str
    phase: str
    leak: Leak


@dataclass(frozen=True, slots=True)
class MemoryFault:
    """One memory error as one process saw it; ``size`` is the access in bytes, 0 if unknown.

    ``test`` is the one that was running when the error was first seen; empty outside tests.
    ``foreign``: neither the access nor the memory has anything to do with the extension, see
    ``_Reading.is_foreign``.
    """

    unique: int
    detector: str
    kind: str
    id: str
    owner: Owner
    frames: tuple[Frame, ...]
    summary: str
    test: str = ""
    size: int = 0
    occurrences: int = 1
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What one process left behind.

    ``complete`` is False where the document broke off; ``running`` names the test in which that
    happened. ``tests`` are those that began, in order; ``test_errors`` the errors each finished
    one reported, repeats included. ``added`` is what each leak check reported. ``canaries`` are
    the planted leaks it saw. ``counted`` are error counts of the parent's errors, by the parent's
    numbers.
    """

    pid: int = 0
    ppid: int = 0
    exe: str = ""
    complete: bool = False
    running: str = ""
    phase: str = ""
    tests: tuple[str, ...] = ()
    test_errors: Mapping[str, int] = field(default_factory=dict)
    errors: tuple[MemoryFault, ...] = ()
    added: tuple[AddedLeak, ...] = ()
    descriptors: tuple[OpenDescriptor, ...] = ()
    canaries: frozenset[str] = frozenset()
    suppressed: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[int, int] = field(default_factory=dict)
    signal: FatalSignal | None = None


def read_process(
    records: Iterable[Record], origins: Origins, log: Sequence[OpenDescriptor] = ()
) -> ProcessReport:
    """Read one process to its end, or to where its document breaks off.

    ``log`` holds this process's open descriptors from :func:`descriptors.parse_log`. A
    :class:`TruncatedXml` makes the report incomplete; every other DataError passes through.
    """
    reading = _Reading(origins, log)
    try:
        for record in records:
            handler = reading.handlers.get(type(record))
            if handler is not None:
                handler(record)
    except TruncatedXml:
        reading.complete = False
    return reading.report()


class _Reading:
    """The state between two records."""

    def __init__(self, origins: Origins, log: Sequence[OpenDescriptor]) -> None:
        self.origins = origins
        self.log = log
        self.complete = False
        self.finished = False
        self.running = self.phase = self.exe = ""
        self.pid = self.ppid = 0
        self.tests: dict[str, None] = {}
        self.test_errors: dict[str, int] = {}
        self.errors: list[MemoryFault] = []
        self.added: dict[tuple[str, str], _Sums] = {}
        self.open: list[OpenDescriptor] = []
        self.stacks: list[DescriptorStack] = []
        self.canaries: set[str] = set()
        self.suppressed: dict[str, int] = {}
        self.counts: Mapping[int, int] = {}
        self.signal: FatalSignal | None = None
        self.known: dict[tuple[str, str, Stack], _Named] = {}
        self.handlers: Mapping[type, Callable[..., None]] = {
            Preamble: self.preamble,
            Args: self.args,
            Status: self.status,
            ClientMessage: self.message,
            ErrorRecord: self.error,
            LeakRecord: self.leak,
            DescriptorStack: self.stack,
            DescriptorRecord: self.descriptor,
            FatalSignal: self.fatal,
            ErrorCounts: self.count,
            SuppressionCounts: self.suppressions,
            End: self.end,
        }

    def preamble(self, record: Preamble) -> None:
        self.pid, self.ppid = record.pid, record.ppid

    def args(self, record: Args) -> None:
        self.exe = record.exe

    def status(self, record: Status) -> None:
        self.finished = record.state == "FINISHED"

    def message(self, record: ClientMessage) -> None:
        if not record.text.startswith(_MESSAGE):
            return
        word, *rest = record.text[len(_MESSAGE) :].split()
        values = [unquote(value) for value in rest]
        if word == "phase":
            self.phase = " ".join(values)
        elif word == "test-begin" and values:
            self.running = values[0]
            self.tests[self.running] = None
        elif word == "test-end" and values:
            self.running = ""
            for value in values[1:]:
                name, _, count = value.partition("=")
                if name == "errors" and count.isdecimal():
                    self.test_errors[values[0]] = int(count)

    def error(self, record: ErrorRecord) -> None:
        detector = DETECTOR if record.descriptor is None else "fds"
        kind = error_kind(record.kind)
        named = self.name(detector, kind, record.stack)
        self.errors.append(
            MemoryFault(
                unique=record.unique,
                detector=detector,
                kind=kind,
                id=named.id,
                owner=named.owner,
                frames=named.frames,
                summary=error_summary(record),
                test=self.running,
                size=error_size(record.what),
                foreign=self.is_foreign(record, kind, named.frames),
            )
        )

    def is_foreign(self, record: ErrorRecord, kind: str, frames: tuple[Frame, ...]) -> bool:
        """Whether CPython or the C library did this with memory of their own.

        Undefined values: CPython 3.11 looks at a digit that an empty int does not have
        (``_PyLong_FromByteArray``), and every later use of that int is reported, whoever asked for
        it: only CPython writes an int's digits, and undefined bytes that an extension hands over
        for one are traced to where the extension made them. Reads: the C
        library's string functions read whole vectors that begin inside a live block and end behind
        it. An invalid access of any other kind counts even without the extension in a stack: what
        an extension freed too early is used by CPython.
        """
        stacks = [frames, *(normalise(item.stack, self.origins) for item in record.auxiliary)]
        if kind.startswith("uninitialised") and record.origin:
            # Who made the value decides, whoever uses it: an int of CPython's goes everywhere.
            stacks = [normalise(record.origin, self.origins)]
            if _in_an_int(stacks[0]):
                return True
        if any(frame.owner in _INVOLVED for stack in stacks for frame in native_segment(stack)):
            return False
        if kind.startswith("uninitialised"):
            return True
        vector_read = kind == "invalid-read" and frames[:1] and frames[0].owner is Owner.LIBC
        live = any(_LIVE_BLOCK.search(item.what) for item in record.auxiliary)
        return bool(vector_read) and live

    def leak(self, record: LeakRecord) -> None:
        seen = canaries_in(record.stack)
        if self.phase == CANARY and not self.finished:
            seen = seen or {"unnamed"}  # the first run keeps no stacks
        if seen:
            self.canaries |= seen
            return
        # Only the relative checks that the code in the cell asks for say when something was lost;
        # somebody's own full check, and one at exit, would repeat all of it.
        if self.finished or not (record.delta_blocks or record.delta_bytes):
            return
        sums = self.added.setdefault((self.running, self.phase), _Sums())
        # Of a lost cycle memcheck calls one block definitely lost and the others indirectly, in
        # the next run perhaps the other way round: the same stack has one name for both.
        kind = DEFINITE if record.kind == INDIRECT else record.kind
        sums.add(record, self.name(DETECTOR, kind, record.stack))

    def stack(self, record: DescriptorStack) -> None:
        if self.finished:
            self.stacks.append(record)

    def descriptor(self, record: DescriptorRecord) -> None:
        self.open.append(descriptors.from_record(record))

    def fatal(self, record: FatalSignal) -> None:
        self.signal = record

    def count(self, record: ErrorCounts) -> None:
        self.counts = record.counts

    def suppressions(self, record: SuppressionCounts) -> None:
        self.suppressed = dict(record.counts)

    def end(self, _record: End) -> None:
        self.complete = True

    def name(self, detector: str, kind: str, stack: Stack) -> _Named:
        """Normalise a stack once: loss records come back in every check."""
        key = (detector, kind, stack)
        if key not in self.known:
            if len(self.known) >= _CACHE_LIMIT:
                self.known.clear()
            frames = normalise(stack, self.origins)
            self.known[key] = _Named(signature_id(detector, kind, frames), owner_of(frames), frames)
        return self.known[key]

    def report(self) -> ProcessReport:
        own = {error.unique for error in self.errors}
        return ProcessReport(
            pid=self.pid,
            ppid=self.ppid,
            exe=self.exe,
            complete=self.complete,
            running=self.running,
            phase=self.phase,
            tests=tuple(self.tests),
            test_errors=self.test_errors,
            errors=tuple(self._counted(error) for error in self.errors),
            added=tuple(
                AddedLeak(test, phase, leak)
                for (test, phase), sums in self.added.items()
                for leak in sums.leaks()
            ),
            descriptors=tuple(self.open) or descriptors.pair(self.log, self.stacks),
            canaries=frozenset(self.canaries),
            suppressed=self.suppressed,
            counted={unique: n for unique, n in self.counts.items() if unique not in own},
            signal=self.signal,
        )

    def _counted(self, error: MemoryFault) -> MemoryFault:
        return replace(error, occurrences=self.counts.get(error.unique, 1))


@dataclass(frozen=True, slots=True)
class _Named:
    """A stack's signature, owner and frames."""

    id: str
    owner: Owner
    frames: tuple[Frame, ...]


class _Sums:
    """The changes of loss records of the same kind and signature, added up."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Leak] = {}

    def add(self, record: LeakRecord, named: _Named) -> None:
        key = (record.kind, named.id)
        leak = self._found.get(key) or Leak(record.kind, named.id, named.owner, named.frames, 0, 0)
        self._found[key] = replace(
            leak,
            blocks=leak.blocks + (record.delta_blocks or 0),
            bytes=leak.bytes + (record.delta_bytes or 0),
            indirect_bytes=leak.indirect_bytes + (record.delta_indirect_bytes or 0),
        )

    def leaks(self) -> tuple[Leak, ...]:
        return tuple(self._found.values())


def _in_an_int(frames: tuple[Frame, ...]) -> bool:
    """Whether the memory was taken by CPython's functions for ints, whoever called them."""
    for frame in frames:
        if frame.owner in _INVOLVED:
            return False
        if frame.owner is Owner.CPYTHON and _INT.match(frame.function):
            return True
    return False
