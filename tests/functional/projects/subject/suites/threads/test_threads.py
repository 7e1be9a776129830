import threading

import subject

threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_find():
    shelf = subject.Shelf()
    shelf.add("a")
    assert shelf.find("a") == 0


def test_titles():
    assert subject.Shelf().titles() == []
