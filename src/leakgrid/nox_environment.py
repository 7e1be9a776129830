"""Where leakgrid runs under nox: nox's own interpreter, or an environment that is made once."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path

import nox

from leakgrid import provenance

_NEEDED = ("leakgrid", "lxml", "packaging", "pyelftools", "requests", "rich")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where leakgrid runs: this interpreter if it has everything, else one that nox makes once.

    ``install`` are pip's arguments for making it (default: what this leakgrid was installed from);
    ``distributions`` are the installed packages that make this interpreter good enough.
    """

    install: tuple[str, ...] = ()
    distributions: tuple[str, ...] = _NEEDED
    session: str = "leakgrid-environment"

    @property
    def complete(self) -> bool:
        """Whether the running interpreter has every distribution."""
        try:
            for name in self.distributions:
                importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    @property
    def requires(self) -> list[str]:
        """What a session that uses the environment puts into ``requires=``."""
        return [] if self.complete else [self.session]

    def python(self, session: nox.Session) -> str:
        """The interpreter to run leakgrid and its tools with."""
        if self.complete:
            return sys.executable
        return self._record(session).read_text(encoding="utf-8").strip()

    def register(self) -> None:
        """Add the session that makes the environment, where one is needed."""
        if self.complete:
            return
        wanted = ", ".join(repr(name) for name in self.distributions)
        check = f"from importlib.metadata import version\nfor name in ({wanted},): version(name)"

        def make(session: nox.Session) -> None:
            """Make the environment that leakgrid runs in (once)."""
            seen = ExitCode()
            session.run("python", "-c", check, success_codes=seen, silent=True, log=False)
            if seen.code:
                session.install(*(self.install or own_source(session)))
            self._record(session).write_text(f"{session.bin}/python\n", encoding="utf-8")

        nox.session(name=self.session, reuse_venv=True, default=False)(make)

    @staticmethod
    def _record(session: nox.Session) -> Path:
        # Nox shortens long environment paths to a hash, so the path is written down, not guessed.
        return session.cache_dir / "leakgrid-python"


class ExitCode(list[int]):
    """Nox only asks whether an exit code is among the successful ones: remember which it was."""

    def __init__(self) -> None:
        super().__init__()
        self.code = 0

    def __contains__(self, code: object) -> bool:
        self.code = int(str(code))
        # Negative: a signal, which nox then reports itself.
        return self.code >= 0


def own_source(session: nox.Session) -> tuple[str, ...]:
    """What pip installs this very leakgrid from; ends the session where nobody noted it."""
    source = provenance.installed_from()
    if source is None:
        session.error(
            "nobody noted where leakgrid was installed from; its name on the package index is not "
            "taken, so pass Environment(install=...)"
        )
    return (provenance.requirement(source),)
