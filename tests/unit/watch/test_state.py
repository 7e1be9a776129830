from __future__ import annotations

import json

import pytest

from leakgrid.errors import DataError
from leakgrid.registry import CrateVersion
from leakgrid.watch.index import Validators
from leakgrid.watch.state import State, read, render
from leakgrid.watch.surface import Surface

STATE = State(
    versions=(CrateVersion("0.29.0", False, "2026-06-11T20:59:00Z", "1.83"),),
    validators=Validators("https://a.test/", '"e"', ""),
    looked="2026-11-23T00:00:00+00:00",
    open={"surface:demo": "2026-11-22T00:00:00+00:00"},
    surfaces={"demo": Surface(("pyclass A",), 2)},
)


@pytest.mark.parametrize("state", [State(), STATE])
def test_what_is_written_is_read_again(state: State) -> None:
    assert read(render(state), "watch.json") == state


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        render(STATE)[:-20],
        render(STATE).replace('"schema": 1', '"schema": 2'),
        json.dumps({**STATE.to_dict(), "versions": {"0.29.0": True}}),
        json.dumps({**STATE.to_dict(), "open": []}),
    ],
)
def test_anything_else_is_an_error_that_names_the_file(text: str) -> None:
    with pytest.raises(DataError, match=r"watch\.json is not a state"):
        read(text, "watch.json")
