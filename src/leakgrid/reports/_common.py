"""What every report needs: order, grouping, and the words for sizes and cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from leakgrid import signature
from leakgrid.amounts import counted, number
from leakgrid.baseline import Accepted, python_minor
from leakgrid.comparison import mechanism, subject
from leakgrid.finding import CellResult, Finding
from leakgrid.signature import Frame, Owner

FINE = frozenset({"clean", "known", "improved"})
LEAKING = frozenset({"regressed", "unbaselined"})
NOT_EVALUATED = frozenset({"unsupported", "build-failed", "tests-failed", "no-tests"})

SELECTION = "part of the tests only"
_OWNERS = list(Owner)
_AMOUNT = re.compile(r"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?(?:e\+\d+)?) (byte|block|name)s\b")
_SAID = re.compile(r"\d.* per call")
"""How the detectors that measure per call say the amount themselves."""
_GREW = re.compile(r"(?:growth|[\w.]+(?: memory)?) in (\S+::.+)", re.DOTALL)
"""How the screen and its explanation name a test whose growth they dropped."""
_REASONS = (
    ("held by Python", "held by Python|still lists"),
    ("settled", r"flat after|stopped growing"),
    ("rises and falls", "rises and falls"),
    ("names that Python interns", "interns for ever"),
    ("not seen under Valgrind", "memcheck did not see"),
)
_STATES = ("new", "changed", "unbaselined", "known")


@dataclass(frozen=True, slots=True)
class Group:
    """One finding in every cell that has it: the same signature in one target."""

    target: str
    state: str
    finding: Finding
    cells: tuple[CellResult, ...]

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests of every cell: those of one need not be those of another."""
        shown = {test for _, test in self.seen}
        return tuple(sorted(shown | set(self.finding.tests)))

    @property
    def seen(self) -> frozenset[tuple[str, str]]:
        """Cell and test, wherever it was seen."""
        return frozenset(
            (cell_id(cell), test)
            for cell in self.cells
            for finding in cell.findings
            if finding.id == self.finding.id
            for test in finding.tests
        )


def minor(result: CellResult) -> str:
    """The Python of a result as the grid names it: ``3.13``, ``3.13t``."""
    return python_minor(result.python) or "?"


def cell_id(result: CellResult) -> str:
    """The cell's name on the command line: ``mrrc/py3.12-pyo3-0.30.1``."""
    return f"{result.target}/py{minor(result)}-pyo3-{result.pyo3}"


def part(result: CellResult) -> str:
    """What of a whole run a partial result is, in a few words; empty where it is whole."""
    if not result.partial:
        return ""
    off = any(item.startswith("memcheck (") for item in result.not_checked)
    if off or (result.detectors and "memcheck" not in result.detectors):
        return "without memcheck"
    return SELECTION


def version_key(text: str) -> tuple[Version, str]:
    """Sorts versions as versions, and anything else before them."""
    try:
        return Version(text.removesuffix("t")), text
    except InvalidVersion:
        return Version("0"), text


def by_target(results: Iterable[CellResult]) -> dict[str, list[CellResult]]:
    """Results per target in the order of their first appearance, cells by PyO3, then Python."""
    targets: dict[str, list[CellResult]] = {}
    for result in results:
        targets.setdefault(result.target, []).append(result)
    for cells in targets.values():
        cells.sort(key=lambda cell: (version_key(cell.pyo3), version_key(minor(cell))))
    return targets


def axes(cells: Sequence[CellResult]) -> tuple[list[str], list[str]]:
    """The Pythons (down) and PyO3 versions (across) of one target's cells."""
    pythons = sorted({minor(cell) for cell in cells}, key=version_key)
    return pythons, sorted({cell.pyo3 for cell in cells}, key=version_key)


def groups(results: Iterable[CellResult]) -> list[Group]:
    """Findings, the ones that matter first: new, then in one's own code, then big."""
    found: dict[tuple[str, str, str], list[tuple[Finding, CellResult]]] = {}
    for result in results:
        for finding in result.findings:
            key = (result.target, _state(result, finding), finding.id)
            found.setdefault(key, []).append((finding, result))
    merged = [
        Group(target, state, items[0][0], tuple(cell for _, cell in items))
        for (target, state, _), items in found.items()
    ]
    return sorted(merged, key=_weight)


def alike(found: Iterable[Group]) -> list[list[Group]]:
    """Groups that are one mistake in several objects, such as a reference to each of the types.

    Only findings without a stack that name an object are put together: a stack is what tells two
    leaks apart, and of memory that nothing names the same size says nothing.
    """
    causes: dict[tuple[str, ...], list[Group]] = {}
    for group in found:
        finding = group.finding
        apart = finding.frames or not subject(finding)
        key = finding.id if apart else mechanism(finding)[0]
        cells = (cell_id(cell) for cell in group.cells)
        causes.setdefault((group.target, group.state, key, *cells), []).append(group)
    return list(causes.values())


def _state(result: CellResult, finding: Finding) -> str:
    """``known``, ``new``, ``changed`` or ``unbaselined``.

    A finding that no comparison mentions is never called known, whatever the verdict. In a cell
    without a baseline that of its nearest neighbour may know some.
    """
    for state in ("new", "changed", "known"):
        if finding.id in result.comparison.get(state, ()):
            open_one = result.verdict == "unbaselined" and state != "known"
            return "unbaselined" if open_one else state
    return "unbaselined" if result.verdict == "unbaselined" else "new"


def _weight(group: Group) -> tuple[int, int, float, str, str]:
    finding = group.finding
    return (
        _STATES.index(group.state),
        _OWNERS.index(finding.owner),
        -finding.bytes,
        group.target,
        finding.id,
    )


def amount(finding: Finding | Accepted) -> str:
    """``500 bytes in 1 block per call``; of a memory error how often it was seen."""
    if not finding.blocks and not finding.bytes:
        return ""
    if not _is_amount(finding):
        return f"{number(finding.blocks)} times" if finding.blocks > 1 else ""
    per = "per call" if finding.per_call else "per process"
    return f"{counted(finding.bytes, 'byte')} in {counted(finding.blocks, 'block')} {per}"


def per_call(size: float) -> str:
    """``500 bytes per call``."""
    return f"{counted(size, 'byte')} per call"


def headline(finding: Finding) -> str:
    """What was seen, in one line: the detector's summary or kind, and the size."""
    what = readable(finding.summary or finding.kind, finding.bytes)
    size = amount(finding)
    said = not size or size.removesuffix(" per process") in what or _SAID.search(what)
    return one_line(what if said else f"{what} ({size})")


def readable(text: str, size: float = 0) -> str:
    """Amounts as they are told now, in a text of an older leakgrid: ``1.04859e+06 bytes``.

    ``size`` is in bytes: what such a text rounded.
    """

    def told(match: re.Match[str]) -> str:
        value = float(match[1].replace(",", ""))
        return counted(size if size and "e" in match[1] else value, match[2])

    return _AMOUNT.sub(told, text)


def _is_amount(finding: Finding | Accepted) -> bool:
    """Blocks and bytes of memory; a memory error has occurrences and the size of the access."""
    return finding.per_call or any(word in finding.kind.lower() for word in ("lost", "reachable"))


def story(finding: Finding) -> list[Frame | None]:
    """The few frames that tell the story, innermost first; ``None`` where some are left out."""
    told: list[Frame | None] = []
    wanted = list(signature.story(finding.frames)) or list(finding.frames)
    for frame in finding.frames:
        if wanted and frame == wanted[0]:
            told.append(wanted.pop(0))
        elif told and wanted and told[-1] is not None:
            told.append(None)
    return told


def place(frame: Frame) -> str:
    """Where a frame is: file and line, else the library."""
    if not frame.file:
        return one_line(frame.object)
    return one_line(f"{frame.file}:{frame.line}" if frame.line else frame.file)


def some(items: Sequence[str], limit: int = 3) -> str:
    """The first few, and how many more there are."""
    shown = ", ".join(one_line(item) for item in items[:limit])
    rest = len(items) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown


def cells_text(cells: Sequence[CellResult]) -> str:
    """``Python 3.12 x PyO3 0.29.0, ...`` for the first few cells."""
    return some([f"Python {minor(cell)} x PyO3 {cell.pyo3}" for cell in cells], 4)


def left_out(result: CellResult) -> dict[str, list[str]]:
    """The tests that could not be judged, by outcome."""
    found: dict[str, list[str]] = {}
    for node, record in result.tests.items():
        if record.outcome not in ("passed", "skipped", "xfailed"):
            found.setdefault(record.outcome, []).append(node)
    return found


def dropped_growth(results: Iterable[CellResult]) -> tuple[int, Counter[str]]:
    """In how many tests something grew that is no finding, and why, in a few words each."""
    found: dict[tuple[str, str], str] = {}
    for result in results:
        for item in result.dropped:
            what, why = str(item.get("what", "")), str(item.get("why", ""))
            if match := _GREW.fullmatch(what):
                reason = next((words for words, sign in _REASONS if re.search(sign, why)), "other")
                found[result.target, match[1]] = reason
    return len(found), Counter(found.values())


def not_checked(results: Iterable[CellResult]) -> dict[str, int]:
    """What was switched off or could not be seen, and in how many cells."""
    counts: dict[str, int] = {}
    for result in results:
        for sentence in result.not_checked:
            counts[sentence] = counts.get(sentence, 0) + 1
    return counts


def seconds(timing: Mapping[str, object], key: str) -> float:
    """Wall (``seconds``) or CPU (``cpu``) seconds of all stages together."""
    total = 0.0
    for stage in timing.values():
        value = stage.get(key, 0) if isinstance(stage, Mapping) else 0
        total += value if isinstance(value, (int, float)) else 0
    return total


def one_line(text: str) -> str:
    """Text from elsewhere made safe for a terminal: one line, no control characters."""
    return "".join(char if char.isprintable() else " " for char in text).strip()
