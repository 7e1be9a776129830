import pytest
from made import places

from leakgrid import cli
from leakgrid.commands import report


@pytest.mark.parametrize("command", [["accept", "--reason", "x"], ["report"]])
def test_without_results_it_says_how_to_make_some(tmp_path, command, capsys, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    assert cli.main([*command, *places(tmp_path)]) == 2
    assert "Run leakgrid check" in capsys.readouterr().err


# --- report, suppressions ------------------------------------------------------------------------


@pytest.mark.parametrize("name", report.FORMATS)
def test_every_format_shows_the_stored_results(stored, name, capsys):
    assert cli.main(["report", "--format", name, *places(stored)]) == 0
    assert "0.29.3" in capsys.readouterr().out
