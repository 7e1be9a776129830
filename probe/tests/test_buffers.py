"""Buffers given and taken, bytes and bytearrays."""

import array
import io

import leakgrid_probe as probe
import pytest


def test_exported_buffer_is_readable():
    assert bytes(memoryview(probe.Blob(b"content"))) == b"content"


def test_exported_buffer_is_released():
    blob = probe.Blob(b"content")
    with memoryview(blob) as view:
        assert blob.exports == 1
        assert view.readonly
    assert blob.exports == 0


def test_exported_buffer_outlives_its_name():
    view = memoryview(probe.Blob(b"content"))
    assert view[0] == ord("c")


def test_exported_buffer_refuses_writing():
    # `readinto` asks for a writable buffer and reports any refusal as a TypeError.
    blob = probe.Blob(b"content")
    with pytest.raises(TypeError, match="read-write"):
        io.BytesIO(b"12").readinto(blob)
    assert blob.exports == 0


def test_buffer_of_bytes_read_by_rust():
    assert probe.buffer_sum(b"\x01\x02\x03") == 6


def test_buffer_of_a_memoryview_read_by_rust():
    assert probe.buffer_sum(memoryview(bytearray(b"\x01\x02\x03"))[1:]) == 5


def test_buffer_of_the_probe_read_by_rust():
    assert probe.buffer_sum(probe.Blob(b"\x05\x05")) == 10


def test_buffer_of_floats():
    assert probe.buffer_as_floats(array.array("d", [1.5, 2.5])) == [1.5, 2.5]


def test_buffer_of_the_wrong_type():
    with pytest.raises(BufferError):
        probe.buffer_as_floats(b"12345678")


def test_no_buffer_at_all():
    with pytest.raises(TypeError):
        probe.buffer_sum(["not a buffer"])


def test_buffer_filled_by_rust():
    target = bytearray(4)
    probe.buffer_fill(target, 7)
    assert target == b"\x07\x07\x07\x07"


def test_read_only_buffer_is_not_filled():
    with pytest.raises(BufferError):
        probe.buffer_fill(b"fixed", 7)


def test_bytes_filled_in_place():
    assert probe.bytes_filled(5, False) == b"zzzzz"


def test_bytes_given_up_half_way():
    with pytest.raises(ValueError, match="given up"):
        probe.bytes_filled(5, True)


def test_bytearray_reversed():
    assert probe.bytes_reversed(bytearray(b"abc")) == bytearray(b"cba")


def test_bytes_borrowed_by_rust():
    assert probe.bytes_join([b"one", bytearray(b"two"), b""]) == b"onetwo"
