"""The matrix file: what it says, how it expands, and every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid.errors import ConfigError, UsageError
from leakgrid.matrix import (
    Cell,
    Matrix,
    Target,
    expand,
    load,
    parse,
    target_from_pyproject,
    with_project_settings,
)

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
pythons = ["3.13", "3.9", "3.10"]
pyo3 = ["0.30.1", "0.9.2"]
[targets.one]
path = "one"
"""


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    return caught.value.faults


def names(matrix: Matrix, **selection: list[str]) -> list[str]:
    return [plan.cell.name for plan in expand(matrix, **selection)]


def test_cells_are_ordered_by_pyo3_then_python_as_versions() -> None:
    assert names(parse(SMALL)) == [
        "one/py3.9-pyo3-0.9.2",
        "one/py3.10-pyo3-0.9.2",
        "one/py3.13-pyo3-0.9.2",
        "one/py3.9-pyo3-0.30.1",
        "one/py3.10-pyo3-0.30.1",
        "one/py3.13-pyo3-0.30.1",
    ]


def test_a_target_replaces_the_lists_of_the_matrix() -> None:
    matrix = parse(SMALL + '[targets.two]\nrequirement = "two==1.0"\npythons = ["3.12"]\n')
    assert names(matrix, targets=["two"]) == ["two/py3.12-pyo3-0.9.2", "two/py3.12-pyo3-0.30.1"]


def test_free_threaded_pythons_come_after_the_usual_build() -> None:
    text = 'pythons = ["3.14t", "3.14"]\npyo3 = ["0.30.1"]\n[targets.one]\npath = "one"\n'
    assert names(parse(text)) == ["one/py3.14-pyo3-0.30.1", "one/py3.14t-pyo3-0.30.1"]


def test_exclusions_keep_the_cell_with_its_reason() -> None:
    matrix = parse(
        SMALL + '[[exclude]]\npython = ">=3.13"\npyo3 = "<0.23"\nreason = "0.23 brought 3.13"\n'
    )
    excluded = {plan.cell.name: plan.excluded for plan in expand(matrix) if plan.excluded}
    assert excluded == {"one/py3.13-pyo3-0.9.2": "0.23 brought 3.13"}


def test_exclusions_match_prereleases_and_free_threaded_builds() -> None:
    matrix = parse(SMALL + '[[exclude]]\npython = ">=3.14"\npyo3 = ">=0.30"\nreason = "r"\n')
    assert matrix.excluded(Cell("one", "3.14t", "0.31.0-beta.1")) == "r"
    assert matrix.excluded(Cell("one", "3.13", "0.31.0")) == ""


def test_an_exclusion_of_one_target_leaves_the_others() -> None:
    matrix = parse(
        SMALL + '[targets.two]\npath = "two"\n[[exclude]]\ntarget = "two"\nreason = "later"\n'
    )
    assert {plan.cell.target for plan in expand(matrix) if plan.excluded} == {"two"}


def test_tags_select_cells() -> None:
    matrix = parse(SMALL + '[[tags.quick]]\ntarget = "one"\npythons = ["3.13"]\n')
    assert names(matrix, tags=["quick"]) == ["one/py3.13-pyo3-0.9.2", "one/py3.13-pyo3-0.30.1"]
    assert expand(matrix)[0].tags == ()


def test_the_first_target_is_the_default_unless_said_otherwise() -> None:
    two = SMALL + '[targets.two]\npath = "two"\n'
    assert parse(two).default_target == "one"
    assert parse('default-target = "two"\n' + two).default_target == "two"


def test_everything_a_target_says_is_kept() -> None:
    matrix = parse(
        SMALL
        + """
tests = ["tests/python", "tests/test_a.py::test_b"]
pytest-args = ["-m", "not slow", "-m", "x"]
requirements = ["syrupy>=4"]
env = { RUST_BACKTRACE = "1" }
default = false
"""
    )
    assert matrix.target("one") == Target(
        "one",
        path="one",
        tests=("tests/python", "tests/test_a.py::test_b"),
        pytest_args=("-m", "not slow", "-m", "x"),
        requirements=("syrupy>=4",),
        env=(("RUST_BACKTRACE", "1"),),
        default=False,
    )


def test_an_unknown_target_is_named_with_the_closest_one() -> None:
    with pytest.raises(UsageError, match="did you mean one") as caught:
        expand(parse(SMALL), targets=["onne"])
    assert "one" in caught.value.next


def test_all_faults_are_reported_at_once() -> None:
    found = faults(
        """
default-target = "prob"
pyhtons = ["3.9"]
pythons = ["3.9", "3.9"]
pyo3 = ["0.27"]
[targets.probe]
path = "probe"
pyhtons = ["3.9"]
tests = ["/absolute", "a/../b"]
[[exclude]]
python = "new"
"""
    )
    assert found == (
        "pyhtons: unknown key, did you mean pythons?",
        "pythons: '3.9' is there twice",
        "pyo3: '0.27' is not a full version such as 0.30.1",
        "targets.probe.pyhtons: unknown key, did you mean pythons?",
        "targets.probe.tests: '/absolute' is not a path below the project",
        "targets.probe.tests: 'a/../b' is not a path below the project",
        "default-target: no target 'prob', did you mean probe?",
        "exclude[0]: a reason is required",
        "exclude[0].python: 'new' is not a version specifier such as '>=3.13'",
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("pythons = [3.10]", "pythons[0]: a text is required, not the number 3.1"),
        ('pythons = "3.9"', "pythons: a list of texts is required, not the text '3.9'"),
        ('pythons = [">=3.9"]', "ranges belong in [watch] and exclude"),
        ('pyo3 = ["0.30.*"]', "ranges belong in [watch] and exclude"),
        ('pyo3 = ["latest"]', "pyo3: 'latest' is not a full version"),
        ("targets = 3", "targets: a table is required"),
        ('exclude = "no"', "exclude: a list of tables is required"),
        ("exclude = [{ reason = 'r' }]", "exclude[0]: one of target, python and pyo3 is required"),
        ("exclude = [{ target = 'oen', reason = 'r' }]", "did you mean one?"),
        ("tags = { quick = 3 }", "tags.quick: a list of tables is required"),
        ('tags = { "a b" = [] }', 'tags."a b": a tag has'),
        ("watch = { pyo3 = 'x' }", "watch.pyo3: 'x' is not a version specifier"),
        ("watch = 1", "watch: a table is required"),
    ],
)
def test_each_fault_has_its_key_path(line: str, fault: str) -> None:
    found = faults(f'{line}\n[targets.one]\npath = "one"\n' if "targets" not in line else line)
    assert any(fault in item for item in found), found


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('requirement = "one==1"', "exactly one of 'path' and 'requirement'"),
        ('tests = ["C:/x"]', "'C:/x' is not a path below the project"),
        ('tests = ["..\\\\x"]', "is not a path below the project"),
        ('requirements = ["a b"]', "requirements: 'a b' is not a pip requirement"),
        ("env = { A = 1 }", "env.A: a text is required, not the number 1"),
        ('env = { "A-B" = "1" }', "not a name for an environment variable"),
        ("default = 1", "default: true or false is required"),
        ('pythons = ["3"]', "pythons: '3' is not a minor version"),
        ("pytest-args = [true]", "pytest-args[0]: a text is required, not true"),
    ],
)
def test_each_fault_of_a_target_has_its_key_path(line: str, fault: str) -> None:
    found = faults(SMALL + line)
    assert len(found) == 1
    assert found[0].startswith("targets.one")
    assert fault in found[0]


@pytest.mark.parametrize("text", ["one", "one>=1", "one==1.*", "one==1,<2", "one @ file:///x"])
def test_a_requirement_that_is_not_one_version_is_a_fault(text: str) -> None:
    found = faults(f'pythons=["3.9"]\npyo3=["0.30.1"]\n[targets.one]\nrequirement = "{text}"\n')
    assert found == (f"targets.one.requirement: {text!r} is not of the form name==version",)


def test_a_target_without_versions_anywhere_is_a_fault() -> None:
    found = faults('pyo3 = ["0.30.1"]\n[targets.one]\npath = "one"\n')
    assert found == ("targets.one.pythons: missing here and at the top",)


def test_missing_versions_are_told_with_the_other_faults_but_never_for_faulty_ones() -> None:
    found = faults('wach = 1\npyo3 = ["0.27"]\n[targets.one]\npath = "one"\n')
    assert found == (
        "wach: unknown key, did you mean watch?",
        "pyo3: '0.27' is not a full version such as 0.30.1",
        "targets.one.pythons: missing here and at the top",
    )


def test_a_tag_that_selects_nothing_is_a_fault() -> None:
    found = faults(SMALL + '[[tags.quick]]\npythons = ["3.12"]\n')
    assert found == ("tags.quick: (3.12) selects no cell of the matrix",)


def test_a_matrix_without_targets_is_a_fault() -> None:
    assert faults('pythons = ["3.9"]') == ("targets: at least one target is required",)


def test_broken_toml_names_the_line() -> None:
    assert "line 2" in faults('pythons = ["3.9"]\npyo3 = [')[0] or "at end" in faults("a = [")[0]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the matrix file") as caught:
        load(tmp_path / "matrix.toml")
    assert "--matrix" in caught.value.next


def test_a_missing_folder_of_a_target_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "matrix.toml").write_text(SMALL)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "matrix.toml")
    assert caught.value.faults == ("targets.one.path: there is no folder 'one'",)


def test_a_targets_own_pyproject_fills_what_the_matrix_leaves_open(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "pyproject.toml").write_text(
        '[tool.leakgrid]\ntests = ["checks"]\npythons = ["3.12"]\n'
    )
    (tmp_path / "matrix.toml").write_text(SMALL + 'pythons = ["3.13"]\n')
    target = load(tmp_path / "matrix.toml").target("one")
    assert target.tests == ("checks",)
    assert target.pythons == ("3.13",)


def test_faults_in_a_targets_own_pyproject_are_reported_with_the_rest(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "pyproject.toml").write_text('[tool.leakgrid]\npath = "x"\n')
    (tmp_path / "matrix.toml").write_text("wach = 1\n" + SMALL)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "matrix.toml")
    assert caught.value.faults == (
        "wach: unknown key, did you mean watch?",
        "one/pyproject.toml: tool.leakgrid.path: unknown key",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = [", "one/pyproject.toml is not TOML: Invalid value (at end of document)"),
        ("tool = 3", "one/pyproject.toml: tool: a table is required, not the number 3"),
        (
            "[tool]\nleakgrid = 'x'",
            "one/pyproject.toml: tool.leakgrid: a table is required, not the text 'x'",
        ),
    ],
)
def test_a_broken_pyproject_of_a_target_is_named(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "pyproject.toml").write_text(text)
    (tmp_path / "matrix.toml").write_text(SMALL)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "matrix.toml")
    assert caught.value.faults == (fault,)


def test_a_pyproject_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "pyproject.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"cannot read one/pyproject\.toml") as caught:
        target_from_pyproject(tmp_path / "one")
    assert "UTF-8" in caught.value.next


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("pyproject.toml", "project = 'x'", "project: a table is required, not the text 'x'"),
        ("Cargo.toml", "package = 3", "package: a table is required, not the number 3"),
    ],
)
def test_what_names_a_project_has_to_be_a_table(
    tmp_path: Path, file: str, text: str, fault: str
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / file).write_text(text)
    with pytest.raises(ConfigError, match=f"one/{file} has 1 fault") as caught:
        target_from_pyproject(folder)
    assert caught.value.faults == (fault,)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"pyproject.toml": '[project]\nname = "my-ext"\n'}, "my-ext"),
        ({"Cargo.toml": '[package]\nname = "my_crate"\n'}, "my_crate"),
        ({"pyproject.toml": "", "Cargo.toml": '[package]\nname = "crate"\n'}, "crate"),
        ({"pyproject.toml": ""}, "some-folder"),
    ],
)
def test_any_project_folder_is_a_target(tmp_path: Path, files: dict[str, str], name: str) -> None:
    folder = tmp_path / "some folder"
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text)
    assert target_from_pyproject(folder) == Target(name, path=str(folder))


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a PyO3 project"):
        target_from_pyproject(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        target_from_pyproject(tmp_path / "nothing")


def test_project_settings_do_not_replace_what_is_already_said(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.leakgrid]\ntests = ["own"]\nrequirements = ["syrupy"]\n'
    )
    target = with_project_settings(Target("one", requirement="one==1", tests=("said",)), tmp_path)
    assert (target.tests, target.requirements) == (("said",), ("syrupy",))


def test_the_matrix_of_this_repository_is_what_the_readme_promises() -> None:
    matrix = load(ROOT / "matrix.toml")
    assert matrix.default_target == "probe"
    quick = expand(matrix, tags=["quick"])
    assert {plan.cell.target for plan in quick} == {"probe"}
    assert 3 <= len(quick) <= 4
    assert "mrrc/py3.12-pyo3-0.22.6" in names(matrix)
