from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakgrid.errors import DataError
from leakgrid.toolchain.archive import Limits, unpack


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mode = mode
    return info, content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def test_an_ordinary_sdist_is_unpacked_and_its_folder_returned(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a.tar.gz",
        file("p-1/src/lib.rs", b"code"),
        file("p-1/run.sh", b"#!", 0o4777),
        special("p-1/src/link.rs", tarfile.SYMTYPE, "lib.rs"),
        special("p-1/up", tarfile.SYMTYPE, "src/../src/lib.rs"),
        special("p-1/hard.rs", tarfile.LNKTYPE, "p-1/src/lib.rs"),
    )
    root = unpack(archive, tmp_path / "out")
    assert root == tmp_path / "out" / "p-1"
    assert (root / "src" / "link.rs").read_bytes() == b"code"
    assert (root / "hard.rs").read_bytes() == b"code"
    assert (root / "up").read_bytes() == b"code"
    assert (root / "run.sh").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([file("/etc/passwd")], "is absolute"),
        ([file("p/../../evil")], "leaves the folder"),
        ([file("p\\..\\evil")], "no usable name"),
        ([file("C:/evil")], "is absolute"),
        ([special("p/a", tarfile.SYMTYPE, "/etc/passwd")], "outside of the archive"),
        ([special("p/a", tarfile.SYMTYPE, "../../etc/passwd")], "leaves the folder"),
        ([special("p/a", tarfile.SYMTYPE, "../q")], None),
        ([special("a", tarfile.SYMTYPE, "..")], "leaves the folder"),
        ([special("p/a", tarfile.SYMTYPE, "b"), file("p/a/evil")], "passes through a link"),
        ([special("p/a", tarfile.SYMTYPE, "b"), file("p/a")], "occurs twice"),
        ([file("p/a"), file("p/a")], "occurs twice"),
        ([file("p/a"), file("./p/a")], "occurs twice"),
        ([file("p/a"), file("p/a/b")], "lies below a file"),
        ([special("p/a", tarfile.LNKTYPE, "/etc/passwd")], "is absolute"),
        ([special("p/a", tarfile.LNKTYPE, "p/none")], "not unpacked"),
        (
            [special("p/s", tarfile.SYMTYPE, "x"), special("p/a", tarfile.LNKTYPE, "p/s")],
            "not unpacked",
        ),
        (
            [
                file("p/a/b/c"),
                special("p/a/b/l1", tarfile.SYMTYPE, "../.."),
                special("p/l2", tarfile.SYMTYPE, "a/b/l1/../.."),
            ],
            "leaves the folder",
        ),
        ([special("p/dev", tarfile.CHRTYPE)], "is a device"),
        ([special("p/pipe", tarfile.FIFOTYPE)], "is a device"),
        ([file("/".join("d" * 60))], "too deep"),
    ],
)
def test_hostile_members_are_refused_by_name_and_nothing_is_left(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], why: str | None
) -> None:
    archive = tar(tmp_path / "a.tar.gz", *members)
    if why is None:
        with pytest.raises(DataError):
            unpack(archive, tmp_path / "out")
    else:
        with pytest.raises(DataError) as refused:
            unpack(archive, tmp_path / "out")
        assert why in refused.value.why
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz"]


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(members=2), "limit of 2 members"),
        (Limits(total=25), "larger than the limit"),
        (Limits(single=9), "larger than 9 bytes"),
    ],
)
def test_size_limits_hold(tmp_path: Path, limits: Limits, why: str) -> None:
    archive = tar(tmp_path / "a.tar.gz", *(file(f"p/{n}", b"0123456789") for n in range(3)))
    with pytest.raises(DataError, match=why):
        unpack(archive, tmp_path / "out", limits)


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", file("p/a", bytes(range(256)) * 500))
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(path, tmp_path / "out")


def zipped(path: Path, change: Callable[[zipfile.ZipInfo], None], name: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        change(info)
        archive.writestr(info, "x")
    return path


def test_zip_archives_are_judged_by_the_same_rules(tmp_path: Path) -> None:
    def link(info: zipfile.ZipInfo) -> None:
        info.external_attr = 0o120777 << 16

    good = zipped(tmp_path / "good.zip", lambda info: None, "p/a")
    assert (unpack(good, tmp_path / "out") / "a").read_text() == "x"
    with pytest.raises(DataError, match="leaves the folder"):
        unpack(zipped(tmp_path / "up.zip", lambda info: None, "../a"), tmp_path / "o2")
    with pytest.raises(DataError, match="link or a device"):
        unpack(zipped(tmp_path / "link.zip", link, "p/a"), tmp_path / "o3")


PART = st.sampled_from(["..", ".", "", "a", "b", "c"])
NAME = st.lists(PART, min_size=1, max_size=4).map("/".join)
KIND = st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(NAME, KIND, NAME), max_size=6))
def test_nothing_is_ever_written_or_linked_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes, str]]
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "inside").mkdir()
    archive = tar(
        folder / "a.tar",
        *(
            (special(name, kind, target) if kind != tarfile.REGTYPE else file(name))
            for name, kind, target in members
        ),
    )
    out = folder / "inside" / "out"
    try:
        unpack(archive, out)
    except DataError:
        assert not out.exists()
    assert [path.name for path in folder.iterdir() if path.name not in ("a.tar", "inside")] == []
    assert [path.name for path in (folder / "inside").iterdir() if path != out] == []
    for path in out.rglob("*"):
        if path.is_symlink():
            assert Path(os.path.realpath(path)).is_relative_to(out.resolve())
