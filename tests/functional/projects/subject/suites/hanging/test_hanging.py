import time

from subject import Shelf


def test_before():
    assert Shelf().add("a") == 1


def test_waits_for_ever():
    while True:
        time.sleep(1)


def test_after():
    assert Shelf().titles() == []
