import pytest
from subject import Shelf


def test_a_new_shelf_is_empty():
    assert len(Shelf()) == 0


def test_add_counts():
    assert [Shelf().add("a"), Shelf().add("b")] == [1, 1]


def test_find_gives_the_place():
    shelf = Shelf()
    shelf.add("a")
    shelf.add("b")
    assert shelf.find("b") == 1


def test_titles_keep_their_order():
    shelf = Shelf()
    for title in "cab":
        shelf.add(title)
    assert shelf.titles() == ["c", "a", "b"]


@pytest.mark.parametrize("wrong", [None, 3])
def test_a_title_is_text(wrong):
    with pytest.raises(TypeError):
        Shelf().add(wrong)
