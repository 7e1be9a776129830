import json
from datetime import UTC, datetime
from functools import partial

import pytest
from made import finding, places, result
from services import REPOSITORY, entry, running

from leakgrid import cli
from leakgrid.commands import gate as command
from leakgrid.matrix import load
from leakgrid.measurement import DETECTORS
from leakgrid.store import Store
from leakgrid.toolchain import identity
from leakgrid.watch.http import Client

CELL = "demo/py3.12-pyo3-0.30.1"
MATRIX = """
pythons = ["3.12"]
pyo3 = ["0.30.1"]
[targets.demo]
path = "demo"
[watch]
pyo3 = ">=0.29,<0.31"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "lib.rs").write_text("fn main() {}")
    (tmp_path / "matrix.toml").write_text(MATRIX)
    return tmp_path


@pytest.fixture
def store(project):
    return Store(project / "store", project / "base")


def gate(project, *arguments) -> int:
    matrix = ["--matrix", str(project / "matrix.toml")]
    return cli.main(["gate", *matrix, *places(project), *map(str, arguments)])


def evaluated(project, store, *findings, **changes):
    target = load(project / "matrix.toml").target("demo")
    digest = identity.sources_digest(target, project, store.baselines / "demo")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = {"pyo3": "0.30.1", "verdict": "clean", "sources": digest, "started": now}
    store.save_result(CELL, result(*findings, **made | {"detectors": DETECTORS} | changes))


def test_evaluated_for_these_sources_is_open(project, store, capsys):
    evaluated(project, store)

    assert gate(project, "--newest", "0.30.1") == 0
    assert capsys.readouterr().out == (
        f"Open: PyO3 0.30.1 was evaluated for these sources in {CELL}.\n"
    )


def test_a_changed_source_closes_it(project, store, capsys):
    evaluated(project, store)
    (project / "demo" / "lib.rs").write_text("fn main() { leak() }")

    assert gate(project, "--newest", "0.30.1") == 3
    assert capsys.readouterr().out.startswith(f"{CELL}: it was measured for other sources")


def test_a_run_of_some_detectors_closes_it(project, store, capsys):
    evaluated(project, store, detectors=("memcheck",))

    assert gate(project, "--newest", "0.30.1") == 3
    assert "it was measured without growth, refs, fds, threads, census" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["foo", "0.30", "0.30.1x", ">=0.30.1"])
def test_the_newest_has_to_be_a_version(project, store, capsys, version):
    evaluated(project, store)

    assert gate(project, "--newest", version) == 2
    assert f"--newest {version}: a full version is needed" in capsys.readouterr().err


def test_no_result_at_all_closes_it(project, capsys):
    assert gate(project, "--newest", "0.30.1", "--json", "-") == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["open"], said["exit_code"]) == (False, 3)
    assert [reason["kind"] for reason in said["reasons"]] == ["no-result"]


def test_accepting_the_findings_opens_it_and_taking_that_back_closes_it(project, store, capsys):
    made = finding("a")
    evaluated(project, store, made, verdict="unbaselined", comparison={"new": (made.id,)})

    assert gate(project, "--newest", "0.30.1") == 1
    assert cli.main(["accept", CELL, "--reason", "PyO3's own", *places(project)]) == 0
    assert gate(project, "--newest", "0.30.1") == 0

    evaluated(project, store, made, verdict="known", comparison={"known": (made.id,)})
    store.baseline_path(CELL).unlink()
    capsys.readouterr()

    assert gate(project, "--newest", "0.30.1") == 3
    assert "measured again" in capsys.readouterr().out


def test_the_newest_of_the_range_is_asked_of_the_index(project, store, capsys):
    evaluated(project, store)
    with running() as services:
        index = ("--index", services.url + "/index/")
        services.entries = [entry("0.29.0"), entry("0.30.1"), entry("0.30.2", yanked=True)]
        services.entries += [entry("0.31.0"), entry("0.31.0-beta.1")]
        assert gate(project, *index) == 0

        services.entries.append(entry("0.30.3"))
        assert gate(project, *index) == 3
    assert "PyO3 0.30.3 is the newest and not in the matrix" in capsys.readouterr().out


def test_an_index_that_does_not_answer_never_opens_it(project, store, capsys, monkeypatch):
    monkeypatch.setattr(command, "Client", partial(Client, sleep=lambda _: None))
    evaluated(project, store)

    assert gate(project, "--index", "http://127.0.0.1:9/index/") == 3
    assert "the newest PyO3 is not known" in capsys.readouterr().out


def test_a_range_without_a_release_never_opens_it(project, store, capsys):
    evaluated(project, store)
    with running() as services:
        services.entries = [entry("0.28.0")]
        assert gate(project, "--index", services.url + "/index/") == 3


def test_an_old_result_closes_it(project, store):
    evaluated(project, store, started="2020-01-01T00:00:00+00:00")

    assert gate(project, "--newest", "0.30.1") == 3
    assert gate(project, "--newest", "0.30.1", "--max-age", 100_000) == 0


def test_a_regression_opens_one_issue_that_closes_when_it_is_gone(project, store, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "s3cret")
    made = finding("a")
    evaluated(project, store, made, verdict="unbaselined", comparison={"new": (made.id,)})
    with running() as services:
        options = ("--issue", "--repository", REPOSITORY, "--github-api", services.url)
        for _ in range(2):
            assert gate(project, "--newest", "0.30.1", *options) == 1
        assert [item["state"] for item in services.issues] == ["open"]
        assert CELL in services.issues[0]["body"]

        store.result_path(CELL).unlink()
        assert gate(project, "--newest", "0.30.1", *options) == 3
        assert services.issues[0]["state"] == "open"

        evaluated(project, store)
        assert gate(project, "--newest", "0.30.1", *options) == 0
        assert [item["state"] for item in services.issues] == ["closed"]


def test_a_tracker_that_refuses_does_not_hide_why_the_gate_is_closed(
    project, store, monkeypatch, capsys
):
    monkeypatch.setenv("GITHUB_TOKEN", "wrong")
    made = finding("a")
    evaluated(project, store, made, verdict="unbaselined", comparison={"new": (made.id,)})
    with running() as services:
        options = ("--issue", "--repository", REPOSITORY, "--github-api", services.url)
        assert gate(project, "--newest", "0.30.1", *options) == 1
        told = capsys.readouterr()
        assert "unbaselined" in told.out
        assert "401" in told.err

        evaluated(project, store)
        assert gate(project, "--newest", "0.30.1", *options) == 3
