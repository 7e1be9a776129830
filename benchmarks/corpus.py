"""What four ways to look for leaks find in the planted corpus, report falsely, and cost.

    python benchmarks/corpus.py [--python 3.12] [--tools leakgrid,psleak] [--json FILE] [--markdown]

Both halves of tests/corpus, release builds with line tables, the same for every tool. A plant is a
test that leaks, a look-alike one that does not; ``expected.toml`` of each half says which is which
and what this Python cannot show. Costs are CPU seconds, user and system, of the tool's run with all
of its children; never wall time, which depends on what else runs. Builds are not counted.

How each tool is judged, always in its favour:

recipe     ``valgrind --leak-check=full --show-leak-kinds=all --track-fds=yes python -m pytest``,
           once for the suite. It cannot say which test leaked, so a plant counts as found when any
           record that is definitely or possibly lost, or an open descriptor, shows the planted
           function in its stack. ``recipe, all kinds`` also counts what is still reachable (this
           is how a thread or an object that Python's allocator gave out can show at all). A
           false report is a function of harmless.rs in such a record, each counted once, and its
           module initialisation never. What names neither is given as records to be read.
recipe-malloc  the same with PYTHONMALLOC=malloc, as CPython's own notes on Valgrind suggest.
memray     pytest-memray with ``--memray`` and ``limit_leaks`` on every test (it then traces
           native frames and Python's allocators), with a limit of 1 KB per place, and of 1 B.
           A test that it fails counts as reported, whatever the places it lists.
psleak     psleak's own ``execute`` with its defaults, on every test (psleak_plugin.py), with
           PYTHONMALLOC=malloc as it asks for. Any error of psleak counts as reported.
leakgrid   the native suite and the screen (``leakgrid check --detectors growth,refs,fds,threads``).
           A test with a suspect counts as reported. ``--stacks`` adds the explanation of suspects
           under memcheck, and counts the plants whose function it then names.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

import corpora  # noqa: E402

from leakgrid import process  # noqa: E402
from leakgrid.detectors import native, screen, valgrind  # noqa: E402
from leakgrid.detectors.memcheck import Settings  # noqa: E402
from leakgrid.signature import Origins  # noqa: E402
from leakgrid.toolchain import interpreters  # noqa: E402

RECIPE = ("valgrind", "--leak-check=full", "--show-leak-kinds=all", "--track-fds=yes")
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
COLUMNS = {"growth": "memory", "refs": "references", "fds": "descriptors", "threads": "threads"}
_RECORD = re.compile(r"blocks? (?:is|are) (definitely|indirectly|possibly) lost|still reachable in")
_OPEN = re.compile(r"Open (?:file descriptor|AF_)")
_FRAME = re.compile(r"(?:at|by) 0x[0-9A-F]+: (.+)$")
_HARMLESS = re.compile(r"::harmless::(?:__pyfunction_)?(?!register)(\w+).*\(harmless\.rs:\d+\)$")


@dataclass(frozen=True, slots=True)
class Row:
    """One tool: the tests it reported, and what it cost. ``note`` is for people."""

    tool: str
    found: frozenset[str]
    false: frozenset[str]
    cpu: float
    note: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bench:
    """Both halves, built; ``extra`` is the environment that has the other tools."""

    plain: corpora.Built
    extra: corpora.Built
    halves: Mapping[str, corpora.Half]
    tests: Mapping[str, tuple[str, ...]]
    stacks: bool

    def plants(self) -> Iterator[tuple[str, corpora.Plant]]:
        for name, half in self.halves.items():
            for plant in half.plants:
                yield f"{name}: {plant.test}", plant

    def sort(self, reported: Mapping[str, set[str]]) -> tuple[frozenset[str], frozenset[str]]:
        """(plants, look-alikes) of the reported tests of each half."""
        found: set[str] = set()
        false: set[str] = set()
        for name, half in self.halves.items():
            planted = {plant.test for plant in half.plants}
            for test in reported[name] - half.excluded.keys():
                (found if test in planted else false).add(f"{name}: {test}")
        return frozenset(found), frozenset(false)

    def environ(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return kept | {"PYTHONPATH": str(ROOT / "benchmarks")} | more


def main() -> int:
    """Build, run each tool, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--stacks", action="store_true", help="leakgrid with stacks as well")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--markdown", action="store_true", help="the table alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        bench = prepare(options.python, Path(folder), options.stacks)
        rows = [native_row(bench)]
        for name in options.tools.split(","):
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows += TOOLS[name](bench)
        versions = tool_versions(bench)
    if options.json:
        options.json.write_text(json.dumps(as_data(bench, rows, versions), indent=1) + "\n")
    print(table(bench, rows))
    if not options.markdown:
        print(missed(bench, rows))
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
    return 0


def prepare(python: str, folder: Path, stacks: bool) -> Bench:
    """Two environments with both halves: one as a maintainer has it, one with the other tools."""
    interpreter = interpreters.find(python).executable
    roots = [folder / "plain", folder / "extra"]
    packages: tuple[tuple[str, ...], ...] = ((), ("pytest-memray", "psleak"))
    plain, extra = (
        corpora.build(interpreter, "release", root, folder / "target", *more)
        for root, more in zip(roots, packages, strict=True)
    )
    tests = {}
    for name in corpora.MODULES:
        passed = native.run(corpora.cell(plain, name)).measurable
        tests[name] = tuple(corpora.short(test) for test in passed)
    halves = {name: corpora.half(name, python) for name in corpora.MODULES}
    return Bench(plain, extra, halves, tests, stacks)


def measured(work: Callable[[], object]) -> float:
    """CPU seconds of the programs that the work started and waited for."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    work()
    return used() - before


# --- the tools -----------------------------------------------------------------------------------


def native_row(bench: Bench) -> Row:
    """pytest alone, for the ratio."""

    def work() -> None:
        for name in bench.halves:
            command = [str(bench.plain.python), *PYTEST]
            process.run(command, cwd=corpora.CORPUS / name, env=bench.environ())

    return Row("pytest alone", frozenset(), frozenset(), measured(work))


def recipe(bench: Bench, **environ: str) -> list[Row]:
    """The classic recipe, once per half; two ways to count what it says."""
    logs = {name: bench.plain.scratch / f"{name}.valgrind" for name in bench.halves}

    def work() -> None:
        for name, log in logs.items():
            command = [*RECIPE, f"--log-file={log}", str(bench.plain.python), *PYTEST]
            process.run(command, cwd=corpora.CORPUS / name, env=bench.environ(**environ))

    cpu = measured(work)
    title = "the recipe" + "".join(f", {key}={value}" for key, value in environ.items())
    return [counted(bench, logs, title, cpu, every) for every in (False, True)]


def counted(bench: Bench, logs: Mapping[str, Path], title: str, cpu: float, every: bool) -> Row:
    """What the logs say: of lost blocks and descriptors, or of every kind of record."""
    found: set[str] = set()
    false: set[str] = set()
    other = 0
    for name, log in logs.items():
        for kind, frames in records(log):
            if kind in ("still", "indirectly") and not every:
                continue
            own = {plant.test for plant in bench.halves[name].plants if names(frames, plant)}
            harmless = {match[1] for line in frames if (match := _HARMLESS.search(line))}
            found |= {f"{name}: {test}" for test in own}
            false |= {f"{name}: {function}" for function in harmless}
            other += not own and not harmless
    title += ", all kinds" if every else ""
    note = f"{other} more records to read; no test is named"
    return Row(title, frozenset(found), frozenset(false), cpu, note)


def records(log: Path) -> Iterator[tuple[str, list[str]]]:
    """(kind, frames) of each loss record and open descriptor in Valgrind's text."""
    kind, frames = "", []
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            text = line.rstrip().partition("== ")[2].strip()
            if frame := _FRAME.search(text):
                frames.append(frame[1])
                continue
            if kind and frames:
                yield kind, frames
                kind = ""
            frames = []
            if match := _RECORD.search(text):
                kind = match[1] or "still"
            elif _OPEN.match(text):
                kind = "open"
    if kind and frames:
        yield kind, frames


def names(frames: list[str], plant: corpora.Plant) -> bool:
    """Whether the planted function, or a method of the planted class, is among the frames."""
    owner, _, name = plant.function.rpartition("::")
    word = rf"(?<!\w){owner}(?!\w).*{name}" if owner else rf"(?:(?<!\w)|__pyfunction_){name}(?!\w)"
    return any(re.search(word, frame) for frame in frames)


def plugin_row(bench: Bench, tool: str, plugin: str, *options: str, **environ: str) -> Row:
    """A tool that is a pytest plugin and says its word test by test."""
    reported: dict[str, set[str]] = {name: set() for name in bench.halves}
    errors: dict[str, str] = {}

    def work() -> None:
        for name in bench.halves:
            out = bench.extra.scratch / f"{plugin}-{name}.jsonl"
            out.write_text("")
            variables = bench.environ(CORPUS_OUT=str(out), PYTHONUNBUFFERED="1", **environ)
            command = [str(bench.extra.python), *PYTEST, "-p", plugin, *options]
            done = process.run(command, cwd=corpora.CORPUS / name, env=variables)
            said = [json.loads(line) for line in out.read_text().splitlines()]
            reported[name] |= {corpora.short(entry["test"]) for entry in said if entry["leak"]}
            for entry in said:
                if entry["failed"] and not entry["leak"]:
                    errors[f"{name}: {corpora.short(entry['test'])}"] = entry["said"]
            if done.signal:
                errors[name] = f"ended by signal {done.signal}: {done.tail(5)}"

    cpu = measured(work)
    note = f"{len(errors)} tests could not be judged" if errors else ""
    return Row(tool, *bench.sort(reported), cpu, note, errors)


def memray(bench: Bench) -> list[Row]:
    """pytest-memray with two limits."""
    return [
        plugin_row(
            bench, f"pytest-memray, {limit}", "memray_plugin", "--memray", CORPUS_LIMIT=limit
        )
        for limit in ("1 KB", "1 B")
    ]


def psleak(bench: Bench) -> list[Row]:
    """psleak with its defaults."""
    off = ("-p", "no:memray")
    return [plugin_row(bench, "psleak", "psleak_plugin", *off, PYTHONMALLOC="malloc")]


def leakgrid(bench: Bench) -> list[Row]:
    """The native suite and the screen; with ``--stacks`` also the suspects under memcheck."""
    reports: dict[str, tuple[native.NativeReport, screen.ScreenReport]] = {}

    def work() -> None:
        for name in bench.halves:
            cell = corpora.cell(bench.plain, name)
            seen = native.run(cell)
            reports[name] = seen, screen.run(cell, seen.measurable, seen.seconds)

    cpu = measured(work)
    reported = {
        name: {corpora.short(suspect.test) for suspect in report.suspects}
        for name, (_, report) in reports.items()
    }
    left = {
        f"{name}: {corpora.short(item['what'])}": item["why"]
        for name, (_, report) in reports.items()
        for item in report.not_judged
    }
    note = f"{len(left)} tests cannot be judged, and it says so" if left else ""
    row = Row("leakgrid, the screen", *bench.sort(reported), cpu, note, left)
    if not bench.stacks:
        return [row]
    named: set[str] = set()

    def explain() -> None:
        for name, (seen, report) in reports.items():
            named.update(named_functions(bench, name, seen, report))

    cpu += measured(explain)
    growing = sum(plant.detector == "growth" for _, plant in bench.plants())
    note = f"names the planted function of {len(named)} of {growing} that grow"
    return [row, replace(row, tool="leakgrid, with stacks", cpu=cpu, note=note)]


def named_functions(
    bench: Bench, name: str, seen: native.NativeReport, report: screen.ScreenReport
) -> Iterator[str]:
    """The plants whose function stands in a stack that grew under memcheck."""
    half = bench.halves[name]
    own = sorted({item.test for item in report.suspects if item.detector == "growth"})
    origins = Origins(frozenset({str(bench.plain.libraries[name])}), (str(half.folder),))
    settings = Settings(valgrind.locate(), origins)
    stacks = screen.explain(corpora.cell(bench.plain, name), settings, own, seen.seconds)
    plants = {plant.test: plant for plant in half.plants}
    for test, explained in stacks.items():
        plant = plants.get(corpora.short(test))
        frames = [frame.function for item in explained for frame in item.found.leak.frames]
        if plant and names(frames, plant):
            yield f"{name}: {plant.test}"


TOOLS: dict[str, Callable[[Bench], list[Row]]] = {
    "recipe": recipe,
    "recipe-malloc": lambda bench: recipe(bench, PYTHONMALLOC="malloc"),
    "memray": memray,
    "psleak": psleak,
    "leakgrid": leakgrid,
}

# --- what comes out ------------------------------------------------------------------------------


def table(bench: Bench, rows: list[Row]) -> str:
    """Markdown: plants found by what is lost, false reports, and the cost."""
    plants = dict(bench.plants())
    totals = {key: sum(p.detector == key for p in plants.values()) for key in COLUMNS}
    total_tests = sum(map(len, bench.tests.values()))
    clean = total_tests - len(plants) - sum(len(half.excluded) for half in bench.halves.values())
    heads = [f"{title} ({totals[key]})" for key, title in COLUMNS.items()]
    head = [f"found of {len(plants)}", *heads, f"false reports in {clean}", "CPU s", "times native"]
    lines = [f"| | {' | '.join(head)} | |", "|---|" + "---:|" * len(head) + "---|"]
    base = rows[0].cpu
    for row in rows:
        by = [sum(plants[name].detector == key for name in row.found) for key in COLUMNS]
        judged = [len(row.found), *by, len(row.false)] if row is not rows[0] else [""] * 6
        cells = [row.tool, *judged, f"{row.cpu:.1f}", f"{row.cpu / base:.0f}", row.note]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def missed(bench: Bench, rows: list[Row]) -> str:
    """What each tool missed and reported falsely, by name."""
    plants = dict(bench.plants())
    lines = []
    for row in rows[1:]:
        lines.append(f"\n{row.tool}")
        lines.append(f"  missed: {', '.join(sorted(plants.keys() - row.found)) or 'nothing'}")
        lines.append(f"  false: {', '.join(sorted(row.false)) or 'nothing'}")
        lines += [f"  not judged: {test}: {why[:160]!r}" for test, why in row.errors.items()]
    return "\n".join(lines)


def as_data(bench: Bench, rows: list[Row], versions: Mapping[str, str]) -> dict[str, object]:
    """Everything, for programs."""
    plants = dict(bench.plants())
    entries = []
    for row in rows:
        data = asdict(row) | {"found": sorted(row.found), "false": sorted(row.false)}
        entries.append(data | {"missed": sorted(plants.keys() - row.found), "cpu": round(row.cpu)})
    excluded = {name: dict(half.excluded) for name, half in bench.halves.items()}
    return {
        "versions": dict(versions),
        "plants": {name: plant.detector for name, plant in plants.items()},
        "excluded": excluded,
        "tools": entries,
    }


def tool_versions(bench: Bench) -> dict[str, str]:
    """What was compared."""
    wanted = ("pytest", "pytest-memray", "memray", "psleak", "psutil")
    listed = process.run([bench.extra.python, "-m", "pip", "list", "--format", "json"]).stdout
    installed = {item["name"]: item["version"] for item in json.loads(listed)}
    tool = process.run(["valgrind", "--version"]).stdout.strip().removeprefix("valgrind-")
    full = process.run([bench.plain.python, "-V"]).stdout.split()[-1]
    own = {"Python": full, "Valgrind": tool, "leakgrid": importlib.metadata.version("leakgrid")}
    return own | {name: installed[name] for name in wanted}


if __name__ == "__main__":
    raise SystemExit(main())
