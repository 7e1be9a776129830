"""Drifting references, by object."""

from __future__ import annotations

from leakgrid.detectors.refs import findings
from leakgrid.detectors.suspects import Suspect


def drift(test: str, name: str, per_call: float = 1) -> Suspect:
    return Suspect(test, "refs", "reference", name, per_call, 0)


def test_each_object_is_one_finding_with_its_tests() -> None:
    found = findings([drift("b", "type A"), drift("a", "type A"), drift("a", "None")])
    assert [(item.tests, item.blocks) for item in found] == [(("a",), 1), (("a", "b"), 1)]


def test_the_identity_does_not_depend_on_tests_or_amounts() -> None:
    (one,) = findings([drift("a", "type A")])
    (other,) = findings([drift("z", "type A", 5)])
    assert one.id == other.id
    assert len(one.id) == 12


def test_what_other_detectors_saw_is_left_to_them() -> None:
    assert findings([Suspect("a", "fds", "descriptor", "socket", 1, 0)]) == ()
