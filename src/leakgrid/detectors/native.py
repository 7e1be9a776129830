"""The suite natively: which tests pass, how long each takes, and what ends the interpreter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from leakgrid.detectors.journal import TestEvent
from leakgrid.detectors.suite import Cellular, Mode, SuiteRun, run_suite
from leakgrid.errors import Crashed, NoTests, TestsFailed, TimedOut
from leakgrid.process import near

IMPORT_LIMIT = 3.0
"""Limits of one test that a file may take to import natively before it counts as hung."""
_TELLING = re.compile(r"ERROR:|E   |INTERNALERROR|Error|.*\berror: ")
WORTH_MEASURING = frozenset({"passed", "xfailed"})


@dataclass(frozen=True, slots=True)
class NativeReport:
    """``tests`` in the order of collection; ``ignored`` are files whose import ends Python."""

    tests: Mapping[str, TestEvent]
    ignored: tuple[str, ...]
    loaded: frozenset[str]

    @property
    def measurable(self) -> list[str]:
        """Tests that Valgrind should see: those that ran their code to its end."""
        return [name for name, event in self.tests.items() if event.outcome in WORTH_MEASURING]

    @property
    def seconds(self) -> dict[str, float]:
        """Native duration per test."""
        return {name: event.seconds for name, event in self.tests.items()}


def run(cell: Cellular) -> NativeReport:
    """Run everything that pytest collects.

    Raises NoTests, Crashed or TimedOut (nothing could be collected), TestsFailed (collection
    failed everywhere, so that no test exists to pass).
    """
    mode = Mode(
        name="native",
        limit=cell.test_limit,
        collect_limit=IMPORT_LIMIT * cell.test_limit,
        environ={"PYTHONHASHSEED": "0"},
    )
    suite = run_suite(cell, mode, None)
    journal = suite.journal
    if journal.collected is None:
        raise _uncollected(suite)
    tests = {path: TestEvent("error", why=why) for path, why in journal.collection_errors.items()}
    tests |= {name: journal.tests[name] for name in suite.ignored if name in journal.tests}
    for name in journal.collected:
        tests[name] = journal.tests.get(name, TestEvent("not-run", why="; ".join(journal.faults)))
    if not tests:
        raise NoTests(
            "pytest collected no test",
            next="Name the tests with --tests PATH, or `tests` in the target's table, and see "
            "whether an option such as -k leaves any.",
        )
    if not journal.collected and journal.collection_errors:
        path, why = next(iter(journal.collection_errors.items()))
        raise TestsFailed(
            f"no test could be collected: {path} fails to import",
            why=_errors(why),
            next="If a package is missing, name it with --requires or `requirements` in the "
            "target's table.",
        )
    return NativeReport(
        tests=tests,
        ignored=suite.ignored,
        loaded=frozenset(path for end in journal.ends for path in end.loaded),
    )


def _uncollected(suite: SuiteRun) -> Exception:
    where = f" while importing {suite.journal.collecting}" if suite.journal.collecting else ""
    said = _errors(suite.said)
    keep = f"Its whole output is in {near(suite.log)}." if suite.log else ""
    if suite.stopped == "hung":
        return TimedOut(f"collecting the tests hung natively{where}", why=said, next=keep)
    if suite.returncode is not None and suite.returncode >= 0:
        return TestsFailed(
            f"pytest ended with exit status {suite.returncode} before collecting any test",
            why=said,
            next=f"Mend that first, or correct the options given to pytest. {keep}",
        )
    return Crashed(
        f"Python ended natively{where}",
        why=said,
        next=f"Import the extension by hand: it ends the interpreter. {keep}",
    )


def _errors(said: str) -> str:
    """pytest's own lines about what is wrong, else the last ones."""
    lines = said.splitlines()
    told = [line for line in lines if _TELLING.match(line) and "ERROR: usage" not in line]
    return "\n".join(line.removeprefix("E   ") for line in (told or lines)[-4:])[-600:]
