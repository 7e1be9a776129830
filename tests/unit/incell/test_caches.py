"""What is put back between rounds, and what stays in it."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from leakgrid_incell import caches


def test_the_table_of_threads_is_as_large_as_after_a_start_with_few_of_them() -> None:
    state = caches.Caches()
    state.clear()
    before = sys.getsizeof(threading._active)
    wait = threading.Event()
    crowd = [threading.Thread(target=wait.wait) for _ in range(40)]
    for thread in crowd:
        thread.start()
    wait.set()
    for thread in crowd:
        thread.join()
    assert sys.getsizeof(threading._active) > before
    state.clear()
    assert sys.getsizeof(threading._active) == before


def test_threads_that_run_are_still_known_after_clearing() -> None:
    wait = threading.Event()
    thread = threading.Thread(target=wait.wait, name="still there")
    thread.start()
    try:
        caches.Caches().clear()
        assert thread in threading.enumerate()
        assert threading.current_thread() is threading.main_thread()
    finally:
        wait.set()
        thread.join()


def test_caches_of_the_standard_library_are_emptied() -> None:
    state = caches.Caches()
    time.strptime("2026", "%Y")
    cache = sys.modules["_strptime"]._regex_cache
    assert cache
    state.clear()
    assert not cache


def test_a_module_without_what_is_looked_for_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = (("threading", "_no_table.data", "_no_lock"), ("no_such_module", "data", ""))
    monkeypatch.setattr(caches, "_TABLES", gone)
    caches.Caches().clear()
    assert threading.main_thread() in threading.enumerate()
