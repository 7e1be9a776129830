"""Explanations against their golden files, and what none of them may get wrong.

``LEAKGRID_GOLDEN=write pytest tests/unit/test_explaining.py`` writes the golden files anew: read
the diff.
"""

from __future__ import annotations

import ast
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made import finding, result

from leakgrid.explaining import explain
from leakgrid.explaining._what import pattern_of, size
from leakgrid.explaining._why import USUAL
from leakgrid.finding import Finding, TestRecord
from leakgrid.reports import _explanation as report
from leakgrid.signature import Frame, Owner

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "explanations"
TEST = "tests/test_map.py::test_insert"
STACK = (
    Frame("malloc", "", 0, "vgpreload_memcheck.so", Owner.LIBC),
    Frame("one::Map::insert", "src/lib.rs", 123, "one.so", Owner.EXTENSION),
    Frame("cfunction_vectorcall", "Objects/methodobject.c", 50, "libpython", Owner.CPYTHON),
)
GLUE = (
    STACK[0],
    Frame("object_new", "typeobject.c", 5496, "libpython", Owner.CPYTHON),
    Frame("create_class_object_of_type<one::Opaque>", "pyo3-0.30.1/src/pyclass_init.rs", 154,
          "one.so", Owner.PYO3),
    Frame("one::Opaque::__pymethod___new____", "src/lib.rs", 198, "one.so", Owner.EXTENSION),
    Frame("type_call", "typeobject.c", 1661, "libpython", Owner.CPYTHON),
)  # fmt: skip
CENSUS = replace(
    result(pyo3="0.28.3", verdict="unbaselined"),
    detectors=("growth", "refs"),
    not_checked=("memcheck (not asked for, see --detectors)",),
)
WHOLE = replace(
    CENSUS,
    detectors=("memcheck", "growth"),
    not_checked=("uses of uninitialised memory (--no-undefined)",),
    totals={
        "definitely-lost": {"extension": {"blocks": 4, "bytes": 2000}},
        "reachable": {"all": {"blocks": 10265, "bytes": 868523}},
    },
)


def lost(**changes) -> Finding:
    base = finding("a", tests=(TEST,), frames=STACK, blocks=4, bytes=2000)
    return replace(base, **{"summary": "2,000 bytes in 4 blocks definitely lost", **changes})


def native(detector: str, kind: str, name: str, per_call: float, size: float, summary: str):
    base = finding("b", detector=detector, kind=kind, owner=Owner.UNKNOWN, per_call=True)
    tests = (f"{TEST}[1]", f"{TEST}_again")
    return replace(base, subject=name, blocks=per_call, bytes=size, summary=summary, tests=tests)


INSTANCE = native(
    "growth", "instance", "Dictful", 1, 82.32, "1 Dictful per call held by native code, 82.32 bytes"
)
SCENES = {
    "lost": (lost(), WHOLE),
    "lost-with-others": (lost(related=("c" * 12,)), WHOLE),
    "at-import": (lost(kind="lost-at-import", owner=Owner.DEPENDENCY, tests=()), WHOLE),
    "instance": (INSTANCE, CENSUS),
    "type-reference": (
        native("refs", "reference", "type Dictful", 1, 0,
               "1 reference to type Dictful lost per call"),
        CENSUS,
    ),
    "memory-with-stack": (
        lost(detector="growth", kind="native-memory", per_call=True, blocks=1, bytes=64,
             summary="64 bytes in 1 block per call"),
        WHOLE,
    ),
    "descriptor": (
        native("fds", "descriptor", "data.bin", 2, 0,
               "2 descriptors left open per call: data.bin"),
        CENSUS,
    ),
    "thread": (
        native("threads", "thread", "pool", 0.5, 0, "0.5 threads left running per call: pool"),
        CENSUS,
    ),
    "object-allocated-by-pyo3": (
        replace(INSTANCE, kind="object", owner=Owner.PYO3, frames=GLUE, bytes=48,
                summary="48 bytes in 1 block per call (Opaque)", subject="Opaque"),
        WHOLE,
    ),
    "invalid-read": (
        lost(kind="invalid-read", blocks=3, bytes=1, summary="Invalid read of size 1"), WHOLE
    ),
}  # fmt: skip


def text_of(found: Finding, whole) -> str:
    return report.render(found, whole, explain(found, whole), ["one/py3.9-pyo3-0.28.3"])


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_each_explanation_is_its_golden_file(scene):
    text = text_of(*SCENES[scene])
    golden = GOLDEN / f"{scene}.txt"
    if os.environ.get("LEAKGRID_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_each_golden_file_belongs_to_a_scene():
    assert {path.stem for path in GOLDEN.iterdir()} == set(SCENES)


# --- the loss classes ----------------------------------------------------------------------------


def test_what_is_lost_through_a_block_is_no_wrong_deallocator():
    told = explain(*SCENES["lost-with-others"]).what
    assert "reachable only from this one" in told
    assert "no wrong deallocator" in told
    assert "indirectly" not in explain(*SCENES["lost"]).what


def test_classes_of_a_run_without_memcheck_are_not_measured():
    told = explain(*SCENES["instance"]).classes
    assert len(told) == 4
    assert all(text.startswith("not measured") for text in told.values())


def test_a_class_that_memcheck_did_not_count_is_not_measured():
    told = explain(*SCENES["lost"]).classes
    assert told["definitely lost"].startswith("4 blocks, 2,000 bytes")
    assert told["still reachable"].startswith("10,265 blocks")
    assert told["possibly lost"] == "not measured"


def test_none_lost_is_said_only_where_it_was_measured():
    none = replace(WHOLE, totals={"definitely-lost": {}})
    assert explain(lost(), none).classes["definitely lost"] == "none"
    assert explain(lost(), replace(WHOLE, totals={})).classes["definitely lost"] != "none"


# --- what it costs -------------------------------------------------------------------------------


def test_bytes_per_thousand_calls_are_given_where_calls_were_measured():
    told = explain(*SCENES["instance"])
    assert told.bytes_per_1000_calls == pytest.approx(82_320)
    assert "82,320 bytes (80.4 KiB) per 1,000 calls" in told.cost
    assert explain(*SCENES["lost"]).bytes_per_1000_calls is None
    assert "per call: not measured" in explain(*SCENES["lost"]).cost


def test_what_costs_no_memory_has_no_bytes():
    assert explain(*SCENES["type-reference"]).bytes_per_1000_calls is None
    assert explain(*SCENES["type-reference"]).cost.startswith("No memory per call")
    assert explain(*SCENES["at-import"]).cost.endswith("once per process, however long it runs.")


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 byte"), (0.5, "0.5 bytes"), (2048, "2,048 bytes (2.0 KiB)"), (3 << 30, "GiB")],
)
def test_sizes_are_readable(count, text):
    assert text in size(count)


# --- patterns, causes, reproducers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("definitely-lost", "lost"),
        ("Leak_DefinitelyLost", "lost"),
        ("lost-at-import", "import"),
        ("invalid-write", "access"),
        ("overlap", "access"),
        ("invalid-free", "free"),
        ("mismatched-free", "free"),
        ("descriptor-closed-twice", "free"),
        ("uninitialised-condition", "undefined"),
        ("syscall-parameter", "undefined"),
        ("invalid-memory-pool", "access"),
        ("fishy-value", "error"),
    ],
)
def test_every_kind_has_its_pattern(kind, pattern):
    assert pattern_of(finding("a", kind=kind)) == pattern


def test_every_pattern_has_causes_with_links():
    for causes in USUAL.values():
        assert causes
        assert all(link.startswith("https://") for cause in causes for link in cause.links)
        assert any(cause.links for cause in causes)


def known(found: Finding, **changes) -> set[str]:
    told = explain(found, replace(CENSUS, **changes))
    return set(re.findall(r"pull/(\d+)", " ".join(c.links[0] for c in told.causes if c.links)))


def test_pyo3s_own_leaks_are_named_for_the_versions_that_have_them():
    assert known(INSTANCE) == {"6234", "6198"}
    assert known(INSTANCE, python={"version": "3.13.0"}) == {"6198"}
    assert known(INSTANCE, pyo3="0.27.2") == {"6198"}
    assert known(INSTANCE, pyo3="0.29.1") == set()
    assert known(INSTANCE, pyo3="of my own") == set()
    assert known(replace(INSTANCE, owner=Owner.EXTENSION)) == set()


def test_pyo3s_own_leaks_are_those_of_the_page_about_them():
    page = (ROOT / "docs" / "pyo3-leaks.md").read_text(encoding="utf-8")
    source = (ROOT / "src/leakgrid/explaining/_why.py").read_text(encoding="utf-8")
    found = re.findall(r'_Known\(\s*"[\d.]+", "([\d.]+)", (\d+)', source)
    assert len(found) == 5
    for fixed, pull in found:
        assert f"| {fixed} | [#{pull}]" in page


def test_the_loop_is_python_and_calls_the_simplest_test():
    loop = list(explain(*SCENES["instance"]).reproducers.values())[-1]
    tree = ast.parse("\n".join(loop))
    assert "test_insert_again" in ast.unparse(tree)
    assert "range(10000)" in ast.unparse(tree)


def test_without_a_test_there_is_the_whole_cell_to_run():
    (lines,) = explain(*SCENES["at-import"]).reproducers.values()
    assert lines == (
        "# PATH: the folder of demo, demo==VERSION, or demo where matrix.toml has it",
        "leakgrid check PATH --python 3.12 --pyo3 0.28.3 --detectors memcheck",
    )


def test_a_test_that_needs_quotes_stays_one_argument():
    hostile = finding("a", tests=("t.py::test['; rm -rf /']",))
    told = explain(hostile, replace(WHOLE, tests={"t": TestRecord("passed")}))
    for lines in told.reproducers.values():
        assert "'t.py::test['\"'\"'; rm -rf /'\"'\"']'" in " ".join(lines)


def test_who_allocated_need_not_be_who_holds():
    told = explain(*SCENES["object-allocated-by-pyo3"]).owner
    first, then = told.index("`one::Opaque::__new__` (src/lib.rs:198)"), told.index("bisect")
    assert first < then
    assert "not who holds it" in told
    lost_by_pyo3 = explain(lost(owner=Owner.PYO3, frames=GLUE), WHOLE).owner
    assert "not who holds it" not in lost_by_pyo3


def test_of_pythons_own_growth_the_caller_in_the_extension_is_named_also_beyond_its_loop():
    loop = Frame("_PyEval_EvalFrameDefault", "Python/ceval.c", 60, "libpython", Owner.CPYTHON)
    inner = Frame("dict_new", "dictobject.c", 1, "libpython", Owner.CPYTHON)
    grown = lost(detector="growth", kind="native-memory", owner=Owner.CPYTHON, frames=(inner,))
    assert "No function of the extension is in the stack" in explain(grown, WHOLE).owner
    called = replace(grown, frames=(inner, loop, *STACK))
    told = explain(called, WHOLE).owner
    assert "`one::Map::insert` (src/lib.rs:123)" in told
    assert "bisect" not in told


def test_a_dependency_is_named_by_its_folder():
    frames = (Frame("f", "hashbrown/src/raw.rs", 1, "one.so", Owner.DEPENDENCY),)
    told = explain(replace(
        lost(), owner=Owner.DEPENDENCY, frames=frames), WHOLE)  # fmt: skip
    assert told.owner == "A crate or package that the extension uses (hashbrown)."
