import json
from dataclasses import replace

import pytest
from made import CELL, finding, places, result, written

from leakgrid import cli
from leakgrid.finding import CellResult


def test_compare_exits_1_for_new_findings_only(tmp_path, capsys):
    before = written(tmp_path / "a.json", result(finding("a")))
    after = written(tmp_path / "b.json", result(finding("b", kind="invalid-read")))
    assert cli.main(["compare", before, after]) == 1
    assert cli.main(["compare", before, before]) == 0
    assert "a" * 12 in capsys.readouterr().out


def test_compare_takes_the_names_of_cells_with_stored_results(stored, capsys):
    assert cli.main(["compare", CELL, CELL, *places(stored)]) == 0
    assert f"before: {CELL}" in capsys.readouterr().out
    assert cli.main(["compare", CELL, "demo/py3.9-pyo3-0.29.3", *places(stored)]) == 2
    told = capsys.readouterr().err
    assert "there is no result of demo/py3.9-pyo3-0.29.3" in told
    assert "leakgrid check" in told


@pytest.mark.parametrize("name", ["a", "a.json", "demo/x.json", "a/b/c", "."])
def test_what_is_neither_a_file_nor_a_cell_is_told_what_to_give(tmp_path, capsys, name):
    assert cli.main(["compare", name, name, *places(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "Give a result's file or a cell such as mrrc/py3.13-pyo3-0.30.1" in told


@pytest.mark.parametrize(("verdict", "code"), [("build-failed", 3), ("blind", 4)])
def test_a_side_that_was_not_measured_is_never_called_equal(tmp_path, capsys, verdict, code):
    before = written(tmp_path / "a.json", result(finding("a")))
    failed = written(tmp_path / "b.json", result(verdict=verdict, tests={}))
    assert cli.main(["compare", before, failed]) == code
    assert cli.main(["compare", failed, before]) == 1
    assert "No difference" not in capsys.readouterr().out


def test_what_only_moved_to_another_class_is_not_new(tmp_path):
    lost = {"detector": "refs", "kind": "reference"}
    before = written(tmp_path / "a.json", result(finding("a", subject="type A", **lost)))
    after = written(tmp_path / "b.json", result(finding("b", subject="type B", **lost)))
    assert cli.main(["compare", before, after]) == 0


def test_compare_writes_both_sides_of_each_entry(tmp_path, capsys):
    before = written(tmp_path / "a.json", result(finding("a"), finding("b")))
    after = written(tmp_path / "b.json", result(finding("b", blocks=3), pyo3="0.30.1"))
    assert cli.main(["compare", before, after, "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["before"]["pyo3"], data["after"]["pyo3"]) == ("0.29.3", "0.30.1")
    assert [entry["id"] for entry in data["gone"]] == ["a" * 12]
    (changed,) = data["changed"]
    assert (changed["before"]["blocks"], changed["after"]["blocks"]) == (1, 3)


def census(**counts) -> CellResult:
    return result(totals={"census": {name.replace("__", "."): n for name, n in counts.items()}})


def test_compare_tells_references_that_import_left(tmp_path, capsys):
    before = written(tmp_path / "a.json", census(A__x=2, A__y=2, B=1))
    after = written(tmp_path / "b.json", census(A__x=1, A__y=1, B=1, C=9))
    assert cli.main(["compare", before, after]) == 0
    assert "gone: 1 cause (2 findings)" in capsys.readouterr().out
    assert cli.main(["compare", after, before, "--json", "-"]) == 1
    (cause,) = json.loads(capsys.readouterr().out)["causes"]["new"]
    assert (cause["key"], len(cause["ids"])) == ("census|reference-at-import|attribute", 2)


def test_reference_counts_of_two_pythons_are_not_compared(tmp_path, capsys):
    before = written(tmp_path / "a.json", census(A__x=1))
    after = written(tmp_path / "b.json", replace(census(A__x=2), python={"version": "3.13.0"}))
    assert cli.main(["compare", before, after]) == 0
    assert "No difference." in capsys.readouterr().out


def test_an_attribute_that_is_handed_out_again_instead_of_made_anew_is_not_lost(tmp_path, capsys):
    lost = finding("r", detector="refs", kind="reference", subject="type A")
    old = replace(census(A__x=1, B__x=1), findings=(lost,))
    before = written(tmp_path / "a.json", old)
    after = written(tmp_path / "b.json", census(A__x=2, B__x=2))
    assert cli.main(["compare", before, after]) == 1
    out = capsys.readouterr().out
    assert "new: 1\n" in out
    assert "1 reference more to B.x after import" in out.partition("changed:")[0]


def test_compare_of_what_is_no_result_exits_2(tmp_path, capsys):
    broken = tmp_path / "a.json"
    broken.write_text("{}")
    assert cli.main(["compare", str(broken), str(broken)]) == 2
    assert "schema" in capsys.readouterr().err
