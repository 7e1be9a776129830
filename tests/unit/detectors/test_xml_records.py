"""Reading Valgrind's XML output: what is read, what is repaired, what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TypeVar

import pytest

from leakgrid.detectors import xml_records
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
    Status,
    SuppressionCounts,
)
from leakgrid.detectors.xml_records import TruncatedXml, read_file, read_records
from leakgrid.errors import DataError

GOLDEN = Path(__file__).parents[2] / "golden" / "valgrind"
PROLOG = b'<?xml version="1.0"?>\n\n<valgrindoutput>\n\n'
HEAD = (
    b"<protocolversion>4</protocolversion>\n<protocoltool>memcheck</protocoltool>\n"
    b"<pid>1</pid>\n<ppid>2</ppid>\n"
)
MESSAGE = b"<clientmsg>\n  <tid>1</tid>\n  <text>x</text>\n</clientmsg>\n"
END = b"</valgrindoutput>\n"
T = TypeVar("T")


def sample(name: str) -> list[Record]:
    return list(read_file(GOLDEN / name))


def of(kind: type[T], records: list[Record]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]


def read(data: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(data), name="shard.xml"))


def salvage(data: bytes) -> tuple[list[Record], DataError | None]:
    records: list[Record] = []
    try:
        for record in read_records(io.BytesIO(data), name="shard.xml"):
            records.append(record)
    except DataError as error:
        return records, error
    return records, None


# --- what is read --------------------------------------------------------------------------------


def test_the_document_says_who_wrote_it_and_what_was_traced() -> None:
    records = sample("kinds.xml")
    assert isinstance(records[0], Preamble)
    assert (records[0].protocol, records[0].tool) == (4, "memcheck")
    assert records[0].pid > 0
    assert "Using Valgrind-3.19.0 and LibVEX; rerun with -h for copyright info" in records[0].lines
    assert isinstance(records[1], Args)
    assert records[1].exe == "./kinds"
    assert records[1].valgrind_exe == "/usr/bin/valgrind.bin"
    assert "--leak-check=full" in records[1].vargv


def test_the_end_counts_the_records_before_it() -> None:
    records = sample("kinds.xml")
    assert records[-1] == End(len(records) - 2)  # without the preamble and itself


def test_statuses_come_in_document_order_and_a_forked_child_has_no_running() -> None:
    assert [status.state for status in of(Status, sample("kinds.xml"))] == ["RUNNING", "FINISHED"]
    assert [status.state for status in of(Status, sample("fork-child1.xml"))] == ["FINISHED"]


def test_client_messages_lose_the_blanks_around_them() -> None:
    texts = [message.text for message in of(ClientMessage, sample("kinds.xml"))]
    assert texts[0] == "leakgrid phase tests"
    assert texts[2] == "leakgrid test-begin tests/test_a.py::test_read[a%20b]"


def test_every_kind_of_error_of_the_sample_is_read_with_its_count() -> None:
    records = sample("kinds.xml")
    errors = of(ErrorRecord, records)
    assert Counter(error.kind for error in errors) == {
        "InvalidRead": 3,
        "InvalidWrite": 1,
        "UninitCondition": 1,
        "UninitValue": 1,
        "InvalidFree": 2,
        "Overlap": 1,
        "SyscallParam": 1,
        "FishyValue": 1,
        "MismatchedFree": 1,
    }
    (counts,) = of(ErrorCounts, records)
    assert set(counts.counts) == {error.unique for error in errors}
    (write,) = [error for error in errors if error.kind == "InvalidWrite"]
    assert counts.counts[write.unique] == 3


def test_an_error_keeps_its_own_stack_apart_from_where_the_block_was_freed_and_allocated() -> None:
    errors = of(ErrorRecord, sample("kinds.xml"))
    (freed,) = [e for e in errors if e.kind == "InvalidFree" and len(e.auxiliary) == 2
                and e.auxiliary[1].stack]  # fmt: skip
    assert [frame.function for frame in freed.stack][:2] == ["free", "free_twice"]
    assert freed.auxiliary[0].what.endswith("is 0 bytes inside a block of size 3 free'd")
    assert freed.auxiliary[1].what == "Block was alloc'd at"
    assert [frame.function for frame in freed.auxiliary[1].stack][:2] == ["malloc", "free_twice"]


def test_a_line_without_a_stack_does_not_take_the_next_lines_stack() -> None:
    errors = of(ErrorRecord, sample("kinds.xml"))
    (on_stack,) = [e for e in errors if any("'s stack" in item.what for item in e.auxiliary)]
    assert [item.stack for item in on_stack.auxiliary] == [(), ()]


def test_the_origin_of_an_uninitialised_value_is_found_behind_the_address() -> None:
    (param,) = [e for e in of(ErrorRecord, sample("kinds.xml")) if e.kind == "SyscallParam"]
    assert [frame.function for frame in param.origin][:2] == ["malloc", "param"]
    (read_error, *_) = of(ErrorRecord, sample("kinds.xml"))
    assert read_error.origin == ()


def test_a_frame_carries_object_directory_file_and_line() -> None:
    (first, *_) = of(ErrorRecord, sample("kinds.xml"))
    frame = first.stack[0]
    assert (frame.function, frame.object) == ("bad_read", "/build/x/kinds")
    assert (frame.directory, frame.file) == ("/build/x", "kinds.c")
    assert frame.line > 0


def test_a_frame_without_a_function_is_called_by_question_marks() -> None:
    stack = b"<stack><frame><ip>0x1</ip><obj>/build/x/lib.so</obj></frame></stack>\n"
    (record,) = of(DescriptorStack, read(PROLOG + HEAD + stack + END))
    assert record.stack[0].function == "???"
    assert record.stack[0].line == 0


def test_leaks_of_the_exit_check_have_no_deltas() -> None:
    leaks = [leak for leak in of(LeakRecord, sample("kinds.xml")) if leak.delta_blocks is None]
    assert Counter(leak.kind for leak in leaks) == {
        "indirectly-lost": 4,
        "definitely-lost": 5,
        "still-reachable": 1,
    }
    assert sum(leak.bytes for leak in leaks if leak.kind == "still-reachable") == 40_000


def test_added_leaks_in_the_middle_carry_deltas_with_thousands() -> None:
    added = [leak for leak in of(LeakRecord, sample("kinds.xml")) if leak.delta_blocks is not None]
    (thousand,) = [leak for leak in added if leak.bytes == 1000]
    assert (thousand.blocks, thousand.delta_blocks, thousand.delta_bytes) == (2, 2, 1000)
    chains = [leak for leak in added if leak.indirect_bytes]
    assert {(c.bytes, c.indirect_bytes, c.delta_bytes, c.delta_indirect_bytes) for c in chains} == {
        (312, 208, 312, 208)
    }


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7 (+7) bytes in 1 (+1) blocks are definitely lost in loss record 1 of 3",
         (1, 7, 0, 1, 7, 0)),
        ("500 (200 direct, 300 indirect) bytes in 3 blocks are definitely lost in loss record 1",
         (3, 500, 300, None, None, None)),
        ("1,312 (+1,104) (104 (+0) direct, 1,208 (+1,104) indirect) bytes in 1 (+0) blocks are "
         "definitely lost in loss record 7 of 12", (1, 1312, 1208, 0, 1104, 1104)),
        ("16 (-32) bytes in 1 (-2) blocks are definitely lost in loss record 1 of 1",
         (1, 16, 0, -2, -32, 0)),
        ("18,446,744,073,709 bytes in 1,000,000 blocks are definitely lost in loss record 1 of 1",
         (1_000_000, 18_446_744_073_709, 0, None, None, None)),
    ],
)  # fmt: skip
def test_the_text_of_a_loss_record_gives_its_numbers(
    text: str, numbers: tuple[int | None, ...]
) -> None:
    (leak,) = of(LeakRecord, read(PROLOG + HEAD + loss(text) + END))
    assert numbers == (
        leak.blocks, leak.bytes, leak.indirect_bytes,
        leak.delta_blocks, leak.delta_bytes, leak.delta_indirect_bytes,
    )  # fmt: skip


def loss(text: str, kind: str = "Leak_DefinitelyLost") -> bytes:
    return (
        f"<error><unique>0x1</unique><tid>1</tid><kind>{kind}</kind>\n"
        f"<xwhat><text>{text}</text></xwhat>\n</error>\n"
    ).encode()


def test_bare_stacks_after_the_end_are_those_of_open_descriptors() -> None:
    stacks = of(DescriptorStack, sample("kinds.xml"))
    assert [record.stack[0].function for record in stacks] == [
        "socket", "socketpair", "socketpair", "pipe", "pipe", "open", "socket", "socket", "open",
    ]  # fmt: skip


def test_newer_descriptor_errors_are_read_although_their_text_is_not_escaped() -> None:
    records = sample("fd-not-closed.xml")
    open_ones = of(DescriptorRecord, records)
    assert [(record.number, record.path) for record in open_ones] == [
        (5, "/etc/passwd"),
        (6, ""),
        (8, ""),
    ]
    assert open_ones[1].what == "Open AF_INET socket 6: 127.0.0.1:80 <-> <unbound>"
    assert [len(record.stack) for record in open_ones] == [1, 1, 0]
    closed, used = of(ErrorRecord, records)
    assert (closed.kind, closed.descriptor, closed.path) == (
        "FdBadClose",
        7,
        "/build/x/a <b> & c",
    )
    assert [item.what for item in closed.auxiliary] == ["Previously closed", "Originally opened"]
    assert (used.kind, used.descriptor) == ("FdBadUse", 9)


def test_a_fatal_signal_names_itself_and_its_place() -> None:
    (fatal,) = of(FatalSignal, sample("segv.xml"))
    assert (fatal.signo, fatal.name, fatal.event) == (
        11,
        "SIGSEGV",
        "Access not within mapped region",
    )
    assert fatal.stack[0].function == "deref"
    (aborted,) = of(FatalSignal, sample("abort.xml"))
    assert (aborted.signo, aborted.name) == (6, "SIGABRT")


def test_suppressions_are_counted_by_name() -> None:
    (counts,) = of(SuppressionCounts, sample("kinds.xml"))
    assert counts.counts == {"hide_after_free": 1, "hide_keep_inside": 1}


@pytest.mark.parametrize("version", [4, 5, 6])
def test_protocols_4_to_6_are_read(version: int) -> None:
    head = HEAD.replace(b">4<", b">%d<" % version)
    (preamble,) = of(Preamble, read(PROLOG + head + MESSAGE + END))
    assert preamble.protocol == version


def test_elements_that_are_not_known_are_passed_over() -> None:
    unknown = b"<heap_summary><x><bytes>1</bytes></x></heap_summary>\n"
    assert len(read(PROLOG + HEAD + unknown + MESSAGE + unknown + END)) == 3


# --- what is repaired ----------------------------------------------------------------------------


def test_a_thread_name_that_valgrind_did_not_escape_is_read() -> None:
    threads = {error.thread for error in of(ErrorRecord, sample("kinds.xml"))}
    assert threads == {"", "pool <1> & co"}


def test_an_escaped_thread_name_is_not_escaped_again() -> None:
    error = (
        b"<error>\n  <unique>0x0</unique>\n  <tid>2</tid>\n"
        b"  <threadname>a &amp; b &lt;</threadname>\n  <kind>InvalidRead</kind>\n"
        b"  <what>Invalid read of size 1</what>\n</error>\n"
    )
    (record,) = of(ErrorRecord, read(PROLOG + HEAD + error + END))
    assert record.thread == "a & b <"


def test_bytes_that_are_no_text_in_arguments_and_messages_become_visible_escapes() -> None:
    records = sample("kinds.xml")
    (args,) = of(Args, records)
    assert args.argv == ("a <b> & c", "bad\\xff\\x01byte")
    assert (
        of(ClientMessage, records)[1].text
        == 'somebody else says <hello> & "bye" ]]> \\x1b[1m caf\\xe9'
    )


def test_good_utf8_survives_beside_bad_bytes() -> None:
    text = "é".encode() + b"\xff" + "漢\U0001f40d".encode() + b"\xed\xa0\x80"
    (message,) = of(ClientMessage, read(PROLOG + HEAD + MESSAGE.replace(b"x<", text + b"<") + END))
    assert message.text == "é\\xff漢\U0001f40d\\xed\\xa0\\x80"


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_the_size_of_the_chunks_does_not_matter(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sample("kinds.xml")
    monkeypatch.setattr(xml_records, "CHUNK_BYTES", size)
    assert sample("kinds.xml") == whole


# --- truncation ----------------------------------------------------------------------------------


def test_a_killed_process_leaves_its_complete_records_and_then_says_so() -> None:
    records, error = salvage((GOLDEN / "killed.xml").read_bytes())
    assert isinstance(error, TruncatedXml)
    assert isinstance(records[-1], ClientMessage)
    assert records[-1].text == "leakgrid test-begin t.py::killed"
    assert len(of(ErrorRecord, records)) == 1
    assert "shard.xml" in error.what
    assert "byte" in error.what
    assert error.next


def test_a_file_cut_within_a_record_gives_the_records_before_it() -> None:
    data = (GOLDEN / "kinds.xml").read_bytes()
    whole = read(data)
    for cut in range(0, len(data) - len(b"</valgrindoutput>\n\n"), 997):
        records, error = salvage(data[:cut])
        assert isinstance(error, TruncatedXml), cut
        assert records == whole[: len(records)]


def test_an_empty_file_is_a_truncated_one() -> None:
    assert isinstance(salvage(b"")[1], TruncatedXml)


def test_a_missing_file_is_a_data_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.xml") as caught:
        list(read_file(tmp_path / "nowhere.xml"))
    assert caught.value.next


# --- what is refused -----------------------------------------------------------------------------

_XML = b'<?xml version="1.0"?>'
_BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
HOSTILE = {
    "a document type": (_XML + b"<!DOCTYPE x><valgrindoutput>" + HEAD + END, "document type"),
    "declared entities": (_XML + _BOMB + b"<valgrindoutput>" + HEAD + END, "document type"),
    "an external entity": (
        _XML + b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><valgrindoutput>' + END,
        "document type",
    ),
    "a late document type": (PROLOG + b"<!DOCTYPE x>" + HEAD + MESSAGE + END, "line 5"),
    "an unknown entity": (
        PROLOG + HEAD + MESSAGE.replace(b"x<", b"&foo;<") + END,
        "Entity 'foo' not defined",
    ),
    "an undeclared prefix": (
        PROLOG + HEAD + b'<xi:include href="file:///etc/passwd"/>' + MESSAGE + END,
        "Namespace prefix",
    ),
    "a namespace": (PROLOG + HEAD + b'<error xmlns="u"/>' + MESSAGE + END, "namespace"),
    "a comment": (PROLOG + HEAD + b"<!-- c -->" + MESSAGE + END, "comment"),
    "an instruction": (PROLOG + HEAD + b"<?php x?>" + MESSAGE + END, "processing instruction"),
    "text after the end": (PROLOG + HEAD + MESSAGE + END + b"junk", "follows"),
    "an element after the end": (PROLOG + HEAD + MESSAGE + END + b"<a/>", "follows"),
    "a comment after the end": (PROLOG + HEAD + MESSAGE + END + b"<!-- a -->", "comment"),
    "junk much later": (PROLOG + HEAD + MESSAGE + END + b" \n" * 200_000 + b"x", "follows"),
    "a second document": (
        PROLOG + HEAD + MESSAGE + END + PROLOG + HEAD + MESSAGE + END,
        "XML declaration",
    ),
    "another version": (PROLOG + HEAD.replace(b">4<", b">7<") + MESSAGE + END, "4, 5 and 6"),
    "no version": (PROLOG + MESSAGE + END, "4, 5 and 6"),
    "another tool": (PROLOG + HEAD.replace(b"memcheck", b"helgrind") + END, "helgrind"),
    "another root": (_XML + b"<other></other>", "<valgrindoutput>"),
    "another encoding": (
        '<?xml version="1.0"?><valgrindoutput>'.encode("utf-16"),
        "<valgrindoutput>",
    ),
    "a declared encoding": (
        b'<?xml version="1.0" encoding="UTF-7"?><valgrindoutput>' + END,
        "<valgrindoutput>",
    ),
    "deep nesting": (PROLOG + HEAD + b"<a>" * 100_000, "depth"),
    "deep nesting in a record": (
        PROLOG + HEAD + b"<error>" + b"<a>" * 400 + b"</a>" * 400 + b"</error>" + END,
        "depth",
    ),
    "a broad record": (PROLOG + HEAD + b"<clientmsg>" + b"<a/>\n" * 1_000_000, "4,194,304"),
    "broad nothing": (PROLOG + HEAD + b"<pid>1</pid>\n" * 400_000, "4,194,304"),
    "a long line": (PROLOG + HEAD + b"<clientmsg><text>" + b"x" * 5_000_000, "4,194,304"),
    "a long text": (PROLOG + HEAD + b"<clientmsg><text>" + b"x\n" * 2_500_000, "4,194,304"),
    "a zero byte": (PROLOG + HEAD + MESSAGE.replace(b"x<", b"\0<") + END, "NUL"),
    "a forbidden reference": (
        PROLOG + HEAD + MESSAGE.replace(b"x<", b"&#1;<") + END,
        "line 11",
    ),
    "a word for a number": (PROLOG + HEAD + MESSAGE.replace(b">1<", b">one<") + END, "'one'"),
    "an endless number": (
        PROLOG + HEAD + MESSAGE.replace(b">1<", b">" + b"9" * 9000 + b"<") + END,
        "not a number",
    ),
    "an unknown leak": (PROLOG + HEAD + loss("1 bytes in 1 blocks are x", "Leak_New") + END, "New"),
    "a leak without an amount": (PROLOG + HEAD + loss("much is lost") + END, "how much"),
    "a crossed element": (PROLOG + HEAD + b"<error><what></error></what>" + END, "mismatch"),
    "no process": (PROLOG + HEAD.replace(b"<pid>1</pid>", b"") + MESSAGE + END, "which process"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_memcheck_never_writes_is_refused(what: str) -> None:
    data, why = HOSTILE[what]
    _, error = salvage(data)
    assert error is not None
    assert not isinstance(error, TruncatedXml)
    assert why in str(error)
    assert "shard.xml" in error.what
    assert error.next


def test_two_processes_in_one_file_are_refused_with_the_way_out() -> None:
    _, error = salvage((GOLDEN / "two-in-one.xml").read_bytes())
    assert error is not None
    assert not isinstance(error, TruncatedXml)
    assert "%p in --xml-file" in error.next


def test_only_blanks_may_follow_the_end() -> None:
    assert read(PROLOG + HEAD + MESSAGE + END + b" \n\t\r\n" * 100_000)[-1] == End(1)


# --- memory --------------------------------------------------------------------------------------


def test_a_large_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    data = (GOLDEN / "kinds.xml").read_bytes()
    finished = data.index(b"</status>", data.index(b"FINISHED")) + len(b"</status>\n")
    leaks, counts = data.index(b"<error>", finished), data.index(b"<errorcounts>")
    large = tmp_path / "large.xml"
    repeats = 60 * 1024 * 1024 // (counts - leaks)
    with large.open("wb") as sink:
        sink.write(data[:leaks])
        for _ in range(repeats):
            sink.write(data[leaks:counts])
        sink.write(data[counts:])
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from leakgrid.detectors.xml_records import read_file\n"
        "usage = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = usage()\n"
        "print(sum(1 for _ in read_file(Path(sys.argv[1]))), usage() - before)\n"
    )
    # A process of its own: the peak of this one may be another test's.
    output = subprocess.run(
        [sys.executable, "-c", script, str(large)], check=True, capture_output=True, text=True
    ).stdout
    count, grown_kib = map(int, output.split())
    assert large.stat().st_size > 59 * 1024 * 1024
    assert count > 10 * repeats
    assert grown_kib < 24 * 1024
