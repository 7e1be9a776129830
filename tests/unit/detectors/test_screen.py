"""From the screen's journal to a report and its findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leakgrid.detectors import screen
from leakgrid.detectors.journal import Journal
from leakgrid.detectors.screen import ScreenReport


def suspect(detector: str, kind: str, name: str, per_call: float = 1, size: float = 0) -> Any:
    return {
        "detector": detector,
        "kind": kind,
        "object": name,
        "per_call": per_call,
        "bytes": size,
    }


class Writer:
    """Writes a journal as the code in a cell does."""

    def __init__(self, tests: list[str]) -> None:
        self.journal = Journal()
        self.tests = tests
        self.event("collected", tests=tests, threads=1, allocator="malloc", pid=7, fork=True)

    def event(self, name: str, **fields: Any) -> None:
        self.journal.take(json.loads(json.dumps({"event": name, **fields})))

    def passed(self, test: int) -> None:
        self.event("begin", batch=0, test=test)
        self.event("end", batch=0, test=test, outcome="passed", seconds=0.01, errors=0, why="")
        self.event("screen-begin", batch=0, test=test)

    def screened(self, test: int, status: str, why: str = "", *suspects: Any) -> None:
        self.passed(test)
        self.event(
            "screened",
            batch=0,
            test=test,
            status=status,
            why=why,
            calls=8,
            seconds=0.1,
            suspects=suspects,
            dropped=[],
        )

    def report(self) -> ScreenReport:
        return screen.report(self.journal, self.tests)


def test_the_same_object_in_two_tests_is_one_finding_with_both_and_the_smaller_amount() -> None:
    writer = Writer(["t.py::a", "t.py::b"])
    writer.screened(0, "leak", "", suspect("growth", "object", "list", 2, 128))
    writer.screened(1, "leak", "", suspect("growth", "object", "list", 1, 64))
    (finding,) = writer.report().findings()
    assert finding.tests == ("t.py::a", "t.py::b")
    assert (finding.blocks, finding.bytes, finding.per_call) == (1, 64, True)


def test_objects_of_two_types_are_two_findings() -> None:
    writer = Writer(["t.py::a"])
    writer.screened(
        0, "leak", "", suspect("growth", "object", "list"), suspect("refs", "reference", "type T")
    )
    found = {(item.detector, item.summary.split()[1]) for item in writer.report().findings()}
    assert {detector for detector, _ in found} == {"growth", "refs"}


def test_only_the_detectors_asked_for_report() -> None:
    writer = Writer(["t.py::a"])
    writer.screened(
        0, "leak", "", suspect("growth", "object", "list"), suspect("refs", "reference", "None")
    )
    assert [f.detector for f in writer.report().findings(["refs"])] == ["refs"]


@pytest.mark.parametrize("status", ["settled", "held", "irregular"])
def test_growth_that_is_none_is_listed_with_its_reason_and_no_finding(status: str) -> None:
    writer = Writer(["t.py::a"])
    writer.screened(0, status, "held by Python (list x.KEPT)")
    report = writer.report()
    assert report.findings() == ()
    assert report.not_judged == ()
    assert [item["why"] for item in report.dropped_but()] == ["held by Python (list x.KEPT)"]
    assert report.dropped_but({"t.py::a"}) == ()


def test_what_ran_out_of_time_is_neither_found_nor_clean() -> None:
    writer = Writer(["t.py::a"])
    writer.screened(0, "undecided", "out of time", suspect("growth", "undecided", "heap"))
    report = writer.report()
    assert report.findings() == ()
    assert [item["what"] for item in report.not_judged] == ["t.py::a"]


def test_a_test_that_was_never_reached_is_not_judged() -> None:
    report = Writer(["t.py::a"]).report()
    assert report.repeatable == {"t.py::a": False}
    assert report.not_judged


def test_a_process_that_dies_while_repeating_leaves_the_outcome_and_says_so() -> None:
    writer = Writer(["t.py::a"])
    writer.passed(0)
    writer.event("lost", batch=0, pid=9, test=0, hung=False, signal=11, exit=None, seconds=1.0)
    assert writer.journal.tests["t.py::a"].outcome == "passed"
    report = writer.report()
    assert report.repeatable == {"t.py::a": False}
    assert "SIGSEGV" in report.tests["t.py::a"].why


def test_a_process_that_dies_in_the_test_itself_is_a_crash() -> None:
    writer = Writer(["t.py::a"])
    writer.event("begin", batch=0, test=0)
    writer.event("lost", batch=0, pid=9, test=0, hung=False, signal=11, exit=None, seconds=1.0)
    assert writer.journal.tests["t.py::a"].outcome == "crashed"


def test_the_census_reaches_the_report(tmp_path: Path) -> None:
    writer = Writer(["t.py::a"])
    path = tmp_path / "journal"
    path.write_text(json.dumps({"event": "census", "objects": {"type T": 3}}) + "\n")
    writer.journal.read(path)
    assert writer.report().census == {"type T": 3}


def test_memory_that_does_not_show_is_said_and_the_rest_stays() -> None:
    writer = Writer(["t.py::a"])
    writer.event("heap-canary", planted=["malloc", "object", "rust"], seen=["malloc", "object"])
    writer.screened(0, "leak", "", suspect("refs", "reference", "type T"))
    report = writer.report()
    assert report.blind == ("rust",)
    assert "extension's own allocator" in report.blindness[0]
    assert [finding.detector for finding in report.findings()] == ["refs"]


def test_a_heap_that_cannot_be_read_is_one_sentence() -> None:
    writer = Writer(["t.py::a"])
    writer.event("heap-canary", planted=["malloc", "object", "rust"], seen=[])
    assert len(writer.report().blindness) == 1


def test_a_heap_that_shows_everything_is_not_blind() -> None:
    writer = Writer(["t.py::a"])
    writer.event("heap-canary", planted=["malloc", "object"], seen=["malloc", "object"])
    assert writer.report().blindness == ()
