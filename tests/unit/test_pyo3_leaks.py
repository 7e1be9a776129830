"""The page about PyO3's own leaks: that it is what the committed results say, and no more."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from leakgrid.detectors import growth, refs
from leakgrid.detectors.suspects import Suspect
from leakgrid.finding import CellResult, Finding, TestRecord

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "pyo3_leaks.py"
BORROW = "tests/test_inherit.py::test_borrow_is_given_back_after_into_super"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pyo3_leaks_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


leaks = _load()


def leaking(detector: str, kind: str, name: str, test: str) -> Finding:
    suspect = Suspect(test, detector, kind, name, 1, 81.5 if detector == "growth" else 0)
    return {"growth": growth, "refs": refs}[detector].findings([suspect])[0]


def result(pyo3: str, *findings: Finding, python: str = "3.12.1", **census: int) -> CellResult:
    counted = {name.replace("__", "."): number for name, number in census.items()}
    return CellResult(
        target="probe",
        python={"version": python},
        pyo3=pyo3,
        verdict="unbaselined" if findings else "clean",
        reason="",
        tests={BORROW: TestRecord("passed"), "t::a": TestRecord("passed")},
        findings=findings,
        totals={"census": counted},
    )


def cells(folder: Path, *results: CellResult) -> object:
    leaks.store_summaries(results, folder)
    return leaks.Cells(folder)


def entry(pull: int) -> object:
    return next(entry for entry in leaks.ENTRIES if entry.pull == pull)


# --- what is committed ---------------------------------------------------------------------------


def test_the_page_is_what_the_committed_results_render_to() -> None:
    assert leaks.PAGE.read_text(encoding="utf-8") == leaks.render()


def test_committed_results_were_measured() -> None:
    committed = leaks.Cells().cells
    assert committed
    for (pyo3, python), cell in committed.items():
        assert cell["pyo3"] == pyo3
        assert cell["python"].startswith(f"{python}.")
        assert cell["tests"]["passed"] > 200, (pyo3, python)


def test_committed_comparisons_are_those_of_the_versions_that_changed_something() -> None:
    """On CPython 3.12 PyO3's fixes are told one by one, and nothing else."""
    pairs = {(p["before"], p["after"]): p for p in leaks.Cells().pairs["3.12"]}
    assert len(pairs["0.27.2", "0.28.3"]["new"]) == 1
    assert not pairs["0.29.0", "0.29.1"]["new"]
    gone = " ".join(cause["title"] for cause in pairs["0.29.0", "0.29.1"]["gone"])
    assert all(words in gone for words in ("instances", "dict objects", "references to types"))
    assert "attributes" in pairs["0.29.1", "0.29.2"]["gone"][0]["title"]


# --- making it -----------------------------------------------------------------------------------


def test_every_leak_of_the_changelog_needs_a_row() -> None:
    text = """## [0.31.0] - 2027-01-01
- Fix a memory leak in something new. [#9999](https://github.com/PyO3/pyo3/pull/9999)
- Make things faster. [#9998](https://github.com/PyO3/pyo3/pull/9998)
## [0.29.2] - 2026-08-05
- Fix reference count leak of `#[classattr]` values. [#6297](https://github.com/PyO3/pyo3/pull/6297)
## [0.22.4] - 2024-10-12
- Leak of long ago. [#4590](https://github.com/PyO3/pyo3/pull/4590)
"""
    (missing,) = leaks.unlisted(text)
    assert missing.startswith("0.31.0: ")
    assert "#9999" in missing


def test_a_cell_without_a_result_is_not_measured_and_never_clean(tmp_path: Path) -> None:
    page = leaks.render(cells(tmp_path, result("0.30.1")))
    row = next(line for line in page.splitlines() if line.startswith("| 0.30.1 "))
    assert row.split("|")[2:7] == [" not measured "] * 3 + [" clean ", " not measured "]
    assert "1 of 55 cells measured" in page


def test_a_cell_in_which_no_test_ran_is_not_measured(tmp_path: Path) -> None:
    failed = replace(result("0.30.1"), tests={}, verdict="build-failed")
    assert cells(tmp_path, failed).cells == {}


def test_a_cause_belongs_to_the_entry_whose_tests_show_it(tmp_path: Path) -> None:
    empty = leaking("growth", "instance", "Dictful", "tests/test_dicts.py::test_dict_never_touched")
    kind = leaking("refs", "reference", "type Blob", "tests/test_buffers.py::test_x")
    measured = cells(tmp_path, result("0.28.3", empty, kind))
    cell = measured.cells["0.28.3", "3.12"]
    found = {e.pull for e in leaks.ENTRIES if leaks.found_in(e, cell, measured) == leaks.FOUND}
    assert found == {6234, 6224}
    assert leaks.leftover(cell) == []


def test_what_no_entry_accounts_for_is_listed(tmp_path: Path) -> None:
    strange = leaking("growth", "object", "list", "tests/test_errors.py::test_x")
    page = leaks.render(cells(tmp_path, result("0.28.3", strange)))
    assert "- list objects held by native code in `tests/test_errors.py::test_x`: 3.12 x" in page


def test_class_attributes_are_counted_against_the_newest_pyo3(tmp_path: Path) -> None:
    old = result("0.29.1", ClassAttributes__LIMIT=2, ClassAttributes__names=2, B=1)
    new = result("0.30.1", ClassAttributes__LIMIT=1, ClassAttributes__names=1, B=1)
    alone = result("0.29.1", python="3.13.0", ClassAttributes__LIMIT=2)
    measured = cells(tmp_path, old, new, alone)
    told = {
        key: leaks.found_in(entry(6297), cell, measured) for key, cell in measured.cells.items()
    }
    assert told == {
        ("0.29.1", "3.12"): "**found** (2 of 3)",
        ("0.30.1", "3.12"): "-",
        ("0.29.1", "3.13"): "not measured",
    }


@pytest.mark.parametrize(("pyo3", "words"), [("0.25.1", "seen by its test"), ("0.26.0", "-")])
def test_the_borrow_is_told_by_its_test(tmp_path: Path, pyo3: str, words: str) -> None:
    measured = cells(tmp_path, result(pyo3))
    (cell,) = measured.cells.values()
    assert leaks.found_in(entry(5281), cell, measured) == words


def test_comparisons_with_versions_measured_earlier_stay(tmp_path: Path) -> None:
    leaks.store_summaries([result("0.29.0"), result("0.29.2")], tmp_path)
    leaks.store_summaries([result("0.29.2"), result("0.30.1")], tmp_path)
    measured = cells(tmp_path, result("0.29.1"), result("0.29.2"))
    shown = [(p["before"], p["after"]) for p in measured.pairs["3.12"]]
    assert shown == [("0.29.0", "0.29.2"), ("0.29.1", "0.29.2"), ("0.29.2", "0.30.1")]
    page = leaks.render(measured)
    assert "| 0.29.0 | 0.29.2 |" not in page  # 0.29.1 was measured since
    assert "| 0.29.1 | 0.29.2 |" in page


def test_summaries_are_the_same_for_the_same_result(tmp_path: Path) -> None:
    one = result("0.28.3", leaking("growth", "object", "dict", "tests/test_dicts.py::test_x"))
    leaks.store_summaries([one], tmp_path)
    (path,) = tmp_path.glob("*.json")
    first = path.read_text()
    leaks.store_summaries([one], tmp_path)
    assert path.read_text() == first
    assert json.loads(first)["causes"][0]["findings"] == [
        {"subject": "dict", "blocks": 1, "bytes": 80}
    ]


def test_check_fails_where_the_page_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leaks, "newest_changelog", lambda: "")
    monkeypatch.setattr(leaks, "PAGE", tmp_path / "page.md")
    assert leaks.main(["check"]) == 1
    assert "run render" in capsys.readouterr().err
    assert leaks.main(["render"]) == leaks.main(["check"]) == 0


def test_check_names_a_leak_without_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "## [0.31.0] - x\n- A leak. [#9999](https://example.invalid)\n"
    monkeypatch.setattr(leaks, "newest_changelog", lambda: text)
    assert leaks.main(["check"]) == 1
    assert "#9999" in capsys.readouterr().err
