"""What a person gets from projects that cannot be measured, or only in part."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.functional, pytest.mark.network]


def test_a_project_that_does_not_compile_quotes_the_first_error_and_names_the_log(bench):
    project = bench.project("healthy")
    source = project / "src" / "lib.rs"
    source.write_text(source.read_text().replace("self.titles.clone()", "self.nowhere.clone()"))
    ran = bench.check(project)
    assert (ran.verdict, ran.code) == ("build-failed", 3)
    assert "no field `nowhere` on type" in ran.reason
    assert "src/lib.rs:" in ran.reason
    log = bench.store / "cells" / ran.cell / "build.log"
    assert str(log) in ran.reason
    assert "error[E0609]" in log.read_text()


def test_only_failing_tests(bench):
    ran = bench.check(bench.project("failing"))
    assert (ran.verdict, ran.code) == ("tests-failed", 3)
    assert ran.outcomes() == {
        "test_expects_too_much": "failed",
        "test_expects_too_little": "failed",
    }
    assert "None of 2 tests passed" in ran.reason
    assert "make the suite pass without Valgrind first" in ran.told


def test_no_tests(bench):
    ran = bench.check(bench.project("none"))
    assert (ran.verdict, ran.code) == ("no-tests", 3)
    assert "pytest collected no test" in ran.reason
    assert "--tests PATH" in ran.told


def test_tests_that_do_not_exist_are_told_in_pytests_words(bench):
    ran = bench.check(bench.project("healthy"), "--tests", "nowhere")
    assert ran.code == 3
    assert "ERROR: file or directory not found: nowhere" in ran.reason
    assert "native.log" in ran.reason


def test_the_healthy_tests_beside_a_hanging_one_are_evaluated(bench):
    ran = bench.check(bench.project("hanging"), "--test-timeout", "3")
    assert (ran.verdict, ran.code) == ("timed-out", 4)
    assert ran.outcomes() == {
        "test_before": "passed",
        "test_waits_for_ever": "hung",
        "test_after": "passed",
    }
    assert "test_waits_for_ever" in ran.reason
    assert "the other tests were measured" in ran.reason
    assert "--deselect NODEID" in ran.told
    assert ran.result["canary"]["rust"] > 0


def test_the_healthy_tests_beside_dying_ones_are_evaluated(bench):
    ran = bench.check(bench.project("dying"), "--test-timeout", "3")
    assert (ran.verdict, ran.code) == ("crashed", 4)
    assert ran.outcomes() == {
        "test_before": "passed",
        "test_aborts": "crashed",
        "test_panics_across_c": "crashed",
        "test_reads_address_8": "crashed",
        "test_leaves": "crashed",
        "test_after": "passed",
        "tests/test_import_aborts.py": "crashed",
        "tests/test_import_hangs.py": "hung",
        "tests/test_import_fails.py": "error",
    }
    reasons = {node.rpartition("::")[2]: t["reason"] for node, t in ran.result["tests"].items()}
    assert reasons["test_aborts"] == "killed by SIGABRT"
    assert reasons["test_reads_address_8"] == "killed by SIGSEGV"
    assert reasons["test_leaves"] == "ended the interpreter with exit status 0"
    assert "a_module_that_nobody_has" in reasons["tests/test_import_fails.py"]
    assert "ended the interpreter" in ran.reason
    assert ran.result["canary"]["rust"] > 0
    assert ran.findings == []


def test_an_allocator_that_hides_the_extensions_memory_blinds_the_cell(bench):
    ran = bench.check(bench.project("healthy", feature="mimalloc"))
    assert (ran.verdict, ran.code) == ("blind", 4)
    assert "the extension's own global allocator" in ran.reason
    assert "mimalloc" in ran.reason
    assert "build it with the system allocator" in ran.reason


def test_an_allocator_that_forwards_to_malloc_does_not_even_with_mimalloc_linked(bench):
    ran = bench.check(bench.project("healthy", feature="counting"))
    assert (ran.verdict, ran.code) == ("clean", 0)
    assert ran.result["canary"]["rust"] > 0


def test_a_suite_that_never_imports_the_extension_proves_nothing(bench):
    ran = bench.check(bench.project("stranger"))
    assert (ran.verdict, ran.code) == ("blind", 4)
    assert "no test loaded the extension" in ran.reason


@pytest.mark.parametrize(
    ("python", "pyo3", "why"),
    [
        ("3.99", "0.30.1", "3.99"),
        ("3.12", "0.28.0", "pyo3 0.28.0 was yanked"),
        ("3.12", "0.30.0", "pyo3 0.30.0 is not in cargo's index"),
        ("3.13", "0.21.2", "PyO3 0.21.2 does not support Python 3.13"),
    ],
)
def test_a_pair_that_cannot_exist_says_why_and_what_does(bench, python, pyo3, why):
    ran = bench.check(bench.project("healthy"), python=python, pyo3=pyo3)
    assert (ran.verdict, ran.code) == ("unsupported", 3)
    assert why in ran.reason
    assert ran.reason.endswith(".")
    assert ran.result["tests"] == {}


def test_a_target_that_nobody_knows_is_a_usage_error(bench):
    ran = bench.check("nobody-knows-this")
    assert (ran.code, ran.result) == (2, {})
    assert "neither a folder, nor a target of the matrix, nor a requirement" in ran.told
    assert "Give a project's folder" in ran.told


def test_a_folder_without_an_extension_is_a_usage_error(bench, tmp_path):
    ran = bench.check(tmp_path)
    assert (ran.code, ran.result) == (2, {})
    assert "is not a PyO3 project" in ran.told
