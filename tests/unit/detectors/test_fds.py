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


def test_the_same_file_in_two_temporary_folders_is_one_leak() -> None:
    found = findings(
        [
            Suspect("a", "fds", "descriptor", "/tmp/x0/log1", 1, 0),
            Suspect("b", "fds", "descriptor", "/tmp/y7/log2", 1, 0),
        ]
    )
    assert [item.tests for item in found] == [("a", "b")]
    assert "/tmp" not in found[0].summary
