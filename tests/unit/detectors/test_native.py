from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from leakgrid.detectors import native
from leakgrid.detectors.journal import Journal
from leakgrid.detectors.suite import SuiteRun
from leakgrid.errors import TestsFailed

IMPORT_ERROR = """\
ImportError while importing test module '/somewhere/tests/test_a.py'.
Hint: make sure your test modules/packages have valid Python names.
Traceback:
importlib/__init__.py:90: in import_module
    return _bootstrap._gcd_import(name[level:], package, level)
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
tests/test_a.py:12: in <module>
    from dirty_equals import IsFloatNan
E   ModuleNotFoundError: No module named 'dirty_equals'
"""


def test_of_a_file_that_cannot_be_imported_the_error_is_told_without_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = Journal(collected=[], collection_errors={"tests/test_a.py": IMPORT_ERROR})
    suite = SuiteRun(journal=journal, stderr="", said="", seconds=1.0, cpu_seconds=1.0)
    monkeypatch.setattr(native, "run_suite", lambda *_: suite)
    cell: Any = SimpleNamespace(test_limit=60.0)
    with pytest.raises(TestsFailed, match=r"tests/test_a\.py fails to import") as error:
        native.run(cell)
    assert error.value.why == "ModuleNotFoundError: No module named 'dirty_equals'"
