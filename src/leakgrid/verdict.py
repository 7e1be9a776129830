"""From what a cell showed to one word, and one sentence that says what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from leakgrid.baseline import measured_tests
from leakgrid.comparison import Comparison, Entry
from leakgrid.finding import Finding, TestRecord


class Verdict(StrEnum):
    """The words for a cell (README.md, "Verdicts"), the best first."""

    CLEAN = "clean"
    KNOWN = "known"
    IMPROVED = "improved"
    UNBASELINED = "unbaselined"
    NO_TESTS = "no-tests"
    TESTS_FAILED = "tests-failed"
    UNSUPPORTED = "unsupported"
    BUILD_FAILED = "build-failed"
    BLIND = "blind"
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    REGRESSED = "regressed"


_EXIT_CODES = {
    Verdict.CLEAN: 0,
    Verdict.KNOWN: 0,
    Verdict.IMPROVED: 0,
    Verdict.UNBASELINED: 1,
    Verdict.REGRESSED: 1,
    Verdict.NO_TESTS: 3,
    Verdict.TESTS_FAILED: 3,
    Verdict.UNSUPPORTED: 3,
    Verdict.BUILD_FAILED: 3,
    Verdict.BLIND: 4,
    Verdict.TIMED_OUT: 4,
    Verdict.CRASHED: 4,
    Verdict.INTERRUPTED: 4,
}
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


def exit_code(verdict: str) -> int:
    """One cell's exit code (README.md, "Exit codes"). Raises ValueError on an unknown word."""
    return _EXIT_CODES[Verdict(verdict)]


def worst(verdicts: Iterable[str]) -> Verdict | None:
    """The verdict that outranks all others, or None where there is none."""
    return max((Verdict(verdict) for verdict in verdicts), key=_RANK.__getitem__, default=None)


@dataclass(frozen=True, slots=True)
class Facts:
    """What :func:`decide` judges.

    ``comparison`` is None where nothing could be compared; ``has_baseline`` tells whether an
    accepted baseline exists, ``neighbour`` which cell's baseline the comparison is with otherwise
    (empty: none). ``findings`` are those that held: what another run did not show again is not
    among them. ``grown_again`` holds ids of changed findings that had grown in a second run too,
    None where none was made. ``tests_at_acceptance`` is the number of tests when the baseline was
    accepted (0: unknown). ``blind`` lists reasons why a leak could be hidden (the canary was not
    found, another allocator); ``crashed`` is a sentence about the run as a whole, empty where it
    did not. ``cell`` is the cell's name, for the command that is suggested.
    """

    cell: str
    findings: Sequence[Finding] = ()
    comparison: Comparison | None = None
    has_baseline: bool = False
    neighbour: str = ""
    tests: Mapping[str, TestRecord] = field(default_factory=dict)
    grown_again: frozenset[str] | None = None
    tests_at_acceptance: int = 0
    blind: Sequence[str] = ()
    crashed: str = ""


def regressions(facts: Facts) -> tuple[Entry, ...]:
    """New findings, and accepted ones that grew in both runs.

    More tests than at acceptance explain more blocks, so growth counts only without them.
    """
    if facts.comparison is None or not facts.has_baseline:
        return ()
    more_tests = 0 < facts.tests_at_acceptance < measured_tests(facts.tests)
    grown = [] if more_tests else [e for e in facts.comparison.changed if e.grown]
    if facts.grown_again is not None:  # else nobody looked a second time: the one run counts
        grown = [entry for entry in grown if entry.id in facts.grown_again]
    return (*facts.comparison.new, *grown)


def decide(facts: Facts) -> tuple[Verdict, str]:
    """The verdict and its sentence; the first of these that applies.

    A regression; crashed; timed out; blind; no tests or none passed; no baseline; improved; known;
    clean.
    """
    if worse := regressions(facts):
        return Verdict.REGRESSED, _regressed(facts, worse)
    return _untrusted(facts) or _untested(facts) or _compared(facts)


def _untrusted(facts: Facts) -> tuple[Verdict, str] | None:
    crashed = _with_outcome(facts, "crashed")
    if facts.crashed or crashed:
        return Verdict.CRASHED, facts.crashed or _ended(
            facts, crashed, "ended the interpreter", "Mend"
        )
    hung = _with_outcome(facts, "hung")
    if hung:
        return Verdict.TIMED_OUT, _ended(
            facts, hung, "did not finish in time", "Mend, give more time (--test-timeout)"
        )
    if facts.blind:
        return Verdict.BLIND, (
            f"A leak could be hidden: {'; '.join(facts.blind)}. "
            "Nothing this cell says about leaks can be trusted until that is put right."
        )
    return None


def _untested(facts: Facts) -> tuple[Verdict, str] | None:
    if not facts.tests:
        return Verdict.NO_TESTS, (
            "pytest collected no test, so nothing was measured; name the tests with --tests or "
            "`tests` in the target's table."
        )
    if not measured_tests(facts.tests):
        first = next(iter(facts.tests))
        record = facts.tests[first]
        return Verdict.TESTS_FAILED, (
            f"None of {_count(len(facts.tests), 'test')} passed ({first}: {record.outcome}), so "
            "nothing was measured; make the suite pass without Valgrind first."
        )
    return None


def _compared(facts: Facts) -> tuple[Verdict, str]:
    measured = _count(measured_tests(facts.tests), "test")
    if not facts.has_baseline:
        if not facts.findings:
            return Verdict.CLEAN, f"{measured} measured, no leak and no memory error found."
        if facts.neighbour and facts.comparison is not None:
            return _beside(facts, facts.comparison)
        return Verdict.UNBASELINED, (
            f"{_findings(facts.findings)} and no baseline yet; look at them, then accept what is "
            f"to be expected: {_accept(facts.cell)}"
        )
    comparison = facts.comparison or Comparison()
    notes = _notes(comparison)
    if comparison.gone:
        return Verdict.IMPROVED, (
            f"{_count(len(comparison.gone), 'accepted finding')} gone{notes}; "
            f"take them out of the baseline: `leakgrid accept {facts.cell} --prune`"
        )
    if facts.findings:
        return Verdict.KNOWN, f"{measured} measured, only accepted findings{notes}."
    return Verdict.CLEAN, f"{measured} measured, no leak and no memory error found."


def _beside(facts: Facts, compared: Comparison) -> tuple[Verdict, str]:
    """A cell without a baseline, judged against the one of the cell most like it."""
    new = [entry.after for entry in compared.new if entry.after]
    grown = sum(entry.grown for entry in compared.changed)
    theirs = f"the baseline of {facts.neighbour}"
    if not new and not grown:
        return Verdict.KNOWN, (
            f"{_count(measured_tests(facts.tests), 'test')} measured, only findings that {theirs} "
            f"accepts; this cell has none of its own yet: {_accept(facts.cell)}"
        )
    parts = []
    if new:
        parts.append(f"{_findings(new)} that {theirs} does not have")
    if grown:
        parts.append(f"{_count(grown, 'finding')} larger than it accepts")
    known = len(compared.known) + len(compared.changed) - grown
    return Verdict.UNBASELINED, (
        f"{' and '.join(parts)}, {known} that it has; this cell has no baseline of its own yet: "
        f"look at them, then accept what is to be expected: {_accept(facts.cell)}"
    )


def _notes(comparison: Comparison) -> str:
    """What is neither accepted nor a regression has to be said all the same."""
    grown = sum(entry.grown for entry in comparison.changed)
    if not grown:
        return ""
    return f", {grown} with more blocks than accepted (not in both runs, or more tests ran)"


def _regressed(facts: Facts, entries: Sequence[Entry]) -> str:
    new = [entry.after for entry in entries if entry.before is None and entry.after]
    grown = len(entries) - len(new)
    parts = []
    if new:
        parts.append(_findings(new, "new "))
    if grown:
        parts.append(f"{_count(grown, 'accepted finding')} grew")
    return (
        f"{' and '.join(parts)} compared with the baseline; mend it, or accept it with a reason: "
        f"{_accept(facts.cell)}"
    )


def _findings(findings: Sequence[Finding], word: str = "") -> str:
    owners = Counter(str(finding.owner) for finding in findings)
    named = ", ".join(f"{owner} {count}" for owner, count in sorted(owners.items()))
    return f"{_count(len(findings), word + 'finding')} ({named})"


def _accept(cell: str) -> str:
    return f"`leakgrid accept {cell} --reason ...`"


def _with_outcome(facts: Facts, word: str) -> list[str]:
    wanted = (word, f"{word}-under-valgrind")
    return sorted(node for node, record in facts.tests.items() if record.outcome in wanted)


def _ended(facts: Facts, tests: Sequence[str], what: str, advice: str) -> str:
    why = f" ({facts.tests[tests[0]].reason})" if facts.tests[tests[0]].reason else ""
    others = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
    if measured_tests(facts.tests):
        fate = "the other tests were measured, these were not"
    else:
        fate = "no other test passed, so nothing was measured"
    return (
        f"{tests[0]}{why}{others} {what}; {fate}. {advice} or deselect them "
        "(`leakgrid check ... -- --deselect NODEID`), and run again."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
