"""leakgrid's sessions: what runs. How it runs is in src/leakgrid/nox.py and matrix.toml.

nox -s valgrind                                  every default cell of matrix.toml
nox -s "valgrind(python='3.13', pyo3='0.30.1')"  one cell of the default target
nox -t quick                                     a few cells; nox -t mrrc, nox -k "rtoml and py313"
nox -j 2 -s valgrind                             cells side by side
nox -s valgrind -- -k name                       the rest goes to pytest
nox -s tests lint                                leakgrid's own tests and rules
nox -s report -- --format markdown               the stored results again
nox -s accept -- CELL --reason "..."             write baselines
nox -s watch -- --write --plan                   what PyO3 released, and what is due
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nox

if sys.version_info < (3, 11):  # noqa: UP036 - nox itself still runs on older Pythons
    sys.exit("leakgrid needs nox on Python 3.11 or later: python3 scripts/bootstrap.py valgrind")

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))  # `nox -l` on a fresh clone has only nox installed

from leakgrid.nox import Environment, sessions  # noqa: E402

nox.needs_version = ">=2026.7"
nox.options.sessions = ["lint", "tests"]

DEV = ("leakgrid", "check-jsonschema", "hypothesis", "import-linter", "lxml", "maturin", "mypy")
WORKFLOWS = [
    *map(str, sorted(Path(".github/workflows").glob("*.yml"))),
    "src/leakgrid/scaffold/workflow.yml",  # what `leakgrid init` writes
]
environment = sessions(
    HERE / "matrix.toml",
    environment=Environment(
        install=("-e", ".[dev]"),
        distributions=(*DEV, "pytest", "requests", "ruff", "ruamel.yaml", "zizmor"),
    ),
)


@nox.session(python=False, requires=environment.requires)
def tests(session: nox.Session) -> None:
    """Run leakgrid's own tests (arguments after -- go to pytest)."""
    slowest = "--durations=15"
    python = environment.python(session)
    session.run(python, "-m", "pytest", slowest, *session.posargs, external=True)


@nox.session(python=False, requires=environment.requires)
def lint(session: nox.Session) -> None:
    """Check style, types, the direction of imports, and the workflows."""
    python = environment.python(session)
    tools = Path(python).parent
    for command in (
        [python, "-m", "ruff", "check", "."],
        [python, "-m", "ruff", "format", "--check", "."],
        [python, "-m", "mypy", "src", "noxfile.py", "scripts"],
        [str(tools / "lint-imports"), "--no-logo"],
        [python, "-m", "leakgrid", "suppressions", "lint"],
        [str(tools / "zizmor"), "--offline", "--quiet", *WORKFLOWS],
        [
            str(tools / "check-jsonschema"),
            "--builtin-schema",
            "vendor.github-workflows",
            *WORKFLOWS,
        ],
    ):
        session.run(*command, external=True)
    if actionlint := shutil.which("actionlint"):
        session.run(actionlint, *WORKFLOWS, external=True)
