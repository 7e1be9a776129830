"""What a repetition puts back before it runs a test again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from leakgrid_incell import repeat


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "_name_sequence", None)


def made(folder: Path) -> str:
    repeat._same_temporary_names()
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    return name


def test_each_repetition_makes_the_same_temporary_names(tmp_path: Path) -> None:
    first = made(tmp_path)
    os.unlink(first)
    assert made(tmp_path) == first


def test_a_temporary_name_that_was_left_is_not_taken_again(tmp_path: Path) -> None:
    assert made(tmp_path) != made(tmp_path)
