from __future__ import annotations

import pytest

from leakgrid import registry
from leakgrid.errors import Unsupported, UsageError
from leakgrid.registry import CrateVersion, Dependency, Listing
from leakgrid.toolchain import coupled
from leakgrid.toolchain.manifest import Entry


def version(number: str, yanked: bool = False, **requires: str) -> CrateVersion:
    return CrateVersion(
        version=number,
        yanked=yanked,
        dependencies=tuple(
            Dependency(crate.replace("_", "-"), text, "normal") for crate, text in requires.items()
        ),
        features=("abi3", "macros"),
    )


INDEX = {
    "pyo3": (
        version("0.28.0", yanked=True, pyo3_ffi="=0.28.0"),
        version("0.29.0", pyo3_ffi="=0.29.0", libc="^0.2"),
        version("0.30.1", pyo3_ffi="=0.30.1", libc="^0.2"),
    ),
    "pyo3-ffi": (
        version("0.29.0", pyo3_build_config="=0.29.0"),
        version("0.30.1", pyo3_build_config="=0.30.1"),
    ),
    "pyo3-build-config": (version("0.29.0"), version("0.30.1")),
    "numpy": (
        version("0.29.0", pyo3="^0.29.0"),
        version("0.30.0", pyo3="^0.30.0"),
        version("0.30.5", yanked=True, pyo3="^0.30.0"),
    ),
    "pyo3-log": (version("0.13.5", pyo3=">=0.26, <0.31"),),
    "pythonize": (version("0.28.0", pyo3="^0.28"), version("0.29.0", pyo3="^0.29")),
    "serde": (version("1.0.0"),),
}
LOCK = """
version = 4
[[package]]
name = "numpy"
version = "0.29.0"
source = "registry"
dependencies = ["libc", "pyo3"]
[[package]]
name = "pyo3"
version = "0.29.0"
source = "registry"
[[package]]
name = "pyo3-log"
version = "0.13.5"
source = "registry"
dependencies = ["pyo3 0.29.0"]
[[package]]
name = "pythonize"
version = "0.29.0"
source = "registry"
dependencies = ["pyo3"]
[[package]]
name = "serde"
version = "1.0.0"
source = "registry"
"""


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def lookup(crate: str) -> Listing:
        asked.append(crate)
        if crate not in INDEX:
            raise Unsupported(f"no crate {crate}")
        return Listing(crate, INDEX[crate], fresh=True)

    monkeypatch.setattr(registry, "lookup", lookup)
    return asked


def direct(*crates: str, features: tuple[str, ...] = ()) -> list[Entry]:
    return [Entry(crate, "dependencies", "1", features, False) for crate in crates]


def test_a_coupled_crate_moves_to_its_newest_release_for_that_pyo3() -> None:
    assert coupled.moves(LOCK, direct("pyo3", "numpy"), "0.30.1") == {
        "pyo3": "0.30.1",
        "numpy": "0.30.0",
    }


def test_a_crate_whose_present_version_fits_stays_where_it_is() -> None:
    assert coupled.moves(LOCK, direct("pyo3", "pyo3-log", "numpy"), "0.29.0") == {"pyo3": "0.29.0"}


def test_pyo3s_own_parts_move_to_the_very_version() -> None:
    found = coupled.moves(LOCK, direct("pyo3", "pyo3-build-config"), "0.30.1")
    assert found["pyo3-build-config"] == "0.30.1"


def test_crates_that_do_not_depend_on_pyo3_are_not_even_looked_up(index: list[str]) -> None:
    coupled.moves(LOCK, direct("pyo3", "serde"), "0.30.1")
    assert "serde" not in index


@pytest.mark.parametrize("name", ["numpy", "serde"])
def test_the_projects_own_crate_never_moves_to_one_of_that_name_in_the_registry(name: str) -> None:
    own = f'[[package]]\nname = "{name}"\nversion = "1.0.11"\ndependencies = ["pyo3", "{name}"]\n'
    others = LOCK.replace('dependencies = ["libc", "pyo3"]', "")
    assert coupled.moves(others + own, direct("pyo3", name), "0.30.1") == {"pyo3": "0.30.1"}


def test_a_coupled_crate_without_a_release_for_that_pyo3_is_unsupported() -> None:
    with pytest.raises(Unsupported, match=r"pythonize has no release for PyO3 0\.30\.1") as error:
        coupled.moves(LOCK, direct("pyo3", "pythonize"), "0.30.1")
    assert "0.29.0, requires pyo3 ^0.29" in error.value.why


def test_a_yanked_pyo3_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="was yanked"):
        coupled.moves(LOCK, direct("pyo3"), "0.28.0")


def test_features_that_this_pyo3_does_not_have_are_named() -> None:
    entries = direct("pyo3", features=("abi3", "gil-refs"))
    with pytest.raises(Unsupported, match=r"0\.30\.1 has no feature gil-refs, old"):
        coupled.check_features(entries, ("pyo3/old", "mine"), "0.30.1")
    coupled.check_features(direct("pyo3", features=("abi3",)), ("pyo3/macros",), "0.30.1")


def test_of_several_versions_in_a_lock_the_newest_counts() -> None:
    lock = "".join(
        f'[[package]]\nname = "syn"\nversion = "{number}"\n' for number in ("1.9.0", "1.10.0")
    )
    assert coupled.locked_versions(lock) == {"syn": "1.10.0"}


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        ("<<<<<<< ours\nversion = 4\n", "at line 1"),
        ("package = 3", "name and version"),
        ("package = [3]", "name and version"),
        ("[[package]]\nname = 'x'\n", "name and version"),
        ("[[package]]\nname = 'x'\nversion = '1'\ndependencies = 3\n", "name and version"),
    ],
)
def test_a_lock_that_a_merge_left_broken_is_told(lock: str, why: str) -> None:
    with pytest.raises(UsageError, match=r"x/Cargo\.lock cannot be read") as error:
        coupled.locked_versions(lock, "x/Cargo.lock")
    assert why in error.value.why
    assert "cargo generate-lockfile" in error.value.next
