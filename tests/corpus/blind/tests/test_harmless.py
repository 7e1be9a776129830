"""Look-alikes: each test grows or holds memory, descriptors or threads for a good reason.

The comment in each test says why it is harmless. None of them may be reported.
"""

import asyncio
import contextvars
import datetime
import decimal
import functools
import gc
import itertools
import logging
import logging.handlers
import random
import re
import sys
import tracemalloc
import unittest
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import corpus_blind as blind
import pytest

# One counter for everything that must be new on each call.
fresh = itertools.count(1)


# --- made once -----------------------------------------------------------------------------


def test_lazy_static():
    # Harmless: the table is made by the first call and kept for good.
    assert blind.square_of(50) == 2500


def test_leaked_config_once():
    # Harmless: Box::leak runs once in the life of the process.
    assert blind.config_value(3) == 11


def test_class_cached_once():
    # Harmless: one reference to decimal.Decimal, held by a static.
    assert blind.is_decimal(decimal.Decimal(2))
    assert not blind.is_decimal(2)


_once = []


def test_passes_only_once():
    # Harmless: nothing grows; a second call fails, and so cannot be judged.
    assert not _once
    _once.append(len(blind.Blob(10)))


# --- bounded growth ------------------------------------------------------------------------


def test_pool_of_10():
    # Harmless: one buffer more per call, and full after 10.
    assert 1 <= blind.pool_buffer(10, 2000) <= 10


def test_pool_of_64():
    # Harmless: one buffer more per call, and full after 64.
    assert 1 <= blind.pool_buffer(64, 1000) <= 64


def test_pool_of_200():
    # Harmless: one buffer more per call, and full after 200.
    assert 1 <= blind.pool_buffer(200, 500) <= 200


def test_lru_with_new_keys():
    # Harmless: each key is new, and the cache holds 32 of them.
    assert 1 <= blind.lru_lookup(next(fresh), 700) <= 32


def test_batched_free():
    # Harmless: a sawtooth; every sixteenth call frees what the others retired.
    assert 0 <= blind.retire_buffer(640) < 16


def test_vector_keeps_capacity():
    # Harmless: one vector for all calls; its capacity follows the greatest need so far, which
    # is bounded.
    size = min(next(fresh) * 100, 20_000)
    assert blind.fill_scratch(size) == size


def test_milestones():
    # Harmless: grows on the calls 1, 2, 4 ... 1024, at most eleven times.
    assert 1 <= blind.note_milestone() <= 11


def test_ring_of_recent_objects():
    # Harmless: the last eight objects are kept, the ninth is let go.
    assert 1 <= blind.keep_recent(bytearray(500)) <= 8


def test_ring_of_open_files(tmp_path):
    # Harmless: the last four files stay open.
    path = tmp_path / f"recent-{next(fresh)}.txt"
    path.write_text("recent")
    assert 1 <= blind.open_recent(path) <= 4


@functools.lru_cache(maxsize=128)
def _blob_size(key):
    return len(blind.Blob(key % 50 + 200)), bytes(300)


def test_functools_lru_cache():
    # Harmless: each key is new, and the cache holds 128 of them.
    assert _blob_size(next(fresh))[0] >= 200


_bounded = {}


def test_dict_with_eviction():
    # Harmless: the oldest of 40 goes when a new one comes.
    _bounded[next(fresh)] = blind.Blob(400)
    if len(_bounded) > 40:
        del _bounded[next(iter(_bounded))]
    assert len(_bounded) <= 40


def test_regex_cache():
    # Harmless: each pattern is new; the cache of re is bounded and CPython's own.
    number = next(fresh)
    text = blind.join_words(["part", str(number), "end"])
    assert re.search(rf"part {number} (\w+)", text).group(1) == "end"


def test_warning_registry():
    # Harmless: each text is new and noted in this module's __warningregistry__, a dict that
    # Python owns.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.warn(f"call {next(fresh)}, {blind.square_of(2)}", UserWarning, stacklevel=1)
    assert len(caught) == 1


# --- names ---------------------------------------------------------------------------------


class Named:
    blind_name = "named"


def test_interned_fixed_name():
    # Harmless: the name is interned once.
    assert blind.read_name(Named()) == "named"


def test_interned_column_names():
    # Harmless: five names, interned again and again.
    assert blind.column_names()[0] == "id"


def test_fresh_attribute_names():
    # Harmless: the object dies with its attributes. Setting an attribute interns its name, and
    # CPython 3.12 never frees interned strings: its own doing, not the extension's.
    record = Named()
    name = f"field_{next(fresh)}"
    blind.set_field(record, name, 4)
    assert getattr(record, name) == 4


# --- held by Python or by the test itself --------------------------------------------------


@pytest.fixture(scope="module")
def seen_in_module():
    return []


def test_module_fixture_collects(seen_in_module):
    # Harmless: the list is the test's own, and so are the objects in it.
    seen_in_module.append(blind.Blob(300))
    assert len(seen_in_module[-1]) == 300


@pytest.fixture(scope="session")
def seen_in_session():
    return []


def test_session_fixture_collects(seen_in_session):
    # Harmless: the list is the test's own, and so are the texts in it.
    seen_in_session.append(blind.join_words(["w" * 20] * 10))
    assert seen_in_session


_answers = []


def test_module_list_collects():
    # Harmless: a list of this module, which grows on purpose; the vectors in its objects are
    # memory of Rust, held by Python.
    _answers.append(blind.Blob(250))
    assert _answers


def test_chained_exception_kept():
    # Harmless: sys.last_value holds the newest exception only, with its traceback and cause.
    def fails():
        raise KeyError("k" * 50)

    try:
        blind.call_through(fails)
    except RuntimeError as error:
        sys.last_type, sys.last_value, sys.last_traceback = (
            type(error),
            error,
            error.__traceback__,
        )
    assert isinstance(sys.last_value.__cause__, KeyError)


_suspended = {}


def test_suspended_generator():
    # Harmless: each call puts its generator in the place of the one before.
    def rows():
        blob = blind.Blob(600)
        yield len(blob)
        yield 0

    generator = rows()
    assert next(generator) == 600
    _suspended["newest"] = generator


def test_dict_resize():
    # Harmless: grows through several sizes and is dropped.
    table = {number: blind.square_of(number) for number in range(1000)}
    for number in range(990):
        del table[number]
    assert len(table) == 10


# --- cycles and finalizers -----------------------------------------------------------------


def test_gc_disabled_with_a_cycle():
    # Harmless: the cycle waits for the next collection, which comes after the test.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        tree = blind.Tree()
        tree.add(tree)
        assert len(tree) == 1
    finally:
        if was_enabled:
            gc.enable()


def test_cycle_with_traverse():
    # Harmless: the collector sees through __traverse__.
    parent, child = blind.Tree(), blind.Tree()
    parent.add(child)
    child.add(parent)
    assert len(parent) == len(child) == 1


def test_dynamic_subclass():
    # Harmless: a class is always a cycle, and the collector finds it.
    grown = type("Grown", (blind.Tree,), {"extra": lambda self: len(self)})
    tree = grown()
    tree.add(grown)
    assert tree.extra() == 1


def test_weakref_callback():
    # Harmless: the reference and its callback go with the test.
    gone = []
    blob = blind.Blob(100)
    reference = weakref.ref(blob, gone.append)
    del blob
    assert gone == [reference]


class Resource(blind.Blob):
    closed = 0

    def __del__(self):
        type(self).closed += 1


def test_subclass_with_finalizer():
    # Harmless: __del__ counts, and everything is freed. The counter is one int, replaced.
    before = Resource.closed
    resource = Resource(200)
    assert len(resource) == 200
    del resource
    assert Resource.closed == before + 1


# --- allocated and freed -------------------------------------------------------------------

_random = random.Random(20240229)


def test_random_sizes():
    # Harmless: other sizes on every call, all freed.
    sizes = [_random.randrange(1, 8000) for _ in range(60)]
    assert blind.churn(sizes) == sum(sizes)


def test_large_block():
    # Harmless: big enough for a mapping of its own, and given back.
    assert len(blind.Blob(3_000_000)) == 3_000_000


def test_string_building():
    # Harmless: the text is dropped.
    words = [f"word-{number}-{next(fresh)}" for number in range(200)]
    assert blind.join_words(words).split() == words


def test_datetimes():
    # Harmless: dates come and go.
    moment = datetime.datetime(2024, 2, 29, 13, 30, tzinfo=datetime.timezone.utc)
    assert blind.midnight(moment).isoformat() == "2024-02-29T00:00:00+00:00"


def test_tmp_path_files(tmp_path):
    # Harmless: files on the disk are no memory.
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(blind.join_words(["x"] * 50))
    assert len(list(tmp_path.iterdir())) == 5


# --- machinery of Python and pytest --------------------------------------------------------


def test_tracemalloc():
    # Harmless: stop() frees the tracer's tables. CPython before 3.13 loses some 36 to 84 bytes
    # for each start that traced something: its own doing, not the extension's.
    if tracemalloc.is_tracing():
        pytest.skip("something else is tracing")
    tracemalloc.start(5)
    try:
        kept = [bytearray(100) for _ in range(50)]
        assert tracemalloc.get_traced_memory()[0] > 0
        assert len(kept) == 50
    finally:
        tracemalloc.stop()


def test_logging_handler():
    # Harmless: the handler's buffer is emptied when it holds 20 records, and dropped.
    logger = logging.getLogger("corpus_blind.harmless")
    handler = logging.handlers.MemoryHandler(capacity=20, target=logging.NullHandler())
    logger.addHandler(handler)
    try:
        for number in range(30):
            logger.warning("square %d of call %d", blind.square_of(number), next(fresh))
        assert len(handler.buffer) < 20
    finally:
        logger.removeHandler(handler)
        handler.close()


_long_lived = logging.handlers.MemoryHandler(capacity=25, target=logging.NullHandler())


def test_long_lived_log_buffer():
    # Harmless: a handler of the module, emptied at every twenty-fifth record.
    record = logging.makeLogRecord({"msg": blind.join_words(["m" * 40] * 5), "levelno": 20})
    _long_lived.handle(record)
    assert len(_long_lived.buffer) < 25


def test_captured_output(capsys):
    # Harmless: pytest drops the text at teardown.
    print(blind.join_words(["printed"] * 500))
    assert capsys.readouterr().out.startswith("printed printed")


def test_captured_log(caplog):
    # Harmless: pytest drops the records at teardown.
    with caplog.at_level(logging.INFO):
        logging.getLogger("corpus_blind.captured").info("%d", blind.square_of(9))
    assert caplog.messages == ["81"]


def test_monkeypatched_function(monkeypatch):
    # Harmless: the function is put back at teardown. The C library never frees the text of an
    # environment variable that it has not seen before: its own doing, not the extension's.
    monkeypatch.setattr(blind, "square_of", lambda number: number)
    monkeypatch.setenv("CORPUS_BLIND_CALL", str(next(fresh)))
    assert blind.square_of(5) == 5


_request = contextvars.ContextVar("blind_request", default=None)


def test_context_variable():
    # Harmless: the copy of the context dies with the call.
    def work():
        _request.set(blind.Blob(350))
        return len(_request.get())

    assert contextvars.copy_context().run(work) == 350
    assert _request.get() is None


def test_asyncio_tasks():
    # Harmless: loop, tasks and queue are closed and dropped by asyncio.run.
    async def produce(queue, number):
        await queue.put(blind.Blob(number))

    async def work():
        queue = asyncio.Queue()
        await asyncio.gather(*(produce(queue, number) for number in range(8)))
        return sum(len(queue.get_nowait()) for _ in range(8))

    assert asyncio.run(work()) == 28


class HarmlessCase(unittest.TestCase):
    def setUp(self):
        self.blob = blind.Blob(450)
        self.addCleanup(delattr, self, "blob")

    def test_with_cleanup(self):
        # Harmless: the cleanup drops the object.
        assert len(self.blob) == 450


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_parametrized_blob(size):
    # Harmless: freed at the end of the call.
    assert len(blind.Blob(size)) == size


# --- threads -------------------------------------------------------------------------------


def test_native_thread_pool():
    # Harmless: two threads, started by the first call and kept.
    assert blind.double_in_pool(next(fresh)) % 2 == 0


_executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="blind-executor")


def test_python_thread_pool():
    # Harmless: starts threads on the first calls, up to four.
    assert _executor.submit(blind.square_of, 7).result() == 49


def test_joined_thread_with_thread_local():
    # Harmless: the thread-local vector is dropped as the thread ends.
    assert blind.sum_in_thread(500) == 500 * 499 // 2
