from made import CELL, places, result

from leakgrid import cli
from leakgrid.baseline import read
from leakgrid.store import Store


def test_accept_writes_the_baseline_and_says_where(stored, capsys):
    assert cli.main(["accept", CELL, "--reason", "upstream", *places(stored)]) == 0
    path = stored / "base" / f"{CELL}.toml"
    (entry,) = read(path.read_text()).entries
    assert (entry.id, entry.reason) == ("a" * 12, "upstream")
    assert str(path) in capsys.readouterr().out


def test_accept_without_names_takes_every_result_that_was_evaluated(stored, capsys):
    store = Store(stored / "store", stored / "base")
    store.save_result("demo/py3.9-pyo3-0.29.3", result(verdict="build-failed", tests={}))
    assert cli.main(["accept", "--reason", "upstream", *places(stored)]) == 0
    assert [p.name for p in (stored / "base").rglob("*.toml")] == ["py3.12-pyo3-0.29.3.toml"]


def test_accept_refuses_in_ci(stored, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    assert cli.main(["accept", CELL, "--reason", "x", *places(stored)]) == 2
    assert "baselines are not written in CI" in capsys.readouterr().err
    assert not (stored / "base").exists()


def test_accept_of_a_cell_without_a_result_names_the_others(stored, capsys):
    assert cli.main(["accept", "demo/py3.9-pyo3-0.29.3", "--reason", "x", *places(stored)]) == 2
    assert CELL in capsys.readouterr().err
