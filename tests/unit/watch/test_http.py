from __future__ import annotations

import email.utils
import time

import pytest

from leakgrid.errors import UsageError
from leakgrid.watch.http import Answer, Client, Distrusted, _retry_after


@pytest.mark.parametrize("url", ["index", "ftp://host/", "http://", "https://[broken"])
def test_what_is_no_address_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        Client(sleep=lambda _: None).ask("GET", url, "the index")


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    assert _retry_after("7") == 7.0
    assert _retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0
    soon = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 0 < (_retry_after(soon) or 0) <= 100
    assert _retry_after("") is None
    assert _retry_after("tomorrow") is None


def test_an_answer_that_is_no_json_is_not_believed() -> None:
    with pytest.raises(Distrusted, match="the service did not answer with JSON"):
        Answer(200, b"<html>").json("the service")
    with pytest.raises(Distrusted):
        Answer(200, b"[" * 100_000).json("the service")
