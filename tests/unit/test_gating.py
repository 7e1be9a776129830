from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from made import result

from leakgrid.gating import Question, gate_exit_code, judge
from leakgrid.matrix import Cell, CellPlan, Target
from leakgrid.measurement import DETECTORS, Measurement

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NEWEST, OLD = "0.30.1", "0.29.3"
SOURCES = {"demo": "5e0f"}


def plan(pyo3: str, python: str = "3.12", excluded: str = "") -> CellPlan:
    return CellPlan(Cell("demo", python, pyo3), Target("demo", path="."), excluded=excluded)


def measured(pyo3: str = NEWEST, **changes):
    base = result(pyo3=pyo3, verdict="clean", sources="5e0f", started="2026-11-22T00:00:00+00:00")
    return replace(base, **{"detectors": DETECTORS, **changes})


def question(*results, plans=(), **changes) -> Question:
    base = Question(
        plans=plans or (plan(OLD), plan(NEWEST)),
        newest=NEWEST,
        sources=SOURCES,
        results={f"demo/py3.12-pyo3-{item.pyo3}": item for item in results},
        now=NOW,
        limit=timedelta(days=30),
        detectors=DETECTORS,
    )
    return replace(base, **changes)


def kinds(asked: Question) -> list[str]:
    return [reason.kind for reason in judge(asked)]


def test_the_newest_evaluated_for_these_sources_opens_it():
    assert judge(question(measured())) == ()
    assert judge(question(measured(), measured(OLD, verdict="improved"))) == ()


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"verdict": "regressed"}, "regressed", 1),
        ({"verdict": "unbaselined"}, "unbaselined", 1),
        ({"verdict": "blind"}, "blind", 4),
        ({"verdict": "timed-out"}, "timed-out", 4),
        ({"verdict": "build-failed"}, "build-failed", 3),
        ({"verdict": "a word of tomorrow"}, "a word of tomorrow", 4),
        ({"partial": True}, "partial", 3),
        ({"partial": True, "detectors": ("growth",)}, "partial", 3),
        ({"detectors": ("memcheck",)}, "detectors", 3),
        ({"detectors": ()}, "detectors-unknown", 3),
        ({"not_checked": ("of something (--no-undefined)",)}, "undefined-off", 3),
        ({"sources": ""}, "sources-unknown", 3),
        ({"sources": "beef"}, "other-sources", 3),
        ({"started": "2026-10-01T00:00:00+00:00"}, "too-old", 3),
        ({"started": "2026-10-01T00:00:00"}, "too-old", 3),
        ({"started": "2027-10-01T00:00:00+00:00"}, "from-the-future", 3),
        ({"started": "yesterday"}, "undated", 3),
    ],
)
def test_each_reason_closes_it_with_its_exit_code(changes, kind, code):
    reasons = judge(question(measured(**changes)))

    assert [reason.kind for reason in reasons] == [kind]
    assert gate_exit_code(reasons) == code


def test_a_missing_detector_is_named_with_what_to_do():
    left = tuple(name for name in DETECTORS if name not in ("fds", "threads"))
    (reason,) = judge(question(measured(detectors=left)))

    assert "measured without fds, threads; run it again with all of them" in reason.text


@pytest.mark.parametrize(("undefined", "kind"), [(False, ["undefined-off"]), (True, [])])
def test_what_a_measurement_says_of_undefined_values_is_understood(undefined, kind):
    asked = SimpleNamespace(undefined=undefined, detectors=DETECTORS)
    sentences = Measurement._not_checked(asked, SimpleNamespace(first=None, repeated=None))

    assert kinds(question(measured(not_checked=sentences))) == kind


def test_no_result_of_the_newest_closes_it_whatever_else_there_is():
    asked = question(measured(OLD))

    assert kinds(asked) == ["no-result"]
    assert gate_exit_code(judge(asked)) == 3


def test_every_python_of_the_newest_is_needed():
    plans = (plan(NEWEST), plan(NEWEST, "3.13"))

    assert [reason.subject for reason in judge(question(measured(), plans=plans))] == [
        "demo/py3.13-pyo3-0.30.1"
    ]


def test_a_newest_that_the_matrix_does_not_have_closes_it():
    asked = question(measured(), newest="0.31.0")

    assert kinds(asked) == ["not-in-matrix"]


def test_an_excluded_cell_is_not_needed_but_one_has_to_be_left():
    excluded = plan(NEWEST, "3.13", excluded="known to hang")

    assert kinds(question(measured(), plans=(plan(NEWEST), excluded))) == []
    assert kinds(question(plans=(excluded,))) == ["excluded"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"verdict": "regressed"}, ["regressed"]),
        ({"verdict": "crashed", "sources": "beef"}, ["crashed"]),
        ({"started": "2026-01-01T00:00:00+00:00"}, ["too-old"]),
        ({"verdict": "build-failed"}, []),
        ({"sources": "beef"}, []),
        ({"partial": True, "started": ""}, []),
        ({"detectors": ("memcheck",)}, []),
    ],
)
def test_of_other_cells_only_what_is_wrong_counts(changes, kind):
    assert kinds(question(measured(), measured(OLD, **changes))) == kind


def test_a_baseline_that_shrank_means_to_measure_again():
    asked = question(measured(), remeasure=frozenset({"demo/py3.12-pyo3-0.30.1"}))

    assert kinds(asked) == ["measure-again"]


def test_findings_outrank_distrust_and_that_what_is_missing():
    plans = (plan(NEWEST, "3.13"), plan(NEWEST), plan(OLD))
    blind, regressed = measured(verdict="blind"), measured(OLD, verdict="regressed")

    assert gate_exit_code(judge(question(plans=plans))) == 3
    assert gate_exit_code(judge(question(blind, plans=plans))) == 4
    assert gate_exit_code(judge(question(blind, regressed, plans=plans))) == 1


def test_each_reason_is_one_line():
    reasons = judge(question(measured(verdict="blind", partial=True, sources="", started="")))

    assert len(reasons) == 4
    assert all("\n" not in str(reason) for reason in reasons)
