import json
from dataclasses import replace

import pytest
from made import CELL, finding, places, result, written

from leakgrid import cli
from leakgrid.store import Store

OLD = "demo/py3.12-pyo3-0.29.1"


@pytest.fixture
def several(stored):
    store = Store(stored / "store", stored / "base")
    ab = finding("a", id="ab" * 6, bytes=3, summary="3 bytes in 1 block definitely lost")
    newer = result(finding("a"), ab, started="2026-11-23T08:00:00+00:00", verdict="unbaselined")
    store.save_result(CELL, newer)
    dropped = {"id": "c" * 12, "what": "64 bytes", "why": "another run did not show it again"}
    older = replace(newer, findings=(finding("a"),), pyo3="0.29.1", started="2026-11-22")
    store.save_result(OLD, replace(older, dropped=(dropped,)))
    return stored


def test_an_id_may_be_cut_while_no_other_begins_so(several, capsys):
    assert cli.main(["explain", "AB", *places(several)]) == 0
    assert capsys.readouterr().out.startswith("abababababab: 3 bytes in 1 block definitely lost\n")


def test_an_ambiguous_beginning_lists_what_it_could_be(several, capsys):
    assert cli.main(["explain", "a", *places(several)]) == 2
    said = capsys.readouterr().err
    assert "2 findings have an id that begins with a\n" in said
    assert "  abababababab  3 bytes in 1 block definitely lost\n" in said
    assert "Give more digits." in said


@pytest.mark.parametrize("name", ["f", "0123456789ab"])
def test_an_unknown_id_says_where_it_looked(several, capsys, name):
    assert cli.main(["explain", name, *places(several)]) == 2
    said = capsys.readouterr().err
    assert f"no finding's id begins with {name}" in said
    assert CELL in said


@pytest.mark.parametrize("name", ["", "xyz", "../x", "a" * 13])
def test_what_is_no_id_is_refused(several, capsys, name):
    assert cli.main(["explain", name, *places(several)]) == 2
    assert "is no finding's id" in capsys.readouterr().err


def test_what_was_seen_and_set_apart_is_not_called_unknown(several, capsys):
    assert cli.main(["explain", "cc", *places(several)]) == 2
    said = capsys.readouterr().err
    assert f"{OLD} saw it and set it apart: 64 bytes; another run did not show it again" in said


def test_of_several_cells_the_newest_result_is_told_and_the_others_named(several, capsys):
    assert cli.main(["explain", "aaa", *places(several)]) == 0
    out = capsys.readouterr().out
    assert f"\n{CELL}, memcheck" in out
    assert f"also in: {OLD}" in out
    assert cli.main(["explain", "aaa", "--cell", OLD, *places(several)]) == 0
    assert f"\n{OLD}, memcheck" in capsys.readouterr().out


def test_json_alone_is_the_same_for_programs(several, capsys):
    assert cli.main(["explain", "abab", "--json", *places(several)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["schema"], data["cell"], data["finding"]["id"]) == (1, CELL, "ab" * 6)
    assert data["causes"][0]["links"]
    assert data["bytes_per_1000_calls"] is None
    assert data["classes"]["possibly lost"].startswith("not measured")


def test_json_to_a_file_keeps_the_text(several, capsys, tmp_path):
    path = tmp_path / "told.json"
    assert cli.main(["explain", "abab", "--json", str(path), *places(several)]) == 0
    assert json.loads(path.read_text())["finding"]["id"] == "ab" * 6
    assert "Likely causes" in capsys.readouterr().out


def test_a_result_from_elsewhere_can_be_read(tmp_path, capsys):
    path = written(tmp_path / "a.json", result(finding("d")))
    assert cli.main(["explain", "d", "--result", path]) == 0
    (tmp_path / "a.json").write_text("{")
    assert cli.main(["explain", "d", "--result", path]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_findings_of_a_search_can_be_explained(tmp_path, capsys):
    searched = Store(tmp_path / "store", tmp_path / "base", "bisect/0123abcd")
    searched.save_result(CELL, result(finding("e")))
    assert cli.main(["explain", "e", *places(tmp_path)]) == 0
    assert f"\n{CELL}, memcheck" in capsys.readouterr().out


def test_without_results_it_says_how_to_make_some(tmp_path, capsys):
    assert cli.main(["explain", "a", *places(tmp_path)]) == 2
    assert "Run leakgrid check" in capsys.readouterr().err
