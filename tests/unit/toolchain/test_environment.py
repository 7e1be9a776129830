from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from leakgrid.errors import BuildFailed, Unsupported
from leakgrid.toolchain import environment, runtree
from leakgrid.toolchain.environ import clean_environ
from leakgrid.toolchain.interpreters import Interpreter

PYTHON = Interpreter(Path("/python"), "3.12.1", "", "cpython", False, False)


def pyproject(root: Path, text: str) -> Path:
    (root / "pyproject.toml").write_text(text)
    return root


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "pkg-1.0-cp312-cp312-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"content of {name}")
        archive.writestr("pkg-1.0.dist-info/METADATA", "")
    return path


READY = environment.Environment(Path("/p"), Path("/d"), (), "", {})


def test_test_extras_come_first_and_refer_to_each_other(tmp_path: Path) -> None:
    root = pyproject(
        tmp_path,
        '[project]\nname = "My.Pkg"\n[project.optional-dependencies]\n'
        'base = ["syrupy"]\ntest = ["my-pkg[base]", "pytest-mock", "maturin>=1"]\ndev = ["x"]\n',
    )
    assert environment.test_requirements(root) == (("syrupy", "pytest-mock"), "extra test")


def test_dependency_groups_are_read_with_what_they_include(tmp_path: Path) -> None:
    root = pyproject(
        tmp_path,
        '[dependency-groups]\ndev = ["a", {include-group = "more"}]\n'
        'more = ["b", {include-group = "dev"}]\n',
    )
    assert environment.test_requirements(root) == (("a", "b"), "group dev")


def test_a_project_that_declares_none_gets_none(tmp_path: Path) -> None:
    assert environment.test_requirements(tmp_path) == ((), "none declared")


def test_requires_python_is_a_reason_not_to_evaluate(tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "x"\n')
    root = pyproject(tmp_path, '[project]\nname = "x"\nrequires-python = ">=3.13"\n')
    with pytest.raises(Unsupported, match=r"x does not support Python 3\.12"):
        environment.check_requires_python(root, PYTHON)
    environment.check_requires_python(pyproject(root, ""), PYTHON)


def test_a_wheel_replaces_the_site_folder_whole(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "stale.so").write_text("x")
    environment.install_wheel(
        READY,
        wheel(tmp_path, "pkg/a.so", "pkg-1.0.data/purelib/b.py", "pkg-1.0.data/scripts/run"),
        site,
    )
    found = sorted(p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file())
    assert found == ["b.py", "pkg-1.0.dist-info/METADATA", "pkg/a.so"]


def test_a_wheel_whose_names_leave_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="unsafe name"):
        environment.install_wheel(READY, wheel(tmp_path, "../evil"), tmp_path / "site")
    assert not (tmp_path / "evil").exists()


def test_the_callers_python_and_redirections_do_not_reach_a_cell() -> None:
    base = {
        "PATH": "/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYENV_VERSION": "3.9",
        "CARGO_TARGET_DIR": "/t",
        "VIRTUAL_ENV": "/v",
        "HTTPS_PROXY": "p",
        "CARGO_BUILD_JOBS": "2",
        "CARGO_HOME": "/c",
    }
    assert clean_environ({"A": "b"}, base=base) == {
        "PATH": "/bin",
        "HTTPS_PROXY": "p",
        "CARGO_BUILD_JOBS": "2",
        "CARGO_HOME": "/c",
        "A": "b",
    }


def mixed_project(root: Path) -> Path:
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    (root / "Cargo.toml").write_text('[package]\nname = "pkg"\n')
    return root


def test_the_build_lies_where_the_package_is_and_stale_ones_are_gone(tmp_path: Path) -> None:
    root = mixed_project(tmp_path / "project")
    for stale in ("_x.cpython-39-x86_64-linux-gnu.so", "_x.abi3.so", "_x.so"):
        (root / "pkg" / stale).write_text("stale")
    (root / "pkg" / "other.so").write_text("another library")
    name = "pkg/_x.cpython-312-x86_64-linux-gnu.so"
    placed = runtree.make(root, tmp_path / "run", wheel(tmp_path, name))
    assert [path.relative_to(tmp_path / "run").as_posix() for path in placed] == [name]
    assert sorted(path.name for path in (tmp_path / "run" / "pkg").iterdir()) == [
        "__init__.py",
        "_x.cpython-312-x86_64-linux-gnu.so",
        "other.so",
    ]
    assert placed[0].read_text() == f"content of {name}"
    assert (root / "pkg" / "_x.so").exists()


def test_a_project_without_python_code_is_left_to_the_installed_wheel(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "Cargo.toml").write_text('[package]\nname = "pkg"\n')
    assert runtree.make(root, tmp_path / "run", wheel(tmp_path, "pkg/pkg.so")) == ()


def test_the_package_is_found_in_the_python_source(tmp_path: Path) -> None:
    root = tmp_path / "project"
    mixed_project(root / "lib")
    (root / "lib" / "Cargo.toml").rename(root / "Cargo.toml")
    pyproject(root, '[tool.maturin]\npython-source = "lib"\n')
    (placed,) = runtree.make(root, tmp_path / "run", wheel(tmp_path, "pkg/_x.abi3.so"))
    assert placed == (tmp_path / "run" / "lib" / "pkg" / "_x.abi3.so").resolve()
