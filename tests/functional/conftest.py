"""The command line on small real projects: one store for the session, so that builds are shared."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import corpora
import pytest

from leakgrid import cli
from leakgrid.errors import LeakgridError
from leakgrid.toolchain import interpreters

collect_ignore = ["projects"]
SUBJECT = Path(__file__).with_name("projects") / "subject"
PYTHON, PYO3 = "3.12", "0.30.1"


@dataclass(frozen=True)
class Ran:
    """One ``leakgrid check``: exit code, what was printed, and the result as JSON (or empty)."""

    code: int
    out: str
    err: str
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return str(self.result.get("verdict", ""))

    @property
    def reason(self) -> str:
        return str(self.result.get("reason", ""))

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        return list(self.result["findings"])

    @property
    def ids(self) -> list[str]:
        return [str(finding["id"]) for finding in self.findings]

    @property
    def cell(self) -> str:
        """The cell's name, ``target/py3.12-pyo3-0.30.1``."""
        minor = ".".join(self.result["python"]["version"].split(".")[:2])
        return f"{self.result['target']}/py{minor}-pyo3-{self.result['pyo3']}"

    @property
    def told(self) -> str:
        """Everything that was printed, without the line breaks of a narrow terminal."""
        return re.sub(r"\s+", " ", self.out + self.err)

    def outcomes(self) -> dict[str, str]:
        """The outcome of each test by its name without the file."""
        return {
            node.rpartition("::")[2]: str(test["outcome"])
            for node, test in self.result["tests"].items()
        }

    def functions(self) -> list[list[str]]:
        """The functions of each finding's frames."""
        return [[frame["function"] for frame in item["frames"]] for item in self.findings]


@dataclass(frozen=True)
class Bench:
    """A store, a folder for projects, and the command line."""

    root: Path
    store: Path

    def project(self, suite: str, *, feature: str = "", name: str = "subject") -> Path:
        """A copy of the small extension with one of its suites, built with one of its features."""
        folder = self.root / "projects" / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SUBJECT, folder, ignore=shutil.ignore_patterns("suites", "target"))
        shutil.copytree(SUBJECT / "suites" / suite, folder / "tests")
        pyproject = folder / "pyproject.toml"
        features = json.dumps([feature] if feature else [])
        text = pyproject.read_text().replace("features = []", f"features = {features}")
        pyproject.write_text(text)
        return folder

    def check(
        self,
        project: Path | str,
        *arguments: str,
        python: str = PYTHON,
        pyo3: str = PYO3,
        baselines: str = "none",
        detectors: str = "memcheck",
    ) -> Ran:
        """``leakgrid check`` as from a shell; ``baselines`` is a folder below the bench.

        Only memcheck unless asked: one start of Valgrind instead of two or three.
        """
        written = self.root / "result.json"
        written.unlink(missing_ok=True)
        places = ["--store", str(self.store), "--baselines", str(self.root / "base" / baselines)]
        places += ["--detectors", detectors]
        options = ["--python", python, "--pyo3", pyo3, "--json", str(written), *places]
        code, out, err = leakgrid("check", str(project), *options, *arguments)
        result = json.loads(written.read_text()) if written.exists() else {}
        return Ran(code, out, err, result)

    def accept(self, ran: Ran, baselines: str) -> str:
        """``leakgrid accept`` for the cell of this run; returns the baseline's text."""
        folder = self.root / "base" / baselines
        cell = ran.cell
        places = ["--store", str(self.store), "--baselines", str(folder)]
        with outside_ci():
            code, _, err = leakgrid("accept", cell, "--reason", "on purpose", *places)
        assert code == 0, err
        return (folder / f"{cell}.toml").read_text()

    def shell(
        self,
        project: Path,
        store: Path,
        environ: Mapping[str, str],
        *arguments: str,
        baselines: str = "none",
    ) -> subprocess.Popen[str]:
        """``leakgrid check`` as a process of its own, still running."""
        python = str(interpreters.find(PYTHON).executable)
        places = ["--store", str(store), "--baselines", str(self.root / "base" / baselines)]
        cell = ["--python", python, "--pyo3", PYO3, "--detectors", "memcheck"]
        return subprocess.Popen(
            [sys.executable, "-m", "leakgrid", "check", str(project), *cell, *places, *arguments],
            env={**os.environ, **environ},
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_interrupts,
        )


def _heed_interrupts() -> None:
    """A shell that runs something in the background has it ignore SIGINT, and so what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def leakgrid(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(list(arguments))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return code, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def outside_ci() -> Any:
    """Baselines are not written where CI is set, and these tests run in CI."""
    before = os.environ.pop("CI", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["CI"] = before


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("bench")
    return Bench(root, root / "store")


@pytest.fixture(scope="session", params=corpora.BUILDS, ids="-".join)
def corpus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, corpora.Built]:
    """Both halves of the corpus on one Python, and that Python's minor version."""
    python, profile = request.param
    if sys.platform != "linux":
        pytest.skip("the screen needs Linux")
    try:
        interpreter = interpreters.find(python)
    except LeakgridError as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("corpus")
    target = tmp_path_factory.getbasetemp() / "corpus-target"
    return python, corpora.build(interpreter.executable, profile, root, target)
