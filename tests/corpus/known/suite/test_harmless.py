"""Nothing here leaks, though much of it grows for a while."""

import asyncio
import contextlib
import functools
import gc
import itertools
import logging
import random
import re
import threading
import tracemalloc
import unittest
import warnings
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import leakgrid_known as known
import pytest

NUMBERS = itertools.count(1000)


def test_lazy_table():
    assert known.lazy_table() == 10_000


def test_small_pool():
    assert known.fill_pool(10) > 0


def test_large_pool():
    assert known.fill_pool(200) > 0


def test_native_lru_of_objects():
    known.remember([next(NUMBERS)], 150)


def test_scratch_of_random_size():
    known.scratch(random.randrange(1, 50_000))


def test_high_water():
    known.high_water(random.randrange(1, 50_000))


def test_batches():
    known.batch()


KEPT = []


def test_python_list_keeps_instances():
    KEPT.append(known.Holder(500))


KEPT_BYTES = {}


def test_python_dict_keeps_bytes():
    KEPT_BYTES[next(NUMBERS)] = bytes(known.lazy_table() % 700)


def test_instance_cycle_is_collected():
    first, second = known.Holder(10), known.Holder(20)
    first.other, second.other = second, first


@functools.lru_cache(maxsize=128)
def cached(number):
    return known.nested(2), number


def test_bounded_python_lru():
    cached(next(NUMBERS))


@functools.lru_cache(maxsize=None)
def cached_for_ever(number):
    return [number]


def test_unbounded_python_cache():
    cached_for_ever(next(NUMBERS))


def test_regex_cache():
    assert re.compile("a%db" % next(NUMBERS)).match("no") is None


def test_warning_registry():
    warnings.warn("number %d" % next(NUMBERS), UserWarning, stacklevel=1)


class Anything:
    pass


def test_fresh_attribute_names():
    setattr(Anything(), "name%d" % next(NUMBERS), 1)


def test_missing_attributes():
    with contextlib.suppress(AttributeError):
        getattr(known.Holder(1), "name%d" % next(NUMBERS))


def test_interned_dynamic_names():
    assert {"key%d" % (next(NUMBERS) % 50): 1}


def test_tracemalloc():
    tracemalloc.start()
    known.nested(5)
    tracemalloc.stop()


def test_logging(caplog):
    caplog.set_level("INFO")
    logging.getLogger("known").info("number %d", next(NUMBERS))
    assert caplog.records


def test_chained_exceptions():
    with pytest.raises(RuntimeError) as caught:
        known.chained()
    assert caught.value.__cause__ is not None


POOL = ThreadPoolExecutor(4)


def test_thread_pool():
    assert list(POOL.map(known.nested, range(8)))


def test_short_threads():
    threads = [threading.Thread(target=known.nested, args=(3,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_native_thread():
    assert known.call_in_thread(lambda: 5) == 5


def test_asyncio():
    async def work():
        await asyncio.sleep(0)
        return known.nested(2)

    assert asyncio.run(work())


@pytest.fixture(scope="module")
def collected():
    return []


def test_module_fixture_collects(collected):
    collected.append(known.nested(1))


@pytest.fixture
def dependent(collected):
    yield known.Holder(5)


def test_fixture_on_a_wider_one(dependent):
    assert dependent


def test_gc_disabled():
    gc.disable()
    first, second = known.Holder(1), known.Holder(2)
    first.other, second.other = second, first
    gc.enable()


SEEN = []


def test_passes_only_once():
    SEEN.append(1)
    assert len(SEEN) == 1


def test_random_keys_in_a_bounded_dict():
    RANDOM[random.randrange(60)] = known.nested(1)


RANDOM = {}
ORDERED = OrderedDict()


def test_ordered_cache():
    ORDERED[next(NUMBERS)] = [1]
    if len(ORDERED) > 100:
        ORDERED.popitem(last=False)


def test_tmp_path(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEAKGRID_KNOWN", "1")
    (tmp_path / "file").write_text("text")
    print((tmp_path / "file").parts)
    assert capsys.readouterr().out


class TestShared:
    values = []

    def test_class_attribute(self):
        self.values.append("text %d" % next(NUMBERS))


class Case(unittest.TestCase):
    def setUp(self):
        self.value = known.nested(2)

    def test_unittest(self):
        self.assertTrue(self.value)


def test_open_and_close(tmp_path):
    with open(tmp_path / "x", "w") as stream:
        stream.write("x")


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_parametrized(size):
    known.Holder(size)


def test_generators_left_open():
    generator = (known.nested(1) for _ in range(3))
    next(generator)


class Counted:
    count = 0


def test_counters():
    Counted.count += 1


def test_hypothesis():
    hypothesis = pytest.importorskip("hypothesis")

    @hypothesis.settings(max_examples=10, database=None, deadline=None, derandomize=True)
    @hypothesis.given(hypothesis.strategies.integers(0, 50))
    def check(depth):
        assert known.nested(depth % 5) is not None

    check()
