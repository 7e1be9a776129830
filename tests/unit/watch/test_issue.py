from __future__ import annotations

import pytest
from made import result

from leakgrid.errors import UsageError
from leakgrid.registry import CrateVersion
from leakgrid.watch.issue import Tracker, wish
from leakgrid.watch.reasons import Reason

CELLS = ("demo/py3.12-pyo3-0.30.1", "demo/py3.13-pyo3-0.30.1")
REASON = Reason("new-pyo3", "pyo3:0.30.1", "PyO3 0.30.1 (minor)", CELLS, ("by @someone ``` #1",))


def test_an_issue_tells_the_reasons_and_mentions_nobody() -> None:
    made = wish(
        "0.30.1", CrateVersion("0.30.1", False, "2026-10-14T21:19:37Z"), [REASON], CELLS, {}
    )
    assert made.body == (
        "<!-- leakgrid: pyo3 0.30.1 -->\n"
        "PyO3 0.30.1, published: 2026-10-14; oldest Rust: unknown.\n"
        "\n"
        "```text\n"
        "PyO3 0.30.1 (minor)\n"
        "by @someone ''' #1\n"
        "```\n"
        "\n"
        "| cell | verdict | reason |\n"
        "|---|---|---|\n"
        "| `demo/py3.12-pyo3-0.30.1` | not evaluated yet | |\n"
        "| `demo/py3.13-pyo3-0.30.1` | not evaluated yet | |\n"
    )
    assert not made.closed


def test_the_worst_verdict_closes_it_and_only_when_every_cell_has_one() -> None:
    first = {CELLS[0]: result(verdict="clean", reason="none | found")}
    assert not wish("0.30.1", None, [], CELLS, first).closed
    both = {**first, CELLS[1]: result(verdict="regressed", reason="1 new")}
    made = wish("0.30.1", None, [], CELLS, both)
    assert made.closed
    assert "**Verdict: regressed**" in made.body
    assert "| clean | none found |" in made.body
    assert not wish("0.30.1", None, [], (), both).closed


@pytest.mark.parametrize(
    ("repository", "token", "told"),
    [("", "t", "no repository"), ("a/b/c", "t", "is no repository"), ("a/b", "", "need a token")],
)
def test_what_is_missing_is_named_before_anything_is_asked(
    repository: str, token: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        Tracker(repository, token).apply([wish("0.30.1", None, [REASON], CELLS, {})])


def test_a_dry_run_needs_neither_token_nor_network() -> None:
    lines = Tracker("", "").apply([wish("0.30.1", None, [REASON], CELLS, {})], dry=True)
    assert lines[0] == "would open an issue: PyO3 0.30.1: does it leak?"
