import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from leakgrid.baseline import Baseline
from leakgrid.errors import ConfigError, DataError, UsageError
from leakgrid.finding import CellResult, TestRecord
from leakgrid.matrix import Cell
from leakgrid.store import Store, read_result, split_name, write_atomically

CELL = Cell("demo", "3.12", "0.29.3")
RESULT = CellResult(
    "demo",
    {"version": "3.12.1"},
    "0.29.3",
    "clean",
    "nothing found",
    tests={"t::a": TestRecord("passed", 0.5)},
    comparison={"new": (), "gone": ("a" * 12,)},
    timing={"build": {"seconds": 3, "cpu": 4.5}, "memcheck": {"seconds": 3, "cpu": 5.5}},
    started="2026-01-01T00:00:00Z",
    fingerprint="f00",
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".leakgrid", tmp_path / "baselines")


def test_a_result_is_read_back_from_its_place(store):
    path = store.save_result(CELL, RESULT)
    assert path == store.root / "results" / "demo" / "py3.12-pyo3-0.29.3.json"
    assert store.load_result(CELL) == RESULT
    assert store.results() == {"demo/py3.12-pyo3-0.29.3": RESULT}


def test_what_is_not_there_is_none(store):
    assert store.load_result(CELL) is None
    assert store.load_baseline(CELL) is None
    assert store.results() == {}
    assert list(store.history("demo")) == []


def test_the_store_keeps_itself_out_of_git(store):
    store.save_result(CELL, RESULT)
    assert (store.root / ".gitignore").read_text() == "*\n"


def test_a_baseline_is_read_back_and_names_its_cell(store):
    baseline = Baseline("demo", "3.12", "0.29.3", tests=3)
    path = store.save_baseline(baseline)
    assert path == store.baselines / "demo" / "py3.12-pyo3-0.29.3.toml"
    assert store.load_baseline(CELL) == baseline


def test_a_baseline_of_another_cell_is_refused(store):
    path = store.save_baseline(Baseline("demo", "3.12", "0.29.3"))
    path.rename(path.with_name("py3.13-pyo3-0.29.3.toml"))
    with pytest.raises(ConfigError, match=r"not of demo/py3\.13"):
        store.load_baseline("demo/py3.13-pyo3-0.29.3")


@pytest.mark.parametrize(
    "name",
    ["", "demo", "../x/py3", "demo/../x", "demo/a/b", "/etc/passwd", "demo/..", "-x/y", "a\0/b",
     "demo/a\n", "de mo/x", ".hidden/x"],
)  # fmt: skip
def test_names_from_outside_never_become_unchecked_paths(store, name):
    with pytest.raises(UsageError):
        store.result_path(name)
    with pytest.raises(UsageError):
        store.baseline_path(name)


def test_a_target_from_outside_is_checked_too(store):
    with pytest.raises(UsageError) as error:
        list(store.history("../x"))
    assert "matrix.toml" in error.value.next
    assert "pyproject.toml" in error.value.next


def test_what_is_no_cells_name_is_told_where_names_are():
    with pytest.raises(UsageError) as error:
        split_name("demo")
    assert "leakgrid report" in error.value.next


def test_a_good_name_is_split():
    assert split_name("mrrc/py3.13t-pyo3-0.30.1") == ("mrrc", "py3.13t-pyo3-0.30.1")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": 9}', '{"schema": 1}', "[" * 99999]
)
def test_a_broken_result_names_its_file_and_what_to_do(store, text):
    path = store.save_result(CELL, RESULT)
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        store.load_result(CELL)
    assert str(path) in caught.value.what
    assert "--fresh" in caught.value.next


@pytest.mark.parametrize("key", ["seconds", "cpu"])
def test_a_time_that_is_no_number_is_refused_when_it_is_read(store, key):
    path = store.save_result(CELL, replace(RESULT, timing={"build": {key: "x"}}))
    with pytest.raises(DataError, match=rf"timing\.build\.{key}: 'x'") as error:
        read_result(path)
    assert str(path) in error.value.what


def test_a_result_that_is_no_utf8_or_missing_is_a_data_error(tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(DataError, match=r"r\.json"):
        read_result(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"r\.json"):
        read_result(path)


def test_test_names_with_any_code_unit_can_be_stored(store):
    odd = replace(RESULT, tests={"t::a[\udc80\u2028é]": TestRecord("passed")})
    store.save_result(CELL, odd)
    assert store.load_result(CELL) == odd


def test_history_has_one_line_per_run_oldest_first(store):
    store.append_history(CELL, RESULT)
    store.append_history(CELL, replace(RESULT, verdict="known"))
    lines = list(store.history("demo"))
    assert [line["verdict"] for line in lines] == ["clean", "known"]
    assert lines[0] == {
        "cell": "demo/py3.12-pyo3-0.29.3",
        "python": "3.12",
        "pyo3": "0.29.3",
        "started": "2026-01-01T00:00:00Z",
        "fingerprint": "f00",
        "verdict": "clean",
        "partial": False,
        "tests": 1,
        "findings": 0,
        "counts": {"new": 0, "gone": 1},
        "cpu": 10.0,
    }


def test_a_line_that_a_killed_run_tore_does_not_swallow_the_next(store):
    store.append_history(CELL, RESULT)
    path = store.root / "history" / "demo.jsonl"
    path.write_text(path.read_text() + '{"cell": "de')
    store.append_history(CELL, replace(RESULT, verdict="known"))
    assert [line["verdict"] for line in store.history("demo")] == ["clean", "known"]


def test_writing_leaves_no_temporary_file_and_a_readable_one(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_atomically(path, "x")
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "b.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \udc80")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]


def test_a_path_that_cannot_be_written_is_a_data_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "b.json", "x")


def test_old_leftovers_of_killed_runs_are_removed_and_young_ones_stay(tmp_path):
    old, young = tmp_path / ".b.json.1.tmp", tmp_path / ".b.json.2.tmp"
    for leftover in (old, young):
        leftover.write_text("half")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    write_atomically(tmp_path / "b.json", "x")
    assert not old.exists()
    assert young.exists()


def test_a_run_killed_in_the_middle_of_writing_leaves_a_whole_file(tmp_path):
    path = tmp_path / "r.json"
    program = (
        "import json, sys, itertools\nfrom pathlib import Path\n"
        "from leakgrid.store import write_atomically\n"
        "for i in itertools.count():\n"
        "    write_atomically(Path(sys.argv[1]), json.dumps([i] * 20000))\n"
        "    print(i, flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        for _ in range(5):
            child.stdout.readline()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert len(json.loads(path.read_text())) == 20000
