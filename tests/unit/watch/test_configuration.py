from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid.commands._looking import index_address
from leakgrid.errors import ConfigError, UsageError
from leakgrid.watch.configuration import sparse_index

REPLACED = '[source.crates-io]\nreplace-with = "near"\n'


def configure(folder: Path, text: str, name: str = "config.toml") -> None:
    (folder / ".cargo").mkdir(parents=True, exist_ok=True)
    (folder / ".cargo" / name).write_text(text)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_replaced_source_names_the_index(tmp_path: Path, home: Path) -> None:
    configure(tmp_path, REPLACED + '[source.near]\nregistry = "sparse+https://near.test/x/"\n')
    assert sparse_index(tmp_path / "deep" / "er", home, {}) == "https://near.test/x/"


def test_a_registry_may_stand_for_the_source_and_the_environment_for_it(
    tmp_path: Path, home: Path
) -> None:
    configure(tmp_path, REPLACED + '[registries.near]\nindex = "sparse+https://near.test/"\n')
    assert sparse_index(tmp_path, home, {}) == "https://near.test/"
    environ = {"CARGO_REGISTRIES_NEAR_INDEX": "sparse+https://other.test/"}
    assert sparse_index(tmp_path, home, environ) == "https://other.test/"


def test_the_nearest_file_wins_key_by_key(tmp_path: Path, home: Path) -> None:
    (home / "config.toml").write_text(
        REPLACED + '[source.near]\nregistry = "sparse+https://home.test/"\n'
    )
    assert sparse_index(tmp_path, home, {}) == "https://home.test/"
    configure(tmp_path, '[source.near]\nregistry = "sparse+https://near.test/"\n', "config")
    configure(tmp_path, "not read beside it")
    assert sparse_index(tmp_path, home, {}) == "https://near.test/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        REPLACED,
        REPLACED + '[source.near]\nregistry = "https://git.test/index"\n',
        REPLACED + '[source.near]\ndirectory = "vendor"\n',
        REPLACED + '[source.near]\nreplace-with = "crates-io"\n',
    ],
)
def test_what_only_cargo_knows_is_left_to_cargo(tmp_path: Path, home: Path, text: str) -> None:
    configure(tmp_path, text)
    assert sparse_index(tmp_path, home, {}) is None


def test_a_broken_file_is_named(tmp_path: Path, home: Path) -> None:
    configure(tmp_path, "[")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        sparse_index(tmp_path, home, {})


def test_the_option_wins_then_the_environment(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARGO_HOME", str(home))
    environ = {"LEAKGRID_INDEX": "https://b.test/"}
    assert index_address("https://a.test/", environ, tmp_path) == "https://a.test/"
    assert index_address("", environ, tmp_path) == "https://b.test/"
    assert index_address("", {}, tmp_path) == "cargo"
    with pytest.raises(UsageError):
        index_address("a.test", {}, tmp_path)
