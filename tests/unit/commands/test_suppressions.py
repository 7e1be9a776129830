from pathlib import Path

from leakgrid import cli


def test_without_any_rule_the_exported_file_says_so(tmp_path, capsys):
    assert cli.main(["suppressions", "export", "--rules", str(tmp_path), "--output", "-"]) == 0
    assert capsys.readouterr().out.startswith("# leakgrid has no rule for this")


def test_the_repositorys_own_rules_can_be_exported(tmp_path):
    rules = Path(__file__).parents[2] / "suppressions"
    output = tmp_path / "out.supp"
    arguments = ["suppressions", "export", "--rules", str(rules), "--output", str(output)]
    assert cli.main(arguments) == 0
    assert output.read_text().strip()
