"""The baseline of the nearest cell, for a cell that has none."""

from dataclasses import replace

import pytest
from made import finding, result

from leakgrid.baseline import accept
from leakgrid.errors import DataError
from leakgrid.measurement import judge_again
from leakgrid.nearest import compare_nearest, nearest
from leakgrid.signature import Frame, Owner
from leakgrid.store import Store

CELLS = ["py3.12-pyo3-0.27.2", "py3.12-pyo3-0.29.2", "py3.13-pyo3-0.30.1", "py3.13t-pyo3-0.29.3"]


@pytest.mark.parametrize(
    ("cell", "other"),
    [
        ("py3.12-pyo3-0.30.1", "py3.12-pyo3-0.29.2"),
        ("py3.12-pyo3-0.28.3", "py3.12-pyo3-0.27.2"),
        ("py3.12-pyo3-0.27.2", "py3.12-pyo3-0.29.2"),
        ("py3.13-pyo3-0.29.2", "py3.13-pyo3-0.30.1"),
        ("py3.9-pyo3-0.30.1", "py3.12-pyo3-0.29.2"),
        ("py3.14t-pyo3-0.30.1", "py3.13t-pyo3-0.29.3"),
        ("a-note", None),
    ],
)
def test_the_same_python_goes_before_the_nearest_pyo3(cell, other):
    assert nearest(cell, [*CELLS, "notes", "py3-pyo3"]) == other


def test_of_two_that_are_as_near_the_older_is_taken():
    names = ["py3.12-pyo3-0.29.3", "py3.12-pyo3-0.29.1"]
    assert nearest("py3.12-pyo3-0.29.2", names) == "py3.12-pyo3-0.29.1"


def own(name: str, function: str, **changes):
    frames = (
        Frame("alloc::alloc", "pyo3-0.29.2/src/x.rs", 1, "demo.so", Owner.PYO3),
        Frame(function, "src/lib.rs", 1, "demo.so", Owner.EXTENSION),
    )
    return finding(name, frames=frames, **changes)


def test_findings_of_another_pyo3_are_matched_by_the_extensions_own_functions():
    baseline = accept(result(own("a", "demo::leak")), None, "r")
    compared = compare_nearest(result(own("b", "demo::leak"), own("c", "demo::other")), baseline)
    assert [entry.id[0] for entry in compared.known] == ["b"]
    assert [entry.id[0] for entry in compared.new] == ["c"]


@pytest.mark.parametrize("changes", [{"detector": "growth"}, {"owner": Owner.PYO3}])
def test_another_detector_or_owner_is_another_finding(changes):
    baseline = accept(result(own("a", "demo::leak")), None, "r")
    assert compare_nearest(result(own("b", "demo::leak", **changes)), baseline).new


def test_what_has_no_frames_is_the_same_in_the_same_test_only():
    baseline = accept(result(finding("a", detector="growth")), None, "r")
    now = [finding("b", detector="growth"), finding("c", detector="growth", tests=("t::b",))]
    compared = compare_nearest(result(*now), baseline)
    assert ([e.id[0] for e in compared.known], [e.id[0] for e in compared.new]) == (["b"], ["c"])


def test_nothing_is_gone_but_growth_is_seen():
    baseline = accept(result(own("a", "demo::leak"), finding("b")), None, "r")
    compared = compare_nearest(result(own("c", "demo::leak", blocks=2)), baseline)
    assert compared.gone == compared.known == ()
    assert compared.changed[0].grown


# --- the verdict ---------------------------------------------------------------------------------


def judged(now, accepted):
    stored = replace(now, comparison={"new": tuple(f.id for f in now.findings)})
    return judge_again(stored, None, "demo/py3.12-pyo3-0.30.1", accept(accepted, None, "r"))


def test_what_the_neighbour_accepts_is_known_and_the_neighbour_is_named():
    again = judged(result(finding("a")), result(finding("a"), finding("b")))
    assert again.verdict == "known"
    assert "the baseline of demo/py3.12-pyo3-0.29.3 accepts" in again.reason
    assert "`leakgrid accept demo/py3.12-pyo3-0.30.1" in again.reason


def test_what_it_does_not_accept_is_unbaselined_and_counted_apart():
    again = judged(result(finding("a"), finding("c")), result(finding("a")))
    assert again.verdict == "unbaselined"
    assert "1 finding (extension 1) that the baseline of demo/py3.12-pyo3-0.29.3" in again.reason
    assert ", 1 that it has;" in again.reason
    assert (again.comparison["known"], again.comparison["new"]) == (("a" * 12,), ("c" * 12,))


def test_more_blocks_than_the_neighbour_accepts_are_not_known():
    again = judged(result(finding("a", blocks=5)), result(finding("a")))
    assert again.verdict == "unbaselined"
    assert "1 finding larger than it accepts" in again.reason


def test_without_findings_a_cell_is_clean_whatever_its_neighbour_has():
    assert judged(result(), result(finding("a"))).verdict == "clean"


def test_the_store_finds_the_nearest_baseline_of_the_same_target(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "base")
    assert store.nearest_baseline("demo/py3.12-pyo3-0.30.1") is None
    for pyo3 in ("0.27.2", "0.29.3"):
        store.save_baseline(accept(result(pyo3=pyo3), None, "r"))
    store.save_baseline(accept(result(target="other", pyo3="0.30.1"), None, "r"))
    found = store.nearest_baseline("demo/py3.12-pyo3-0.30.1")
    assert (found.target, found.pyo3) == ("demo", "0.29.3")


def test_a_broken_baseline_of_the_neighbour_is_an_error_that_names_it(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "base")
    path = store.save_baseline(accept(result(), None, "r"))
    path.write_text("schema = 1\n[[accepted")
    with pytest.raises(DataError, match=r"py3\.12-pyo3-0\.29\.3\.toml is not TOML"):
        store.nearest_baseline("demo/py3.12-pyo3-0.30.1")
