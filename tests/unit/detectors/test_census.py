"""References too many after import, between two results."""

from __future__ import annotations

from leakgrid.detectors.census import compare


def test_one_reference_more_is_named() -> None:
    (found,) = compare({"Class.VALUE": 0, "type Class": 3}, {"Class.VALUE": 1, "type Class": 3})
    assert found.blocks == 1
    assert "Class.VALUE" in found.summary


def test_fewer_references_and_objects_of_one_side_are_no_leak() -> None:
    assert compare({"a": 2, "gone": 1}, {"a": 1, "new": 5}) == ()


def test_the_identity_names_the_object_only() -> None:
    (one,) = compare({"a": 0}, {"a": 1})
    (other,) = compare({"a": 4}, {"a": 9})
    assert one.id == other.id
