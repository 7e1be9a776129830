"""What an investigation ends with: the decision, text ready to file, and when to look again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from packaging.version import Version

from leakgrid.finding import CellResult
from leakgrid.reports import _classes as classes
from leakgrid.reports import _common as common
from leakgrid.reports import _entries, markdown
from leakgrid.signature import Owner

OWN = (Owner.EXTENSION, Owner.DEPENDENCY)
FOREIGN = (Owner.PYO3, Owner.CPYTHON, Owner.LIBC)
_MOST_FILED = 10


def judged(cells: Sequence[CellResult]) -> list[CellResult]:
    """The cells that say something about leaks."""
    return [cell for cell in cells if cell.verdict in common.FINE | common.LEAKING]


def open_groups(cells: Sequence[CellResult]) -> list[common.Group]:
    """The findings that nobody accepted."""
    return [group for group in common.groups(cells) if group.state != "known"]


def decision(cells: Sequence[CellResult]) -> str:
    """The section that says what to do."""
    told = open_groups(cells)
    own = [group for group in told if group.finding.owner in OWN]
    unowned = [group for group in told if group.finding.owner == Owner.UNKNOWN]
    parts = ["## Decision\n"]
    if not judged(cells):
        return parts[0] + "\nNo cell was evaluated, so there is nothing to decide on yet.\n"
    if own:
        parts.append(_leaks(len(own)))
    elif unowned:
        parts.append(_open(len(unowned), cells))
    elif told:
        parts.append(_FOREIGN)
    else:
        parts.append(_clean(cells))
    if told and (newer := mended(cells)):
        parts.append(_mended(newer, told))
    open_cells = len(cells) - len(judged(cells))
    if open_cells:
        noun = "1 cell says" if open_cells == 1 else f"{open_cells} cells say"
        parts.append(f'{noun} nothing either way: see "Not evaluated".\n')
    if told:
        parts.append(_follow_up(told, cells))
    return "\n".join(parts)


def mended(cells: Sequence[CellResult]) -> list[CellResult]:
    """For each target and Python with findings: its newest PyO3, where that shows none of them."""
    found = []
    for key in dict.fromkeys((cell.target, common.minor(cell)) for cell in judged(cells)):
        some = [c for c in judged(cells) if (c.target, common.minor(c)) == key and not c.partial]
        some.sort(key=lambda cell: Version(cell.pyo3))
        if some and not open_groups(some[-1:]) and open_groups(some[:-1]):
            found.append(some[-1])
    return found


def _mended(newer: Sequence[CellResult], told: Sequence[common.Group]) -> str:
    """That a version of PyO3 without the findings was measured, too: the shortest way out."""
    there = {(cell.target, common.minor(cell)) for cell in newer}
    gone = [
        group
        for group in told
        if {(group.target, common.minor(cell)) for cell in group.cells} <= there
    ]
    what = "None of it occurs" if len(gone) == len(told) else f"{len(gone)} of them do not occur"
    return f"""\
**{what} in {common.cells_text(newer)}**, with the same sources and tests. To move there
ends it, and is the first thing to try: what is gone with another PyO3 was most likely PyO3's own.
`leakgrid bisect --fixed` names the release that mended it, with its changelog.
"""


def _count(number: int) -> str:
    return "one finding" if number == 1 else f"{number} findings"


def _leaks(number: int) -> str:
    return f"""\
**Leaks: {_count(number)} in the extension's own code.**

1. File the follow-up below, and repair: growth with each call first, then the largest.
2. Run the cells again: a finding that is gone gives `clean` or `improved`.
3. Run the cells nightly in CI (`nox -s valgrind`, or the command under "How to reproduce"): it ends
   with exit code 1 as soon as anything new leaks. It need not block merges.
4. What has to stay for a while is accepted in the baseline, with its reason:
   `leakgrid accept CELL --finding ID --reason TEXT`. A suppression would hide it from everybody.
"""


def _open(number: int, cells: Sequence[CellResult]) -> str:
    stacks = (
        "Without Valgrind there is no stack to tell whose code it is: run the cells again with "
        "`--detectors memcheck,growth,refs,fds,threads` before anything is filed."
        if all(classes.measured(cell, ("memcheck",)) for cell in judged(cells))
        else "Lost references have no stack, and no stack of the others names an owner: look at "
        "the tests that show them."
    )
    return f"""\
**Open: {_count(number)} of which nobody knows yet whose code it is.**

1. {stacks}
2. Then decide: repair what is the extension's, report what is not, accept with a reason what stays.
3. Until then neither "leaks" nor "clean" would be true.
"""


_FOREIGN = """\
**What was found is outside the extension's own code.**

1. The owner is who allocated, which need not be who holds: PyO3 and Python allocate instances of
   the extension's classes, too. Of growth, look first whether the extension's function in the
   stack, or what the tests hand to it, is what keeps it (`leakgrid explain ID`).
2. Only then file the follow-up below with the owner that it names, or move to a version without
   it: `leakgrid bisect` finds the PyO3 version that brought it, or that mends it (`--fixed`).
3. Accept it until then: `leakgrid accept CELL --finding ID --reason TEXT --link URL`. For people
   who run Valgrind by hand `leakgrid suppressions propose ID` writes the narrowest suppression.
4. Run the cells nightly in CI: anything new is then a regression.
"""


def _clean(cells: Sequence[CellResult]) -> str:
    missing = sorted(
        leak.name
        for leak in classes.CLASSES
        if all(classes.measured(cell, leak.detectors) for cell in judged(cells))
    )
    title = "Every evaluated cell is free of findings that nobody accepted"
    if missing:
        title += f" in what was measured ({', '.join(missing)}: not measured)"
    return f"""\
**{title}.**

1. Keep this document and these results as the baseline, and close the investigation.
2. Keep watching: run the cells again for every release of PyO3 and Python (below).
3. No suppressions are needed: attribution by owner replaces them.
"""


def _follow_up(told: Sequence[common.Group], cells: Sequence[CellResult]) -> str:
    """An issue's text; between fences, so that it can be taken as it is."""
    targets = ", ".join(dict.fromkeys(group.target for group in told))
    lines = [
        f"Title: Memory leaks in {targets}: {_count(len(told))} of leakgrid",
        "",
        "Found by building against each PyO3 below and repeating the test suite.",
        "",
    ]
    entries = _entries.entries(told)
    for entry in entries[:_MOST_FILED]:
        group = entry.group
        lines.append(f"- [ ] {group.finding.id}: {common.headline(group.finding)}")
        lines.append(f"      owner {group.finding.owner}; {common.cells_text(group.cells)}")
        if group.finding.tests:
            lines.append(f"      seen in {common.some(group.finding.tests, 2)}")
        for frame in [frame for frame in common.story(group.finding) if frame is not None][:3]:
            lines.append(
                f"      at {common.one_line(frame.function)} {common.place(frame)}".rstrip()
            )
        if entry.size > 1:
            why = "in the same tests, perhaps through it" if entry.beneath else "alike"
            lines.append(f"      and {entry.size - 1} more {why}")
    if more := sum(entry.size for entry in entries[_MOST_FILED:]):
        lines.append(f"- {more} more in the report")
    lines += ["", "To see it again:", "", f"    {command(told[0].cells[0])}"]
    text = "\n".join(line.replace("````", "'''") for line in lines)
    return f"### Follow-up, ready to file\n\n````text\n{text}\n````\n"


def command(cell: CellResult) -> str:
    """The command that evaluates one cell as it was evaluated."""
    words = ["leakgrid", "check", cell.target, "--python", common.minor(cell), "--pyo3", cell.pyo3]
    if cell.detectors and tuple(cell.detectors) != ("memcheck",):
        words += ["--detectors", ",".join(cell.detectors)]
    return shlex.join(words)


def again(cells: Sequence[CellResult]) -> str:
    """When to evaluate again, and why, with the versions that these results are about."""
    newest = max((cell.pyo3 for cell in cells), key=common.version_key)
    pythons = ", ".join(sorted({common.minor(cell) for cell in cells}, key=common.version_key))
    lines = [
        f"- PyO3 releases something newer than {markdown.escape(newest)}, or yanks it: its "
        "internals decide how references are counted, and leaks came and went with single "
        "releases (`leakgrid watch` says when).",
        f"- a Python other than {pythons} is to be supported, or one of them changes its minor "
        "version: caches and immortal objects differ between them.",
        "- the extension gets new classes, buffers, callbacks or threads: what no test calls was "
        "not measured.",
        "- somebody reports a process that grows.",
    ]
    missing = [
        leak.name
        for leak in classes.CLASSES
        if any(classes.measured(cell, leak.detectors) for cell in cells)
    ]
    if missing:
        names = ", ".join(missing)
        lines.append(f"- now, for what was not measured in every cell: {names}.")
    return "\n".join(["## When to evaluate again", "", *lines]) + "\n"
