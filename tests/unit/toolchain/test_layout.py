from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid.errors import UsageError
from leakgrid.toolchain import layout

CRATE = '[package]\nname = "crate-name"\nversion = "1.0.0"\n'


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_toml", ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_manifest_that_maturin_is_told_is_used(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        Cargo_toml=CRATE,
        bindings__Cargo_toml=CRATE,
        pyproject_toml='[project]\nname = "dist"\n[tool.maturin]\nmanifest-path = '
        '"bindings/Cargo.toml"\nmodule-name = "a._b"\npython-source = "py"\nprofile = "p"\n'
        'features = ["pyo3/x"]\n',
    )
    found = layout.read(root)
    assert found.manifest == Path("bindings/Cargo.toml")
    assert (found.module, found.python_source) == ("a._b", Path("py"))
    assert (found.distribution, found.profile, found.features) == ("dist", "p", ("pyo3/x",))


def test_without_pyproject_the_crate_itself_is_the_project(tmp_path: Path) -> None:
    found = layout.read(write(tmp_path, Cargo_toml=CRATE))
    assert (found.distribution, found.manifest) == ("crate-name", Path("Cargo.toml"))
    assert found.profile == "release"


def test_a_crate_in_a_folder_named_rust_is_found(tmp_path: Path) -> None:
    assert layout.read(write(tmp_path, rust__Cargo_toml=CRATE)).manifest == Path("rust/Cargo.toml")


def test_a_project_without_a_crate_is_told_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path, pyproject_toml='[build-system]\nbuild-backend = "hatchling.build"\n')
    with pytest.raises(UsageError) as error:
        layout.read(tmp_path)
    assert "rust/Cargo.toml" in error.value.why
    assert "hatchling.build" in error.value.why


def test_a_manifest_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path, pyproject_toml='[tool.maturin]\nmanifest-path = "no/Cargo.toml"\n')
    with pytest.raises(UsageError, match=r"has no no/Cargo\.toml") as error:
        layout.read(tmp_path)
    assert "manifest-path" in error.value.next


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        layout.read(tmp_path / "none")
