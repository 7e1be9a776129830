"""How to see a finding again: commands, and a few lines of Python."""

from __future__ import annotations

import json
import shlex
from math import ceil

from leakgrid.baseline import python_minor
from leakgrid.explaining._what import ERRORS
from leakgrid.finding import CellResult, Finding

_VISIBLE = 1 << 18
"""Bytes per line of the loop: the process grows in pages of some 4 KiB."""


def reproducers(finding: Finding, result: CellResult, pattern: str) -> dict[str, tuple[str, ...]]:
    """Commands and a few lines of Python, of the test that is simplest to call."""
    test = _simplest(finding.tests)
    quoted = shlex.quote(test)
    where = f" --tests {quoted}" if test else ""
    # Where memcheck gave growth its stack, it is needed to see the stack again.
    stacked = finding.detector != "memcheck" and finding.frames
    detectors = f"memcheck,{finding.detector}" if stacked else finding.detector
    # How the project was named is not recorded, and its bare name means something in a matrix only.
    name = " ".join(result.target.split())
    path = f"# PATH: the folder of {name}, {name}==VERSION, or {name} where matrix.toml has it"
    check = (
        f"leakgrid check PATH --python {python_minor(result.python)} "
        f"--pyo3 {result.pyo3}{where} --detectors {detectors}"
    )
    found: dict[str, tuple[str, ...]] = {
        "with leakgrid" + (", this test alone" if test else ""): (path, check)
    }
    if not test:
        return found
    if finding.detector == "memcheck":
        leaks = "no" if pattern in ERRORS else "full"
        found["with Valgrind alone"] = (
            f"PYTHONMALLOC=malloc valgrind --leak-check={leaks} python -m pytest {quoted}",
        )
    else:
        found["as a pytest plugin, in the environment that the extension is installed in"] = (
            "env $(leakgrid plugin) python -m pytest -p leakgrid_incell.standalone --leakgrid \\",
            f"  {quoted}",
        )
    if pattern in ("memory", "object", "instance") and finding.bytes and _is_plain(test):
        found["in Python, from the project's root; the test must not take fixtures"] = _loop(
            test, finding.bytes
        )
    return found


def _simplest(tests: tuple[str, ...]) -> str:
    return min(tests, key=lambda test: ("[" in test, test.count("::"), len(test), test), default="")


def _is_plain(test: str) -> bool:
    path, _, name = test.partition("::")
    return path.endswith(".py") and name.isidentifier()


def _loop(test: str, each: float) -> tuple[str, ...]:
    path, _, name = test.partition("::")
    calls = 10 ** max(3, len(str(ceil(_VISIBLE / each))))
    return (
        "import gc, resource, runpy",
        f"test = runpy.run_path({json.dumps(path)})[{json.dumps(name)}]",
        "for _ in range(5):",
        f"    for _ in range({calls:_}):",
        "        test()",
        "    gc.collect()",
        '    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "KiB at most so far")',
    )
