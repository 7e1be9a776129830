"""Every test here leaks; expected.toml says what."""

import asyncio
import unittest

import leakgrid_known as known
import pytest


def test_forget_vec():
    known.forget_vec(500)


def test_leak_box():
    known.leak_box()


def test_raw_cstring():
    known.raw_cstring("twenty characters...")


def test_rc_cycle():
    known.rc_cycle()


def test_leak_list():
    known.leak_list()


def test_leak_dict():
    known.leak_dict()


def test_leak_bytes():
    known.leak_bytes()


def test_leak_str():
    known.leak_str(7)


def test_leak_exception():
    known.leak_exception()


def test_leak_argument():
    known.leak_reference([1, 2, 3])


def test_keep_argument():
    known.keep_argument({"key": []})


def test_leak_none():
    known.leak_none()


def test_leak_type_reference():
    known.leak_type_reference()


def test_leak_instance():
    known.leak_instance()


def test_untraversed_cycle():
    first, second = known.Knot(), known.Knot()
    first.tie(second)
    second.tie(first)


def test_forget_buffer():
    known.forget_buffer(bytearray(b"some bytes"))


def test_leak_file():
    known.leak_file("/dev/null")


def test_leak_socket():
    known.leak_socket()


def test_park_thread():
    known.park_thread()


def test_grow_map():
    known.grow_map()


def test_grow_vec():
    for _ in range(20):
        known.grow_vec()


def test_forget_iterator():
    known.forget_iterator([1, 2])


def test_exception_path():
    with pytest.raises(ValueError, match="exception path"):
        known.fail_and_leak(300)


def test_every_third_call():
    known.leak_every_third()


@pytest.fixture
def leaking():
    known.forget_vec(64)
    return 1


def test_leaking_fixture(leaking):
    assert leaking == 1


@pytest.fixture
def leaking_teardown():
    yield
    known.leak_list()


def test_leaking_teardown(leaking_teardown):
    pass


@pytest.mark.parametrize("leak", [False, True])
def test_parametrized(leak):
    if leak:
        known.forget_vec(1000)


class TestMethods:
    def setup_method(self):
        self.value = known.nested(3)

    def test_in_class(self):
        known.forget_vec(100)
        self.value = None


class Case(unittest.TestCase):
    def test_in_unittest(self):
        known.leak_dict()


def test_in_asyncio():
    async def work():
        known.leak_list()

    asyncio.run(work())


def test_held_by_forgotten_frame(tmp_path, capsys):
    print(tmp_path)
    known.leak_bytes()
    assert capsys.readouterr().out
