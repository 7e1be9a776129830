from __future__ import annotations

import pytest

from leakgrid.changelog import Note
from leakgrid.watch.changes import about_memory, unreleased


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Fix a memory leak when deallocating", True),
        ("Fix reference count of `None`", True),
        ("Fix use-after-free in `PyBuffer`", True),
        ("Fix potential use after free", True),
        ("Fix unsoundness of `Py::new`", True),
        ("Add `PyContext` type", False),
        ("Fix compile error on 3.14", False),
    ],
)
def test_entries_that_speak_of_memory_are_told(text: str, told: bool) -> None:
    assert bool(about_memory([Note("0.29.1", "", "Fixed", text)], ["0.29.1"])) is told
    assert about_memory([Note("0.29.1", "", "Fixed", text)], ["0.29.2"]) == ()


def test_what_is_announced_between_two_releases_and_not_released_is_told() -> None:
    notes = [Note(v, "", "", "x") for v in ("0.31.0", "0.30.1", "0.30.0", "0.30.0", "0.28.0")]
    assert unreleased(notes, {"0.29.0", "0.30.1"}) == ("0.30.0",)
    assert unreleased(notes, set()) == ()
