from dataclasses import replace

from leakgrid.baseline import accept
from leakgrid.comparison import Entry, compare_baseline, compare_results, grown
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.signature import Frame, Owner

PASSED = {"t::a": TestRecord("passed"), "t::b": TestRecord("passed")}


def finding(name: str, function: str = "", **changes) -> Finding:
    frames = (Frame(function or f"demo::{name}", "src/lib.rs", 1, "demo.so", Owner.EXTENSION),)
    base = Finding("memcheck", "Leak_DefinitelyLost", name * 12, Owner.EXTENSION, ("t::a",), 1, 64)
    return replace(base, frames=frames, **changes)


def result(*findings: Finding, **changes) -> CellResult:
    base = CellResult("demo", {"version": "3.12.1"}, "0.29.3", "known", "", tests=PASSED)
    return replace(base, findings=findings, **changes)


def test_without_a_baseline_every_finding_is_new():
    compared = compare_baseline(result(finding("a")), None)
    assert compared.ids() == {"new": ("a" * 12,), "gone": (), "changed": (), "known": ()}


def test_findings_fall_into_new_gone_changed_and_known():
    baseline = accept(result(finding("a"), finding("b"), finding("c")), None, "r")
    now = result(finding("b"), finding("c", blocks=9), finding("d"))
    compared = compare_baseline(now, baseline)
    assert {word: [i[0] for i in ids] for word, ids in compared.ids().items()} == {
        "new": ["d"],
        "gone": ["a"],
        "changed": ["c"],
        "known": ["b"],
    }
    assert compared.changed[0].grown
    assert compared.changed[0].before is not None
    assert compared.changed[0].before.blocks == 1


def test_a_baseline_is_matched_by_exact_id_only():
    baseline = accept(result(finding("a", "demo::same")), None, "r")
    compared = compare_baseline(result(finding("b", "demo::same")), baseline)
    assert (len(compared.new), len(compared.gone)) == (1, 1)


def test_what_did_not_run_to_its_end_makes_nothing_gone():
    baseline = accept(result(finding("a")), None, "r")
    hung = {**PASSED, "t::c": TestRecord("hung")}
    for unfinished in (result(partial=True), result(tests=hung), result(tests={})):
        assert compare_baseline(unfinished, baseline).gone == ()
    assert len(compare_baseline(result(), baseline).gone) == 1


def test_results_of_two_versions_are_matched_by_cause():
    before = result(finding("a", "demo::leak"))
    after = result(finding("b", "leak"))
    compared = compare_results(before, after)
    assert compared.new == compared.gone == ()
    assert compared.known[0].before == before.findings[0]
    assert compared.known[0].after == after.findings[0]


def test_the_same_id_goes_before_the_same_cause():
    before = result(finding("a", "demo::leak"), finding("b", "demo::leak", blocks=7))
    after = result(finding("b", "demo::leak", blocks=7), finding("c", "demo::leak"))
    compared = compare_results(before, after)
    assert [(e.before.id[0], e.after.id[0]) for e in compared.known] == [("b", "b"), ("a", "c")]


def test_each_finding_is_paired_once():
    before = result(finding("a", "demo::leak"))
    after = result(finding("b", "demo::leak"), finding("c", "demo::leak"))
    compared = compare_results(before, after)
    assert (len(compared.known), len(compared.new)) == (1, 1)


def test_another_cause_is_new_and_gone():
    compared = compare_results(result(finding("a")), result(finding("b")))
    assert compared.new[0].after is not None
    assert compared.gone[0].before is not None
    assert (compared.new[0].id[0], compared.gone[0].id[0]) == ("b", "a")


def test_a_finding_of_tests_that_an_earlier_partial_run_left_out_is_not_new():
    earlier = result(partial=True, tests={"t::b": TestRecord("passed")})
    assert compare_results(earlier, result(finding("a"))).new == ()
    assert len(compare_results(result(partial=True), result(finding("a"))).new) == 1


def test_growth_counts_blocks_and_only_without_them_bytes():
    assert grown(finding("a", blocks=1), finding("a", blocks=2))
    assert not grown(finding("a", blocks=2, bytes=1), finding("a", blocks=2, bytes=9))
    assert grown(finding("a", blocks=0, bytes=1), finding("a", blocks=0, bytes=2))


def test_an_entry_has_the_owner_of_its_newer_side():
    old, new = finding("a"), finding("a", owner=Owner.PYO3)
    assert Entry(old, new).owner is Owner.PYO3
    assert Entry(old, None).owner is Owner.EXTENSION


def of_a_cycle(lost: str, through: str) -> Finding:
    return finding(lost, related=(through * 12,))


def test_another_block_of_the_accepted_cycle_is_known():
    baseline = accept(result(of_a_cycle("a", "b")), None, "r")
    compared = compare_baseline(result(of_a_cycle("b", "a")), baseline)
    assert compared.new == compared.gone == ()
    assert compared.ids()["known"] == ("b" * 12,)


def test_a_cycle_that_grew_is_changed_whichever_of_its_blocks_is_named():
    baseline = accept(result(of_a_cycle("a", "b")), None, "r")
    compared = compare_baseline(result(replace(of_a_cycle("b", "a"), blocks=3)), baseline)
    assert [entry.grown for entry in compared.changed] == [True]


def test_what_was_lost_only_through_the_other_is_no_cycle():
    baseline = accept(result(of_a_cycle("a", "b")), None, "r")
    compared = compare_baseline(result(finding("b")), baseline)
    assert (len(compared.new), len(compared.gone)) == (1, 1)


def test_each_accepted_cycle_answers_for_one_finding_only():
    baseline = accept(result(of_a_cycle("a", "b")), None, "r")
    twins = [
        replace(of_a_cycle("b", "a")),
        finding("c", related=("a" * 12, "b" * 12)),
    ]
    compared = compare_baseline(result(*twins), baseline)
    assert [entry.id[0] for entry in compared.known] == ["b"]
    assert [entry.id[0] for entry in compared.new] == ["c"]


def test_cycles_of_two_results_are_matched_too():
    compared = compare_results(result(of_a_cycle("a", "b")), result(of_a_cycle("b", "a")))
    assert compared.new == compared.gone == ()
    assert len(compared.known) == 1
