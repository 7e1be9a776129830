from __future__ import annotations

from pathlib import Path

import pytest

from leakgrid import process
from leakgrid.errors import Unsupported
from leakgrid.process import Completed
from leakgrid.toolchain.sources import sdist

BACKEND = """\
  error: subprocess-exited-with-error

  x Preparing metadata (pyproject.toml) did not run successfully.
  ╰─> [11 lines of output]
      Checking for Rust toolchain....
      error: failed to select a version for the requirement `a = "^4.1.4"` (locked to 4.2.5)
      candidate versions found which didn't match: 4.2.4, 4.2.3, 4.2.2, ...
      💥 maturin failed
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed

note: This is an issue with the package mentioned above, not pip.
hint: See above for details.
"""
ABSENT = """\
ERROR: Could not find a version that satisfies the requirement a==9 (from versions: 1)
ERROR: No matching distribution found for a==9
"""


@pytest.fixture
def pip_says(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    answer = Completed((), 1, "", request.param, 1.0, 1.0)
    monkeypatch.setattr(process, "run", lambda *args, **options: answer)


@pytest.mark.usefixtures("pip_says")
@pytest.mark.parametrize("pip_says", [BACKEND], indirect=True)
def test_what_the_build_backend_said_is_told_and_not_pips_words_around_it(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="its build backend failed") as error:
        sdist("a==9", tmp_path)
    assert error.value.why.startswith("error: failed to select a version for the requirement `a")
    assert "hint" not in error.value.why


@pytest.mark.usefixtures("pip_says")
@pytest.mark.parametrize("pip_says", [ABSENT], indirect=True)
def test_a_version_without_sdist_is_told_in_pips_words(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no sdist of a==9 to be had") as error:
        sdist("a==9", tmp_path)
    assert "No matching distribution found for a==9" in error.value.why
