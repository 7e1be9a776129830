from __future__ import annotations

import json
from typing import Any

import pytest

from leakgrid.watch import advisories
from leakgrid.watch.advisories import Advisory
from leakgrid.watch.http import Answer, Client, Distrusted


class Said(Client):
    """A service that has answered already, page by page."""

    def ask(self, method: str, url: str, who: str, **more: Any) -> Answer:
        return Answer(200, json.dumps(pages[(more["data"] or {}).get("page_token", "")]).encode())


pages: dict[str, Any] = {}


def vuln(name: str, *events: dict[str, str], crate: str = "pyo3", **more: Any) -> dict[str, Any]:
    affected = {"package": {"name": crate}, "ranges": [{"type": "SEMVER", "events": list(events)}]}
    return {"id": name, "modified": "2026-01-01T00:00:00Z", "affected": [affected], **more}


def ask(*vulns: dict[str, Any]) -> tuple[Advisory, ...]:
    pages.clear()
    pages[""] = {"vulns": list(vulns)}
    return advisories.ask("pyo3", "http://any", Said())


@pytest.mark.parametrize(
    ("events", "hit", "missed"),
    [
        ([{"introduced": "0"}, {"fixed": "0.24.1"}], ["0.1.0", "0.24.0"], ["0.24.1", "0.30.0"]),
        ([{"introduced": "0.12.0"}], ["0.12.0", "1.0.0"], ["0.11.9"]),
        ([{"introduced": "0.12.0"}, {"last_affected": "0.13.0"}], ["0.13.0"], ["0.13.1"]),
        (
            [
                {"introduced": "0.0.0-0"},
                {"fixed": "0.2.0"},
                {"introduced": "0.3.0"},
                {"fixed": "0.4.0"},
            ],
            ["0.1.0", "0.3.5"],
            ["0.2.5", "0.4.0"],
        ),
    ],
)
def test_ranges_tell_which_versions(
    events: list[dict[str, str]], hit: list[str], missed: list[str]
) -> None:
    (advisory,) = ask(vuln("A", *events))
    assert [version for version in [*hit, *missed] if advisory.affects(version)] == hit


def test_other_packages_and_withdrawn_ones_concern_nobody() -> None:
    found = ask(
        vuln("A", {"introduced": "0"}, crate="other"),
        vuln("B", {"introduced": "0"}, withdrawn="2026-01-02T00:00:00Z"),
    )
    assert not any(advisory.affects("0.30.0") for advisory in found)


def test_the_same_matter_of_two_databases_is_told_once() -> None:
    found = ask(vuln("GHSA-1", aliases=["RUSTSEC-1"]), vuln("RUSTSEC-1", aliases=["GHSA-1"]))
    assert [advisory.id for advisory in found] == ["RUSTSEC-1"]


def test_every_page_is_read_and_an_endless_one_is_not_believed() -> None:
    pages.clear()
    pages[""] = {"vulns": [vuln("A")], "next_page_token": "two"}
    pages["two"] = {"vulns": [vuln("B")]}
    assert [item.id for item in advisories.ask("pyo3", "http://any", Said())] == ["A", "B"]
    pages["two"]["next_page_token"] = "two"
    with pytest.raises(Distrusted):
        advisories.ask("pyo3", "http://any", Said())


@pytest.mark.parametrize("broken", [{"id": "A"}, {"modified": "x"}, 5, {"affected": [{}]}])
def test_an_answer_of_another_form_is_not_believed(broken: Any) -> None:
    with pytest.raises(Distrusted):
        ask(broken)
