"""A pytest plugin for corpus.py: psleak's own check, with its defaults, on every test's function.

psleak repeats a function, so fixtures are set up once per test; of a unittest method also ``setUp``
and ``tearDown`` are repeated, through ``TestCase.debug``. ``CORPUS_OUT`` names the file that gets a
JSON line per test: whether psleak raised one of its errors, and which.
"""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING

import psleak
import pytest
from _pytest.unittest import TestCaseFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Case(psleak.MemoryLeakTestCase):
    """psleak's defaults: 200 calls, ten rounds that grow by half, every checker."""

    def runTest(self) -> None:  # noqa: N802 - unittest's name
        """Nothing: only ``execute`` is used."""


def check(call: Callable[[], object]) -> None:
    """Raise one of psleak's errors where it sees a leak."""
    Case.setUpClass()
    try:
        Case().execute(call)
    finally:
        Case.tearDownClass()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """In place of the one call."""
    if isinstance(pyfuncitem, TestCaseFunction):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    check(partial(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Before the one run of a unittest method."""
    if isinstance(item, TestCaseFunction):
        check(lambda: item.parent.obj(item.name).debug())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note what was said about the test."""
    if call.when == "call":
        error = call.excinfo.value if call.excinfo else None
        with open(os.environ["CORPUS_OUT"], "a", encoding="utf-8") as out:
            entry = {
                "test": item.nodeid,
                "leak": isinstance(error, psleak.Error),
                "failed": error is not None,
                "said": str(error or "")[:400],
            }
            out.write(json.dumps(entry) + "\n")
    return (yield)
