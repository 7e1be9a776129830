"""A small extension really staged, built, installed and imported; nothing here is mocked."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid import process
from leakgrid.errors import BuildFailed, Unsupported, UsageError
from leakgrid.toolchain import build, environment, interpreters, pyo3, runtree, stage, tree
from leakgrid.toolchain.environ import clean_environ

pytestmark = [pytest.mark.functional, pytest.mark.network]

ASKED = "0.29.0"
LIBRARY = """\
use pyo3::prelude::*;

#[pyfunction]
fn double(number: i64) -> i64 {
    helper::twice(number)
}

#[pymodule]
fn _tiny(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(double, module)?)
}
"""
MANIFEST = """\
[package]
name = "tiny"
version = "0.1.0"
edition = "2021"

[lib]
name = "_tiny"
crate-type = ["cdylib"]

[dependencies]
helper = { path = "../helper" }
pyo3 = { version = "0.28.3", features = ["abi3-py39"] }

[profile.release]
strip = true
lto = "fat"
"""
PYPROJECT = """\
[build-system]
requires = ["maturin>=1,<2"]
build-backend = "maturin"

[project]
name = "tiny"
version = "0.1.0"

[tool.maturin]
module-name = "tiny._tiny"
strip = true
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "repo" / "tiny"
    (root / "src").mkdir(parents=True)
    (root / "tiny").mkdir()
    (root / "Cargo.toml").write_text(MANIFEST)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "src" / "lib.rs").write_text(LIBRARY)
    (root / "tiny" / "__init__.py").write_text("from tiny._tiny import double\n")
    helper = tmp_path / "repo" / "helper"
    (helper / "src").mkdir(parents=True)
    (helper / "Cargo.toml").write_text(
        '[package]\nname = "helper"\nversion = "0.1.0"\nedition = "2021"\n'
    )
    (helper / "src" / "lib.rs").write_text("pub fn twice(n: i64) -> i64 { n * 2 }\n")
    return root


def newest_pythons() -> list[interpreters.Interpreter]:
    oldest, newest = pyo3.supported_pythons(ASKED)
    known = {
        item.minor: item
        for item in interpreters.discover()
        if oldest <= item.release[:2] <= newest and not item.free_threaded and not item.debug
    }
    return list(known.values())[:2]


def test_a_project_is_built_with_the_asked_pyo3_and_its_tests_import_that_build(
    project: Path, tmp_path: Path
) -> None:
    before = tree.digest(project.parent)
    pythons = newest_pythons()
    staged = stage.stage(project, tmp_path / "stage", ASKED)
    log = tmp_path / "build.log"
    made = [
        build.build(
            staged,
            python,
            ASKED,
            target_dir=tmp_path / "target",
            out=tmp_path / f"out-{python.minor}",
            log=log,
        )
        for python in pythons
    ]
    assert tree.digest(project.parent) == before
    assert made[0].pyo3 == ASKED
    assert made[0].crates["pyo3-ffi"] == ASKED
    assert made[0].allocators == ()
    assert made[0].abi3
    assert not made[0].reused
    assert all(item.reused for item in made[1:])
    assert "Finished" in log.read_text()
    assert b".debug_line" in library(made[0], tmp_path / "site")

    run_root = tmp_path / "run"
    (placed,) = runtree.make(staged.root, run_root, made[-1].wheel)
    ready = environment.prepare(pythons[-1], tmp_path / "environments", ["pytest"], project)
    (run_root / "test_tiny.py").write_text(
        "import tiny._tiny\n\n\ndef test_double():\n    assert tiny.double(4) == 8\n"
        f"    assert tiny._tiny.__file__ == {str(placed)!r}\n"
    )
    tests = process.run([ready.python, "-m", "pytest", "-q"], cwd=run_root, env=clean_environ())
    assert tests.returncode == 0, tests.tail()
    assert "pytest" in ready.packages


def library(built: build.Built, site: Path) -> bytes:
    ready = environment.Environment(Path(), Path(), (), "", {})
    environment.install_wheel(ready, built.wheel, site)
    return (site / built.libraries[0]).read_bytes()


def test_code_that_does_not_compile_is_a_verdict_with_its_place(
    project: Path, tmp_path: Path
) -> None:
    (project.parent / "helper" / "src" / "lib.rs").write_text(
        "pub fn twice(n: i64) -> i64 {\n    missing\n}\n"
    )
    staged = stage.stage(project, tmp_path / "stage", ASKED)
    log = tmp_path / "build.log"
    with pytest.raises(BuildFailed, match="does not build with PyO3") as error:
        build.build(
            staged,
            newest_pythons()[0],
            ASKED,
            target_dir=tmp_path / "target",
            out=tmp_path / "out",
            log=log,
        )
    assert "error[E0425]" in error.value.why
    assert "lib.rs:2" in error.value.why
    assert str(log) in error.value.next
    assert "E0425" in log.read_text()


def test_a_feature_that_this_pyo3_no_longer_has_is_told_before_building(
    project: Path, tmp_path: Path
) -> None:
    manifest = project / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace("abi3-py39", "abi3-py37"))
    with pytest.raises(Unsupported, match=r"PyO3 0\.30\.1 has no feature abi3-py37"):
        stage.stage(project, tmp_path / "stage", "0.30.1")


def test_a_crate_that_does_not_depend_on_pyo3_is_told(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="helper does not depend on PyO3"):
        stage.stage(project.parent / "helper", tmp_path / "stage", ASKED)


def test_staging_below_another_cargo_workspace_still_resolves(
    project: Path, tmp_path: Path
) -> None:
    around = tmp_path / "around"
    around.mkdir()
    (around / "Cargo.toml").write_text("[workspace]\nmembers = []\n")
    staged = stage.stage(project, around / ".leakgrid" / "stage", ASKED)
    assert dict(staged.moved)["pyo3"] == ASKED
    assert staged.lock.is_relative_to(around / ".leakgrid")
