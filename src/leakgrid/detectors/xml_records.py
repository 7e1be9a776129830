"""Reads Valgrind's XML output as a stream: flat memory, hostile input refused.

What is accepted: protocol versions 4 to 6 of the tool memcheck, exactly as Valgrind writes them.
What is repaired, because Valgrind 3.19 to 3.26 itself writes it: thread names and descriptor paths
are not escaped (a Python thread is called ``Thread-1 (<lambda>)``), and arguments, paths and client
messages may hold bytes that are neither UTF-8 nor allowed in XML; each such byte becomes the text
``\\xNN``. A NUL byte is refused: no C string holds one, so the file itself is damaged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lxml import etree

from leakgrid.detectors.records import End, Preamble, Record
from leakgrid.detectors.xml_build import BUILDERS, FrameCache, number, text_of
from leakgrid.errors import DataError

PROTOCOLS = (4, 5, 6)
CHUNK_BYTES = 128 * 1024
# One record of two stacks of 500 frames is about 300 KB; beyond this somebody is filling memory.
RECORD_LIMIT_BYTES = 4 * 1024 * 1024

_PROLOG = re.compile(
    rb"\s*(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'](?:utf|UTF)-8[\"'])?\s*\?>)?"
    rb"\s*<valgrindoutput>"
)
_BEGINNING = b'<?xmlversion="1.0"?><valgrindoutput>'
_CLOSING = b"</valgrindoutput>"
_FOREIGN_BYTES = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x80-\xff]")
_NOT_XML = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_HEAD = ("protocolversion", "protocoltool", "pid", "ppid", "tool")
_UNESCAPED = re.compile(rb"^(  <(threadname|path|what)>)([^\n]*)(</\2>)$", re.MULTILINE)
_BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)")


class TruncatedXml(DataError):
    """The document ends before its end: its process was killed. What came before is valid."""


def read_file(path: Path) -> Iterator[Record]:
    """Every record of the file, in document order, the last being :class:`End`.

    Raises :class:`TruncatedXml` after the last complete record where the document breaks off, and
    :class:`DataError` for anything that memcheck does not write, and for an unreadable file.
    """
    try:
        with path.open("rb") as source:
            yield from read_records(source, name=str(path))
    except OSError as error:
        raise DataError(
            f"Valgrind's XML output {path} cannot be read",
            why=error.strerror or str(error),
            next="See Valgrind's own log for why it wrote nothing.",
        ) from error


def read_records(source: BinaryIO, *, name: str = "Valgrind's XML output") -> Iterator[Record]:
    """Like :func:`read_file`, from an open binary stream; ``name`` is used in messages."""
    return _Reader(source, name).records()


class _Reader:
    """One pass over one document; lxml builds one record at a time and forgets it."""

    def __init__(self, source: BinaryIO, name: str) -> None:
        self._source = source
        self._name = name
        self._parser = etree.XMLPullParser(
            events=("end", "comment", "pi"),
            tag=(*BUILDERS, *_HEAD, "preamble", "valgrindoutput"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
        )
        self._frames = FrameCache()
        self._head: dict[str, str] = {}
        self._preamble: tuple[str, ...] = ()
        self._introduced = False
        self._closed = False
        self._count = 0
        self._read = 0
        self._quiet_bytes = 0

    def records(self) -> Iterator[Record]:
        """Feed the file chunk by chunk and hand out what is complete."""
        pending = self._check_prolog()
        while True:
            chunk = self._source.read(CHUNK_BYTES)
            self._read += len(chunk)
            data, pending = _whole_lines(pending + chunk, at_end=not chunk)
            if len(pending) > RECORD_LIMIT_BYTES:
                raise self._refuse(f"a line is longer than {RECORD_LIMIT_BYTES:,} bytes")
            yield from self._feed(data)
            if not chunk:
                break
        if not self._closed:
            raise self._truncated()
        yield End(self._count)

    def _check_prolog(self) -> bytes:
        """Read up to the root element: nothing but the XML declaration may stand before it.

        A DTD can only stand there, so no entity can be declared in what is accepted.
        """
        head = b""
        while b"<valgrindoutput" not in head and len(head) < 1024:
            chunk = self._source.read(256)
            head += chunk
            if not chunk:
                break
        self._read = len(head)
        if _PROLOG.match(head):
            return head
        if b"<!" in head:
            raise self._refuse("it has a document type or a comment before its root")
        if _BEGINNING.startswith(b"".join(head.split())):
            raise self._truncated()
        raise self._refuse("it does not begin with <valgrindoutput>")

    def _feed(self, data: bytes) -> Iterator[Record]:
        fault: etree.XMLSyntaxError | None = None
        was_closed = self._closed
        if b"\0" in data:
            raise self._refuse("it holds NUL bytes, so the file is damaged")
        if was_closed:
            self._check_tail(data)
            return
        self._quiet_bytes += len(data)
        data = _repair(data)
        try:
            self._parser.feed(data)
        except etree.XMLSyntaxError as error:
            fault = error
        before = self._count
        yield from self._drain()
        if fault is None and self._parser.feed_error_log:
            # libxml2 goes on after an unknown entity or prefix; what follows is not to be trusted.
            entry = self._parser.feed_error_log[0]
            raise self._refuse(f"line {entry.line}: {entry.message}")
        if self._closed:
            self._check_tail(data.rpartition(_CLOSING)[2])
        if fault is not None:
            raise self._malformed(fault, data)
        if self._count > before:
            self._quiet_bytes = 0
        elif self._quiet_bytes > RECORD_LIMIT_BYTES:
            raise self._refuse(f"one record is larger than {RECORD_LIMIT_BYTES:,} bytes")

    def _drain(self) -> Iterator[Record]:
        for event, found in self._parser.read_events():
            element: Any = found
            if event != "end":
                raise self._refuse("it holds a comment or a processing instruction")
            parent = element.getparent()
            if parent is None:
                self._closed = element.tag == "valgrindoutput"
                yield from self._introduce()
                continue
            if parent.getparent() is not None:
                continue
            yield from self._record(element)
            self._forget(parent, element)

    def _record(self, element: Any) -> Iterator[Record]:
        tag = element.tag
        if tag in _HEAD:
            self._head[tag] = text_of(element)
            if tag in ("protocolversion", "protocoltool"):
                self._check_head(tag)
            return
        if tag == "preamble":
            self._preamble = tuple(text_of(line) for line in element.findall("line"))
            return
        if tag not in BUILDERS:  # a second root inside the first
            raise self._refuse(f"line {element.sourceline}: <{tag}> has no place there")
        yield from self._introduce()
        try:
            record = BUILDERS[tag](element, self._frames)
        except ValueError as error:
            raise self._refuse(
                f"line {element.sourceline}: a <{tag}> record is not one of memcheck's: {error}"
            ) from error
        self._count += 1
        yield record

    def _forget(self, root: Any, element: Any) -> None:
        """Drop what is done; elements that this version does not know are dropped unread."""
        element.clear()
        while root[0] is not element:
            if "}" in str(root[0].tag):
                raise self._refuse("it uses an XML namespace")
            del root[0]

    def _introduce(self) -> Iterator[Record]:
        if self._introduced:
            return
        for tag in ("protocolversion", "protocoltool"):
            self._check_head(tag)
        try:
            pid, ppid = (number(self._head.get(tag, "")) for tag in ("pid", "ppid"))
        except ValueError as error:
            raise self._refuse("it does not say which process wrote it") from error
        self._introduced = True
        yield Preamble(int(self._head["protocolversion"]), "memcheck", pid, ppid, self._preamble)

    def _check_head(self, tag: str) -> None:
        value = self._head.get(tag, "")
        if tag == "protocolversion" and value not in [str(known) for known in PROTOCOLS]:
            raise DataError(
                f"{self._name}: protocol version {value[:20] or '(none)'} is not known",
                why="leakgrid reads versions 4, 5 and 6 of Valgrind's XML output.",
                next="Use a Valgrind between 3.5 and 3.26, or a newer leakgrid.",
            )
        if tag == "protocoltool" and value != "memcheck":
            raise DataError(
                f"{self._name}: written by the tool {value[:20] or '(none)'}, not by memcheck",
                next="Run Valgrind with --tool=memcheck.",
            )

    def _check_tail(self, data: bytes) -> None:
        if data.strip():
            raise self._refuse("something follows </valgrindoutput>", corrupt=True)

    def _malformed(self, fault: etree.XMLSyntaxError, data: bytes) -> DataError:
        return self._refuse(
            f"line {fault.lineno}: {fault.msg}", corrupt=data.lstrip().find(b"<?xml", 1) > 0
        )

    def _refuse(self, why: str, *, corrupt: bool = False) -> DataError:
        following = "Run the cell again; if it happens again, keep the file for a bug report."
        if corrupt:
            following = (
                "Give each process a file of its own (%p in --xml-file, and no --log-file, which "
                "in Valgrind 3.19 keeps forked children from opening their own)."
            )
        return DataError(
            f"{self._name} is not memcheck's XML (within the first {self._read:,} bytes)",
            why=why,
            next=following,
        )

    def _truncated(self) -> TruncatedXml:
        return TruncatedXml(
            f"{self._name} ends in the middle, after byte {self._read:,}",
            why=f"The process was killed before it finished; {self._count} records are complete.",
            next="See which test was running, and the process's own output.",
        )


def _whole_lines(data: bytes, *, at_end: bool) -> tuple[bytes, bytes]:
    """Split after the last line end: repairs look at whole lines."""
    if at_end:
        return data, b""
    cut = data.rfind(b"\n") + 1
    return data[:cut], data[cut:]


def _repair(data: bytes) -> bytes:
    """Make XML of what Valgrind copies in as it is; line numbers stay."""
    if b"<threadname>" in data or b"<path>" in data or b"Fd" in data:
        data = _UNESCAPED.sub(_escape, data)
    if _FOREIGN_BYTES.search(data) is None:
        return data
    text = data.decode("utf-8", errors="backslashreplace")
    return _NOT_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", text).encode()


def _escape(found: re.Match[bytes]) -> bytes:
    text = _BARE_AMPERSAND.sub(b"&amp;", found[3])
    return found[1] + text.replace(b"<", b"&lt;").replace(b">", b"&gt;") + found[4]
