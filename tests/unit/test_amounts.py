"""Numbers for people."""

from __future__ import annotations

import pytest

from leakgrid.amounts import counted, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1048576, "1,048,576"),
        (1048591.9, "1,048,591.9"),
        (65613.0, "65,613"),
        (112.4, "112.4"),
        (3715.61, "3,715.6"),
        (100, "100"),
        (99.999, "100"),
        (82.32, "82.32"),
        (0.5, "0.5"),
        (0.08, "0.08"),
        (0, "0"),
    ],
)
def test_numbers_have_separators_and_no_more_digits_than_they_tell(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1 block"), (1.0, "1 block"), (0.08, "0.08 blocks"), (0, "0 blocks"), (2, "2 blocks")],
)
def test_only_one_is_singular(value: float, text: str) -> None:
    assert counted(value, "block") == text
