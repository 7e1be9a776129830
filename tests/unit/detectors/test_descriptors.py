"""Open descriptors from Valgrind's log and from its XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid.detectors.descriptors import OpenDescriptor, from_record, pair, parse_log
from leakgrid.detectors.records import DescriptorRecord, DescriptorStack
from leakgrid.detectors.xml_records import read_file
from leakgrid.signature import RawFrame

GOLDEN = Path(__file__).parents[2] / "golden" / "valgrind"
STACK = (RawFrame("open", "/usr/lib/libc.so.6"),)


def logged(name: str) -> dict[int, tuple[OpenDescriptor, ...]]:
    return dict(parse_log((GOLDEN / name).read_text().splitlines()))


def test_a_real_log_gives_every_descriptor_in_its_order() -> None:
    (found,) = logged("kinds.log").values()
    assert [(item.number, item.what) for item in found] == [
        (13, "AF_INET6 socket"),
        (12, "AF_UNIX socket"),
        (11, "AF_UNIX socket"),
        (9, "file"),
        (8, "file"),
        (7, "file"),
        (6, "AF_INET socket"),
        (5, "AF_INET socket"),
        (4, "file"),
        (251, "file"),
        (10, "file"),
        (3, "file"),
    ]
    assert found[5].detail == "/etc/passwd"
    assert found[3].detail == ""
    assert found[0].detail == "<unbound> <-> unbound"
    assert found[6].detail.startswith("127.0.0.1:")
    assert [item.number for item in found if item.inherited] == [251, 10, 3]


def test_forked_processes_are_kept_apart_by_their_ids() -> None:
    found = logged("fork.log")
    own = sorted([i.number for i in items if not i.inherited] for items in found.values())
    assert own == [[4], [4], [6, 4]]


@pytest.mark.parametrize("name", ["kinds", "segv"])
def test_bare_stacks_go_to_the_descriptors_that_were_not_inherited(name: str) -> None:
    (found,) = logged(f"{name}.log").values()
    records = read_file(GOLDEN / f"{name}.xml")
    stacks = [record for record in records if isinstance(record, DescriptorStack)]
    paired = pair(found, stacks)
    assert [item.number for item in paired] == [item.number for item in found]
    assert all(bool(item.stack) != item.inherited for item in paired)
    opened = {item.detail: item.stack[0].function for item in paired if item.stack}
    if name == "kinds":
        assert opened["/etc/passwd"] == "open"
        assert opened["<unknown>"] == "socketpair"


def test_no_stack_is_given_where_their_number_does_not_fit() -> None:
    listed = [OpenDescriptor(4, "file"), OpenDescriptor(5, "file")]
    assert pair(listed, [DescriptorStack(STACK)]) == tuple(listed)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("==9== Open file descriptor 5: /a b: c 7: d", (5, "file", "/a b: c 7: d")),
        ("==9== Open file descriptor 6:", (6, "file", "")),
        ("==9== Open file descriptor 6", (6, "file", "")),
        ("==9== Open pipe 7:", (7, "pipe", "")),
        ("==9== Open AF_INET socket 5: 127.0.0.1:80 <-> 127.0.0.1:81",
         (5, "AF_INET socket", "127.0.0.1:80 <-> 127.0.0.1:81")),
        ("==9== Open AF_UNIX socket 5: /run/x", (5, "AF_UNIX socket", "/run/x")),
        ("==9== Open pf-16 socket 8:", (8, "pf-16 socket", "")),
        ("==9== Open socket 8:", (8, "socket", "")),
        ("==00:00:00:01.250 9== Open file descriptor 5: /x", (5, "file", "/x")),
        ("half a line of the program==9== Open file descriptor 5: /x\r\n", (5, "file", "/x")),
    ],
)  # fmt: skip
def test_each_way_to_describe_a_descriptor_is_read(
    line: str, expected: tuple[int, str, str]
) -> None:
    (item,) = parse_log([line])[9]
    assert (item.number, item.what, item.detail) == expected
    assert not item.inherited


def test_the_last_list_of_a_process_counts() -> None:
    lines = [
        "==9== FILE DESCRIPTORS: 4 open (3 std) at request.",
        "==9== Open file descriptor 5: /early",
        "==9== FILE DESCRIPTORS: 4 open (3 std) at exit.",
        "==9== Open file descriptor 6: /late",
    ]
    assert [item.detail for item in parse_log(lines)[9]] == ["/late"]


def test_a_log_without_descriptors_gives_nothing() -> None:
    lines = ["Opening file descriptor 5: x", "==9== Conditional jump", "", "==x== Open"]
    assert parse_log(lines) == {}
    assert parse_log([*lines, "==9==    <inherited from parent>"]) == {}


def test_newer_versions_say_it_in_the_xml() -> None:
    records = [
        r for r in read_file(GOLDEN / "fd-not-closed.xml") if isinstance(r, DescriptorRecord)
    ]
    found = [from_record(record) for record in records]
    assert [(i.number, i.what, i.detail, i.inherited) for i in found] == [
        (5, "file", "/etc/passwd", False),
        (6, "AF_INET socket", "127.0.0.1:80 <-> <unbound>", False),
        (8, "file", "", True),
    ]
    assert found[0].stack[0].function == "main"
