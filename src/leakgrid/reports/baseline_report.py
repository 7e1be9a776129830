"""The baseline report: a memory-leak investigation written down, for a project's own docs.

It has the sections of a hand-written Valgrind investigation (summary, how it was done,
interpretation, decision framework, recommendation), filled from measured results.
"""

from __future__ import annotations

from collections.abc import Sequence

from leakgrid.finding import CellResult
from leakgrid.reports import _common as common
from leakgrid.reports import markdown
from leakgrid.signature import Owner

_HOW = """\
Each cell was built from a copy of the project with the PyO3 version that the table names, its
pytest suite was run under Valgrind's memcheck (`PYTHONMALLOC=malloc`, so that Valgrind sees every
object of Python's as well), and what was seen was compared with the cell's accepted baseline. To
do one cell again:

````bash
{commands}
````
"""

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
        markdown.findings(cells),
        markdown.reasons(cells),
        f"## How this was measured\n\n{_HOW.format(commands=_commands(cells))}",
        f"## Interpretation\n\n{_INTERPRETATION}",
        _totals(cells),
        _suppressed(cells),
        markdown.not_checked(cells),
        _decision(cells),
        markdown.costs(cells),
    ]
    return "\n".join(part for part in parts if part)


def _header(cells: Sequence[CellResult]) -> str:
    days = sorted({cell.started[:10] for cell in cells if cell.started})
    pythons = sorted(
        {str(cell.python.get("version", "?")) for cell in cells}, key=common.version_key
    )
    versions = sorted({cell.pyo3 for cell in cells}, key=common.version_key)
    tools = sorted({f"{name} {value}" for cell in cells for name, value in cell.toolchain.items()})
    facts = [
        ("Investigation date", " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""),
        ("Python", ", ".join(pythons)),
        ("PyO3", ", ".join(versions)),
        ("Tools", ", ".join(tools)),
        ("Status", _status(cells)),
    ]
    return (
        "\n".join(f"- **{name}:** {markdown.escape(text)}" for name, text in facts if text) + "\n"
    )


def _status(cells: Sequence[CellResult]) -> str:
    judged = [cell for cell in cells if cell.verdict in common.FINE | common.LEAKING]
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
    return "\n".join(parts)


def _commands(cells: Sequence[CellResult]) -> str:
    cell = cells[0]
    return f"leakgrid check {cell.target} --python {common.minor(cell)} --pyo3 {cell.pyo3}"


def _totals(cells: Sequence[CellResult]) -> str:
    """Blocks and bytes per leak kind and owner, of every cell that counted them."""
    rows = [["cell", "kind", "owner", "blocks", "bytes"]]
    for cell in cells:
        for kind, owners in sorted(cell.totals.items()):
            for owner in Owner:
                amount = owners.get(str(owner)) if isinstance(owners, dict) else None
                if amount:
                    blocks, size = amount.get("blocks", 0), amount.get("bytes", 0)
                    name = f"`{common.cell_id(cell)}`"
                    rows.append([name, kind, str(owner), f"{blocks:,}", f"{size:,}"])
    return f"## Totals\n\n{markdown.table(rows)}" if len(rows) > 1 else ""


def _suppressed(cells: Sequence[CellResult]) -> str:
    hits: dict[str, int] = {}
    for cell in cells:
        for rule, count in cell.suppressed.items():
            hits[rule] = hits.get(rule, 0) + count
    if not hits:
        return "## Suppressions\n\nNo suppression rule matched anything.\n"
    rows = [
        ["rule", "matches"],
        *([f"`{rule}`", str(count)] for rule, count in sorted(hits.items())),
    ]
    return f"## Suppressions\n\n{markdown.table(rows)}"


def _decision(cells: Sequence[CellResult]) -> str:
    """What to do, by what was found."""
    told = [group for group in common.groups(cells) if group.state != "known"]
    own = [group for group in told if group.finding.owner == Owner.EXTENSION]
    judged = [cell for cell in cells if cell.verdict in common.FINE | common.LEAKING]
    open_cells = len(cells) - len(judged)
    lines = ["## Decision", ""]
    if not judged:
        lines += ["No cell was evaluated, so there is nothing to decide on yet.", ""]
    elif own:
        count = "one finding" if len(own) == 1 else f"{len(own)} findings"
        lines += [
            f"**The investigation found {count} in the extension's own code.**",
            "",
            "1. Repair them, the largest first; the frames above say where.",
            "2. Run the cells again: a finding that is gone gives `clean` or `improved`.",
            "3. Run `nox -s valgrind` nightly in CI, so that they stay gone.",
        ]
    elif told:
        lines += [
            "**What was found is outside the extension's own code.**",
            "",
            "1. Report it to the owner named above, or move to a version without it.",
            "2. Accept it with a reason: `leakgrid accept CELL --reason TEXT`.",
            "3. Run `nox -s valgrind` nightly in CI: anything new is then a regression.",
        ]
    else:
        lines += [
            "**Every evaluated cell is free of findings that nobody accepted.**",
            "",
            "1. Keep these results as the baseline.",
            "2. Run the matrix again when PyO3 or Python releases something new.",
        ]
    if open_cells and judged:
        noun = "1 cell says" if open_cells == 1 else f"{open_cells} cells say"
        lines += ["", f'{noun} nothing either way: see "Not evaluated".']
    return "\n".join(lines).rstrip() + "\n"
