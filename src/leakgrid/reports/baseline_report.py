"""The investigation written down, for a project's own docs.

It has the sections of a hand-written Valgrind investigation (summary, what was run, results by
class, interpretation, suppressions, decision, when to evaluate again), filled from measured results
only. What was not measured is said to be so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from leakgrid.finding import CellResult
from leakgrid.reports import _classes as classes
from leakgrid.reports import _common as common
from leakgrid.reports import _decision, markdown
from leakgrid.signature import Owner

_METHODS = {
    "memcheck": "the whole suite once under Valgrind's memcheck, with `PYTHONMALLOC=malloc`, so "
    "that Valgrind sees every object of Python's as well; suspects again, with every stack",
    "growth": "each test again and again in one process: memory that grows by the same amount with "
    "each call, and that no Python container holds, is a finding",
    "refs": "reference counts of the extension's types and objects around the same repetitions",
    "census": "reference counts after import, compared with those of another PyO3 version",
    "fds": "open files and sockets around the same repetitions",
    "threads": "running threads around the same repetitions",
}

_INTERPRETATION = """\
Valgrind says for each lost block how the process could still reach it when it was checked:

- **definitely lost**: nothing points to the block any more. In the extension's own code this is a
  leak to repair.
- **indirectly lost**: the block is reachable only from lost blocks (the items of a lost list). It
  is not memory that was freed in a wrong way: that is an *invalid free*, a memory error. Repair
  what holds it and it goes away too.
- **possibly lost**: only a pointer into the middle of the block was found. Hash maps and other
  containers keep such pointers to blocks that are in use, so this alone proves nothing.
- **still reachable**: something still points to the block. Caches and module state look like this,
  and so does an object of Python's whose reference count never falls to zero: the kind alone does
  not tell a leak from a cache.

**Growth with each call** needs no such class: what grows by the same number of bytes with each call
and is held by no Python container fills a process that runs for days. 1,000 bytes per call and one
call per second are 86 MB per day. **Lost references** cost no memory by themselves, but the object
that they point to is never freed.

The place in the stack decides whose code is to blame, not the kind: each finding has an owner.
Broad suppressions (anything below `PyInit_*`, say) hide leaks of the extension together with those
of the interpreter, so the attribution replaces them here; the rules that did match are counted.
"""


def render(results: Sequence[CellResult], *, color: bool = False) -> str:
    """The report as Markdown from the first heading on (``color`` changes nothing)."""
    if not results:
        return "No results.\n"
    targets = common.by_target(results)
    cells = [cell for group in targets.values() for cell in group]
    names = markdown.escape(", ".join(targets))
    parts = [
        f"# Memory leak investigation of {names}: baseline report\n",
        _header(cells),
        _summary(targets),
        _what_was_run(cells),
        _by_class(cells),
        _findings(cells),
        _dropped(cells),
        markdown.reasons(cells),
        f"## Interpretation\n\n{_INTERPRETATION}",
        _suppressed(cells),
        markdown.not_checked(cells),
        _decision.decision(cells),
        _decision.again(cells),
        _reproduce(cells),
        markdown.costs(cells),
    ]
    return "\n".join(part for part in parts if part)


def _header(cells: Sequence[CellResult]) -> str:
    days = sorted({cell.started[:10] for cell in cells if cell.started})
    pythons = sorted(
        {str(cell.python.get("version", "?")) for cell in cells}, key=common.version_key
    )
    versions = sorted({cell.pyo3 for cell in cells}, key=common.version_key)
    platforms = {cell.toolchain["platform"] for cell in cells if "platform" in cell.toolchain}
    tools = {
        f"{name} {value}"
        for cell in cells
        for name, value in cell.toolchain.items()
        if name != "platform"
    }
    facts = [
        ("Investigation date", " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""),
        ("Platform", ", ".join(sorted(platforms))),
        ("Python", ", ".join(pythons)),
        ("PyO3", ", ".join(versions)),
        ("Tools", ", ".join(sorted(tools))),
        ("Status", _status(cells)),
    ]
    return (
        "\n".join(
            f"- **{name}:** {markdown.escape(text or 'not recorded')}" for name, text in facts
        )
        + "\n"
    )


def _status(cells: Sequence[CellResult]) -> str:
    judged = _decision.judged(cells)
    if not judged:
        return "no cell was evaluated"
    leaking = sum(cell.verdict in common.LEAKING for cell in judged)
    text = f"{len(judged)} of {len(cells)} cells evaluated"
    return f"{text}, {leaking or 'none'} with findings that nobody accepted"


def _summary(targets: dict[str, list[CellResult]]) -> str:
    parts = ["## Investigation summary\n"]
    for target, cells in targets.items():
        if len(targets) > 1:
            parts.append(f"{markdown.escape(target)}:\n")
        parts.append(markdown.grid(cells))
        told = _decision.open_groups(cells)
        if told:
            owners = Counter(str(group.finding.owner) for group in told)
            by_owner = ", ".join(
                f"{owner} {owners[str(owner)]}" for owner in Owner if owners[str(owner)]
            )
            parts.append(f"Findings that nobody accepted, by owner: {by_owner}.\n")
        elif _decision.judged(cells):
            parts.append("No finding that was not accepted in what was measured.\n")
    return "\n".join(parts)


def _what_was_run(cells: Sequence[CellResult]) -> str:
    rows = [["cell", "tests", "passed", "other outcomes", "repeated", "detectors"]]
    for cell in cells:
        outcomes = Counter(record.outcome for record in cell.tests.values())
        others = ", ".join(
            f"{n} {name}" for name, n in sorted(outcomes.items()) if name != "passed"
        )
        repeated = sum(record.repeatable is True for record in cell.tests.values())
        rows.append(
            [
                f"`{common.cell_id(cell)}`" + (f" ({part})" if (part := common.part(cell)) else ""),
                str(len(cell.tests)) if cell.tests else "none",
                str(outcomes["passed"]),
                others or "none",
                str(repeated) if _repeats(cell) else classes.NOT_MEASURED,
                ", ".join(cell.detectors) or "not recorded",
            ]
        )
    used = [name for name in _METHODS if any(name in cell.detectors for cell in cells)]
    methods = "".join(f"- {name}: {_METHODS[name]}.\n" for name in used) + ("\n" if used else "")
    return (
        "## What was run\n\nEach cell was built from a copy of the project with the PyO3 version "
        "that its name tells, and its pytest suite was run. Tests that failed on their own were "
        f"left out.\n\n{methods}{markdown.table(rows)}"
    )


def _repeats(cell: CellResult) -> bool:
    return any(name in cell.detectors for name in ("growth", "refs", "fds", "threads"))


def _by_class(cells: Sequence[CellResult]) -> str:
    parts = ["## Leaks by class and owner\n"]
    for cell in _decision.judged(cells):
        totals = "".join(f"- {markdown.escape(text)}\n" for text in classes.process_totals(cell))
        name = f"`{common.cell_id(cell)}`, findings, accepted ones included:"
        parts.append(f"{name}\n\n{markdown.table(classes.rows(cell))}\n{totals}")
    return "\n".join(parts) if len(parts) > 1 else ""


def _findings(cells: Sequence[CellResult]) -> str:
    """The extension's findings apart from those of Python and PyO3, and from nobody's."""
    parts = []
    for title, owners in (
        ("Findings in the extension and its crates", _decision.OWN),
        ("Findings in PyO3, Python and the C library", _decision.FOREIGN),
        ("Findings without a known owner", (Owner.UNKNOWN,)),
    ):
        own = [
            replace(cell, findings=tuple(f for f in cell.findings if f.owner in owners))
            for cell in cells
        ]
        if text := markdown.findings(own):
            parts.append(text.replace("## Findings", f"## {title}", 1))
    return "\n".join(parts)


def _dropped(cells: Sequence[CellResult]) -> str:
    """Suspects that did not hold: what looked like a leak and was none, and why."""
    told: Counter[str] = Counter()
    for cell in cells:
        for item in cell.dropped:
            what = str(item.get("what") or item.get("id") or "a suspect")
            told[common.readable(f"{what}: {item.get('why', '')}")] += 1
    lines = [f"- {markdown.escape(text)}" for text in sorted(told)[:20]]
    if len(told) > 20:
        lines.append(f"- {len(told) - 20} more (`dropped` in the results)")
    head = ["## Seen and not counted as a leak", ""]
    return "\n".join([*head, *lines]) + "\n" if lines else ""


def _suppressed(cells: Sequence[CellResult]) -> str:
    hits: Counter[str] = Counter()
    for cell in cells:
        for rule, count in cell.suppressed.items():
            hits[rule] += count
    title = "## Suppressions\n\n"
    if all(classes.measured(cell, ("memcheck",)) for cell in cells):
        return title + "Not measured: nothing was run under Valgrind, which applies them.\n"
    if not hits:
        return title + "No suppression rule was loaded, or none matched anything.\n"
    rows = [
        ["rule", "matches"],
        *([f"`{rule}`", str(count)] for rule, count in sorted(hits.items())),
    ]
    return title + markdown.table(rows)


def _reproduce(cells: Sequence[CellResult]) -> str:
    commands = "\n".join(_decision.command(cell) for cell in cells)
    text = (
        "## How to reproduce\n\nOn Linux, with leakgrid, Rust and the interpreter installed (and "
        "Valgrind, for memcheck); a project that is no target of a matrix file is named by its "
        f"folder, or as NAME==VERSION:\n\n````bash\n{commands}\n````\n"
    )
    if any(common.part(cell) == common.SELECTION for cell in cells):
        text += "\nSome of these runs were of part of the tests; the commands run all.\n"
    return text
