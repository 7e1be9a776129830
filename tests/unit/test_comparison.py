from dataclasses import replace

from leakgrid.baseline import accept
from leakgrid.comparison import (
    Entry,
    causes,
    compare_baseline,
    compare_results,
    grown,
    subject,
)
from leakgrid.detectors import growth, refs
from leakgrid.detectors.suspects import Suspect
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


def test_a_cycle_that_changed_has_grown_where_another_test_shows_it():
    baseline = accept(result(of_a_cycle("a", "b")), None, "r")
    now = replace(of_a_cycle("b", "a"), blocks=3)
    for tests, more in ((("t::a",), False), (("t::a", "t::b"), True)):
        compared = compare_baseline(result(replace(now, tests=tests)), baseline)
        assert [entry.grown for entry in compared.changed] == [more]


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


# --- causes --------------------------------------------------------------------------------------


def reference(name: str, *tests: str, per_call: float = 1) -> Finding:
    suspects = [
        Suspect(test, "refs", "reference", name, per_call, 0) for test in tests or ("t::a",)
    ]
    return refs.findings(suspects)[0]


def growing(kind: str, name: str, *tests: str, size: float = 80) -> Finding:
    suspects = [Suspect(test, "growth", kind, name, 1, size) for test in tests or ("t::a",)]
    return growth.findings(suspects)[0]


def told(before: CellResult, after: CellResult) -> dict[str, list[str]]:
    found = causes(compare_results(before, after))
    return {state: [cause.title for cause in found[state]] for state in found if found[state]}


def test_a_reference_lost_by_every_class_is_one_cause():
    lost = [reference(f"type {name}") for name in ("Blob", "Node", "leakgrid.Row")]
    after = result(*lost, reference("Shape.Circle"), reference("None"))
    (first, second) = causes(compare_results(result(), after))["new"]
    assert (first.title, len(first.entries)) == ("references to None lost with each call", 1)
    assert (len(second.entries), second.tests) == (4, ("t::a",))


def test_a_mechanism_of_both_sides_is_not_new_in_another_class():
    before, after = result(reference("type A")), result(reference("type A"), reference("type B"))
    title = "references to types of the extension lost with each call"
    assert told(before, after) == {"changed": [title], "known": [title]}
    assert told(after, before) == {"changed": [title], "known": [title]}


def test_growth_of_the_same_object_is_new_where_a_test_was_clean():
    before = result(growing("instance", "Held", "t::a", size=300))
    after = result(growing("instance", "Held", "t::a", "t::b"))
    title = "memory lost with instances of a class"
    assert told(before, after) == {"new": [title], "known": [title]}
    assert told(after, before) == {"gone": [title], "known": [title]}
    (cause,) = causes(compare_results(before, after))["new"]
    assert cause.tests == ("t::b",)


def test_growth_in_a_test_that_could_not_be_repeated_before_is_not_new():
    tests = {**PASSED, "t::b": TestRecord("passed", repeatable=False)}
    before = result(growing("object", "dict"), tests=tests)
    assert "new" not in told(before, result(growing("object", "dict", "t::a", "t::b")))


def test_growth_that_had_a_holder_before_is_changed():
    held = {"what": "growth in t::a", "why": "held by Python (list)"}
    before = result(dropped=(held,))
    assert list(told(before, result(growing("native-memory", "x")))) == ["changed"]
    before = result(growing("object", "dict", "t::b"), dropped=(held,))
    after = result(growing("object", "dict", "t::a", "t::b"))
    assert list(told(before, after)) == ["changed", "known"]
    settled = {"what": "growth in t::a", "why": "it stopped growing"}
    assert list(told(result(dropped=(settled,)), result(growing("native-memory", "x")))) == ["new"]


def test_each_kind_of_object_is_a_cause():
    after = result(growing("object", "dict"), growing("object", "list"))
    assert told(result(), after)["new"] == [
        "dict objects held by native code",
        "list objects held by native code",
    ]


def under_pyo3(name: str, *frames: tuple[str, Owner]) -> Finding:
    stack = tuple(Frame(function, "x.rs", 1, "demo.so", owner) for function, owner in frames)
    return replace(finding(name), frames=(Frame("malloc", "", 0, "", Owner.LIBC), *stack))


def test_stacks_of_the_same_functions_of_pyo3_are_one_cause():
    new = [("pyo3::err::leak", Owner.PYO3)]
    after = result(
        under_pyo3("a", *new, ("demo::one", Owner.EXTENSION)),
        under_pyo3("b", *new, ("demo::two", Owner.EXTENSION)),
        under_pyo3("c", ("demo::one", Owner.EXTENSION)),
        under_pyo3("d", ("demo::two", Owner.EXTENSION)),
    )
    found = causes(compare_results(result(), after))["new"]
    assert sorted(len(cause.entries) for cause in found) == [1, 1, 2]


def lost_in(name: str, test: str, *functions: str, owner: Owner = Owner.CPYTHON) -> Finding:
    found = under_pyo3(name, *((function, owner) for function in functions))
    return replace(found, kind="definitely-lost", owner=owner, tests=(test,))


def test_who_made_an_object_is_not_the_mistake_that_lost_it():
    stacked = under_pyo3("a", ("pyo3::into_new_object", Owner.PYO3), ("demo::new", Owner.EXTENSION))
    stacked = replace(stacked, detector="growth", subject="dict", owner=Owner.PYO3)
    objects = replace(stacked, kind="object")
    assert told(result(), result(objects))["new"] == ["dict objects held by native code"]
    instances = replace(stacked, kind="instance", owner=Owner.EXTENSION)
    assert told(result(), result(instances))["new"] == ["memory lost with instances of a class"]


def test_lost_blocks_of_cpython_are_one_cause_by_the_function_that_made_them():
    after = result(
        lost_in("a", "t::a", "new_dict", "PyDict_New", "dict_merge"),
        lost_in("b", "t::b", "new_dict", "PyDict_New", "PyObject_SetAttr"),
    )
    assert told(result(), after)["new"] == ["definitely-lost through PyDict_New"]


def test_lost_blocks_of_tests_whose_objects_grow_are_the_same_cause():
    growth_in_a = growing("instance", "Holder")
    of_cpython = lost_in("b", "t::a", "new_dict", "PyDict_New")
    (cause,) = causes(compare_results(result(), result(growth_in_a, of_cpython)))["new"]
    assert len(cause.entries) == 2
    elsewhere = lost_in("b", "t::b", "new_dict", "PyDict_New")
    own = lost_in("b", "t::a", "demo::forget", owner=Owner.EXTENSION)
    for other in (elsewhere, own):
        assert len(causes(compare_results(result(), result(growth_in_a, other)))["new"]) == 2


def test_another_lost_object_in_a_test_that_lost_some_before_is_changed():
    before = result(growing("instance", "Holder"))
    made = (("PyDict_New", Owner.CPYTHON), ("demo::fill", Owner.EXTENSION))
    dict_of_the_extension = replace(under_pyo3("b", *made), kind="definitely-lost")
    assert "new" not in told(before, result(growing("instance", "Holder"), dict_of_the_extension))
    elsewhere = replace(dict_of_the_extension, tests=("t::b",))
    assert "new" in told(before, result(growing("instance", "Holder"), elsewhere))
    own = replace(under_pyo3("b", made[1]), kind="definitely-lost")
    assert "new" in told(before, result(growing("instance", "Holder"), own))


def test_another_function_of_the_extension_is_new_under_the_same_functions_of_pyo3():
    one = under_pyo3("a", ("pyo3::err::leak", Owner.PYO3), ("demo::one", Owner.EXTENSION))
    two = under_pyo3("b", ("pyo3::err::leak", Owner.PYO3), ("demo::two", Owner.EXTENSION))
    assert sorted(told(result(one), result(one, two))) == ["known", "new"]


def test_the_subject_goes_before_the_summary():
    assert subject(reference("type A")) == "type A"
    assert subject(replace(reference("type A"), subject="type B")) == "type B"
    assert subject(finding("a")) == ""


def test_the_subject_in_an_older_summary_is_found_whatever_the_number():
    for number in ("1", "0.33", "1,048.5"):
        assert subject(finding("a", summary=f"{number} references to A lost per call")) == "A"
        held = finding("a", summary=f"{number} a.B per call held by native code, 1,024 bytes")
        assert subject(held) == "a.B"
    imported = "1,024 references more to A.B after import"
    assert subject(finding("a", summary=imported)) == "A.B"


def test_a_detector_that_was_off_makes_nothing_new_and_nothing_gone():
    off = ("memcheck (not asked for)",)
    native = result(reference("type A"), partial=True, not_checked=off)
    whole = result(finding("a"))
    assert told(whole, native) == {
        "new": ["references to types of the extension lost with each call"]
    }
    assert told(native, whole) == {
        "gone": ["references to types of the extension lost with each call"]
    }


def test_a_whole_run_without_a_detector_says_nothing_of_it():
    before = result(reference("type A"))
    off = result(not_checked=("refs (not asked for, see --detectors)",))
    assert told(before, off) == told(off, before) == {}


def test_a_partial_result_makes_gone_what_its_tests_would_have_shown():
    part = result(partial=True, tests={"t::b": TestRecord("passed")})
    assert compare_results(result(finding("a")), part).gone == ()
    both = result(finding("a"), partial=True)
    assert len(compare_results(both, result(partial=True)).gone) == 1


def grows(*tests: str, **changes) -> Finding:
    base = Finding("growth", "instance", "a" * 12, Owner.UNKNOWN, tests, 1, 80, per_call=True)
    return replace(base, **changes)


def test_growth_of_an_accepted_object_is_new_in_a_test_that_did_not_show_it():
    baseline = accept(result(grows("t::a")), None, "r")
    compared = compare_baseline(result(grows("t::a", "t::b")), baseline)
    assert [entry.after.tests for entry in compared.new] == [("t::b",)]
    assert [entry.id for entry in compared.known] == ["a" * 12]


def test_growth_in_tests_that_were_added_since_is_not_new():
    baseline = accept(result(grows("t::a")), None, "r")
    more = {**PASSED, "t::c": TestRecord("passed")}
    assert compare_baseline(result(grows("t::a", "t::c"), tests=more), baseline).new == ()


def test_what_has_a_stack_is_the_same_in_any_test():
    stack = (Frame("demo::leak", "src/lib.rs", 1, "demo.so", Owner.EXTENSION),)
    baseline = accept(result(grows("t::a", frames=stack)), None, "r")
    assert compare_baseline(result(grows("t::a", "t::b", frames=stack)), baseline).new == ()


def test_as_many_objects_with_more_memory_have_grown():
    assert grown(grows("t::a"), grows("t::a", bytes=160))
    assert not grown(grows("t::a"), grows("t::a", bytes=92))
    assert not grown(grows("t::a", bytes=360), grows("t::a", bytes=390))


def test_more_blocks_of_a_lost_cycle_are_no_growth_but_another_test_is():
    before = finding("a", blocks=7, bytes=448)
    cycle = finding("a", blocks=10, bytes=1160, related=("b" * 12,))
    assert not grown(before, cycle)
    assert grown(before, replace(cycle, tests=("t::a", "t::b")))
    assert grown(before, replace(cycle, related=()))
