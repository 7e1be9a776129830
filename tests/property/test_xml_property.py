"""Whatever is fed to the XML reader, it gives records or a DataError, and never anything else."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from leakgrid.detectors.records import ClientMessage, End, LeakRecord, Record
from leakgrid.detectors.xml_records import TruncatedXml, read_file, read_records
from leakgrid.errors import DataError

GOLDEN = Path(__file__).parents[1] / "golden" / "valgrind"
PROLOG = b'<?xml version="1.0"?>\n\n<valgrindoutput>\n\n'
HEAD = (
    b"<protocolversion>4</protocolversion>\n<protocoltool>memcheck</protocoltool>\n"
    b"<pid>1</pid>\n<ppid>2</ppid>\n"
)
END = b"</valgrindoutput>\n"
SEGV = (GOLDEN / "segv.xml").read_bytes()
WHOLE = list(read_file(GOLDEN / "segv.xml"))

PIECES = st.lists(
    st.sampled_from(
        [
            *(line + b"\n" for line in sorted(set(SEGV.split(b"\n")))),
            b"<error>", b"</error>", b"<stack>", b"</stack>", b"<!-- ", b"-->", b"<![CDATA[",
            b"]]>", b"&amp;", b"&x;", b"<a b='c'/>", b"\xff", b"\0", b"  <threadname>",
            b"</threadname>\n", END,
        ]
    ),
    max_size=40,
)  # fmt: skip


def salvage(data: bytes) -> tuple[list[Record], DataError | None]:
    records: list[Record] = []
    try:
        for record in read_records(io.BytesIO(data)):
            records.append(record)
    except DataError as error:
        return records, error
    return records, None


def complete(records: list[Record], error: DataError | None) -> bool:
    return error is None and isinstance(records[-1], End)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_or_truncated(data: bytes) -> None:
    records, error = salvage(data)
    assert records == []
    assert error is not None


@given(st.binary(max_size=400))
def test_arbitrary_bytes_in_a_document_never_escape_as_another_error(data: bytes) -> None:
    records, error = salvage(PROLOG + HEAD + data + END)
    assert complete(records, error) or (error is not None and bool(error.why))


@given(PIECES)
def test_shuffled_pieces_of_a_real_document_never_escape_as_another_error(
    pieces: list[bytes],
) -> None:
    records, error = salvage(PROLOG + HEAD + b"".join(pieces) + END)
    assert complete(records, error) or (error is not None and bool(error.why))


@given(st.integers(0, len(SEGV.rstrip()) - 1))
def test_every_cut_keeps_the_complete_records_before_it(cut: int) -> None:
    records, error = salvage(SEGV[:cut])
    assert isinstance(error, TruncatedXml)
    assert records == WHOLE[: len(records)]


@given(st.integers(0, len(SEGV) - 1), st.integers(0, 255))
@settings(max_examples=200)
def test_one_changed_byte_never_escapes_as_another_error(place: int, value: int) -> None:
    changed = SEGV[:place] + bytes([value]) + SEGV[place + 1 :]
    records, error = salvage(changed)
    assert complete(records, error) or (error is not None and bool(error.what))


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60))
def test_every_text_of_a_client_message_comes_through(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = f"<clientmsg>\n  <tid>1</tid>\n  <text>{escaped}</text>\n</clientmsg>\n".encode()
    records, error = salvage(PROLOG + HEAD + body + END)
    assert complete(records, error)
    message = records[1]
    assert isinstance(message, ClientMessage)
    shown = text.replace("\ufffe", "\\xfffe").replace("\uffff", "\\xffff")
    assert message.text == shown.strip()


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=15))
def test_every_unescaped_thread_name_comes_through_or_stays_one_record(name: str) -> None:
    error_text = (
        "<error>\n  <unique>0x0</unique>\n  <tid>2</tid>\n"
        f"  <threadname>{name}</threadname>\n  <kind>InvalidRead</kind>\n"
        "  <what>Invalid read of size 1</what>\n</error>\n"
    ).encode()
    records, error = salvage(PROLOG + HEAD + error_text + END)
    # A name that reads as a forbidden character reference cannot be told from an escaped one.
    if error is None:
        assert records[-1] == End(1)
    else:
        assert "&#" in name


@given(
    st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**9),
    st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9),
)  # fmt: skip
def test_all_numbers_of_a_loss_record_are_read_as_they_were_written(
    direct: int, indirect: int, blocks: int, more_bytes: int, more_blocks: int
) -> None:
    text = (
        f"{direct + indirect:,} ({more_bytes:+,}) ({direct:,} ({more_bytes:+,}) direct, "
        f"{indirect:,} (+0) indirect) bytes in {blocks:,} ({more_blocks:+,}) blocks are "
        "definitely lost in loss record 1 of 1"
    )
    body = (
        "<error><unique>0x1</unique><tid>1</tid><kind>Leak_DefinitelyLost</kind>"
        f"<xwhat><text>{text}</text></xwhat></error>\n"
    ).encode()
    records, error = salvage(PROLOG + HEAD + body + END)
    assert error is None
    leak = records[1]
    assert isinstance(leak, LeakRecord)
    assert (leak.bytes, leak.indirect_bytes, leak.blocks) == (direct + indirect, indirect, blocks)
    assert (leak.delta_bytes, leak.delta_blocks) == (more_bytes, more_blocks)
