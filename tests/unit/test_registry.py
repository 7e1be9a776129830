from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakgrid import process, registry
from leakgrid.errors import DataError, Unsupported


def record(version: str, **more: Any) -> bytes:
    data = {"name": "x", "vers": version, "deps": [], "features": {}, "yanked": False, **more}
    return version.encode() + b"\0" + json.dumps(data).encode() + b"\0"


def cache(*records: bytes, version: int = 3, schema: int = 2) -> bytes:
    return bytes([version]) + struct.pack("<I", schema) + b"etag: x\0" + b"".join(records)


@pytest.fixture
def fake_cargo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cargo that leaves the cache as it is and says what the file ``said`` holds."""
    program = tmp_path / "cargo"
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/said" >&2\nexit 0\n')
    program.chmod(0o755)
    (tmp_path / "said").write_text("    Updating some index\n")
    monkeypatch.setenv("CARGO", str(program))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    registry.lookup.cache_clear()
    yield_to = tmp_path / "home" / "registry" / "index" / "any-0" / ".cache"
    yield_to.mkdir(parents=True)
    return yield_to


def put(folder: Path, crate: str, data: bytes) -> None:
    path = folder / registry._relative_path(crate)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_versions_come_in_semver_order_with_what_the_index_says() -> None:
    entries = registry.parse_cache(
        cache(
            record("0.10.0", yanked=True, pubtime="2026-01-01T00:00:00Z", rust_version="1.74"),
            record(
                "0.9.0",
                links="python",
                deps=[
                    {
                        "name": "p",
                        "package": "pyo3",
                        "req": "^0.29",
                        "kind": "normal",
                        "optional": True,
                    },
                ],
                features={"a": []},
                features2={"b": []},
            ),
            record("0.10.0-beta.2"),
            record("0.10.0-beta.10"),
        )
    )
    assert [entry.version for entry in entries] == [
        "0.9.0",
        "0.10.0-beta.2",
        "0.10.0-beta.10",
        "0.10.0",
    ]
    assert entries[0].requires("pyo3") == ("^0.29",)
    assert entries[0].links == "python"
    assert set(entries[0].features) >= {"a", "b"}
    last = entries[-1]
    assert (last.yanked, last.published, last.rust_version) == (
        True,
        "2026-01-01T00:00:00Z",
        "1.74",
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cache version none"),
        (cache(version=4), "cache version 4"),
        (cache(schema=9), "index schema 9"),
        (cache(record("1.0.0"))[:-1], "cut off"),
        (cache(b"1.0.0\0"), "do not pair"),
        (cache(b"1.0.0\0{}\0"), "1.0.0"),
        (cache(b"1.0.0\0[1]\0"), "1.0.0"),
        (cache(record("1.0.0").replace(b"1.0.0", b"2.0.0", 1)), "that of 1.0.0"),
    ],
)
def test_a_cache_of_unknown_form_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(DataError, match=why):
        registry.parse_cache(data, "x")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for body in (data, cache(data)):
        try:
            entries = registry.parse_cache(body)
        except DataError:
            continue
        assert isinstance(entries, tuple)


def test_a_missing_and_a_yanked_version_are_said_as_such(fake_cargo: Path) -> None:
    put(
        fake_cargo,
        "pyo3",
        cache(record("0.27.2"), record("0.28.0", yanked=True), record("0.29.3"), record("0.30.1")),
    )
    assert registry.require("pyo3", "0.30.1").version == "0.30.1"
    with pytest.raises(Unsupported, match=r"0\.30\.0 is not in cargo's index") as missing:
        registry.require("pyo3", "0.30.0")
    assert "0.29.3, 0.30.1" in missing.value.why
    with pytest.raises(Unsupported, match=r"0\.28\.0 was yanked"):
        registry.require("pyo3", "0.28.0")


def test_without_a_network_the_cache_answers_and_says_so(fake_cargo: Path, tmp_path: Path) -> None:
    (tmp_path / "said").write_text(
        "    Updating some index\nerror: failed to get `abc`\n\nCaused by:\n"
        "  download of config.json failed\n"
    )
    put(fake_cargo, "abc", cache(record("1.0.0")))
    listing = registry.lookup("abc")
    assert not listing.fresh
    assert "download of config.json failed" in listing.note
    assert [entry.version for entry in listing.versions] == ["1.0.0"]


def test_a_refreshed_answer_is_fresh(fake_cargo: Path) -> None:
    put(fake_cargo, "ab", cache(record("1.0.0")))
    assert registry.lookup("ab").fresh


def test_nothing_cached_and_no_network_is_an_error(fake_cargo: Path) -> None:
    with pytest.raises(DataError, match="no index entry"):
        registry.lookup("never-seen")


def test_a_crate_that_is_in_no_index_is_unsupported(fake_cargo: Path, tmp_path: Path) -> None:
    (tmp_path / "said").write_text("error: no matching package named `zzz` found\n")
    with pytest.raises(Unsupported, match="has no crate 'zzz'"):
        registry.lookup("zzz")


def test_sources_of_another_version_than_asked_for_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = process.Completed(("cargo",), 0, '{"packages": []}', "", 0.0, 0.0)
    monkeypatch.setattr(registry.process, "run", lambda *_, **__: answer)
    with pytest.raises(Unsupported, match="another version than") as error:
        registry.source("abc", "1.0.0")
    assert "[patch]" in error.value.next


@pytest.mark.network
def test_cargo_itself_tells_the_versions_of_pyo3() -> None:
    registry.lookup.cache_clear()
    known = {entry.version: entry for entry in registry.versions("pyo3")}
    assert known["0.28.0"].yanked
    assert "0.30.0" not in known
    assert known["0.27.2"].published


def test_an_entry_that_cargo_is_just_writing_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pyo3"
    path.write_bytes(b"")
    monkeypatch.setattr(registry.time, "sleep", lambda _: path.write_bytes(cache(record("1.0.0"))))
    assert [found.version for found in registry._read_cache(path)] == ["1.0.0"]
