"""The command over versions that are not built: what it searches for, says and returns."""

import json
from dataclasses import replace

import pytest
from made import finding, places, result

from leakgrid import cli, pipeline, registry
from leakgrid.errors import Unsupported
from leakgrid.finding import TestRecord
from leakgrid.registry import CrateVersion
from leakgrid.toolchain import pyo3

VERSIONS = ("0.25.1", "0.26.0", "0.27.0", "0.27.1", "0.27.2", "0.28.2", "0.28.3")
TESTS = {name: TestRecord("passed", repeatable=True) for name in ("t::a", "t::b")}
CHANGELOG = """
## [0.30.0] - 2026-10-13
### Fixed
- Fix a leak of the instances of a class. [#9](https://example.org/9)
## [0.28.2] - 2026-02-18
### Fixed
- Fix linking.
## [0.28.0] - 2026-02-01
### Changed
- Change what an instance of a class is.
### Added
- Add something.
## [0.27.2] - 2025-11-30
### Fixed
- Fix something else.
"""


def grown(name="a", *tests, **changes):
    kind = {"detector": "growth", "kind": "instance", "tests": tests or ("t::a",)}
    return finding(name, per_call=True, **{**kind, **changes})


class World:
    """Versions whose results are told in advance, and what was asked of them."""

    def __init__(self):
        self.leaks = {}  # finding -> the versions that have it
        self.failed = {}  # version -> verdict
        self.asked = []
        self.options = None

    def check(self, cell, target, base, store, options, progress):
        self.asked.append(cell.pyo3)
        self.options = options
        progress.stage("build")
        if cell.pyo3 in self.failed:
            return result(verdict=self.failed[cell.pyo3], tests={}, pyo3=cell.pyo3)
        found = [one for one, versions in self.leaks.items() if cell.pyo3 in versions]
        made = result(*found, pyo3=cell.pyo3, tests=TESTS, detectors=options.detectors)
        store.save_result(cell, made)
        return made


@pytest.fixture
def world(tmp_path, monkeypatch):
    project = tmp_path / "demo"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "demo"\nversion = "1"\n')
    (project / "Cargo.toml").write_text('[package]\nname = "demo"\nversion = "1.0.0"\n')
    monkeypatch.chdir(tmp_path)
    made = World()
    monkeypatch.setattr(pipeline, "check", made.check)
    yanked = [CrateVersion("0.28.0", True), CrateVersion("0.28.1", True)]
    listed = [*(CrateVersion(v, False) for v in (*VERSIONS, "0.30.1")), *yanked]
    listed.append(CrateVersion("0.27.0-beta.1", False))
    monkeypatch.setattr(registry, "versions", lambda crate: tuple(
        sorted(listed, key=lambda entry: registry.sort_key(entry.version))))  # fmt: skip
    monkeypatch.setattr(registry, "require", lambda crate, version: None)
    path = tmp_path / "CHANGELOG.md"
    path.write_text(CHANGELOG)
    monkeypatch.setattr(pyo3, "changelog", lambda version: path)
    return made


def bisect(tmp_path, *more, good="0.25.1", bad="0.28.3") -> int:
    arguments = ["bisect", "demo", "--python", "3.99", "--good", good, "--bad", bad, "--quiet"]
    return cli.main([*arguments, *places(tmp_path), *more])


def test_the_first_version_is_told_with_its_changelog(world, tmp_path, capsys):
    world.leaks = {grown(): VERSIONS[5:]}
    assert bisect(tmp_path) == 0
    out = capsys.readouterr().out
    assert "begins with PyO3 0.28.2; 0.27.2 does not have it" in out
    assert "7 releases (left out: 0.27.0-beta.1 a pre-release, 0.28.0 yanked, 0.28.1 yanked)" in out
    near, other = (
        out.index("0.28.0 Changed: Change what an"),
        out.index("0.28.2 Fixed: Fix linking"),
    )
    assert near < other
    assert "Fix something else" not in out
    assert "and 1 entry under other headings" in out
    later = out.partition("what later releases say of leaks:")[2]
    assert "0.30.0 Fixed: Fix a leak of the instances of a class. #9" in later
    assert "5 builds" in out


def test_both_ends_are_evaluated_first_and_at_most_six_versions_in_all(world, tmp_path, capsys):
    world.leaks = {
        grown("a"): VERSIONS[5:],
        grown("b", "t::b", kind="object"): VERSIONS[1:],
        grown("c", "t::b", detector="fds", kind="descriptor"): VERSIONS[2:],
        grown("d", "t::b", detector="threads", kind="thread"): VERSIONS[4:],
    }
    assert bisect(tmp_path) == 0
    assert world.asked[:2] == ["0.25.1", "0.28.3"]
    assert len(world.asked) == len(set(world.asked)) <= 6
    out = capsys.readouterr().out
    assert out.index("begins with PyO3 0.28.2") < out.index("begins with PyO3 0.27.2")
    told = " ".join(out.split())
    assert (
        "one of 0.27.0, 0.27.1: not searched for any further after 6 builds; to go on, add" in told
    )


def test_more_builds_finish_every_cause(world, tmp_path, capsys):
    world.leaks = {
        grown("a"): VERSIONS[5:],
        grown("c", "t::b", detector="fds", kind="descriptor"): VERSIONS[2:],
    }
    assert bisect(tmp_path, "--builds", "7", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert [cause["first"] for cause in data["causes"]] == ["0.28.2", "0.27.0"]
    assert data["causes"][0]["shown"]["0.25.1"] is False
    assert data["causes"][0]["shown"]["0.28.3"] is True
    assert data["left_out"]["0.28.0"] == "yanked"


@pytest.mark.parametrize(("good", "bad"), [("0.28.3", "0.25.1"), ("0.25.1", "0.28.3")])
def test_fixed_finds_the_version_that_mends_whichever_end_is_called_bad(
    world, tmp_path, capsys, good, bad
):
    world.leaks = {grown(): VERSIONS[:3]}
    assert bisect(tmp_path, "--fixed", good=good, bad=bad) == 0
    assert "is gone with PyO3 0.27.1; 0.27.0 still has it" in capsys.readouterr().out


def test_a_version_that_does_not_build_is_skipped_and_said(world, tmp_path, capsys):
    world.leaks = {grown(): VERSIONS[5:]}
    world.failed = {"0.27.1": "build-failed"}
    assert bisect(tmp_path) == 0
    out = capsys.readouterr().out
    assert "begins with PyO3 0.28.2" in out
    assert "0.27.1 tells nothing: build-failed: said so" in out


def test_where_the_version_itself_cannot_be_judged_the_candidates_are_told(world, tmp_path, capsys):
    world.leaks = {grown(): VERSIONS[5:]}
    world.failed = {"0.28.2": "blind", "0.27.2": "build-failed"}
    assert bisect(tmp_path) == 3
    assert "begins with one of 0.27.2, 0.28.2, 0.28.3" in capsys.readouterr().out


@pytest.mark.parametrize(("verdict", "code"), [("build-failed", 3), ("blind", 4)])
def test_an_end_that_tells_nothing_ends_the_search(world, tmp_path, capsys, verdict, code):
    world.failed = {"0.28.3": verdict}
    assert bisect(tmp_path) == code
    assert "PyO3 0.28.3, an end of the search, tells nothing" in capsys.readouterr().err


def test_without_a_difference_there_is_nothing_to_find(world, tmp_path, capsys):
    assert bisect(tmp_path) == 3
    assert "PyO3 0.28.3 shows nothing that 0.25.1 does not" in capsys.readouterr().err


def test_one_finding_is_chosen_by_the_beginning_of_its_id(world, tmp_path, capsys):
    world.leaks = {
        grown("a"): VERSIONS[5:],
        grown("c", "t::b", detector="fds", kind="descriptor"): VERSIONS[2:],
    }
    assert bisect(tmp_path, "--finding", "cc") == 0
    assert "begins with PyO3 0.27.0" in capsys.readouterr().out
    assert bisect(tmp_path, "--finding", "ff") == 3
    assert "aaaaaaaaaaaa  memory lost with instances of a class" in capsys.readouterr().err


def test_with_one_test_only_that_one_is_run(world, tmp_path, capsys):
    world.leaks = {grown("a", "t::a", "t::b"): VERSIONS[5:]}
    assert bisect(tmp_path, "--test", "t::b") == 0
    assert world.options.tests == ("t::b",)
    assert world.options.partial
    assert "tests: t::b\n" in capsys.readouterr().out


def test_results_of_a_search_do_not_take_the_place_of_those_of_the_cells(world, tmp_path, capsys):
    world.leaks = {grown(): VERSIONS[5:]}
    assert bisect(tmp_path) == 0
    kept = sorted((tmp_path / "store").rglob("*.json"))
    assert kept
    assert not (tmp_path / "store" / "results").exists()


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({"good": "0.28"}, "--good 0.28: a full version"),
        ({"good": "0.28.3", "bad": "0.25.1"}, "Add --fixed"),
        ({"good": "0.28.3"}, "the same version"),
    ],
)
def test_ends_that_do_not_fit_are_usage_errors(world, tmp_path, capsys, ends, said):
    assert bisect(tmp_path, **ends) == 2
    assert said in capsys.readouterr().err


def test_a_yanked_end_is_refused_with_the_nearest_others(world, tmp_path, capsys, monkeypatch):
    def require(crate, version):
        raise Unsupported(f"{crate} {version} was yanked", next="Name another.")

    monkeypatch.setattr(registry, "require", require)
    assert bisect(tmp_path, good="0.28.0") == 3
    assert "was yanked" in capsys.readouterr().err


def test_a_changelog_that_cannot_be_had_makes_the_answer_no_worse(world, tmp_path, monkeypatch):
    world.leaks = {grown(): VERSIONS[5:]}

    def missing(version):
        raise Unsupported("cargo cannot bring it")

    monkeypatch.setattr(pyo3, "changelog", missing)
    assert bisect(tmp_path) == 0


def test_references_after_import_are_searched_for_too(world, tmp_path, capsys, monkeypatch):
    def check(cell, *rest):
        more = VERSIONS.index(cell.pyo3) < 4
        return replace(result(pyo3=cell.pyo3), totals={"census": {"A.x": 1 + more, "B": 1}})

    monkeypatch.setattr(pipeline, "check", check)
    assert bisect(tmp_path, "--fixed") == 0
    out = capsys.readouterr().out
    assert "references to attributes of classes too many after import" in out
    assert "is gone with PyO3 0.27.2; 0.27.1 still has it" in out
