from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import entry

from leakgrid import registry
from leakgrid.errors import DataError
from leakgrid.watch.index import Validators


def lines(*entries: dict[str, object]) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in entries).encode()


def test_an_index_entry_is_read_oldest_first() -> None:
    found = registry.parse_index(
        lines(entry("0.10.0", yanked=True), entry("0.9.0", pubtime="2026-01-01T00:00:00Z")), "pyo3"
    )
    assert [(item.version, item.yanked, item.published) for item in found] == [
        ("0.9.0", False, "2026-01-01T00:00:00Z"),
        ("0.10.0", True, None),
    ]


@pytest.mark.parametrize(
    "data",
    [lines(entry("latest")), lines(entry("0.9.0"))[:-5], b"{}\n", b"[]", lines({"name": "pyo3"})],
)
def test_an_entry_of_another_form_names_its_line(data: bytes) -> None:
    with pytest.raises(DataError) as error:
        registry.parse_index(data, "pyo3")
    assert "line 1" in error.value.why


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = registry.parse_index(data, "pyo3")
    except DataError:
        return
    assert not data.strip() or found


def test_conditions_go_only_to_the_address_that_gave_them() -> None:
    given_by = Validators("https://a.test/x", '"e"', "yesterday")
    assert given_by.headers("https://a.test/x") == {
        "If-None-Match": '"e"',
        "If-Modified-Since": "yesterday",
    }
    assert given_by.headers("https://b.test/x") == {}
