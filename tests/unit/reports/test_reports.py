"""Every format against its golden files, and what no format may get wrong.

``LEAKGRID_GOLDEN=write pytest tests/unit/reports`` writes the golden files anew; read the diff.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import report_scenes as scenes

from leakgrid import reports
from leakgrid.comparison import Comparison, compare_results
from leakgrid.errors import UsageError
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.reports import _common as common
from leakgrid.reports import terminal
from leakgrid.signature import Owner
from leakgrid.verdict import Verdict, exit_code

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "golden" / "reports"


@pytest.mark.parametrize("scene", sorted(scenes.SCENES))
@pytest.mark.parametrize("name", reports.formats())
def test_each_format_writes_its_golden_file(name: str, scene: str) -> None:
    text = reports.render(name, scenes.SCENES[scene])
    golden = GOLDEN / f"{name}-{scene}.txt"
    if os.environ.get("LEAKGRID_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_each_golden_file_belongs_to_a_format() -> None:
    wanted = {f"{name}-{scene}.txt" for name in reports.formats() for scene in scenes.SCENES}
    assert {file.name for file in GOLDEN.iterdir()} == wanted


def test_the_promised_formats_are_there() -> None:
    assert {"terminal", "markdown", "baseline-report"} <= set(reports.formats())


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        reports.render("pdf", ())
    assert "markdown" in caught.value.next


@pytest.mark.parametrize("name", reports.formats())
def test_no_results_is_said(name: str) -> None:
    assert reports.render(name, ()) == "No results.\n"


@pytest.mark.parametrize("name", reports.formats())
def test_every_cell_and_every_open_finding_is_in_the_report(name: str) -> None:
    text = reports.render(name, scenes.CELLS)
    for finding in (scenes.LEAK, scenes.INVALID):
        assert finding.id in text
    for cell in scenes.CELLS:
        assert cell.verdict in text
        assert cell.pyo3 in text


@pytest.mark.parametrize("name", reports.formats())
@pytest.mark.parametrize("color", [False, True])
def test_text_from_elsewhere_reaches_no_terminal_raw(name: str, color: bool) -> None:
    text = reports.render(name, scenes.CELLS, color=color)
    assert "\x1b[31mred" not in text
    assert "red *bold*" in text or r"red \*bold\*" in text


@pytest.mark.parametrize("name", ["markdown", "baseline-report"])
def test_text_from_elsewhere_is_no_markup(name: str) -> None:
    text = reports.render(name, scenes.CELLS)
    assert "<b>" not in text
    assert "[link](x)" not in text


def test_colour_changes_nothing_but_colour() -> None:
    coloured = terminal.render(scenes.CELLS, color=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == terminal.render(scenes.CELLS)


def test_every_verdict_has_a_style_and_a_line_in_the_readme() -> None:
    text = (HERE.parents[2] / "README.md").read_text(encoding="utf-8")
    verdicts = {str(verdict) for verdict in Verdict}
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, flags=re.MULTILINE)) == verdicts
    assert set(terminal._STYLES) == verdicts


def test_the_groups_of_verdicts_are_those_of_the_exit_codes() -> None:
    codes = {str(verdict): exit_code(verdict) for verdict in Verdict}
    assert {name for name in codes if codes[name] == 0} == common.FINE
    assert {name for name in codes if codes[name] == 1} == common.LEAKING


def test_a_comparison_tells_both_sides() -> None:
    before, after = scenes.CELLS[4], scenes.CELLS[0]
    text = reports.render_comparison(before, after, compare_results(before, after))
    assert text.splitlines()[:6] == [
        "before: one/py3.12-pyo3-0.9.2, known",
        "after:  one/py3.13-pyo3-0.30.1, regressed",
        "brings: Invalid read of size 1; Leak_DefinitelyLost through cfunction_vectorcall",
        "mends:  nothing",
        "",
        "new: 2",
    ]
    assert "one::Map::insert  src/lib.rs:123" in text
    assert "known on both sides: 1" in text


def test_one_cause_in_many_findings_is_told_once() -> None:
    def lost(name: str) -> Finding:
        summary = f"1 reference to type {name} lost per call"
        return Finding("refs", "reference", name * 12, Owner.UNKNOWN, ("t::a",), 1, summary=summary)

    clean = replace(scenes.CLEAN[0], tests={"t::a": TestRecord("passed")})
    before, after = (
        replace(clean, findings=(lost("a"),)),
        replace(clean, findings=tuple(map(lost, "bcdef"))),
    )
    text = reports.render_comparison(clean, after, compare_results(clean, after))
    assert "new: 1 cause (5 findings)\n" in text
    assert "  references to types of the extension lost with each call: 5 findings\n" in text
    assert "    and 2 more like these\n" in text
    text = reports.render_comparison(before, after, compare_results(before, after))
    assert "new:" not in text
    assert "before only elsewhere" in text


def test_a_side_that_was_not_evaluated_brings_and_mends_nothing_known() -> None:
    clean, failed = scenes.CLEAN[0], scenes.CELLS[1]
    text = reports.render_comparison(clean, failed, compare_results(clean, failed))
    assert "after was not evaluated, so nothing is known of it: error:" in text
    assert "mends" not in text
    assert "No difference" not in text


def test_a_comparison_without_difference_says_so() -> None:
    clean = scenes.CLEAN[0]
    assert "No difference." in reports.render_comparison(clean, clean, Comparison())


def test_a_finding_in_several_cells_is_told_once() -> None:
    assert terminal.render(scenes.CELLS).count(scenes.LEAK.id) == 1


def test_the_story_keeps_the_owners_frames_and_marks_gaps() -> None:
    text = terminal.render(scenes.CELLS)
    assert "one::Map::insert  src/lib.rs:123" in text
    assert "PyEval_EvalCode" not in text


def test_known_findings_are_counted_and_not_told() -> None:
    text = terminal.render(scenes.CELLS[4:5])
    assert "1 known finding is accepted" in text
    assert scenes.PYO3_LEAK.id not in text


def test_a_finding_that_no_comparison_mentions_is_not_called_known() -> None:
    assert scenes.PYO3_LEAK.id in terminal.render(
        (scenes.cell("3.12.1", "0.30.1", "blind", findings=(scenes.PYO3_LEAK,)),)
    )


def test_how_to_accept_is_said_only_where_there_is_something_to_accept() -> None:
    assert "leakgrid accept one/py3.12-pyo3-0.30.1" in terminal.render(scenes.CELLS)
    assert "accept" not in terminal.render(scenes.CLEAN)


def test_the_baseline_report_never_decides_on_nothing() -> None:
    text = reports.render("baseline-report", scenes.NOTHING)
    assert "No cell was evaluated" in text
    assert "free of findings" not in text


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (
            replace(scenes.LEAK, per_call=False, summary="500 bytes in 1 block definitely lost"),
            "500 bytes in 1 block definitely lost",
        ),
        (scenes.LEAK, "one block lost per call (500 bytes in 1 block per call)"),
        (replace(scenes.INVALID, kind="invalid-read", blocks=1, bytes=4), "Invalid read of size 1"),
        (
            replace(scenes.INVALID, kind="invalid-read", blocks=1200, bytes=1),
            "Invalid read of size 1 (1,200 times)",
        ),
        (
            replace(scenes.LEAK, bytes=1048591.9, summary="1.04859e+06 bytes per call unheld"),
            "1,048,591.9 bytes per call unheld",
        ),
        (
            replace(scenes.LEAK, bytes=1, summary="1 bytes in 1 blocks per call (v1 blocks)"),
            "1 byte in 1 block per call (v1 blocks)",
        ),
        (
            replace(scenes.LEAK, summary="14157.42 bytes in 0.08 blocks per call"),
            "14,157.4 bytes in 0.08 blocks per call",
        ),
    ],
)
def test_a_headline_says_every_number_once_and_counts_errors_as_errors(
    finding: Finding, line: str
) -> None:
    assert common.headline(finding) == line


def measured_by(*detectors: str, **more: object) -> CellResult:
    tests = {"t::a": TestRecord("passed")}
    return scenes.cell("3.12.1", "0.30.1", "clean", detectors=detectors, tests=tests, **more)


OFF = ("memcheck (not asked for, see --detectors)",)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, ""),
        ({"partial": True}, "part of the tests only"),
        ({"partial": True, "detectors": ("memcheck",)}, "part of the tests only"),
        ({"partial": True, "detectors": ("growth", "refs")}, "without memcheck"),
        ({"partial": True, "not_checked": OFF}, "without memcheck"),
    ],
)
def test_a_run_without_memcheck_is_not_called_part_of_the_tests(more, told) -> None:
    cell = scenes.cell("3.12.1", "0.30.1", "clean", tests={"t::a": TestRecord("passed")}, **more)
    suffix = f", {told}" if told else ""
    title, *_ = terminal.render((cell,)).splitlines()
    assert title == f"one, PyO3 across{suffix}"
    first, *_ = reports.render_comparison(cell, cell, Comparison()).splitlines()
    assert first == f"before: one/py3.12-pyo3-0.30.1, clean{suffix}"
    report = reports.render("baseline-report", (cell,))
    assert (f"`one/py3.12-pyo3-0.30.1` ({told})" in report) is bool(told)
    assert ("the commands run all" in report) is (told == "part of the tests only")


def test_the_grid_says_how_many_cells_were_cut_where_it_is_not_all_of_them() -> None:
    native = replace(measured_by("growth"), partial=True)
    text = terminal.render((native, *scenes.CLEAN))
    assert text.startswith("one, PyO3 across, without memcheck (1 of 3 cells)\n")


def section(text: str, title: str) -> str:
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_baseline_report_calls_no_class_clean_that_was_not_measured() -> None:
    text = reports.render("baseline-report", (measured_by("growth", "refs"),))
    classes = section(text, "Leaks by class and owner")
    assert "| definitely lost | not measured | not measured |" in classes
    assert "| growth with each call | 0 | 0 |" in classes
    assert "possibly lost, still reachable: not measured" in classes
    assert "Not measured: nothing was run under Valgrind" in section(text, "Suppressions")
    assert "definitely lost, descriptors left open, memory errors" in section(text, "Decision")
    again = section(text, "When to evaluate again")
    assert "definitely lost, memory errors, descriptors left open" in again


def test_the_baseline_report_says_when_a_result_does_not_tell_what_was_measured() -> None:
    text = reports.render("baseline-report", scenes.CLEAN)
    assert "| definitely lost | not known |" in text
    assert "**Platform:** not recorded" in text


def test_the_baseline_report_counts_by_class_and_owner() -> None:
    found = (
        replace(scenes.LEAK, kind="definitely-lost", per_call=False, bytes=500),
        replace(scenes.LEAK, detector="growth", kind="native-memory", bytes=64, owner=Owner.PYO3),
        replace(scenes.LEAK, detector="fds", kind="descriptor", owner=Owner.UNKNOWN),
    )
    totals = {"possible": {"all": {"blocks": 12, "bytes": 3456}}}
    cell = measured_by("memcheck", "growth", "fds", findings=found, totals=totals)
    classes = section(reports.render("baseline-report", (cell,)), "Leaks by class and owner")
    assert "| definitely lost | 1 (500 bytes) | 0 | 0 | 0 | 0 | 0 |" in classes
    assert "| growth with each call | 0 | 1 (64 bytes per call) |" in classes
    assert "possibly lost: 3,456 bytes in 12 blocks" in classes
    assert "still reachable: not measured" in classes


@pytest.mark.parametrize(
    ("owner", "title", "decision"),
    [
        (Owner.EXTENSION, "Findings in the extension and its crates", "**Leaks: one finding"),
        (Owner.PYO3, "Findings in PyO3, Python and the C library", "**What was found is outside"),
        (Owner.UNKNOWN, "Findings without a known owner", "**Open: one finding"),
    ],
)
def test_the_baseline_report_keeps_owners_apart_and_decides_by_them(
    owner: Owner, title: str, decision: str
) -> None:
    cell = measured_by(
        "growth",
        findings=(replace(scenes.LEAK, owner=owner),),
        dropped=({"what": "growth in t::b", "why": "flat after 16 calls"},),
    )
    text = reports.render("baseline-report", (replace(cell, verdict="unbaselined"),))
    assert scenes.LEAK.id in section(text, title)
    assert text.count("\n## Findings") == 1
    told = section(text, "Decision")
    assert decision in told
    assert ("The owner is who allocated" in told) is (owner is Owner.PYO3)
    assert "Title: Memory leaks in one" in told
    assert "--detectors growth" in told
    assert "growth in t::b: flat after 16 calls" in section(text, "Seen and not counted as a leak")


DROPPED = (
    {"what": "growth in t.py::a", "why": "flat after 60 calls"},
    {"what": "growth in t.py::b[x y]", "why": "it stopped growing"},
    {"what": "growth in t.py::c", "why": "held by Python (list a.B), each call adds 1 list"},
    {"what": "native memory in t.py::d", "why": "memcheck did not see it grow again"},
    {"what": "growth in t.py::e", "why": "for a reason of another day"},
    {"what": "t.py::f", "why": "it could not be repeated"},
    {"what": "80 bytes in 1 block definitely lost", "why": "lost once", "id": "b18c4c0f2e85"},
)


def test_the_terminal_tells_in_one_line_what_grew_and_was_dropped() -> None:
    cell = measured_by("growth", findings=(scenes.LEAK,), dropped=DROPPED)
    text = terminal.render((replace(cell, verdict="unbaselined"),))
    assert (
        "Growth explained and dropped in 5 tests (settled 2, held by Python 1, not seen under "
        "Valgrind 1, other 1): `dropped` in the result names each.\n" in text
    )


def test_a_clean_report_stays_short() -> None:
    assert "dropped" not in terminal.render((measured_by("growth", dropped=DROPPED),))


def test_references_to_several_types_are_one_cause_and_all_are_counted() -> None:
    lost = [
        Finding(
            "refs", "reference", f"{number:012x}", Owner.UNKNOWN, ("t::a",), 1, per_call=True,
            summary=f"1 reference to type K{number} lost per call", subject=f"type K{number}",
        )
        for number in range(3)
    ]  # fmt: skip
    text = reports.render("terminal", [scenes.cell("3.12", "0.29.0", "unbaselined", findings=lost)])
    assert "3 findings, 1 cause" in text
    assert "likewise: type K1 (000000000001), type K2 (000000000002)" in text
    assert text.count("lost per call") == 1
    document = reports.render(
        "markdown", [scenes.cell("3.12", "0.29.0", "regressed", findings=lost)]
    )
    assert document.count("### ") == 1
    assert "likewise: type K1 (000000000001), type K2 (000000000002)" in document


def test_the_decision_names_a_newer_pyo3_that_shows_none_of_it() -> None:
    leaking = replace(measured_by("growth", findings=(scenes.LEAK,)), verdict="unbaselined")
    older = replace(leaking, pyo3="0.9.1")
    newest = replace(leaking, pyo3="0.10.0", verdict="clean", findings=())
    said = "None of it occurs in Python"
    assert said in section(reports.render("baseline-report", (older, newest)), "Decision")
    for other in (replace(newest, findings=leaking.findings), replace(newest, partial=True)):
        assert said not in section(reports.render("baseline-report", (older, other)), "Decision")
    untrusted = replace(newest, verdict="blind")
    assert said not in section(reports.render("baseline-report", (older, untrusted)), "Decision")


def test_of_hundreds_of_tests_markdown_names_the_files() -> None:
    tests = tuple(f"tests/test_{name}.py::test_{n}" for name in "ab" for n in range(100))
    cell = measured_by("growth", findings=(replace(scenes.LEAK, tests=tests),))
    text = reports.render("markdown", (replace(cell, verdict="unbaselined"),))
    assert "`tests/test_a.py` (100 tests), `tests/test_b.py` (100 tests)" in text
    assert "test_b.py::test_7" not in text
