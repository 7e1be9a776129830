"""Descriptors left open."""

from __future__ import annotations

import pytest

from leakgrid.detectors.fds import findings, place
from leakgrid.detectors.suspects import Suspect


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/dev/null", "/dev/null"),
        ("socket", "socket"),
        ("/tmp/pytest-of-me/pytest-3/test_a0/data12.txt", "dataN.txt"),
        ("anon_inode:[eventpoll]", "anon_inode:[eventpoll]"),
    ],
)
def test_a_place_is_the_same_on_another_machine(target: str, expected: str) -> None:
    assert place(target) == expected


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/dev/null", "/dev/null"),
        ("/tmp/leakgrid-x/#10420416 (deleted)", "a temporary file without a name"),
        ("/tmp/a/test_a1 (deleted)", "test_aN, a file or folder that is deleted since"),
        ("/memfd:scratch (deleted)", "memory as a file, named scratch (memfd)"),
        (
            "anon_inode",
            "one without a file, such as epoll, eventfd or timerfd (anon_inode)",
        ),
    ],
)
def test_what_has_no_name_of_its_own_is_told_in_words(target: str, words: str) -> None:
    (found,) = findings([Suspect("a", "fds", "descriptor", target, 1, 0)])
    assert found.summary == f"1 descriptor left open per call: {words}"


def test_the_words_are_not_part_of_the_identity() -> None:
    deleted = Suspect("a", "fds", "descriptor", "/tmp/leakgrid-x/#10420416 (deleted)", 1, 0)
    assert findings([deleted])[0].id == "9767e0592790"
    unnamed = Suspect("a", "fds", "descriptor", "anon_inode", 1, 0)
    assert findings([unnamed])[0].id == "6640fedc2caf"


def test_the_same_file_in_two_temporary_folders_is_one_leak() -> None:
    found = findings(
        [
            Suspect("a", "fds", "descriptor", "/tmp/x0/log1", 1, 0),
            Suspect("b", "fds", "descriptor", "/tmp/y7/log2", 1, 0),
        ]
    )
    assert [item.tests for item in found] == [("a", "b")]
    assert "/tmp" not in found[0].summary
