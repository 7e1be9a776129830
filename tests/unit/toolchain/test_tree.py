from __future__ import annotations

import os
from pathlib import Path

import pytest

from leakgrid.errors import UsageError
from leakgrid.toolchain import tree


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "lib.rs").write_text("fn a() {}")
    (root / "Cargo.toml").write_text("[package]")
    return root


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_caches_builds_and_environments_are_left_out(project: Path, tmp_path: Path) -> None:
    for name in (".git", "__pycache__", "node_modules"):
        (project / name).mkdir()
        (project / name / "x").write_text("x")
    (project / "build").mkdir()
    (project / "build" / "CACHEDIR.TAG").write_text("Signature")
    (project / "anyenv").mkdir()
    (project / "anyenv" / "pyvenv.cfg").write_text("home = x")
    (project / "target").mkdir()
    (project / "target" / "data.txt").write_text("a folder of the project named target")
    tree.synchronise(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == [
        "Cargo.toml",
        "src",
        "src/lib.rs",
        "target",
        "target/data.txt",
    ]


def test_an_unchanged_file_keeps_its_time_and_a_changed_one_is_newer_even_with_an_old_time(
    project: Path, tmp_path: Path
) -> None:
    copy, source = tmp_path / "copy", project / "src" / "lib.rs"
    tree.synchronise(project, copy)
    staged = copy / "src" / "lib.rs"
    os.utime(staged, (1_000_000_000, 1_000_000_000))
    tree.synchronise(project, copy)
    assert staged.stat().st_mtime == 1_000_000_000
    source.write_text("fn b() {}")
    os.utime(source, (500_000_000, 500_000_000))
    tree.synchronise(project, copy)
    assert staged.read_text() == "fn b() {}"
    assert staged.stat().st_mtime > 1_000_000_000


def test_what_the_source_no_longer_has_is_removed(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    tree.synchronise(project, copy)
    (copy / "stray").mkdir()
    (copy / "stray" / "file").write_text("x")
    (project / "Cargo.toml").unlink()
    tree.synchronise(project, copy)
    assert names(copy) == ["src", "src/lib.rs"]


def test_links_inside_stay_links_and_links_that_leave_become_content(
    project: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "LICENSE").write_text("text")
    (outside / "loop").symlink_to(outside)
    (project / "inner.rs").symlink_to(project / "src" / "lib.rs")
    (project / "LICENSE").symlink_to("../outside/LICENSE")
    (project / "shared").symlink_to(outside)
    (project / "broken").symlink_to("nowhere")
    copy = tmp_path / "copy"
    tree.synchronise(project, copy)
    assert os.readlink(copy / "inner.rs") == "src/lib.rs"
    assert not (copy / "LICENSE").is_symlink()
    assert (copy / "LICENSE").read_text() == "text"
    assert names(copy / "shared") == ["LICENSE"]
    assert not (copy / "broken").exists()


def test_replaced_texts_are_written_in_the_copy_only(project: Path, tmp_path: Path) -> None:
    copy, manifest = tmp_path / "copy", project / "Cargo.toml"
    tree.synchronise(project, copy, {manifest: "edited"})
    assert (copy / "Cargo.toml").read_text() == "edited"
    assert manifest.read_text() == "[package]"


def test_a_pipe_is_left_out_and_a_read_only_file_can_be_replaced(
    project: Path, tmp_path: Path
) -> None:
    os.mkfifo(project / "pipe")
    (project / "Cargo.toml").chmod(0o444)
    copy = tmp_path / "copy"
    tree.synchronise(project, copy)
    (project / "Cargo.toml").chmod(0o644)
    (project / "Cargo.toml").write_text("new")
    tree.synchronise(project, copy)
    assert (copy / "Cargo.toml").read_text() == "new"
    assert not (copy / "pipe").exists()


def test_too_many_files_are_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MAX_FILES", 1)
    with pytest.raises(UsageError, match="too large to copy"):
        tree.synchronise(project, tmp_path / "copy")


def test_the_digest_follows_names_and_contents_and_not_times(project: Path) -> None:
    first = tree.digest(project)
    os.utime(project / "Cargo.toml", (1, 1))
    assert tree.digest(project) == first
    (project / "src" / "lib.rs").rename(project / "src" / "main.rs")
    assert tree.digest(project) != first


def test_a_folder_where_a_file_was_and_a_file_where_a_folder_was(
    project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    (copy / "Cargo.toml").mkdir(parents=True)
    (copy / "src").write_text("a file")
    tree.synchronise(project, copy)
    assert (copy / "Cargo.toml").read_text() == "[package]"
    assert (copy / "src" / "lib.rs").is_file()


def test_what_is_set_apart_is_neither_copied_nor_counted(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("src/lib.rs", "baselines/demo/cell.toml", "matrix.toml"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    apart = frozenset({source / "baselines" / "demo", source / "matrix.toml"})

    tree.synchronise(source, tmp_path / "copy", apart=apart)

    assert [path.relative_to(tmp_path) for path in (tmp_path / "copy").rglob("*.*")] == [
        Path("copy/src/lib.rs")
    ]
    assert list(tree.source_files(source, apart)) == [source / "src" / "lib.rs"]
