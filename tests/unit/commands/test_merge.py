import json

import pytest
from made import CELL, result, written

from leakgrid import cli
from leakgrid.store import Store

OTHER = "demo/py3.13-pyo3-0.29.3"
OLD, NEW = "2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "merged", tmp_path / "base")


def merge(tmp_path, *arguments) -> int:
    return cli.main(["merge", *map(str, arguments), "--store", str(tmp_path / "merged")])


def machine(tmp_path, name: str, **changes):
    folder = tmp_path / name / "demo"
    folder.mkdir(parents=True)
    written(folder / "cell.json", result(**changes))
    return tmp_path / name


def test_the_results_of_two_machines_become_one_store(tmp_path, store, capsys):
    one = machine(tmp_path, "one", started=NEW)
    two = machine(tmp_path, "two", python={"version": "3.13.0"}, started=NEW)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"include": [{"cells": f"{CELL} {OTHER}"}]}))

    assert merge(tmp_path, one, two, "--plan", plan) == 0
    assert list(store.results()) == [CELL, OTHER]
    assert [entry["cell"] for entry in store.history("demo")] == [CELL, OTHER]
    assert capsys.readouterr().out.splitlines() == [
        f"2 results read; {tmp_path / 'merged'} has 2 cells."
    ]


def test_missing_duplicate_and_broken_are_named_and_do_not_stop_the_rest(tmp_path, store, capsys):
    one = machine(tmp_path, "one", started=OLD, verdict="clean")
    two = machine(tmp_path, "two", started=NEW, verdict="known")
    (two / "cut.json").write_text('{"schema": 1, "verd')
    (two / "other.json").write_text('{"before": {}}')
    (two / "torn.json").write_text('{"schema": 1, "verdict": "clean"}')
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"include": [{"cells": f"{CELL} {OTHER}"}]}))

    assert merge(tmp_path, one, two, "--plan", plan, "--json", tmp_path / "said.json") == 0
    told = capsys.readouterr().out
    assert f"- duplicate: {CELL} was there 2 times: kept {two}" in told
    assert f"- missing: {OTHER} was planned" in told
    assert "cut.json" in told
    assert store.load_result(CELL).verdict == "known"
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["missing"] == [OTHER]
    assert len(said["duplicates"]) == 1
    assert len(said["left_out"]) == 3


def test_mixed_schemas_write_nothing(tmp_path, store, capsys):
    one = machine(tmp_path, "one")
    (one / "newer.json").write_text(json.dumps({**result().to_dict(), "schema": 2}))

    assert merge(tmp_path, one) == 2
    assert "mixed schemas" in capsys.readouterr().err
    assert not store.root.exists()


@pytest.mark.parametrize("name", ["../../escaped", "a/b", ".hidden", ""])
def test_a_result_whose_name_leaves_the_store_is_left_out(tmp_path, store, capsys, name):
    one = machine(tmp_path, "one", target=name)

    assert merge(tmp_path, one) == 3
    assert "left out" in capsys.readouterr().out
    assert not list(tmp_path.rglob("py3.12-*"))


def test_an_older_result_does_not_replace_what_the_store_has(tmp_path, store, capsys):
    store.save_result(CELL, result(started=NEW, verdict="known"))

    assert merge(tmp_path, machine(tmp_path, "one", started=OLD, verdict="clean")) == 0
    assert store.load_result(CELL).verdict == "known"
    assert "duplicate" in capsys.readouterr().out


def test_merging_twice_changes_nothing(tmp_path, store):
    one = machine(tmp_path, "one", started=NEW)
    merge(tmp_path, one)

    assert merge(tmp_path, one) == 0
    assert len(list(store.history("demo"))) == 1


def test_a_whole_store_can_be_given(tmp_path, store, capsys):
    other = Store(tmp_path / "other", tmp_path / "base")
    other.save_result(CELL, result())
    for folder in ("durations", "history", "sources/demo-1.0/tests"):
        (other.root / folder).mkdir(parents=True)
        (other.root / folder / "data.json").write_text("{}")

    assert merge(tmp_path, other.root) == 0
    assert list(store.results()) == [CELL]
    assert "left out" not in capsys.readouterr().out


def test_nothing_to_merge_is_not_a_success(tmp_path, capsys):
    (tmp_path / "empty").mkdir()

    assert merge(tmp_path, tmp_path / "empty") == 3
    assert "0 results" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert merge(tmp_path, tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_matrix_says_what_to_expect(tmp_path, capsys):
    matrix = tmp_path / "matrix.toml"
    (tmp_path / "demo").mkdir()
    matrix.write_text(
        'pythons = ["3.12", "3.13"]\npyo3 = ["0.29.3"]\n[targets.demo]\npath = "demo"\n'
    )

    merge(tmp_path, machine(tmp_path, "one"), "--matrix", matrix)

    assert f"- missing: {OTHER}" in capsys.readouterr().out
