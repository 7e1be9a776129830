from dataclasses import replace

import pytest

from leakgrid.comparison import Comparison, Entry
from leakgrid.finding import Finding, TestRecord
from leakgrid.signature import Owner
from leakgrid.verdict import Facts, Verdict, decide, exit_code, worst

PASSED = {"t::a": TestRecord("passed"), "t::b": TestRecord("passed")}
LEAK = Finding("memcheck", "Leak_DefinitelyLost", "a" * 12, Owner.EXTENSION, ("t::a",), 3, 64)
NEW = Comparison(new=(Entry(None, LEAK),))
KNOWN = Comparison(known=(Entry(LEAK, LEAK),))
GROWN = Comparison(changed=(Entry(replace(LEAK, blocks=1), LEAK),))


def facts(**changes) -> Facts:
    return replace(Facts("demo/py3.12-pyo3-0.29.3", tests=PASSED), **changes)


def word(**changes) -> str:
    return str(decide(facts(**changes))[0])


def regressed(**changes) -> dict:
    return {"findings": (LEAK,), "comparison": NEW, "has_baseline": True, **changes}


def test_every_verdict_has_the_exit_code_of_the_design():
    assert {str(v): exit_code(v) for v in Verdict} == {
        "clean": 0, "known": 0, "improved": 0, "regressed": 1, "unbaselined": 1,
        "unsupported": 3, "build-failed": 3, "tests-failed": 3, "no-tests": 3,
        "blind": 4, "crashed": 4, "timed-out": 4, "interrupted": 4,
    }  # fmt: skip


def test_the_worst_verdict_wins_and_regressed_outranks_all():
    assert worst(["clean", "blind", "known"]) == "blind"
    assert worst(list(Verdict)) == "regressed"
    assert worst([]) is None


def test_an_unknown_word_is_no_verdict():
    with pytest.raises(ValueError, match="fine"):
        exit_code("fine")


def test_nothing_found_is_clean_with_and_without_a_baseline():
    assert word() == "clean"
    assert word(has_baseline=True, comparison=Comparison()) == "clean"


def test_findings_without_a_baseline_say_how_to_accept_them():
    verdict, reason = decide(facts(findings=(LEAK,), comparison=NEW))
    assert verdict is Verdict.UNBASELINED
    assert "`leakgrid accept demo/py3.12-pyo3-0.29.3 --reason ...`" in reason
    assert "1 finding (extension 1)" in reason


def test_accepted_findings_are_known_and_gone_ones_an_improvement():
    assert word(findings=(LEAK,), comparison=KNOWN, has_baseline=True) == "known"
    assert word(comparison=Comparison(gone=(Entry(LEAK, None),)), has_baseline=True) == "improved"


def test_a_new_finding_is_a_regression_that_names_the_owner():
    verdict, reason = decide(facts(**regressed()))
    assert verdict is Verdict.REGRESSED
    assert "1 new finding (extension 1)" in reason


def test_more_blocks_than_accepted_are_a_regression_only_in_both_runs():
    grown = {"findings": (LEAK,), "comparison": GROWN, "has_baseline": True}
    assert word(**grown, tests_at_acceptance=2) == "regressed"
    assert word(**grown, tests_at_acceptance=2, grown_again=frozenset({LEAK.id})) == "regressed"
    verdict, reason = decide(facts(**grown, tests_at_acceptance=2, grown_again=frozenset()))
    assert verdict is Verdict.KNOWN
    assert "more blocks than accepted" in reason


def test_more_tests_than_at_acceptance_explain_more_blocks():
    grown = {"findings": (LEAK,), "comparison": GROWN, "has_baseline": True}
    assert word(**grown, tests_at_acceptance=1) == "known"
    assert "grew" in decide(facts(**grown, tests_at_acceptance=2))[1]


def test_a_regression_outranks_everything_else():
    bad = {**PASSED, "t::c": TestRecord("crashed"), "t::d": TestRecord("hung")}
    everything = {"tests": bad, "blind": ("x",), "crashed": "x"}
    assert word(**regressed(**everything)) == "regressed"


def test_the_rank_below_a_regression():
    hung = {**PASSED, "t::d": TestRecord("hung-under-valgrind")}
    both = {**hung, "t::c": TestRecord("crashed-under-valgrind")}
    assert word(tests=both, blind=("x",)) == "crashed"
    assert word(tests=hung, blind=("x",)) == "timed-out"
    assert word(tests={"t": TestRecord("failed")}, blind=("x",)) == "blind"
    assert word(findings=(LEAK,), comparison=NEW, blind=("x",)) == "blind"


def test_tests_that_crash_or_hang_are_named():
    tests = {**PASSED, "t::x": TestRecord("crashed"), "t::y": TestRecord("crashed")}
    assert "t::x and 1 more" in decide(facts(tests=tests))[1]
    assert "t::z" in decide(facts(tests={**PASSED, "t::z": TestRecord("hung")}))[1]


def test_no_tests_and_only_failing_tests_are_not_evaluated():
    assert word(tests={}) == "no-tests"
    verdict, reason = decide(facts(tests={"t::a": TestRecord("failed")}))
    assert verdict is Verdict.TESTS_FAILED
    assert "t::a" in reason


def test_a_failing_test_does_not_hide_the_others():
    assert word(tests={**PASSED, "t::f": TestRecord("failed")}) == "clean"


def test_a_blind_cell_says_why():
    assert "another allocator" in decide(facts(blind=("another allocator: mimalloc",)))[1]


def test_every_reason_is_one_line():
    for changes in ({}, regressed(), {"tests": {}}, {"blind": ("x",)}, {"findings": (LEAK,)}):
        assert "\n" not in decide(facts(**changes))[1]
