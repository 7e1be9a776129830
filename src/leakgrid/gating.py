"""May this be released? Every reason against it, from the matrix and the stored results (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from leakgrid.finding import CellResult
from leakgrid.matrix import CellPlan
from leakgrid.verdict import exit_code

FINDINGS, NOT_EVALUATED, NOT_TRUSTED = 1, 3, 4
_UNDEFINED_OFF = "--no-undefined"
"""How ``not_checked`` of a result names what was switched off with it."""
_SEVERITY = (FINDINGS, NOT_TRUSTED, NOT_EVALUATED)
"""The worst first: a regression outranks everything else."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the gate is closed: about a cell or a target (``subject``).

    ``kind`` is a word for programs, ``code`` the exit code that this reason alone would give.
    """

    subject: str
    kind: str
    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


@dataclass(frozen=True, slots=True)
class Question:
    """What the gate judges.

    ``plans`` are the matrix's cells of the targets in question, ``newest`` the newest PyO3 that
    can be released against (empty: unknown). ``sources`` maps a target to the digest of its
    sources. ``results`` are the stored ones by cell, judged against the baselines of now;
    ``remeasure`` names cells of which the baseline of now says too little. ``limit`` is how old a
    result may be, ``detectors`` are all that there are.
    """

    plans: Sequence[CellPlan]
    newest: str
    sources: Mapping[str, str]
    results: Mapping[str, CellResult]
    now: datetime
    limit: timedelta
    detectors: Sequence[str]
    remeasure: frozenset[str] = frozenset()


def judge(question: Question) -> tuple[Reason, ...]:
    """Every reason against a release; none where the gate is open.

    Each cell of the newest PyO3 has to be evaluated: its whole suite, with every detector, these
    sources, within the limit. Of the other cells of the matrix whatever is stored must be neither
    regressed, untrusted nor too old, whichever sources it is about.
    """
    reasons: list[Reason] = []
    for target in dict.fromkeys(plan.cell.target for plan in question.plans):
        plans = [plan for plan in question.plans if plan.cell.target == target]
        required = [plan for plan in plans if plan.cell.pyo3 == question.newest]
        reasons += _coverage(target, required, question.newest)
        for plan in plans:
            if not plan.excluded:
                reasons += _cell(plan, question, required=plan in required)
    return tuple(reasons)


def gate_exit_code(reasons: Sequence[Reason]) -> int:
    """0 open; else 1 for findings, 4 for what cannot be trusted, 3 for what was not evaluated."""
    codes = {reason.code for reason in reasons}
    return next((code for code in _SEVERITY if code in codes), 0)


def _coverage(target: str, required: Sequence[CellPlan], newest: str) -> Iterator[Reason]:
    if not newest:
        return  # said once, not for each target
    if not required:
        yield Reason(
            target,
            "not-in-matrix",
            NOT_EVALUATED,
            f"PyO3 {newest} is the newest and not in the matrix; `leakgrid watch --write` adds it",
        )
    elif all(plan.excluded for plan in required):
        yield Reason(
            target,
            "excluded",
            NOT_EVALUATED,
            f"every cell of PyO3 {newest} is excluded ({required[0].excluded}); where that is "
            "meant, leave it out of [watch] pyo3",
        )


def _cell(plan: CellPlan, question: Question, *, required: bool) -> Iterator[Reason]:
    cell = plan.cell.name
    result = question.results.get(cell)
    if result is None:
        if required:
            yield _not_evaluated(cell, "no-result", "there is no result of it")
        return
    yield from _verdict(cell, result, required=required)
    if required or not result.partial:
        yield from _age(cell, result, question)
    if cell in question.remeasure:
        yield _not_evaluated(
            cell, "measure-again", "its baseline has changed so that it has to be measured again"
        )
    if not required:
        return
    yield from _wholeness(cell, result, question.detectors)
    if not result.sources:
        yield _not_evaluated(cell, "sources-unknown", "its result does not say of which sources")
    elif result.sources != question.sources.get(plan.cell.target):
        yield _not_evaluated(
            cell,
            "other-sources",
            f"it was measured for other sources ({result.sources}, these are "
            f"{question.sources.get(plan.cell.target, 'unknown')})",
        )


def _wholeness(cell: str, result: CellResult, detectors: Sequence[str]) -> Iterator[Reason]:
    """Whether everything was looked for in every test, which ``partial`` alone does not say."""
    missing = [name for name in detectors if name not in result.detectors]
    again = "run it again with all of them (no --detectors)"
    if result.partial:
        yield _not_evaluated(cell, "partial", "only a selection of its tests or detectors ran")
    elif not result.detectors:
        text = f"its result does not say which detectors ran; {again}"
        yield _not_evaluated(cell, "detectors-unknown", text)
    elif missing:
        text = f"it was measured without {', '.join(missing)}; {again}"
        yield _not_evaluated(cell, "detectors", text)
    if any(_UNDEFINED_OFF in sentence for sentence in result.not_checked):
        yield _not_evaluated(
            cell,
            "undefined-off",
            "uses of uninitialised memory were not looked for; run it again without "
            f"{_UNDEFINED_OFF}",
        )


def _verdict(cell: str, result: CellResult, *, required: bool) -> Iterator[Reason]:
    """Not evaluated is a reason only where the cell has to be; PyO3 of long ago may not build."""
    try:
        code = exit_code(result.verdict)
    except ValueError:
        code = NOT_TRUSTED
    if code in (FINDINGS, NOT_TRUSTED) or (code and required):
        yield Reason(cell, result.verdict, code, f"{result.verdict}: {result.reason}")


def _age(cell: str, result: CellResult, question: Question) -> Iterator[Reason]:
    try:
        started = datetime.fromisoformat(result.started)
    except ValueError:
        yield _not_evaluated(cell, "undated", "its result does not say when it was measured")
        return
    if started.tzinfo is None:
        started = started.replace(tzinfo=UTC)
    age = question.now - started
    if age > question.limit:
        yield _not_evaluated(
            cell,
            "too-old",
            f"its result is {age.days} days old, more than {question.limit.days}",
        )
    elif age < -timedelta(days=1):
        yield _not_evaluated(cell, "from-the-future", f"its result is dated {result.started}")


def _not_evaluated(cell: str, kind: str, text: str) -> Reason:
    return Reason(cell, kind, NOT_EVALUATED, text)
