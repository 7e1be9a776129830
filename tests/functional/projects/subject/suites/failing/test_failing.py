from subject import Shelf


def test_expects_too_much():
    assert len(Shelf()) == 7


def test_expects_too_little():
    assert Shelf().add("a") == 0
