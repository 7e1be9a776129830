"""The GIL released and taken again. Every thread is joined before a call returns."""

import threading

import leakgrid_probe as probe
import pytest


def test_work_without_the_gil():
    assert probe.detached_sum([1, 2, 3]) == 6


def test_gil_taken_again_inside():
    assert probe.release_around(lambda: ["made inside"]) == ["made inside"]


def test_error_with_the_gil_taken_again():
    with pytest.raises(KeyError):
        probe.release_around(lambda: {}["missing"])


def test_callbacks_from_other_threads():
    assert probe.callbacks_from_threads(lambda index: [index], 3) == [[0], [1], [2]]


def test_error_from_another_thread():
    def fail():
        raise ValueError("in a thread")

    with pytest.raises(ValueError, match="in a thread"):
        probe.error_from_thread(fail)


def test_object_dropped_without_the_gil():
    assert probe.drop_detached(["dropped"]) is None


def test_instance_dropped_without_the_gil():
    assert probe.drop_detached(probe.Holder(["dropped"])) is None


def test_object_dropped_in_another_thread():
    assert probe.drop_in_thread(["dropped"]) is None


def test_python_thread_calls_rust():
    results = []
    thread = threading.Thread(target=lambda: results.append(probe.detached_sum([4, 5])))
    thread.start()
    thread.join()
    assert results == [9]


def test_instance_shared_with_a_python_thread():
    frozen = probe.Frozen()
    thread = threading.Thread(target=frozen.hit)
    thread.start()
    thread.join()
    assert frozen.hit() == 2


def test_references_taken_and_given_back():
    assert probe.clone_references(["referred to"], 50) == 50
