import io
import sys

import pytest
from made import CELL, finding, places, result

from leakgrid import cli
from leakgrid.baseline import read
from leakgrid.signature import Owner
from leakgrid.store import Store

OTHER = "demo/py3.13-pyo3-0.29.3"


def accepted(folder, cell=CELL):
    path = folder / "base" / f"{cell}.toml"
    return {e.id[0]: e for e in read(path.read_text()).entries} if path.exists() else None


def accept(folder, *arguments):
    return cli.main(["accept", *arguments, *places(folder)])


@pytest.fixture
def two(stored):
    store = Store(stored / "store", stored / "base")
    store.save_result(CELL, result(finding("a"), finding("b", owner=Owner.PYO3)))
    store.save_result(OTHER, result(finding("c"), python={"version": "3.13.0"}))
    return stored


@pytest.fixture
def terminal(monkeypatch):
    def at(answer):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return at


def test_accept_writes_the_baseline_and_says_where(stored, capsys):
    assert accept(stored, CELL, "--reason", "upstream") == 0
    (entry,) = accepted(stored).values()
    assert (entry.id, entry.reason) == ("a" * 12, "upstream")
    assert str(stored / "base" / f"{CELL}.toml") in capsys.readouterr().out


def test_accept_shows_what_it_writes_as_a_diff(stored, capsys):
    accept(stored, "--reason", "upstream")
    out = capsys.readouterr().out
    assert "--- /dev/null" in out
    assert '+reason = "upstream"' in out
    accept(stored, "--reason", "other")
    assert "nothing to change" in capsys.readouterr().out
    Store(stored / "store", stored / "base").save_result(CELL, result(finding("a", blocks=7)))
    accept(stored)
    out = capsys.readouterr().out
    assert "-blocks = 1\n+blocks = 7" in out
    assert "+reason" not in out


def test_a_dry_run_writes_nothing_not_even_in_ci(stored, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    assert accept(stored, "--reason", "x", "--dry-run") == 0
    assert '+reason = "x"' in capsys.readouterr().out
    assert accepted(stored) is None


def test_at_a_terminal_only_a_yes_writes(stored, terminal, capsys):
    terminal("\n")
    assert accept(stored, "--reason", "x") == 0
    assert "Write 1 baseline?" in capsys.readouterr().out
    assert accepted(stored) is None
    terminal("y\n")
    accept(stored, "--reason", "x")
    assert accepted(stored).keys() == {"a"}


def test_yes_does_not_ask(stored, terminal, capsys):
    terminal("")
    assert accept(stored, "--reason", "x", "--yes") == 0
    assert "Write" not in capsys.readouterr().out
    assert accepted(stored).keys() == {"a"}


def test_single_findings_are_accepted_by_how_their_ids_begin(two):
    assert accept(two, "--finding", "aaa", "--finding", "c", "--reason", "x") == 0
    assert accepted(two).keys() == {"a"}
    assert accepted(two, OTHER).keys() == {"c"}


@pytest.mark.parametrize("word", ["f", ""])
def test_an_unknown_finding_is_refused_and_the_known_ones_are_named(two, word, capsys):
    assert accept(two, "--finding", word, "--reason", "x") == 2
    assert "b" * 12 in capsys.readouterr().err


def test_nothing_is_written_before_everything_could_be(two, capsys):
    store = Store(two / "store", two / "base")
    store.save_result(OTHER, result(finding("c", tests=()), python={"version": "3.13.0"}))
    assert accept(two, "--reason", "x") == 2
    assert "--reproducer" in capsys.readouterr().err
    assert accepted(two) is None
    assert accept(two, "--reason", "x", "--link", "https://example.org/1") == 0
    assert accepted(two, OTHER)["c"].link == "https://example.org/1"


def test_a_link_that_is_no_address_is_refused(stored, capsys):
    assert accept(stored, "--reason", "x", "--link", "issue 7") == 2
    assert "no address" in capsys.readouterr().err


def test_what_did_not_occur_is_told_and_goes_when_pruned(two, capsys):
    accept(two, "--reason", "x")
    Store(two / "store", two / "base").save_result(CELL, result(finding("a")))
    accept(two, CELL)
    assert "1 accepted entry did not occur; --prune removes" in capsys.readouterr().err
    assert accepted(two).keys() == {"a", "b"}
    accept(two, CELL, "--prune")
    assert accepted(two).keys() == {"a"}


def test_a_broken_baseline_is_named_and_left_alone(stored, capsys):
    path = stored / "base" / f"{CELL}.toml"
    accept(stored, "--reason", "x")
    broken = path.read_text().replace("schema = 1", "schema = 1\nsurprise = 2")
    path.write_text(broken)
    assert accept(stored, "--reason", "x") == 2
    told = capsys.readouterr().err
    assert f"faults in {path}: 1" in told
    assert "surprise: unknown key" in told
    assert path.read_text() == broken


def test_accept_without_names_takes_every_result_that_was_evaluated(stored, capsys):
    store = Store(stored / "store", stored / "base")
    store.save_result("demo/py3.9-pyo3-0.29.3", result(verdict="build-failed", tests={}))
    assert accept(stored, "--reason", "upstream") == 0
    assert [p.name for p in (stored / "base").rglob("*.toml")] == ["py3.12-pyo3-0.29.3.toml"]


def test_accept_refuses_in_ci(stored, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    assert accept(stored, CELL, "--reason", "x", "--yes") == 2
    assert "baselines are not written in CI" in capsys.readouterr().err
    assert not (stored / "base").exists()


def test_accept_of_a_cell_without_a_result_names_the_others(stored, capsys):
    assert accept(stored, "demo/py3.9-pyo3-0.29.3", "--reason", "x") == 2
    assert CELL in capsys.readouterr().err


def test_a_new_finding_without_a_reason_is_refused(stored, capsys):
    assert accept(stored) == 2
    assert "needs a reason" in capsys.readouterr().err
