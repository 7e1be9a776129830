import os

import subject


def test_before():
    assert subject.Shelf().add("a") == 1


def test_aborts():
    subject.abort()


def test_panics_across_c():
    subject.panic_across()


def test_reads_address_8():
    subject.segfault()


def test_leaves():
    os._exit(0)


def test_after():
    assert subject.Shelf().titles() == []
