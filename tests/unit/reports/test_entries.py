"""Which findings are told beneath another, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import report_scenes as scenes

from leakgrid import reports
from leakgrid.finding import CellResult, Finding
from leakgrid.reports import _common as common
from leakgrid.reports import _entries
from leakgrid.signature import Owner


def told(*findings: Finding, known: tuple[str, ...] = ()) -> list[tuple[int, list[int]]]:
    """The number of each finding that is told whole, with those beneath it."""
    comparison = {"known": known, "new": tuple({f.id for f in findings} - set(known))}
    cell = scenes.cell("3.12", "0.30.1", "regressed", findings=findings, comparison=comparison)
    return numbers([cell])


def numbers(cells: list[CellResult]) -> list[tuple[int, list[int]]]:
    return [
        (int(entry.group.finding.id, 16), [int(g.finding.id, 16) for g in entry.beneath])
        for entry in _entries.entries(common.groups(cells))
    ]


def test_what_grows_in_no_other_tests_is_beneath_what_grows_in_the_most() -> None:
    found = [scenes.grown(1, "a", "f"), scenes.grown(2, "abc", "g"), scenes.grown(3, "ab", "h")]
    assert told(*found) == [(2, [3, 1])]


def test_what_grows_in_one_more_test_stays_apart() -> None:
    assert told(scenes.grown(1, "abc", "f"), scenes.grown(2, "cd", "g")) == [(1, []), (2, [])]


def test_in_the_same_tests_the_extensions_own_leads_then_the_largest() -> None:
    foreign = scenes.grown(1, "ab", "f", owner=Owner.PYO3, size=900)
    small, large = scenes.grown(2, "ab", "g", size=10), scenes.grown(3, "ab", "h", size=20)
    assert told(foreign, small, large) == [(3, [2, 1])]


def test_an_entry_stands_where_the_weightiest_of_its_findings_stood() -> None:
    leader = scenes.grown(1, "abc", "f", owner=Owner.DEPENDENCY)
    own = scenes.grown(2, "a", "g", size=50)
    apart = scenes.grown(3, "x", "h", size=20)
    assert told(leader, apart, own) == [(1, [2]), (3, [])]


@pytest.mark.parametrize(
    "other",
    [
        {"detector": "memcheck"},
        {"detector": "refs"},
        {"per_call": False},
        {"frames": ()},
        {"tests": ()},
    ],
)
def test_only_growth_per_call_with_a_stack_and_tests_is_put_together(
    other: dict[str, object],
) -> None:
    leader, inner = scenes.grown(1, "ab", "f", size=500), scenes.grown(2, "a", "g")
    assert told(leader, replace(inner, **other)) == [(1, []), (2, [])]  # type: ignore[arg-type]
    assert len(told(replace(leader, **other), inner)) == 2  # type: ignore[arg-type]


def test_a_new_finding_is_never_beneath_a_known_one() -> None:
    leader, inner = scenes.grown(1, "ab", "f"), scenes.grown(2, "a", "g")
    assert told(leader, inner, known=(leader.id,)) == [(2, []), (1, [])]


def test_findings_of_other_cells_or_targets_stay_apart() -> None:
    leader, inner = scenes.grown(1, "ab", "f"), scenes.grown(2, "a", "g", size=50)
    both = scenes.cell("3.12", "0.30.1", "unbaselined", findings=(leader, inner))
    one = scenes.cell("3.13", "0.30.1", "unbaselined", findings=(leader,))
    other = replace(one, target="two", findings=(inner,))
    assert numbers([both, one]) == [(1, []), (2, [])]
    assert numbers([one, other]) == [(1, []), (2, [])]


def test_the_tests_of_every_cell_decide() -> None:
    leader, inner = scenes.grown(1, "ab", "f"), scenes.grown(2, "a", "g", size=50)
    wider = replace(inner, tests=("t.py::test_z",))
    first = scenes.cell("3.12", "0.30.1", "unbaselined", findings=(leader, inner))
    assert numbers([first, replace(first, pyo3="0.29.2")]) == [(1, [2])]
    second = replace(first, pyo3="0.29.2", findings=(leader, wider))
    assert numbers([first, second]) == [(1, []), (2, [])]


def test_a_line_names_the_extensions_function_its_caller_and_the_amount() -> None:
    finding = scenes.grown(
        5, "ab", "Subscription::new", "Doc::observe", owner=Owner.PYO3, size=45.96, library="x::y"
    )
    line = "45.96 bytes per call in 2 tests: one::Subscription::new  src/doc.rs:5, from observe"
    assert _entries.short(finding) == line


def test_a_long_name_keeps_its_end_and_a_stack_without_own_frames_its_first() -> None:
    long = _entries.short(scenes.grown(5, "a", f"Map<{'x' * 99}>::into_py"))
    assert "in 1 test: ...xxx" in long
    assert "x>::into_py  src/doc.rs:5" in long
    bare = scenes.grown(6, "a", owner=Owner.PYO3, library="pyo3::types::list::new")
    assert _entries.short(bare).endswith(": pyo3::types::list::new  deep-1.0.0/src/lib.rs:9")


def test_groups_are_not_called_causes() -> None:
    text = reports.render("terminal", scenes.SCENES["graph"])
    assert text.partition("\n\n")[2].startswith("11 findings in 3 groups\n")
    assert "cause" not in text


@pytest.mark.parametrize("name", ["markdown", "baseline-report"])
def test_documents_name_every_finding_that_is_beneath(name: str) -> None:
    text = reports.render(name, scenes.SCENES["graph"])
    assert [f.id for f in scenes.GRAPH if f"`{f.id}`" not in text] == []


def test_the_terminal_tells_six_and_where_the_others_are() -> None:
    text = reports.render("terminal", scenes.SCENES["graph"])
    assert (
        "8 more grow only in these tests, perhaps through it, perhaps leaks of their own:" in text
    )
    assert "... and 2 more of up to 400 bytes per call: `leakgrid report --format markdown`" in text
    pair = (scenes.grown(1, "ab", "f"), scenes.grown(2, "a", "g"))
    text = reports.render("terminal", [replace(scenes.SCENES["graph"][0], findings=pair)])
    assert (
        "1 more grows only in these tests, perhaps through it, perhaps a leak of its own:" in text
    )
    assert "..." not in text


def unnamed(number: int, size: float, *tests: str, name: str = "") -> Finding:
    """Growth without a stack: of memory, or of references to ``name``."""
    growth = scenes.grown(number, "a", size=size)
    if name:
        growth = replace(growth, detector="refs", kind="reference", subject=name)
    summary = f"1 reference to {name} lost per call" if name else f"{size} bytes per call"
    return replace(growth, owner=Owner.UNKNOWN, frames=(), tests=tests, summary=summary)


def unbaselined(*findings: Finding) -> list[CellResult]:
    return [scenes.cell("3.12", "0.30.1", "unbaselined", findings=findings)]


def test_plain_memory_of_one_size_is_not_alike() -> None:
    cells = unbaselined(unnamed(1, 95.89, "t::a"), unnamed(2, 34.58, "t::b", "t::c"))
    assert numbers(cells) == [(1, []), (2, [])]
    text = reports.render("terminal", cells)
    assert "likewise" not in text
    assert "tests: t::b, t::c\n" in text


def test_what_is_likewise_in_other_tests_tells_them() -> None:
    found = [
        unnamed(1, 0, "t::a", "t::b", name="type A"),
        unnamed(2, 0, "t::b", name="type B"),
        *(unnamed(n, 0, "t::b", f"t::x{n}", name=f"type C{n}") for n in range(3, 9)),
    ]
    text = reports.render("terminal", unbaselined(*found))
    assert "8 findings, 1 cause" in text
    assert "     likewise: type B (000000000002)\n" in text
    assert "     likewise: type C6 (000000000006) in t::b, t::x6\n" in text
    assert "     ... and 2 more likewise, in 3 tests: `leakgrid report --format markdown`" in text
    text = reports.render("markdown", unbaselined(*found))
    assert "- likewise: type C8 (000000000008) in `t::b`, `t::x8`\n" in text


@pytest.mark.parametrize("name", ["markdown", "baseline-report"])
def test_documents_name_every_test_of_every_finding(name: str) -> None:
    many = [f"t.py::test_{letter}[{n}]" for letter in "ab" for n in range(7)]
    found = [
        unnamed(33, 8, *many[:7]),
        unnamed(34, 0, "t.py::test_c", name="type A"),
        unnamed(35, 0, *many[7:], name="type B"),
        unnamed(36, 0, *many[7:], name="type C"),
    ]
    first = unbaselined(*found)[0]
    other = replace(first, pyo3="0.29.2", findings=(replace(found[0], tests=("t::z",)), *found[1:]))
    text = reports.render(name, [first, other, *scenes.SCENES["graph"]])
    tests = {test for cell in (first, other) for item in cell.findings for test in item.tests}
    tests |= {test for item in scenes.GRAPH for test in item.tests}
    assert [test for test in sorted(tests) if f"`{test}`" not in text] == []
    assert "- `000000000023`, `000000000024`: `t.py::test_b[0]`, " in text


def test_a_name_of_a_test_is_no_markup() -> None:
    text = reports.render("markdown", unbaselined(unnamed(1, 8, "t::a[`x` <b>]", "t::b[<b>]")))
    assert "- tests: t::a\\[\\`x\\` \\<b\\>\\], `t::b[<b>]`\n" in text


def test_the_follow_up_tells_each_entry_once() -> None:
    text = reports.render("baseline-report", scenes.SCENES["graph"])
    follow_up = text.partition("ready to file")[2].partition("To see it again")[0]
    assert follow_up.count("- [ ]") == 3
    assert "and 8 more in the same tests, perhaps through it" in follow_up
    assert "more in the report" not in follow_up
