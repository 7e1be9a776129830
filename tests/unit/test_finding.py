import json
from dataclasses import replace

import pytest

from leakgrid.errors import DataError
from leakgrid.finding import SCHEMA, CellResult, Finding, TestRecord
from leakgrid.signature import Frame, Owner

FINDING = Finding(
    "memcheck",
    "Leak_DefinitelyLost",
    "0123456789ab",
    Owner.EXTENSION,
    ("t::a",),
    blocks=1.5,
    bytes=500,
    per_call=True,
    frames=(Frame("leak", "src/lib.rs", 3, "demo.so", Owner.EXTENSION),),
    summary="500 bytes",
)
RESULT = CellResult(
    "demo",
    {"version": "3.12.1", "abiflags": ""},
    "0.29.3",
    "regressed",
    "1 new finding",
    toolchain={"rustc": "1.95.0"},
    tests={"t::a": TestRecord("passed", 0.25, True), "t::b": TestRecord("hung", reason="60 s")},
    findings=(FINDING,),
    comparison={"new": ("0123456789ab",), "gone": ()},
    dropped=({"id": "x", "why": "did not hold"},),
    suppressed={"rule": 2},
    totals={"definite": {"extension": {"blocks": 1, "bytes": 500}}},
    canary={"found": True},
    timing={"build": {"seconds": 1.0, "cpu": 2.0}},
    not_checked=("uninitialised use",),
    partial=True,
    started="2026-01-01T00:00:00Z",
    fingerprint="f00",
)


def test_a_result_survives_json():
    assert CellResult.from_dict(json.loads(json.dumps(RESULT.to_dict()))) == RESULT


def test_a_result_names_its_schema_first():
    assert next(iter(RESULT.to_dict().items())) == ("schema", SCHEMA)


def test_whole_numbers_stay_whole():
    read = Finding.from_dict({**FINDING.to_dict(), "blocks": 2.0, "bytes": 0.5})
    assert (repr(read.blocks), repr(read.bytes)) == ("2", "0.5")


@pytest.mark.parametrize("schema", [None, 0, 2, "1"])
def test_another_schema_is_refused_with_what_to_do(schema):
    with pytest.raises(DataError) as caught:
        CellResult.from_dict({**RESULT.to_dict(), "schema": schema})
    assert caught.value.next


@pytest.mark.parametrize(
    "broken",
    [
        {"target": None, "findings": 3},
        {"findings": [{"detector": "memcheck"}]},
        {"findings": [{**FINDING.to_dict(), "owner": "me"}]},
        {"tests": {"t": "passed"}},
        {"comparison": []},
        {"suppressed": {"rule": "many"}},
        {"python": 3},
    ],
)
def test_foreign_data_is_a_data_error(broken):
    with pytest.raises(DataError):
        CellResult.from_dict({**RESULT.to_dict(), **broken})


def test_a_missing_key_is_a_data_error():
    data = RESULT.to_dict()
    del data["verdict"]
    with pytest.raises(DataError, match="verdict"):
        CellResult.from_dict(data)


def test_what_older_results_left_out_has_its_default():
    old = RESULT.to_dict()
    for later in ("partial", "detectors", "not_checked", "sources"):
        del old[later]
    read = CellResult.from_dict(old)
    assert (read.partial, read.detectors, read.not_checked, read.sources) == (False, (), (), "")


@pytest.mark.parametrize("key", ["tests", "findings", "comparison"])
def test_what_every_result_has_gets_no_default(key):
    data = RESULT.to_dict()
    data[f"{key}x"] = data.pop(key)
    with pytest.raises(DataError, match=f"unknown key '{key}x'"):
        CellResult.from_dict(data)
    del data[f"{key}x"]
    with pytest.raises(DataError, match=f"'{key}' is missing"):
        CellResult.from_dict(data)


def test_a_finding_is_a_value():
    assert replace(FINDING, blocks=2) != FINDING
    assert hash(FINDING) == hash(Finding.from_dict(FINDING.to_dict()))
