import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from leakgrid import cli, commands, pipeline
from leakgrid.baseline import read
from leakgrid.errors import ConfigError, UsageError
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.matrix import Cell, Target
from leakgrid.signature import Owner
from leakgrid.store import Store, to_json

CELL = "demo/py3.12-pyo3-0.29.3"
PASSED = {"t::a": TestRecord("passed")}


def finding(name: str, **changes) -> Finding:
    base = Finding("memcheck", "definitely-lost", name * 12, Owner.EXTENSION, ("t::a",), 1, 64)
    return replace(base, **changes)


def result(*findings: Finding, **changes) -> CellResult:
    base = CellResult("demo", {"version": "3.12.1"}, "0.29.3", "known", "said so", tests=PASSED)
    return replace(base, findings=findings, **changes)


def written(path: Path, made: CellResult) -> str:
    path.write_text(to_json(made.to_dict()))
    return str(path)


def places(folder: Path) -> list[str]:
    return ["--store", str(folder / "store"), "--baselines", str(folder / "base")]


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    store = Store(tmp_path / "store", tmp_path / "base")
    store.save_result(CELL, result(finding("a"), verdict="unbaselined"))
    return tmp_path


# --- compare -------------------------------------------------------------------------------------


def test_compare_exits_1_for_new_findings_only(tmp_path, capsys):
    before = written(tmp_path / "a.json", result(finding("a")))
    after = written(tmp_path / "b.json", result(finding("b", kind="invalid-read")))
    assert cli.main(["compare", before, after]) == 1
    assert cli.main(["compare", before, before]) == 0
    assert "a" * 12 in capsys.readouterr().out


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
    assert "1 reference(s) more to B.x after import" in out.partition("changed:")[0]


def test_compare_of_what_is_no_result_exits_2(tmp_path, capsys):
    broken = tmp_path / "a.json"
    broken.write_text("{}")
    assert cli.main(["compare", str(broken), str(broken)]) == 2
    assert "schema" in capsys.readouterr().err


# --- accept --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("command", [["accept", "--reason", "x"], ["report"]])
def test_without_results_it_says_how_to_make_some(tmp_path, command, capsys, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    assert cli.main([*command, *places(tmp_path)]) == 2
    assert "Run leakgrid check" in capsys.readouterr().err


# --- report, suppressions ------------------------------------------------------------------------


@pytest.mark.parametrize("name", commands.FORMATS)
def test_every_format_shows_the_stored_results(stored, name, capsys):
    assert cli.main(["report", "--format", name, *places(stored)]) == 0
    assert "0.29.3" in capsys.readouterr().out


def test_without_any_rule_the_exported_file_says_so(tmp_path, capsys):
    assert cli.main(["suppressions", "export", "--rules", str(tmp_path), "--output", "-"]) == 0
    assert capsys.readouterr().out.startswith("# leakgrid has no rule for this")


def test_the_repositorys_own_rules_can_be_exported(tmp_path):
    rules = Path(__file__).parents[2] / "suppressions"
    output = tmp_path / "out.supp"
    arguments = ["suppressions", "export", "--rules", str(rules), "--output", str(output)]
    assert cli.main(arguments) == 0
    assert output.read_text().strip()


# --- which target --------------------------------------------------------------------------------


def options(target: str, **changes) -> argparse.Namespace:
    return argparse.Namespace(target=target, matrix=None, requires=[], **changes)


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "demo-ext"\nversion = "1"\n')
    (folder / "Cargo.toml").write_text('[package]\nname = "demo"\nversion = "1.0.0"\n')
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_folder_is_a_target(project):
    target, _ = commands._target(options(str(project)))
    assert target.name == "demo-ext"


def test_a_requirement_is_a_target(project):
    target, _ = commands._target(options("mrrc==0.9.2"))
    assert (target.name, target.requirement) == ("mrrc", "mrrc==0.9.2")


def test_requirements_of_the_command_line_are_added(project):
    asked = options(str(project))
    asked.requires = ["numpy"]
    assert commands._target(asked)[0].requirements[-1:] == ("numpy",)


@pytest.mark.parametrize("name", ["nobody", "a b==1", "==1"])
def test_what_is_no_target_is_a_usage_error(project, name):
    with pytest.raises(UsageError):
        commands._target(options(name))


@pytest.mark.parametrize("text", ["0.30", "latest", ">=0.29", "0.30.1.2", ""])
def test_pyo3_must_be_one_full_version(text):
    with pytest.raises(UsageError, match="full version"):
        commands._concrete(text)


@pytest.mark.parametrize("text", ["0.30.1", "0.30.0-beta.1"])
def test_full_versions_of_pyo3_are_taken(text):
    assert commands._concrete(text) == text


@pytest.mark.parametrize(
    ("asked", "minor"), [("3.99", "3.99"), ("3.99.1", "3.99"), ("3.99t", "3.99t")]
)
def test_a_python_that_is_missing_still_names_its_cell(asked, minor):
    assert commands._minor(asked) == minor


# --- check ---------------------------------------------------------------------------------------


def test_check_hands_its_options_on_and_prints_json_alone(project, monkeypatch, capsys):
    seen = {}

    def check(cell, target, base, store, given, progress):
        seen.update(cell=cell, target=target, options=given)
        return result(verdict="blind")

    monkeypatch.setattr(pipeline, "check", check)
    arguments = ["--python", "3.99", "--pyo3", "0.30.1", "--jobs", "3", "--test-timeout", "7"]
    more = ["--no-undefined", "--fresh", "--json", "-", "--quiet", "--", "-k", "x"]
    assert cli.main(["check", str(project), *arguments, *more]) == 4
    assert json.loads(capsys.readouterr().out)["verdict"] == "blind"
    assert seen["cell"] == Cell("demo-ext", "3.99", "0.30.1")
    assert isinstance(seen["target"], Target)
    given = seen["options"]
    assert (given.jobs, given.test_timeout, given.undefined) == (3, 7.0, False)
    assert given.fresh
    assert given.partial
    assert given.pytest_args == ("-k", "x")
    assert given.suppressions == ()


def test_check_with_a_broken_matrix_tells_every_fault(project, capsys):
    matrix = project / "matrix.toml"
    matrix.write_text("schema = 1\nnonsense = 1\n")
    asked = options("demo-ext")
    asked.matrix = matrix
    with pytest.raises(ConfigError) as caught:
        commands._target(asked)
    assert caught.value.faults
