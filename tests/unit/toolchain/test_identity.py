import shutil
from pathlib import Path

import pytest

from leakgrid.matrix import Target
from leakgrid.toolchain import identity

MATRIX = 'pyo3 = ["0.30.1"]\npythons = ["3.13"]\n[targets.demo]\npath = "."\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "around" / "demo"
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text('[package]\nname = "demo"\n[lib]\npath = "src/lib.rs"\n')
    (folder / "src" / "lib.rs").write_text("fn one() {}\n")
    return folder


def digest(project: Path, **changes) -> str:
    target = Target("demo", path=str(project), **changes)
    return identity.sources_digest(target, project.parent, project / "baselines" / "demo")


def test_a_copy_elsewhere_has_the_same_digest(project, tmp_path):
    copy = tmp_path / "elsewhere" / "demo"
    shutil.copytree(project, copy)

    assert digest(copy) == digest(project)


@pytest.mark.parametrize("name", ["src/lib.rs", "src/new.rs", "tests/test_a.py", "build.rs"])
def test_a_changed_or_new_source_changes_it(project, name):
    before = digest(project)
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("fn two() {}\n")

    assert digest(project) != before


@pytest.mark.parametrize(
    "name",
    [
        "baselines/demo/py3.13-pyo3-0.30.1.toml",
        "matrix.toml",
        ".github/workflows/ci.yml",
        ".leakgrid/results/demo/x.json",
        "python/demo/_demo.abi3.so",
        "demo.egg-info/PKG-INFO",
        "src/__pycache__/x.pyc",
    ],
)
def test_what_is_no_source_does_not_change_it(project, name):
    before = digest(project)
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MATRIX)

    assert digest(project) == before


def test_somebody_elses_matrix_and_baselines_are_sources(project):
    before = digest(project)
    (project / "matrix.toml").write_text("[rows]\n")
    with_matrix = digest(project)
    (project / "baselines").mkdir()
    (project / "baselines" / "image.svg").write_text("<svg/>")

    assert len({before, with_matrix, digest(project)}) == 3


def test_a_path_dependency_outside_belongs_to_it(project):
    (project / "Cargo.toml").write_text(
        '[package]\nname = "demo"\n[dependencies]\ncore = { path = "../core" }\n'
    )
    core = project.parent / "core"
    core.mkdir()
    (core / "Cargo.toml").write_text(
        '[package]\nname = "core"\n[dependencies]\ndemo = { path = "../demo" }\n'
    )
    before = digest(project)
    (core / "lib.rs").write_text("fn two() {}\n")

    assert digest(project) != before


def test_the_lock_of_the_workspace_around_it_belongs_to_it(project):
    (project.parent / "Cargo.toml").write_text('[workspace]\nmembers = ["demo"]\n')
    before = digest(project)
    (project.parent / "Cargo.lock").write_text("version = 4\n")
    with_lock = digest(project)
    (project.parent / "notes.txt").write_text("no part of it")

    assert before != with_lock == digest(project)


def test_other_tests_are_another_question(project):
    assert digest(project) != digest(project, tests=("tests/unit",))
    assert digest(project) != digest(project, pytest_args=("-k", "fast"))


def test_an_sdist_is_its_pinned_requirement(tmp_path):
    one, same, other = (
        identity.sources_digest(Target("x", requirement=text), folder, folder)
        for text, folder in (
            ("x==1.0", tmp_path),
            ("x==1.0", tmp_path / "b"),
            ("x==1.1", tmp_path),
        )
    )

    assert one == same != other
