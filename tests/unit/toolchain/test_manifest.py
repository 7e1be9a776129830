from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from leakgrid.errors import UsageError
from leakgrid.toolchain.manifest import entries, read_toml, rewrite

MANIFEST = """\
# a comment that stays
[package]
name = "x"
version = "1.0.0"

[dependencies]
py = { package = "pyo3", version = "0.29", features = ["abi3"] }  # renamed
pyo3-log = "0.13"
other = "1"
inherited = { package = "pyo3", workspace = true }

[dependencies.numpy]
git = "https://example.org/numpy"
branch = "main"

[build-dependencies]
pyo3-build-config = { path = "../pyo3-build-config" }

[dev-dependencies]
pyo3 = { version = "0.29", features = ["auto-initialize"] }

[target.'cfg(unix)'.dependencies]
pyo3 = "0.28"

[workspace.dependencies]
pyo3 = "0.29"

[patch.crates-io]
pyo3 = { git = "https://example.org/pyo3" }
other = { path = "other" }
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "Cargo.toml"
    path.write_text(MANIFEST)
    return path


def test_every_kind_of_dependency_is_seen_by_its_real_name() -> None:
    found = entries(tomllib.loads(MANIFEST))
    tables = [entry.table for entry in found if entry.crate == "pyo3"]
    assert tables == [
        "dependencies",
        "dependencies",
        "dev-dependencies",
        "target.cfg(unix).dependencies",
        "workspace.dependencies",
    ]
    assert next(entry for entry in found if entry.crate == "pyo3").features == ("abi3",)


def test_every_requirement_on_a_moved_crate_is_set_and_nothing_else(manifest: Path) -> None:
    moves = {"pyo3": "0.30.1", "pyo3-build-config": "0.30.1", "numpy": "0.30.0"}
    text = rewrite(manifest, moves)
    data = tomllib.loads(text)
    assert data["dependencies"]["py"] == {
        "package": "pyo3",
        "version": "=0.30.1",
        "features": ["abi3"],
    }
    assert data["dependencies"]["pyo3-log"] == "0.13"
    assert data["dependencies"]["other"] == "1"
    assert data["dependencies"]["inherited"] == {"package": "pyo3", "workspace": True}
    assert data["dependencies"]["numpy"] == {"version": "=0.30.0"}
    assert data["build-dependencies"]["pyo3-build-config"] == {"version": "=0.30.1"}
    assert data["dev-dependencies"]["pyo3"]["version"] == "=0.30.1"
    assert data["target"]["cfg(unix)"]["dependencies"]["pyo3"] == "=0.30.1"
    assert data["workspace"]["dependencies"]["pyo3"] == "=0.30.1"
    assert data["patch"]["crates-io"] == {"other": {"path": "other"}}
    assert "# a comment that stays" in text
    assert "# renamed" in text


def test_a_manifest_without_a_workspace_gets_one_so_that_cargo_looks_no_further(
    tmp_path: Path,
) -> None:
    path = tmp_path / "Cargo.toml"
    path.write_text('[package]\nname = "x"\n\n[dependencies]\npyo3 = "0.29"\n')
    assert tomllib.loads(rewrite(path, {}, standalone=True))["workspace"] == {}
    assert "workspace" not in tomllib.loads(rewrite(path, {}))


def test_a_manifest_with_a_workspace_keeps_it(manifest: Path) -> None:
    data = tomllib.loads(rewrite(manifest, {}, standalone=True))
    assert data["workspace"]["dependencies"]["pyo3"] == "0.29"


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    path = tmp_path / "Cargo.toml"
    path.write_text("[package\n")
    with pytest.raises(UsageError, match=r"Cargo\.toml is no valid TOML"):
        rewrite(path, {})


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("Cargo.toml", "dependencies = 3", "dependencies: a table is required"),
        ("Cargo.toml", "dev_dependencies = 3", "dev_dependencies: a table is required"),
        ("Cargo.toml", "target.x = 3", "target.x: a table is required"),
        ("Cargo.toml", "target.x.dependencies = 3", "target.x.dependencies: a table is required"),
        ("Cargo.toml", "workspace = []", "workspace: a table is required"),
        ("Cargo.toml", "patch.crates-io = 3", "patch.crates-io: a table is required"),
        ("Cargo.toml", "dependencies.pyo3 = 3", "dependencies.pyo3: a version or a table"),
        ("Cargo.toml", "dependencies.x.features = 3", "dependencies.x.features: a list"),
        ("pyproject.toml", "project = 'x'", "project: a table is required"),
        ("pyproject.toml", "tool.maturin = []", "tool.maturin: a table is required"),
        ("pyproject.toml", "tool.maturin.features = 3", "tool.maturin.features: a list"),
        ("pyproject.toml", "dependency-groups.dev = 3", "dependency-groups.dev: a list"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(
    tmp_path: Path, file: str, text: str, fault: str
) -> None:
    path = tmp_path / file
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_toml(path)
    assert error.value.what == f"{path} cannot be used"
    assert error.value.why.startswith(fault)
    assert error.value.next


def test_what_is_right_is_read_whatever_else_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "Cargo.toml"
    path.write_text(MANIFEST)
    assert read_toml(path) == tomllib.loads(MANIFEST)
    other = tmp_path / "uv.lock"
    other.write_text("package = 3")
    assert read_toml(other) == {"package": 3}


@pytest.mark.parametrize("content", [b"[package\n", b"\xff", None])
def test_a_file_that_cannot_be_read_is_named_with_a_remedy(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "Cargo.toml"
    if content is not None:
        path.write_bytes(content)
    for use in (read_toml, lambda path: rewrite(path, {})):
        with pytest.raises(UsageError, match=r"Cargo\.toml") as error:
            use(path)
        assert error.value.next
