"""One planted defect per test; expected.toml says what each of them leaks.

Every test passes. The tests use the extension as its maintainer would: they check its answers.
"""

import asyncio
import unittest
import uuid
import weakref

import corpus_blind as blind
import pytest

# --- plain Rust memory ---------------------------------------------------------------------


def test_forgotten_vec():
    assert blind.read_header(4000) == 4000 * 0x5A


def test_box_leak_per_call():
    assert blind.load_settings(5) == 36


def test_cstring_into_raw():
    assert blind.device_name_length("/dev/disk/by-id/a-disk-with-a-long-name") == 39


def test_rc_cycle():
    assert blind.build_tree(2) == 34


def test_arc_cycle_through_closure():
    assert blind.emit_once(3) == 24


def test_manually_drop_string():
    assert blind.banner_length("leak grid ") == 160


def test_growing_global_map():
    first = blind.remember_result(500)
    assert isinstance(first, int)


def test_many_tiny_blocks():
    assert blind.sum_links(250) == 250 * 249 // 2


def test_joined_thread_leaks():
    assert blind.digest_in_background(2000) == 6000


def test_drop_forgets_buffer():
    writer = blind.Writer(700)
    assert len(writer) == 700


def test_exception_path_only():
    assert blind.decode(b"abc") == 563
    with pytest.raises(ValueError, match="not a frame"):
        blind.decode(b"\xffabc")
    assert blind.decode(b"") == 560


def test_one_call_in_three():
    assert blind.sample_tick(3000) == 3000


@pytest.mark.parametrize("mode", ["plain", "gzip", "zstd"])
def test_compress(mode):
    assert blind.compress(mode, 600) == 600


@pytest.fixture
def session():
    token = blind.open_session()
    yield token
    assert blind.close_session(token) == 2 * token


def test_fixture_teardown(session):
    assert session > 0


class ScratchTest(unittest.TestCase):
    def setUp(self):
        self.scratch = blind.Scratch(1000)

    def tearDown(self):
        self.scratch.release()
        assert not self.scratch.is_open

    def test_scratch_is_open(self):
        assert self.scratch.is_open


def test_awaited_ticket():
    async def work():
        await blind.Ticket(7)
        return "done"

    assert asyncio.run(work()) == "done"


def test_finalizer_in_python():
    sizes = []

    class Handle:
        def __del__(self):
            sizes.append(blind.release_handle(350))

    handle = Handle()
    del handle
    assert sizes == [350]


def test_capsule_without_destructor():
    assert blind.bare_context_sum(2) == 32


# --- references to Python objects ----------------------------------------------------------


def test_list_into_ptr():
    assert blind.collect_rows(5) == 5


def test_dict_into_ptr():
    assert blind.summarize(1.25) == 1


def test_bytes_into_ptr():
    assert blind.encoded_length(900) == 900


def test_str_forgotten():
    assert blind.label_length(12) == 48


def test_int_into_ptr():
    assert blind.checksum(1) == 2**50 + 1


def test_tuple_forgotten():
    assert blind.bounds_width(1.5, 4.0) == 2.5


class Payload:
    def __init__(self):
        self.body = "x" * 10


def test_argument_into_ptr():
    assert blind.consume(Payload())


def test_exception_forgotten():
    def fails():
        raise LookupError("nothing there: " + "x" * 100)

    assert not blind.succeeds(fails)
    assert blind.succeeds(list)


def test_type_reference():
    assert blind.is_shape(blind.Shape(3))
    assert not blind.is_shape(3)


def test_none_reference():
    assert blind.is_missing(None)
    assert not blind.is_missing(0)


def test_function_reference():
    assert blind.apply_identity("same") == "same"


def test_constant_reference():
    assert blind.default_timeout() == 2.5


def test_extra_incref():
    items = [bytearray(800)]
    assert blind.first_item(items) is items[0]


def test_new_reference_taken_for_borrowed():
    class Record:
        @property
        def body(self):
            return bytearray(b"body" * 50)

    assert blind.attribute_of(Record(), "body") == b"body" * 50


def test_buffer_forgotten():
    assert blind.sum_view(bytearray(b"\x01" * 1200)) == 1200


def test_iterator_forgotten():
    def rows():
        block = bytes(300)
        for row in range(3):
            yield row, block

    assert blind.peek(rows())[0] == 0


def test_cycle_without_traverse():
    node = blind.Node()
    node.next = blind.Node(node)
    assert node.next.next is node


class Window(blind.Handler):
    def __init__(self):
        self.title = "a window"
        self.on_change(self.redraw)

    def redraw(self):
        return self.title


def test_python_subclass_cycle():
    assert Window().fire() == "a window"


def test_callback_answer():
    assert blind.each_row(lambda row: {"row": row, "text": "t" * row * 60})


def test_subscribers_never_leave():
    def listener():
        return 1

    assert blind.subscribe(listener) > 0


def test_weakref_forgotten():
    payload = Payload()
    assert blind.watch(payload)
    assert weakref.getweakrefcount(payload) == 1


def test_capsule_forgotten():
    assert blind.context_sum(3) == 48


def test_dynamic_class():
    model = type("BlindModel", (), {"__slots__": ("name",)})
    assert blind.register_class(model) == "BlindModel"


def test_stdlib_type_reference():
    assert blind.is_uuid(uuid.UUID(int=5))
    assert not blind.is_uuid(5)


# --- file descriptors and threads ----------------------------------------------------------


def test_file_into_raw_fd(tmp_path):
    path = tmp_path / "blind-file.txt"
    path.write_bytes(b"12345")
    assert blind.file_size(path) == 5


def test_socket_into_raw_fd():
    assert blind.ping_pair() == 42


def test_pipe_into_raw_fd():
    assert blind.echo_through_pipe("hello") == "hello"


def test_duplicated_fd(tmp_path):
    with open(tmp_path / "blind-duplicate.txt", "wb+") as file:
        file.write(b"123")
        file.flush()
        assert blind.size_of_open_file(file.fileno()) == 3


def test_fd_one_call_in_three(tmp_path):
    path = tmp_path / "blind-source.txt"
    path.write_bytes(b"1234567")
    assert blind.poll_source(path) == 7


def test_thread_that_waits_forever():
    assert blind.start_watcher() is None
