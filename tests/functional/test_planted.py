"""Planted faults are found, named, accepted and recognised again; what is sound has none."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leakgrid.baseline import Baseline, read
from leakgrid.measurement import DETECTORS
from leakgrid.store import read_result

pytestmark = [pytest.mark.functional, pytest.mark.network]

FIND = "tests/test_shelf.py::test_find_gives_the_place"


@pytest.fixture(scope="session")
def unplanted(bench):
    """The sound extension, evaluated and accepted as it is."""
    ran = bench.check(bench.project("healthy"), baselines="sound")
    text = bench.accept(ran, "sound")
    return ran, read(text)


@dataclass(frozen=True)
class Planted:
    """One leak's way: new against the sound baseline, without any, accepted, and once more."""

    regressed: Any
    unbaselined: Any
    accepted: Baseline
    known: Any
    again: Any

    @property
    def ids(self) -> list[str]:
        return self.regressed.ids


@pytest.fixture(scope="session")
def planted(bench, unplanted):
    """The same with a leak in one method."""
    project = bench.project("healthy", feature="leak", name="leaky")
    regressed = bench.check(project, baselines="sound")
    unbaselined = bench.check(project, baselines="leaky")
    accepted = read(bench.accept(unbaselined, "leaky"))
    known = bench.check(project, baselines="leaky")
    again = bench.check(project, "--fresh", baselines="leaky")
    return Planted(regressed, unbaselined, accepted, known, again)


def is_the_leak(finding) -> bool:
    functions = [frame["function"] for frame in finding["frames"]]
    return (
        (finding["detector"], finding["kind"]) == ("memcheck", "definitely-lost")
        and finding["owner"] == "extension"
        and finding["bytes"] == 500 * finding["blocks"]
        and any("find" in function for function in functions)
    )


def test_the_sound_extension_is_clean(unplanted):
    ran, baseline = unplanted
    assert (ran.verdict, ran.code, ran.findings) == ("clean", 0, [])
    assert set(ran.outcomes().values()) == {"passed"}
    assert all(seen > 0 for seen in ran.result["canary"].values())
    assert set(ran.result["canary"]) == {"malloc", "object", "rust"}
    assert (baseline.entries, baseline.tests) == ((), len(ran.outcomes()))


def test_a_planted_leak_regresses_and_names_the_function_and_the_test(planted):
    ran = planted.regressed
    assert (ran.verdict, ran.code) == ("regressed", 1)
    (finding,) = ran.findings
    assert is_the_leak(finding)
    assert finding["tests"] == [FIND]
    assert "src/lib.rs" in {frame["file"] for frame in finding["frames"]}
    assert ran.result["comparison"]["new"] == [finding["id"]]
    assert "1 new finding (extension 1)" in ran.reason
    assert f"leakgrid accept {ran.cell} --reason" in ran.told


def test_a_leak_without_a_baseline_is_unbaselined_and_accepted_it_is_known(planted):
    ran = planted.unbaselined
    assert (ran.verdict, ran.code, ran.ids) == ("unbaselined", 1, planted.ids)
    (entry,) = planted.accepted.entries
    assert (entry.id, entry.reason, entry.tests) == (planted.ids[0], "on purpose", (FIND,))
    assert (planted.known.verdict, planted.known.code) == ("known", 0)
    assert "running the tests" not in planted.known.told  # compared anew, not measured anew


def test_a_second_run_gives_the_same_signatures(planted):
    assert "running the tests under Valgrind" in planted.again.told
    assert (planted.again.verdict, planted.again.ids) == ("known", planted.ids)
    assert planted.again.functions() == planted.regressed.functions()


def test_all_detectors_together_tell_the_leak_once_and_per_call(bench):
    project = bench.project("healthy", feature="leak")
    ran = bench.check(project, python="3.9", detectors=",".join(DETECTORS))
    assert (ran.verdict, ran.code) == ("unbaselined", 1)
    (finding,) = ran.findings
    assert (finding["detector"], finding["owner"]) == ("growth", "extension")
    assert (finding["per_call"], finding["blocks"], finding["bytes"]) == (True, 1, 500)
    assert any("find" in frame["function"] for frame in finding["frames"])
    assert finding["tests"] == [FIND]


def test_a_suite_that_cannot_be_forked_shows_the_same_leak(bench, planted):
    ran = bench.check(bench.project("threads", feature="leak"))
    assert (ran.verdict, ran.code, ran.ids) == ("unbaselined", 1, planted.ids)
    assert ran.findings[0]["tests"] == ["tests/test_threads.py::test_find"]


def test_memory_errors_name_every_test_that_makes_them(bench):
    ran = bench.check(bench.project("faults"))
    assert (ran.verdict, ran.code) == ("unbaselined", 1)
    found = {finding["kind"]: finding for finding in ran.findings}
    assert set(found) == {"invalid-read", "uninitialised-value"}
    freed, unset = found["invalid-read"], found["uninitialised-value"]
    assert freed["tests"] == [
        "tests/test_faults.py::test_reads_what_was_freed",
        "tests/test_faults.py::test_reads_what_was_freed_again",
    ]
    assert freed["summary"].startswith("Invalid read of size 1")
    assert any("read_freed" in frame["function"] for frame in freed["frames"])
    assert unset["tests"] == ["tests/test_faults.py::test_uses_what_was_never_set"]
    assert any("use_unset" in frame["function"] for frame in unset["frames"])
    assert {freed["owner"], unset["owner"]} == {"extension"}


def test_a_baseline_holds_in_another_checkout_with_another_home(bench, planted, tmp_path):
    project = shutil.copytree(
        bench.project("healthy", feature="leak"), tmp_path / "else where" / "checkout"
    )
    answer = bench.shell(project, tmp_path / "store", elsewhere(tmp_path), baselines="leaky")
    said = answer.communicate()[1]
    assert answer.returncode == 0, said
    result = read_result(tmp_path / "store" / "results" / f"{planted.known.cell}.json")
    assert (result.verdict, [f.id for f in result.findings]) == ("known", planted.ids)


def elsewhere(folder: Path) -> dict[str, str]:
    """Another HOME and another CARGO_HOME; what was downloaded before is linked, not copied."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    moved = folder / "cargo"
    moved.mkdir()
    for name in ("registry", "config.toml", "config"):
        if (cargo / name).exists():
            (moved / name).symlink_to(cargo / name)
    (folder / "home").mkdir()
    return {
        "HOME": str(folder / "home"),
        "CARGO_HOME": str(moved),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
    }


# --- running again -------------------------------------------------------------------------------


def test_an_unchanged_cell_is_not_run_again_and_says_so(bench):
    project = bench.project("healthy", name="again")
    first = bench.check(project)
    history = (bench.store / "history" / "subject.jsonl").read_text()
    second = bench.check(project)
    assert (bench.store / "history" / "subject.jsonl").read_text() == history
    assert (first.verdict, second.verdict) == ("clean", "clean")
    assert second.result["started"] == first.result["started"]
    assert "nothing changed since the stored result; --fresh runs again" in second.told
    assert "building" not in second.told

    with (project / "tests" / "test_shelf.py").open("a") as stream:
        stream.write("\n\ndef test_more():\n    assert Shelf().titles() == []\n")
    third = bench.check(project)
    assert "running the tests under Valgrind" in third.told
    assert third.outcomes().keys() - first.outcomes().keys() == {"test_more"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing_half_done_and_is_resumed(bench, tmp_path, number):
    project = bench.project("healthy", name="interrupted")
    before = bench.check(project)
    stored = bench.store / "results" / f"{before.cell}.json"
    text = stored.read_bytes()
    environ = {"TMPDIR": str(tmp_path)}

    running = bench.shell(project, bench.store, environ, "--fresh")
    try:
        wait_until(lambda: under_valgrind(tmp_path) or running.poll() is not None)
        assert running.poll() is None
        running.send_signal(number)
        said = running.communicate(timeout=60)[1]
    finally:
        running.kill()
    if number == signal.SIGKILL:
        assert running.returncode == -signal.SIGKILL
    else:
        assert running.returncode == 4
        assert "interrupted; finished cells are kept" in said
        assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not processes_below(tmp_path))
    assert stored.read_bytes() == text
    assert {path.suffix for path in stored.parent.iterdir()} == {".json"}

    resumed = bench.check(project, "--fresh")
    assert (resumed.verdict, resumed.code) == ("clean", 0)


def under_valgrind(folder: Path) -> bool:
    """Whether a process of the run with this TMPDIR has begun its XML file."""
    try:
        return bool(list(folder.glob("leakgrid-*/memcheck*/mc.*.xml")))
    except FileNotFoundError:  # another scratch folder went away meanwhile
        return False


def wait_until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def processes_below(folder: Path) -> list[str]:
    """Processes that have this TMPDIR, by their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environ = (path / "environ").read_bytes()
            if str(folder).encode() in environ and (path / "stat").read_text().split()[2] != "Z":
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
