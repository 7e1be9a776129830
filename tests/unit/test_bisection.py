"""The search logic; the whole command: tests/unit/commands/test_bisect.py."""

from dataclasses import replace

import pytest
from made import finding, result

from leakgrid.bisection import (
    Sought,
    answer,
    bounds,
    in_test,
    next_version,
    of_finding,
    shows,
    sought,
    unusable,
)
from leakgrid.comparison import compare_results
from leakgrid.finding import TestRecord

TESTS = {name: TestRecord("passed", repeatable=True) for name in ("t::a", "t::b", "t::c")}


def grown(name: str, *tests: str, **changes):
    return finding(name, detector="growth", kind="instance", tests=tests, per_call=True, **changes)


CLEAN = result(tests=TESTS)
LEAKY = result(grown("a", "t::a", "t::b"), tests=TESTS)


def wanted(clean, leaky) -> Sought:
    (one,) = sought(compare_results(clean, leaky))
    return one


def seen(middle, clean=CLEAN, leaky=LEAKY) -> bool | None:
    return shows(wanted(clean, leaky), middle, compare_results(middle, leaky))


def test_what_one_end_has_is_sought_memory_first():
    lost = finding("r", detector="refs", kind="reference", subject="type A")
    error = finding("m", kind="invalid-read")
    found = sought(compare_results(CLEAN, replace(LEAKY, findings=(lost, *LEAKY.findings, error))))
    assert [one.detector for one in found] == ["memcheck", "growth", "refs"]
    assert (found[1].ids, found[1].tests) == (("a" * 12,), ("t::a", "t::b"))


def test_a_version_between_has_it_or_not():
    assert seen(CLEAN) is False
    assert seen(LEAKY) is True


def test_one_of_its_tests_is_enough_to_have_it():
    assert seen(result(grown("a", "t::b"), tests=TESTS)) is True


def test_a_leak_in_a_test_that_leaked_at_both_ends_says_nothing():
    clean = result(grown("a", "t::a"), tests=TESTS)
    one = wanted(clean, LEAKY)
    assert one.tests == ("t::b",)
    assert shows(one, clean, compare_results(clean, LEAKY)) is False


@pytest.mark.parametrize(
    "record", [TestRecord("failed"), TestRecord("passed", repeatable=False), None]
)
def test_where_its_tests_were_not_measured_nobody_knows(record):
    tests = {name: record for name in TESTS if record} or {"t::c": TESTS["t::c"]}
    assert seen(result(tests=tests)) is None
    half = {**TESTS, "t::a": record} if record else {"t::b": TESTS["t::b"]}
    assert seen(result(tests=half)) is None


def test_a_test_that_the_screen_could_not_judge_was_not_measured():
    for what in ({"what": "t::a", "why": "it was not reached"},
                 {"what": "growth in t::a", "why": "memory held by Python: a list"}):  # fmt: skip
        assert seen(result(tests=TESTS, dropped=(what, {"what": "t::b"}))) is None


def census(**counts: int):
    return result(totals={"census": counts})


def test_objects_that_a_version_does_not_have_say_nothing_of_it():
    one = Sought("census|reference-at-import|attribute", "", frozenset({("a" * 12, "A")}))
    compared = compare_results(CLEAN, LEAKY)
    assert shows(one, census(B=1), compared) is None
    assert shows(one, result(), compared) is None
    assert shows(one, census(A=1), compared) is True
    assert one.tests == ()


def test_one_test_or_finding_can_be_asked_for():
    every = sought(compare_results(CLEAN, LEAKY))
    assert in_test(every, "t::b")[0].places == {("a" * 12, "t::b")}
    assert in_test(every, "t::c") == ()
    assert of_finding(every, "aa") == of_finding(every, every[0].key) == every
    assert of_finding(every, "b") == ()


def test_a_crashed_test_hides_only_itself():
    assert unusable(result(verdict="crashed", tests={**TESTS, "t::d": TestRecord("crashed")})) == ""
    assert unusable(result(verdict="crashed", tests={})).startswith("crashed: said so")
    assert unusable(result(verdict="blind")).startswith("blind")
    assert unusable(result(verdict="unbaselined")) == ""


# --- the search ----------------------------------------------------------------------------------


def test_it_goes_on_beside_what_cannot_be_judged():
    states: dict[int, bool | None] = {0: False, 6: True}
    assert next_version(states, 6) == 3
    states[3] = None
    assert next_version(states, 6) == 2
    states |= {2: False, 4: True}
    assert next_version(states, 6) is None
    told = answer(wanted(CLEAN, LEAKY), "ABCDEFG", states)
    assert (told.without, told.untold, told.first, told.found) == ("C", ("D",), "E", False)


def test_what_comes_and_goes_is_said():
    states = {0: False, 2: True, 4: False, 5: True}
    assert bounds(states, 5) == (0, 2)
    assert answer(wanted(CLEAN, LEAKY), "ABCDEF", states).back == ("E",)


def test_two_neighbours_need_no_search():
    assert next_version({0: False, 1: True}, 1) is None
