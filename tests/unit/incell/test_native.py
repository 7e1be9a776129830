"""The heap's size with and without the small library, and what it does not show."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import pytest
from leakgrid_incell import native

from leakgrid.detectors import library

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc tells its size")


@pytest.fixture(params=["library", "no compiler"])
def requests(request: pytest.FixtureRequest, tmp_path: Path) -> native.Requests:
    if request.param == "no compiler":
        return native.Requests("")
    built, why = library.client_requests(tmp_path)
    if built is None:
        pytest.skip(why)
    return native.Requests(str(built))


def test_the_heap_grows_by_what_is_allocated(requests: native.Requests) -> None:
    before = requests.heap()
    assert before > 0
    kept = ctypes.create_string_buffer(50_000_000)
    assert requests.heap() - before >= len(kept)


def test_memory_of_malloc_shows(requests: native.Requests) -> None:
    planted, seen = requests.try_heap({})
    assert planted == ["malloc", "object"]
    assert "malloc" in seen  # objects only where Python was told to use malloc


def test_an_allocator_of_its_own_does_not_show(
    requests: native.Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
    pool = kind(lambda size, align: 4096)
    address = ctypes.cast(pool, ctypes.c_void_p).value
    monkeypatch.setattr(native, "loaded_at", lambda functions: [address])
    planted, seen = requests.try_heap({"lib.so": 1})
    assert "rust" in planted
    assert "rust" not in seen


def test_a_c_library_that_does_not_tell_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_heap_reader", lambda: int)
    planted, seen = native.Requests("").try_heap({})
    assert planted
    assert not seen


def test_functions_of_libraries_that_are_not_loaded_have_no_address() -> None:
    assert native.loaded_at({"/nowhere/lib.so": 64}) == []
