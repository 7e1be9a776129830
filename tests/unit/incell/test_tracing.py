"""What the C library keeps of environment variables is measured and taken off."""

from __future__ import annotations

import os
from array import array
from itertools import chain, repeat

import pytest
from leakgrid_incell import tracing


def test_what_the_heap_grows_while_a_variable_is_set_is_kept_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = chain([1000, 1064], repeat(2000))
    monkeypatch.setattr(os, "putenv", os.putenv)
    monkeypatch.setattr(tracing, "_sizes", array("q", [0, 0, 0]))
    monkeypatch.setattr(tracing.tracemalloc, "start", tracing.tracemalloc.start)
    monkeypatch.setattr(tracing, "_heap", int)
    tracing.install(lambda: next(sizes))
    for value in ("one", "two"):
        os.environ["LEAKGRID_TRACING"] = value
    assert tracing.kept() == 64
    assert os.environ.pop("LEAKGRID_TRACING") == "two"
