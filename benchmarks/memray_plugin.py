"""A pytest plugin for corpus.py: pytest-memray's ``limit_leaks`` on every test.

``CORPUS_LIMIT`` is the limit per place of allocation, ``CORPUS_OUT`` the file that gets a JSON line
per test: whether pytest-memray failed it.
"""

from __future__ import annotations

import json
import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them all."""
    for item in items:
        item.add_marker(pytest.mark.limit_leaks(os.environ["CORPUS_LIMIT"]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what was said about the test."""
    if report.when == "call":
        leak = any(name == "memray-leaked-memory" for name, _ in report.sections)
        entry = {"test": report.nodeid, "leak": leak, "failed": report.failed, "said": ""}
        with open(os.environ["CORPUS_OUT"], "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
