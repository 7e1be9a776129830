"""What a cell that cannot even begin leaves behind. Whole cells: tests/functional."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid import pipeline
from leakgrid.errors import BuildFailed, Crashed, DataError, ToolMissing
from leakgrid.finding import CellResult
from leakgrid.matrix import Cell, Target
from leakgrid.pipeline import Options
from leakgrid.stages import Stages
from leakgrid.store import Store
from leakgrid.toolchain import build
from leakgrid.toolchain.interpreters import Interpreter
from leakgrid.toolchain.layout import Layout
from leakgrid.toolchain.stage import Staged

CELL = Cell("demo", "3.99", "0.30.1")
OPTIONS = Options(interpreter="3.99", jobs=1)


class Silent:
    def stage(self, name: str) -> None: ...

    def tests(self, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...


@pytest.fixture
def valgrind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "valgrind"
    program.write_text("#!/bin/sh\necho valgrind-3.19.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", tmp_path / "base")


def check(store: Store) -> CellResult:
    target = Target("demo", path=str(store.root.parent / "demo"))
    return pipeline.check(CELL, target, store.root.parent, store, OPTIONS, Silent())


def test_what_ends_a_cell_is_a_result_and_is_stored(store: Store, valgrind: None) -> None:
    result = check(store)
    assert result.verdict == "unsupported"
    assert "3.99" in result.reason
    assert result.toolchain["valgrind"] == "3.19.0"
    assert store.load_result(CELL) == result
    assert len(list(store.history("demo"))) == 1


def test_a_failed_cell_has_no_fingerprint_and_is_tried_again(store: Store, valgrind: None) -> None:
    assert check(store).fingerprint == ""
    assert check(store).started
    assert len(list(store.history("demo"))) == 2


def test_a_broken_baseline_ends_the_command_before_anything_is_built(store: Store) -> None:
    path = store.baseline_path(CELL)
    path.parent.mkdir(parents=True)
    path.write_text("schema = 1\n<<<<<<< ours\n")
    with pytest.raises(DataError, match="unfinished merge"):
        check(store)
    assert store.load_result(CELL) is None


def test_what_concerns_the_whole_machine_ends_the_command_and_stores_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="Valgrind is not installed"):
        check(store)
    assert store.load_result(CELL) is None


def test_a_failure_says_in_its_reason_what_to_do_next(store: Store) -> None:
    run = pipeline._CellRun(CELL, Target("demo"), Path(), store, OPTIONS, Stages(Silent()))
    run.fingerprint = "something"
    result = run.failed(BuildFailed("it does not build", why="error: x.", next="Mend x."))
    assert (result.verdict, result.fingerprint) == ("build-failed", "")
    assert result.reason == "it does not build: error: x. Mend x."
    assert run.failed(Crashed("it died", next="See the log.")).reason == "it died. See the log."


def test_another_compiler_may_make_another_result(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(Path("Cargo.toml"), Path(), "", "demo", (), "")
    staged = Staged(tmp_path, tmp_path, tmp_path, "0.30.1", (), "d1", layout)
    python = Interpreter(tmp_path, "3.13.0", "", "CPython", debug=False, free_threaded=False)
    seen = set()
    for rustc in ("1.95.0", "1.96.0"):
        monkeypatch.setattr(build, "versions", lambda root, rustc=rustc: (rustc, "1.9.4"))
        run = pipeline._CellRun(CELL, Target("demo"), Path(), store, OPTIONS, Stages(Silent()))
        seen.add(run._fingerprint(staged, python))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("options", "partial"),
    [
        (Options("3.13", 1), False),
        (Options("3.13", 1, tests=("tests/a.py",)), True),
        (Options("3.13", 1, pytest_args=("-k", "x")), True),
    ],
)
def test_a_selection_of_tests_is_a_partial_run(options: Options, partial: bool) -> None:
    assert options.partial is partial
