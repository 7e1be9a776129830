"""``leakgrid watch`` against a local server, and through this machine's cargo."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import services
from made import CELL, result
from services import REPOSITORY, Services, entry, status

from leakgrid import cli, registry
from leakgrid.commands import watch
from leakgrid.store import Store
from leakgrid.watch.http import Client

MATRIX = """\
# what is evaluated
pythons = ["3.12", "3.13"]
pyo3 = [
    "0.28.3",  # the last of its minor
    "0.29.0",
]

[targets.demo]
path = "demo"

[watch]
pyo3 = ">=0.28"
"""


@dataclass
class Desk:
    """A project, its store, and the server that it is watched with."""

    folder: Path
    services: Services
    capture: pytest.CaptureFixture[str]
    waits: list[float] = field(default_factory=list)
    out: str = ""
    err: str = ""

    @property
    def matrix(self) -> Path:
        return self.folder / "matrix.toml"

    @property
    def state(self) -> Path:
        return self.folder / "store" / "watch.json"

    @property
    def store(self) -> Store:
        return Store(self.folder / "store", self.folder / "baselines")

    def arguments(self, *more: str) -> list[str]:
        places = ["--matrix", str(self.matrix), "--store", str(self.folder / "store")]
        return ["watch", *places, *self.services.arguments(), *more]

    def watch(self, *more: str) -> int:
        code = cli.main(self.arguments(*more))
        self.out, self.err = self.capture.readouterr()
        return code

    def seen(self, *more: str) -> tuple[int, dict[str, Any]]:
        code = self.watch("--json", "-", *more)
        return code, json.loads(self.out)

    def new(self, *more: str) -> list[str]:
        return [release["version"] for release in self.seen(*more)[1]["new"]]


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    (tmp_path / "demo" / "src").mkdir(parents=True)
    (tmp_path / "demo" / "src" / "lib.rs").write_text("#[pyclass]\nstruct Shelf;\n")
    (tmp_path / "matrix.toml").write_text(MATRIX)
    cargo = tmp_path / "cargo"
    cargo.write_text("#!/bin/sh\nexit 1\n")
    cargo.chmod(0o755)
    monkeypatch.setenv("CARGO", str(cargo))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    registry.lookup.cache_clear()  # other tests of this process have asked the real one
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_TOKEN", "s3cret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with services.running() as server:
        made = Desk(tmp_path, server, capsys)
        quick = functools.partial(
            Client, sleep=made.waits.append, silence=1.0, total=2.0, size=100_000
        )
        monkeypatch.setattr(watch, "Client", quick)
        yield made


def test_nothing_new_is_due_and_the_unchanged_index_is_not_sent_again(desk: Desk) -> None:
    assert desk.watch() == 0
    assert "Nothing is due" in desk.out
    before = desk.state.read_bytes()
    code, seen = desk.seen()
    assert (code, seen["unchanged"], seen["newest"]) == (0, True, "0.29.0")
    assert "If-None-Match" in desk.services.seen[-2][2]
    assert json.loads(desk.state.read_text())["versions"] == json.loads(before)["versions"]


def test_a_new_release_is_due_until_it_is_in_the_matrix_and_measured(desk: Desk) -> None:
    desk.watch()
    desk.services.entries += [
        entry("0.29.1", pubtime="2026-08-02T21:38:12Z", rust_version="1.83"),
        entry("0.29.2"),
        entry("0.30.1"),
    ]
    code, seen = desk.seen()
    assert code == 10
    assert [(item["version"], item["kind"], item["proposed"]) for item in seen["new"]] == [
        ("0.29.1", "patch", False),
        ("0.29.2", "patch", True),
        ("0.30.1", "minor", True),
    ]
    assert seen["new"][0]["published"] == "2026-08-02T21:38:12Z"
    assert seen["new"][0]["rust_version"] == "1.83"
    assert seen["new"][1]["published"] is None
    code, again = desk.seen()
    assert (code, again["new"], again["unchanged"]) == (10, [], True)
    assert again["proposals"] == seen["proposals"]
    assert desk.watch("--write") == 10
    assert desk.matrix.read_text() == MATRIX.replace(
        '    "0.29.0",\n', '    "0.29.0",\n    "0.29.2",\n    "0.30.1",\n'
    )


def test_yanked_and_unyanked_versions_are_told(desk: Desk) -> None:
    desk.services.entries += [entry("0.29.1", yanked=True)]
    assert desk.watch() == 0
    assert "0.29.1: patch" in desk.out
    assert "it is yanked" in desk.out
    desk.services.entries[0]["yanked"] = True
    desk.services.entries[2]["yanked"] = False
    code, seen = desk.seen()
    assert (code, seen["yanked"], seen["unyanked"]) == (10, ["0.28.3"], ["0.29.1"])
    assert [reason["kind"] for reason in seen["reasons"]] == ["new-pyo3", "yanked"]


def test_the_line_ends_of_the_matrix_file_stay(desk: Desk) -> None:
    desk.services.entries.append(entry("0.30.1"))
    desk.matrix.write_bytes(MATRIX.replace("\n", "\r\n").encode())
    assert desk.watch("--write") == 10
    written = desk.matrix.read_bytes()
    assert b'"0.30.1"' in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_pre_releases_are_followed_only_when_asked_for(desk: Desk) -> None:
    desk.services.entries.append(entry("0.30.0-beta.1"))
    code, seen = desk.seen("--state", str(desk.folder / "other.json"))
    assert (code, seen["newest"]) == (0, "0.29.0")
    assert [item["kind"] for item in seen["new"]] == ["pre-release"]
    code, seen = desk.seen("--pre")
    assert (code, seen["newest"]) == (10, "0.30.0-beta.1")


@pytest.mark.parametrize(
    ("trouble", "code", "told", "tries"),
    [
        (status(200, b"<html>login</html>"), 4, "something else than its entry", 1),
        (status(200, b'{"name": "other", "vers": "1.0.0"}\n'), 4, "about 'other'", 1),
        (status(200, b""), 4, "has lost versions", 1),
        (services.cut_off, 4, "cut off", 4),
        (services.oversized, 4, "more than 100000 bytes", 1),
        (services.silent, 3, "too slow", 4),
        (services.dripping, 3, "too slow", 4),
        (services.hung_up, 3, "crate index", 4),
        (status(403), 3, "refuses to answer: it answers 403", 1),
        (status(404), 3, "refuses to answer: it answers 404", 1),
        (status(429, Retry_After="7"), 3, "limits how often", 4),
        (status(429, Retry_After="3600"), 3, "again in 3600 seconds", 1),
        (status(500), 3, "fails: it answers 500", 4),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_look_that_fails_loses_nothing_and_a_rerun_goes_on(
    desk: Desk, trouble: services.Trouble, code: int, told: str, tries: int
) -> None:
    desk.watch()
    before = json.loads(desk.state.read_text())
    desk.services.entries.append(entry("0.30.1"))
    desk.services.seen.clear()
    desk.services.troubles["index"] = [trouble] * 4
    assert desk.watch() == code
    assert told in re.sub(r"\s+", " ", desk.out)
    assert "Nothing is due" not in desk.out
    assert len(desk.services.asked("/index/")) == tries
    after = json.loads(desk.state.read_text())
    assert (after["versions"], after["looked"]) == (before["versions"], before["looked"])
    desk.services.troubles.clear()
    assert desk.new() == ["0.30.1"]


def test_an_answer_cut_off_between_two_lines_is_not_believed(desk: Desk) -> None:
    desk.watch()
    kept = desk.services.entries
    desk.services.entries = kept[:1]
    assert desk.watch() == 4
    assert "has lost versions of pyo3: 0.29.0" in desk.out
    desk.services.entries = kept
    assert desk.watch() == 0


def test_what_passes_is_tried_again_with_growing_pauses(desk: Desk) -> None:
    desk.services.troubles["index"] = [status(500), services.hung_up, services.cut_off]
    assert desk.watch() == 0
    assert desk.waits == [1.0, 2.0, 4.0]


def test_the_pause_that_a_server_asks_for_is_kept(desk: Desk) -> None:
    desk.services.troubles["index"] = [status(429, Retry_After="7"), status(503, Retry_After="9")]
    assert desk.watch() == 0
    assert desk.waits == [7.0, 9.0]


def test_without_a_network_what_was_seen_before_stays_due(desk: Desk) -> None:
    desk.services.entries.append(entry("0.30.1"))
    assert desk.watch() == 10
    nowhere = ["--index", "http://127.0.0.1:9/", "--advisories", "http://127.0.0.1:9"]
    assert desk.watch(*nowhere) == 10
    assert desk.out.count("Could not look") == 2
    assert desk.watch(*nowhere, "--write") == 10
    assert '"0.30.1"' in desk.matrix.read_text()


def test_a_server_that_speaks_no_tls_is_refused_without_a_second_try(desk: Desk) -> None:
    desk.watch()
    before = json.loads(desk.state.read_text())
    secure = desk.services.url.replace("http:", "https:")
    assert desk.watch("--index", secure) == 3
    assert "cannot be asked over TLS" in desk.out
    assert desk.waits == []
    assert json.loads(desk.state.read_text())["versions"] == before["versions"]


def test_passwords_of_a_netrc_go_nowhere(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = desk.folder / "netrc"
    secrets.write_text("machine 127.0.0.1 login me password hush\n")
    secrets.chmod(0o600)
    monkeypatch.setenv("NETRC", str(secrets))
    assert desk.watch() == 0
    assert desk.services.seen
    for _, _, headers in desk.services.seen:
        assert "Authorization" not in headers
        assert headers["User-Agent"].startswith("leakgrid/")


def test_an_index_that_wants_a_login_is_asked_through_cargo(desk: Desk) -> None:
    desk.services.troubles["index"] = [status(401)]
    assert desk.watch() == 3
    assert "cargo has no index entry" in desk.out


def test_an_advisory_is_due_until_the_versions_were_measured_after_it(desk: Desk) -> None:
    desk.services.vulns = [
        {
            "id": "GHSA-test",
            "aliases": ["RUSTSEC-test"],
            "summary": "use after free",
            "modified": "2026-05-01T00:00:00Z",
            "affected": [
                {
                    "package": {"name": "pyo3", "ecosystem": "cargo"},
                    "ranges": [
                        {"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "0.29.0"}]}
                    ],
                }
            ],
        }
    ]
    code, seen = desk.seen()
    assert code == 10
    (reason,) = seen["reasons"]
    assert reason["kind"] == "advisory"
    assert reason["cells"] == ["demo/py3.12-pyo3-0.28.3", "demo/py3.13-pyo3-0.28.3"]
    for cell in reason["cells"]:
        python = {"version": cell[7:11]}
        made = result(pyo3="0.28.3", python=python, started="2026-06-01T00:00:00+00:00")
        desk.store.save_result(cell, made)
    assert "advisory" not in [item["kind"] for item in desk.seen("--max-age", "9999")[1]["reasons"]]


@pytest.mark.parametrize(
    ("trouble", "code"), [(status(500), 3), (status(200, b"[]"), 4), (status(200, b"no"), 4)]
)
def test_an_advisory_service_that_fails_is_not_taken_for_no_advisory(
    desk: Desk, trouble: services.Trouble, code: int
) -> None:
    desk.services.troubles["advisories"] = [trouble] * 4
    assert desk.watch() == code
    assert "Could not look" in desk.out
    assert desk.state.exists()


def test_the_plan_names_sessions_and_the_outcome_goes_to_later_steps(desk: Desk) -> None:
    desk.services.entries.append(entry("0.30.1"))
    output = desk.folder / "output"
    assert desk.watch("--write", "--plan", "--github-output", str(output)) == 10
    plan = json.loads(desk.out)
    assert [job["sessions"] for job in plan["include"]] == [
        "valgrind(python='3.12', pyo3='0.30.1')",
        "valgrind(python='3.13', pyo3='0.30.1')",
    ]
    said = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert json.loads(said.pop("plan")) == plan
    assert said == {
        "due": "true",
        "looked": "true",
        "newest": "0.30.1",
        "new": "0.30.1",
        "written": "true",
        "jobs": "2",
        "cells": "2",
    }


def test_one_issue_for_each_version_whatever_happens(desk: Desk) -> None:
    desk.services.page_size = 2
    desk.services.issues = [
        {"number": n, "state": "open", "title": "other", "body": None} for n in (1, 2, 3)
    ]
    desk.services.entries.append(entry("0.30.1"))
    assert desk.watch("--issue", "--dry-run") == 10
    assert "would open an issue: PyO3 0.30.1" in desk.err
    assert not desk.state.exists()
    assert len(desk.services.issues) == 3
    desk.services.troubles["github"] = [status(403, b'{"message": "no"}')]
    assert desk.watch("--issue") == 3
    assert "refuses to answer" in desk.err
    for _ in range(2):
        assert desk.watch("--issue", "--write") == 10
    made = desk.services.issues[3:]
    assert [issue["title"] for issue in made] == ["PyO3 0.30.1: does it leak?"]
    assert desk.services.asked("/issues").count("POST") == 1
    for cell in ("demo/py3.12-pyo3-0.30.1", "demo/py3.13-pyo3-0.30.1"):
        desk.store.save_result(cell, result(pyo3="0.30.1", verdict="clean", reason="no leak @all"))
    desk.watch("--issue", "--offline")
    assert made[0]["state"] == "closed"
    assert "**Verdict: clean**" in made[0]["body"]
    assert "PyO3 0.30.1 (minor) is not in the matrix" in made[0]["body"]
    assert "@" not in made[0]["body"]
    desk.watch("--issue", "--offline")
    assert "stays as it is" in desk.err


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(services.hung_up, 3), (status(502), 3), (services.silent, 3), (services.cut_off, 4)],
)
def test_a_lost_answer_to_a_new_issue_is_not_asked_for_twice(
    desk: Desk, trouble: services.Trouble, code: int
) -> None:
    desk.services.entries.append(entry("0.30.1"))

    def made_but_lost(handler: services.Handler) -> None:
        desk.services.issues.append({"number": 1, "state": "open", **handler.sent})
        trouble(handler)

    desk.services.troubles["github"] = [services.Handler.normal, made_but_lost]
    assert desk.watch("--issue") == code
    assert desk.services.asked("/issues").count("POST") == 1
    assert desk.watch("--issue") == 10
    assert len(desk.services.issues) == 1
    assert "says it already" in desk.err


def test_a_run_killed_at_any_moment_leaves_the_state_whole(desk: Desk) -> None:
    desk.services.entries += [entry(f"0.28.3-alpha.{n}") for n in range(2000)]
    command = [sys.executable, "-m", "leakgrid", *desk.arguments()]
    subprocess.run(command, check=True, env=os.environ, stdout=subprocess.DEVNULL)
    for wait in (0.0, 0.01, 0.03):
        before = desk.state.stat().st_mtime_ns
        with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            running.stdout.readline()  # it has looked, and is about to write
            time.sleep(wait)
            running.send_signal(signal.SIGKILL)
        state = json.loads(desk.state.read_text())
        assert len(state["versions"]) == 2002
        assert desk.state.stat().st_mtime_ns >= before
    assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_stored_results_tell_another_python_and_what_is_stale(desk: Desk) -> None:
    made = result(
        pyo3="0.29.0",
        python={"version": "3.12.999"},
        toolchain={"valgrind": "1.0.0"},
        started="2020-01-01T00:00:00+00:00",
    )
    desk.store.save_result("demo/py3.12-pyo3-0.29.0", made)
    code, seen = desk.seen()
    assert code == 10
    assert {"new-cpython", "new-valgrind", "stale"} >= {r["kind"] for r in seen["reasons"]}
    assert "stale" in {reason["kind"] for reason in seen["reasons"]}
    assert CELL not in str(seen)


def test_a_changed_surface_is_due_until_the_target_was_measured(desk: Desk) -> None:
    assert desk.watch() == 0
    source = desk.folder / "demo" / "src" / "lib.rs"
    source.write_text("#[pyclass]\nstruct Shelf;\n#[pyfunction]\nfn read() { unsafe {} }\n")
    for _ in range(2):
        code, seen = desk.seen()
        assert code == 10
        assert [reason["kind"] for reason in seen["reasons"]] == ["surface"]
        assert seen["reasons"][0]["details"] == ["new: pyfunction read", "unsafe: 0 -> 1"]
    for name in seen["reasons"][0]["cells"]:
        pyo3, python = name.rpartition("-")[2], {"version": name[7:11]}
        later = "2999-01-01T00:00:00+00:00"
        desk.store.save_result(name, result(pyo3=pyo3, python=python, started=later))
    assert desk.watch() == 0
    source.write_text("#[pyclass]\nstruct Shelf;\n")
    assert desk.watch() == 10


@pytest.mark.functional
@pytest.mark.network
def test_through_this_machines_cargo_what_came_after_a_version_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo").mkdir()
    matrix = tmp_path / "matrix.toml"
    matrix.write_text(MATRIX.replace('    "0.28.3",  # the last of its minor\n', ""))
    places = ["--matrix", str(matrix), "--store", str(tmp_path / "store")]
    arguments = ["--index", "cargo", "--advisories", "none", "--json", "-"]
    assert cli.main(["watch", *places, *arguments, "--since", "0.29.0"]) == 10
    seen = json.loads(capsys.readouterr().out)
    listed = [entry.version for entry in registry.versions("pyo3")]
    after = listed[listed.index("0.29.0") + 1 :]
    assert [release["version"] for release in seen["new"]] == after
    assert {"0.29.1", "0.29.2", "0.29.3", "0.30.1"} <= set(after)
    assert "0.30.0" not in after
    assert seen["newest"] == next(v for v in reversed(after) if "-" not in v)
