from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid.toolchain.cargo_errors import explain, first_error

RUSTC = """\
   Compiling x v0.1.0
\x1b[1m\x1b[33mwarning\x1b[0m: unused
\x1b[1m\x1b[31merror[E0308]\x1b[0m: mismatched types
  --> src/lib.rs:12:5
   |
12 |     1
error[E0425]: cannot find value
  --> src/lib.rs:20:1
error: could not compile `x` (lib) due to 2 previous errors
💥 maturin failed
"""


def test_the_first_compiler_error_is_quoted_with_its_place() -> None:
    assert first_error(RUSTC) == "error[E0308]: mismatched types --> src/lib.rs:12"


def test_the_log_is_named_and_the_error_is_in_the_reason(tmp_path: Path) -> None:
    error = explain(RUSTC, tmp_path / "build.log", pyo3="0.30.1")
    assert error.what == "the extension does not build with PyO3 0.30.1"
    assert "E0308" in error.why
    assert str(tmp_path / "build.log") in error.next
    assert error.log == str(tmp_path / "build.log")


@pytest.mark.parametrize(
    ("output", "what", "step"),
    [
        ("error: linker `cc` not found\n  |\n", "the linker is missing", "C compiler"),
        (
            "error: failed to select a version for `pyo3-ffi`.\n    ... which satisfies\n"
            "package `pyo3-ffi` links to the native library `python`, but it conflicts\n",
            "two versions of PyO3 meet",
            "bound to another PyO3",
        ),
        (
            "error: rustc 1.70.0 is not supported by the following packages:\n  pyo3@0.30.1\n",
            "this Rust is too old",
            "rustup update",
        ),
        ("error: toolchain '1.60' is not installed\n", "Rust toolchain", "rustup toolchain"),
        (
            'error: failed to select a version for the requirement `pyo3-ffi = "=0.29.2"`\n'
            "candidate versions found which didn't match: 0.29.3\n"
            "location searched: directory source `/x/vendor` (which is replacing registry `y`)\n",
            "crates of its own folder",
            "the PyO3 that it carries",
        ),
        (
            'error: failed to select a version for the requirement `a = "^4.1"` (locked to 4.2)\n'
            "candidate versions found which didn't match: 4.1.9, 4.1.8, ...\n",
            "its Cargo.lock names a version",
            "cargo update",
        ),
        (
            'error: failed to select a version for the requirement `a = "=9"`\n',
            "no set of crate versions",
            "does not allow this PyO3",
        ),
        (
            "error: failed to get `x` as a dependency of package `y`\n\nCaused by:\n  [6] Could\n",
            "cargo cannot get a crate",
            "Check the network",
        ),
        ("error: could not compile `x`\n", "could not compile", "migration"),
        ("something else went wrong\n", "something else went wrong", "builds by itself"),
    ],
)
def test_known_causes_get_a_next_step(output: str, what: str, step: str) -> None:
    error = explain(output, None)
    assert what in error.why
    assert step in error.next
