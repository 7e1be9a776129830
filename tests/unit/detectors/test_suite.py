"""Suites really run by pytest, natively, in the plugin's hands: what dies, hangs and survives."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from leakgrid.detectors import native
from leakgrid.detectors.suite import Cellular, Mode, SuiteRun, run_suite
from leakgrid.errors import Crashed, NoTests, TestsFailed, TimedOut

THREAD = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"


@pytest.fixture
def cell(tmp_path: Path) -> Cellular:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Cellular(
        python=Path(sys.executable),
        environ={"PATH": os.environ["PATH"]},
        directory=project,
        pytest_args=("-p", "no:cacheprovider"),
        libraries=(),
        allocators={},
        requests="",
        scratch=scratch,
        logs=tmp_path / "logs",
        jobs=2,
        test_limit=2.0,
    )


def write(cell: Cellular, text: str, name: str = "test_a.py") -> None:
    (cell.directory / name).write_text(text)


def run(cell: Cellular, batches=None, **changes) -> SuiteRun:
    mode = replace(Mode("native", limit=2.0, collect_limit=6.0), **changes)
    return run_suite(cell, mode, batches)


def outcomes(suite: SuiteRun) -> dict[str, str]:
    return {n.rpartition("::")[2]: event.outcome for n, event in suite.journal.tests.items()}


def test_every_outcome_has_its_word(cell):
    write(
        cell,
        """
import pytest
def test_passes(): pass
def test_fails(): assert 1 == 2
def test_is_skipped(): pytest.skip("not today")
@pytest.mark.xfail
def test_is_expected_to_fail(): assert False
@pytest.fixture
def broken(): raise ValueError("no fixture")
def test_has_no_fixture(broken): pass
""",
    )
    suite = run(cell)
    assert outcomes(suite) == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_is_skipped": "skipped",
        "test_is_expected_to_fail": "xfailed",
        "test_has_no_fixture": "error",
    }
    assert "no fixture" in suite.journal.tests["test_a.py::test_has_no_fixture"].why
    assert suite.journal.done


DEADLY = """
import os, signal, time
def test_first(): pass
def test_kills(): os.kill(os.getpid(), signal.SIGKILL)
def test_leaves(): os._exit(0)
def test_hangs(): time.sleep(600)
def test_exits():
    raise SystemExit(3)
def test_last(): pass
"""
SURVIVED = {
    "test_first": "passed",
    "test_kills": "crashed",
    "test_leaves": "crashed",
    "test_hangs": "hung",
    "test_exits": "failed",
    "test_last": "passed",
}


@pytest.mark.parametrize("preamble", ["", THREAD], ids=["forked", "fresh"])
def test_the_others_run_on_whatever_dies_or_hangs(cell, preamble):
    write(cell, preamble + DEADLY)
    suite = run(cell)
    assert outcomes(suite) == SURVIVED
    assert bool(suite.journal.threads) == bool(preamble)


@pytest.mark.parametrize("preamble", ["", THREAD], ids=["forked", "fresh"])
def test_batches_run_what_they_name_and_nothing_else(cell, preamble):
    write(cell, preamble + "".join(f"def test_{i}(): pass\n" for i in range(4)))
    suite = run(cell, [["test_a.py::test_0"], ["test_a.py::test_2", "test_a.py::test_3"]])
    assert set(outcomes(suite)) == {"test_0", "test_2", "test_3"}
    assert sorted(end.number for end in suite.journal.ends) == [0, 1]


def test_excluded_tests_do_not_run(cell):
    write(cell, "def test_0(): pass\ndef test_1(): pass\n")
    suite = run_suite(cell, Mode("native"), None, exclude=["test_a.py::test_0"])
    assert outcomes(suite) == {"test_1": "passed"}


def test_a_file_whose_import_ends_python_is_left_out_and_named(cell):
    write(cell, "import os\nos.abort()\n", "test_b.py")
    write(cell, "import time\ntime.sleep(600)\n", "test_c.py")
    write(cell, "def test_fine(): pass\n")
    suite = run(cell, collect_limit=3.0)
    assert outcomes(suite) == {"test_b.py": "crashed", "test_c.py": "hung", "test_fine": "passed"}
    assert suite.ignored == ("test_b.py", "test_c.py")


def test_a_conftest_that_ends_python_stops_the_suite(cell):
    write(cell, "import os\nos._exit(7)\n", "conftest.py")
    write(cell, "def test_fine(): pass\n")
    suite = run(cell)
    assert (suite.stopped, suite.returncode) == ("crashed", 7)


def test_tests_are_told_as_they_end(cell):
    write(cell, "import time\ndef test_0(): time.sleep(0.3)\ndef test_1(): time.sleep(0.3)\n")
    told: list[tuple[int, int]] = []
    run(replace(cell, progress=lambda done, total: told.append((done, total))))
    assert told[-1] == (2, 2)
    assert all(total == 2 for _, total in told)


def test_what_the_caller_exports_does_not_reach_the_tests(cell):
    write(cell, "import os\ndef test_0(): assert os.environ['TOLD'] == 'yes'\n")
    suite = run(cell, environ={"TOLD": "yes"})
    assert outcomes(suite) == {"test_0": "passed"}


def test_what_the_programs_said_is_kept(cell):
    write(cell, "print('said while importing')\ndef test_0(): pass\n")
    suite = run(replace(cell, pytest_args=("-s",)))
    assert suite.log is not None
    assert "said while importing" in suite.log.read_text()


# --- what the native run makes of it -------------------------------------------------------------


def test_only_tests_that_ran_to_their_end_are_measured(cell):
    write(cell, DEADLY)
    report = native.run(cell)
    assert [name.rpartition("::")[2] for name in report.measurable] == ["test_first", "test_last"]
    assert report.seconds.keys() == report.tests.keys()
    assert next(iter(report.tests)).endswith("test_first")


def test_a_file_that_cannot_be_imported_is_a_test_that_failed(cell):
    write(cell, "import nobody_has_this\n", "test_b.py")
    write(cell, "def test_fine(): pass\n")
    report = native.run(cell)
    assert report.tests["test_b.py"].outcome == "error"
    assert "nobody_has_this" in report.tests["test_b.py"].why
    assert report.measurable == ["test_a.py::test_fine"]


def test_where_no_file_can_be_imported_it_says_what_is_missing(cell):
    write(cell, "import nobody_has_this\n")
    with pytest.raises(TestsFailed, match="nobody_has_this") as caught:
        native.run(cell)
    assert "--requires" in caught.value.next


def test_no_tests_says_how_to_name_them(cell):
    with pytest.raises(NoTests) as caught:
        native.run(cell)
    assert "--tests PATH" in caught.value.next


def test_wrong_options_are_told_in_pytests_words(cell):
    write(cell, "def test_fine(): pass\n")
    with pytest.raises(TestsFailed, match="unrecognized arguments: --nonsense") as caught:
        native.run(replace(cell, pytest_args=("--nonsense",)))
    assert "native.log" in caught.value.next


def test_a_suite_that_kills_python_before_any_file_says_so(cell):
    write(cell, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "conftest.py")
    with pytest.raises(Crashed, match="Python ended natively"):
        native.run(cell)


def test_a_suite_that_hangs_before_any_file_says_so(cell):
    write(cell, "import time\ntime.sleep(600)\n", "conftest.py")
    with pytest.raises(TimedOut, match="collecting the tests hung"):
        native.run(replace(cell, test_limit=0.5))
