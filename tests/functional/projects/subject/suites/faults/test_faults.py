import subject


def test_reads_what_was_freed():
    assert subject.read_freed()


def test_uses_what_was_never_set():
    assert subject.use_unset()


def test_reads_what_was_freed_again():
    assert subject.read_freed()


def test_is_fine():
    assert len(subject.Shelf()) == 0
