"""The exception tree: every error says what happened, why, and what to do next.

Each class carries the exit code that the command line ends with (README.md, "Exit codes"):
2 usage or configuration, 3 not evaluated, 4 cannot be trusted.
"""

from __future__ import annotations

from typing import ClassVar


class LeakgridError(Exception):
    """Anything that leakgrid says to a person: ``what`` happened, ``why``, and what to do ``next``.

    ``verdict`` is the word that a cell gets when this error ends it, or ``None`` where the error
    concerns the whole command (a bad option, an unreadable matrix).
    """

    exit_code: ClassVar[int] = 2
    verdict: ClassVar[str | None] = None

    def __init__(self, what: str, *, why: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next = next

    def __str__(self) -> str:
        parts = [self.what]
        if self.why:
            parts.append(self.why)
        if self.next:
            parts.append(self.next)
        return "\n".join(parts)

    def sentence(self) -> str:
        """One line for a verdict's reason: what happened, and why where it is known."""
        text = self.what if not self.why else f"{self.what}: {self.why}"
        return " ".join(text.split())


class UsageError(LeakgridError):
    """The command line asks for something that does not exist or does not fit together."""


class ConfigError(LeakgridError):
    """A configuration file is wrong; ``faults`` names every fault at once with its key path."""

    def __init__(
        self, what: str, *, faults: tuple[str, ...] = (), why: str = "", next: str = ""
    ) -> None:
        super().__init__(what, why=why or "\n".join(f"  {fault}" for fault in faults), next=next)
        self.faults = faults


class DataError(LeakgridError):
    """A stored file (result, baseline, XML) is broken, of an unknown schema, or hostile."""


class ToolMissing(LeakgridError):
    """A program that leakgrid needs (Valgrind, cargo, a C compiler) is not installed."""


class PlatformError(LeakgridError):
    """This operating system or processor cannot run what was asked (Valgrind needs Linux)."""


class NotEvaluated(LeakgridError):
    """The cell could not be evaluated, so it is neither clean nor leaking."""

    exit_code = 3
    verdict = "unsupported"


class Unsupported(NotEvaluated):
    """This pair cannot exist: no such interpreter or version, yanked, or outside the bounds."""


class BuildFailed(NotEvaluated):
    """The extension does not build in this cell; ``log`` names the whole output."""

    verdict = "build-failed"

    def __init__(self, what: str, *, log: str = "", why: str = "", next: str = "") -> None:
        super().__init__(what, why=why, next=next)
        self.log = log


class TestsFailed(NotEvaluated):
    """No test passed natively, so nothing could be measured."""

    verdict = "tests-failed"
    __test__ = False  # pytest would take the name for a test class


class NoTests(NotEvaluated):
    """pytest collected nothing."""

    verdict = "no-tests"


class NotTrusted(LeakgridError):
    """Something was measured, but the measurement proves nothing."""

    exit_code = 4
    verdict = "crashed"


class Blind(NotTrusted):
    """The planted leak was not found: whatever the cell says, a leak could be hidden."""

    verdict = "blind"


class Crashed(NotTrusted):
    """The interpreter or Valgrind itself died."""

    verdict = "crashed"


class TimedOut(NotTrusted):
    """A stage or a test went past its time limit (seconds)."""

    verdict = "timed-out"
