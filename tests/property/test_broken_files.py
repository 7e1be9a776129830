"""Whatever happens to a stored file: a message that names it, or the same answer; never `clean`."""

import contextlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import CELL, finding, result

from leakgrid import cli
from leakgrid.baseline import Accepting, accept
from leakgrid.errors import LeakgridError
from leakgrid.finding import TestRecord
from leakgrid.measurement import judge_again
from leakgrid.signature import Frame, Owner
from leakgrid.store import Store
from leakgrid.verdict import exit_code

RULES = """\
# python: any
# pyo3: any
# owner: cpython
# reason: made for this test
# reference: https://docs.python.org/3/
{
   one
   Memcheck:Leak
   match-leak-kinds: reachable
   fun:malloc
   fun:made_by_python
}
"""
PROOF = 'kind = "reachable"\nseen = "here"\nframes = ["malloc", "made_by_python"]\n'
CONFLICT = "<<<<<<< ours\n{0}\n=======\n{0}\n>>>>>>> theirs"


def write_store(folder: Path) -> Store:
    """One cell with a finding that nobody accepted, and one that somebody did."""
    shutil.rmtree(folder, ignore_errors=True)
    store = Store(folder / "store", folder / "base")
    frames = (Frame("demo::leak", "src/lib.rs", 7, "demo.so", Owner.EXTENSION),)
    found = (finding("a", frames=frames), finding("b", owner=Owner.PYO3))
    made = result(
        *found,
        verdict="regressed",
        comparison={"new": ("a" * 12,), "known": ("b" * 12,)},
        tests={"t::a": TestRecord("passed"), "t::b": TestRecord("failed")},
        dropped=({"what": "growth in t::b", "why": "flat"},),
        suppressed={"one": 3},
        totals={"possible": {"all": {"blocks": 1, "bytes": 2}}, "census": {"type A": 3}},
        timing={"build": {"seconds": 1.5, "cpu": 2.0}},
        detectors=("memcheck", "growth"),
    )
    store.save_result(CELL, made)
    store.save_baseline(accept(made, None, Accepting("known upstream", ["b" * 12])))
    (folder / "rules" / "python").mkdir(parents=True)
    (folder / "rules" / "python" / "3.12.supp").write_text(RULES)
    (folder / "rules" / "python" / "3.12.toml").write_text(f"[one]\n{PROOF}")
    return store


FILES = {
    "result": f"store/results/{CELL}.json",
    "baseline": f"base/{CELL}.toml",
    "rules": "rules/python/3.12.supp",
    "proof": "rules/python/3.12.toml",
}


def commands(folder: Path) -> list[list[str]]:
    places = ["--store", str(folder / "store"), "--baselines", str(folder / "base")]
    stored = str(folder / FILES["result"])
    rules = ["--rules", str(folder / "rules")]
    return [
        ["report", "--format", "terminal", *places],
        ["report", "--format", "markdown", *places],
        ["report", "--format", "baseline-report", *places],
        ["accept", CELL, "--reason", "r", "--dry-run", *places],
        ["accept", CELL, "--reason", "r", "--prune", *places],
        ["compare", stored, stored],
        ["suppressions", "lint", *rules],
        ["suppressions", "export", "--output", "-", *rules],
        ["suppressions", "unused", *rules, *places],
        ["suppressions", "propose", "b", *places],
    ]


def run(arguments: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(arguments)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        yield tmp_path_factory.mktemp("broken") / "project"


@st.composite
def broken_bytes(draw, text: str) -> bytes:
    """Truncated, cut, doubled, in conflict, overwritten, or filled with something else."""
    lines = text.splitlines()
    at = draw(st.integers(0, len(text) - 1))
    to = draw(st.integers(at, min(len(text), at + 40)))
    line = draw(st.integers(0, len(lines) - 1))
    noise = draw(st.text(max_size=6))
    raw = draw(st.binary(min_size=1, max_size=4))
    return draw(
        st.sampled_from(
            [
                text[:at].encode(),
                (text[:at] + text[to:]).encode(),
                (text[:at] + noise + text[to:]).encode("utf-8", "replace"),
                (text[:to] + text[at:]).encode(),
                (text + text).encode(),
                text[:at].encode() + raw + text[at:].encode(),
                "\n".join([*lines[:line], *lines[line + 1 :]]).encode(),
                "\n".join([*lines[: line + 1], *lines[line:]]).encode(),
                "\n".join(
                    [*lines[:line], CONFLICT.format(lines[line]), *lines[line + 1 :]]
                ).encode(),
                b"",
                raw,
            ]
        )
    )


@st.composite
def other_values(draw, text: str) -> bytes:
    """The result with one value anywhere in it replaced, taken out, or under another key."""
    data = json.loads(text)
    place, key = data, draw(st.sampled_from(sorted(data)))
    while isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans()):
        place = place[key]
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(keys))
    change = draw(st.sampled_from(["value", "remove", "rename"]))
    if change == "value":
        values = [None, 5, -1, "x", [], {}, True, [5], {"x": 5}, 10**400, "\ud800"]
        place[key] = draw(st.sampled_from(values))
    else:
        value = place.pop(key)
        if change == "rename" and isinstance(place, dict):
            place[f"{key}x"] = value
    return json.dumps(data).encode()


@pytest.mark.parametrize("which", FILES)
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_broken_file_is_named_with_a_remedy_and_nothing_becomes_clean(folder, which, data):
    write_store(folder)
    path = folder / FILES[which]
    text = path.read_text()
    how = broken_bytes(text)
    if which == "result":
        how |= other_values(text)
    path.write_bytes(data.draw(how))
    never_clean(folder, path)


@pytest.mark.parametrize("which", FILES)
def test_a_file_that_is_gone_makes_nothing_clean(folder, which):
    write_store(folder)
    (folder / FILES[which]).unlink()
    never_clean(folder, folder / FILES[which])


def never_clean(folder: Path, path: Path) -> None:
    """Run everything that reads the file."""
    for arguments in commands(folder):
        code, out, err = run(arguments)
        assert code in (0, 1, 2), (arguments, out, err)
        if code == 2:
            assert err.startswith("leakgrid: ")
            assert err.count("\n") > 1, f"no reason and no remedy: {err}"
        if code == 2 and path.exists() and "cannot be read" in err:
            assert str(path) in err
    store = Store(folder / "store", folder / "base")
    refused = None
    stored = accepted = None
    try:
        stored, accepted = store.load_result(CELL), store.load_baseline(CELL)
    except LeakgridError as error:
        refused = error
    if refused is not None:
        assert str(path) in str(refused)
        assert refused.next
    elif stored is not None and exit_code(stored.verdict) < 2:
        again = judge_again(stored, accepted, CELL)
        assert again is None or again.verdict != "clean"


def test_a_result_whose_findings_were_lost_is_refused(tmp_path):
    store = write_store(tmp_path / "project")
    path = store.result_path(CELL)
    text = path.read_text()
    for torn in (
        text.replace('"findings"', '"findingx"'),
        json.dumps({**json.loads(text), "findings": []}),
        text.replace('"dropped"', '"findings": [],\n  "dropped"', 1),
    ):
        path.write_text(torn)
        with pytest.raises(LeakgridError, match="finding") as caught:
            store.load_result(CELL)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"regressed"', '"regresed"', "verdict: 'regresed'"),
        ('"blocks": 1,', '"blocks": NaN,', "NaN is no number"),
        ('"blocks": 1,', '"blocks": -1,', "-1 is no amount"),
        ('"schema": 1', '"schema": 2', "schema 2"),
        ('"started"', '"startet"', "unknown key 'startet'"),
        ('"detectors": [', '<<<<<<< ours\n"detectors": [', "line"),
    ],
)
def test_a_broken_result_is_named_by_key_or_line(tmp_path, old, new, told):
    store = write_store(tmp_path / "project")
    path = store.result_path(CELL)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(LeakgridError) as caught:
        store.load_result(CELL)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_baseline_of_another_cell_is_refused(tmp_path):
    store = write_store(tmp_path / "project")
    kept = store.load_baseline(CELL)
    assert kept is not None
    store.baseline_path("demo/py3.13-pyo3-0.29.3").write_text(store.baseline_path(CELL).read_text())
    with pytest.raises(LeakgridError, match=r"not of demo/py3\.13"):
        store.load_baseline("demo/py3.13-pyo3-0.29.3")
    assert replace(kept, entries=()) != kept
