"""The planted corpus: what each half of it leaks, its builds, and what the screen says of them.

The halves are separate extensions. ``known`` was written beside the detectors, ``blind`` by someone
who had not read them. Both are built into one environment per Python, from one target directory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakgrid.detectors import library, native, screen
from leakgrid.detectors.native import NativeReport
from leakgrid.detectors.screen import ScreenReport
from leakgrid.detectors.suite import Cellular
from leakgrid.detectors.suspects import LEAK, Suspect

CORPUS = Path(__file__).parents[1] / "corpus"
MODULES = {"known": "leakgrid_known", "blind": "corpus_blind"}
BUILDS = (("3.9", "debug"), ("3.12", "release"))
"""Each half on two Pythons, once as ``maturin develop`` builds it and once optimised."""
DETECTORS = {
    "memory": "growth",
    "object": "growth",
    "reference": "refs",
    "fd": "fds",
    "thread": "threads",
}
CHUNK = 32  # bytes that glibc's malloc adds to a block at most: its header and rounding


@dataclass(frozen=True, slots=True)
class Plant:
    """One planted test: ``names`` are what a report may call it, ``bytes`` from least to most."""

    test: str
    detector: str
    names: tuple[str, ...]
    function: str
    kind: str = ""
    per_call: float | None = None
    bytes: tuple[float, float] | None = None

    def faults(self, found: Iterable[Suspect]) -> list[str]:
        """What is wrong with the suspects that should be this plant; empty where one is right."""
        wrong = [self._fault(suspect) for suspect in found]
        return [] if "" in wrong else wrong or ["nothing was found"]

    def _fault(self, suspect: Suspect) -> str:
        said = f"{suspect.detector}, {suspect.kind}, {suspect.name}"
        if suspect.detector != self.detector or (self.kind and suspect.kind != self.kind):
            return f"found as {said}, not as {self.detector} {self.kind}".rstrip()
        plain = suspect.kind == "native-memory"  # it has no name without a stack
        if self.names and not plain and not any(has(suspect.name, name) for name in self.names):
            return f"found as {said}, which names none of {', '.join(self.names)}"
        if self.per_call is not None and abs(suspect.per_call - self.per_call) > 0.05:
            return f"found as {said}, {suspect.per_call:g} per call and not {self.per_call:g}"
        if self.bytes and not self.bytes[0] <= suspect.bytes <= self.bytes[1]:
            least, most = self.bytes
            return f"found as {said}, {suspect.bytes:g} bytes and not {least:g} to {most:g}"
        return ""


@dataclass(frozen=True, slots=True)
class Half:
    """One half of the corpus as one Python can show it; every other test must be found clean."""

    name: str
    plants: tuple[Plant, ...]
    excluded: Mapping[str, str]

    @property
    def folder(self) -> Path:
        return CORPUS / self.name


@dataclass(frozen=True, slots=True)
class Built:
    """Both halves built and installed: the environment's Python and each half's library."""

    python: Path
    libraries: Mapping[str, Path]
    scratch: Path


@dataclass(frozen=True, slots=True)
class Seen:
    """One half after the screen."""

    half: Half
    native: NativeReport
    screen: ScreenReport

    def missed(self) -> list[str]:
        """A line for each plant that was not found as what it is, with what the screen says."""
        tests = {short(test): entry for test, entry in self.screen.tests.items()}
        lines = []
        for plant in self.half.plants:
            entry = tests.get(plant.test)
            faults = plant.faults(entry.suspects if entry and entry.status == LEAK else ())
            if faults:
                lines.append(f"{plant.test}: {'; '.join(faults)} ({self.said(plant.test)})")
        return lines

    def false(self) -> list[str]:
        """A line for each finding in a test that leaks nothing."""
        planted = {plant.test for plant in self.half.plants} | self.half.excluded.keys()
        return [
            f"{short(test)}: {suspect.detector}, {suspect.kind}, {suspect.name}, "
            f"{suspect.per_call:g} and {suspect.bytes:g} bytes per call ({self.said(short(test))})"
            for test, entry in self.screen.tests.items()
            if short(test) not in planted and entry.status == LEAK
            for suspect in entry.suspects
        ]

    def said(self, test: str) -> str:
        """The screen's own words about a test, or why it was not screened."""
        for name, entry in self.screen.tests.items():
            if short(name) == test:
                why = f": {entry.why}" if entry.why else ""
                return f"the screen says {entry.status}{why}, after {entry.calls} calls"
        for name, event in self.native.tests.items():
            if short(name) == test:
                return f"not screened: natively {event.outcome}: {event.why}"
        return "the suite has no such test"


def short(test: str) -> str:
    """A node id without its file."""
    return test.partition("::")[2]


def has(text: str, word: str) -> bool:
    """Whether the word stands in the text by itself: no ``list`` in ``list_iterator``."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def half(name: str, python: str) -> Half:
    """What this half leaks, without what this Python cannot show."""
    entries = tomllib.loads((CORPUS / name / "expected.toml").read_text(encoding="utf-8"))
    read = _blind if name == "blind" else _known
    plants, excluded = [], {}
    for key, entry in entries.items():
        plant = read(key, entry)
        below = entry.get("below", entry.get("before"))
        if below and version(python) >= version(below):
            excluded[plant.test] = f"only Pythons below {below} can show it"
        elif entry.get("stretch"):
            excluded[plant.test] = entry["why"]
        else:
            plants.append(plant)
    return Half(name, tuple(plants), excluded)


def _known(key: str, entry: Mapping[str, Any]) -> Plant:
    names = (entry["object"],) if "object" in entry else ()
    return Plant(key, entry["detector"], names, entry["function"], entry["kind"])


def _blind(key: str, entry: Mapping[str, Any]) -> Plant:
    kind, every = entry["kind"], entry["every"]
    counted = next((entry[name] for name in ("refs", "fds", "threads") if name in entry), None)
    size = None
    if kind == "memory":
        most = entry["bytes"] + CHUNK * entry["blocks"]
        size = (0.95 * entry["bytes"] / every, 1.05 * most / every + CHUNK)
    return Plant(
        entry["test"],
        DETECTORS[kind],
        tuple(entry["names"]) + ((entry["type"],) if "type" in entry else ()),
        entry["function"],
        per_call=None if counted is None else counted / every,
        bytes=size,
    )


def build(interpreter: Path, profile: str, root: Path, target: Path, *packages: str) -> Built:
    """Both halves for one interpreter, in an environment of its own with pytest."""
    environment = root / "venv"
    python = environment / "bin" / "python"
    run([interpreter, "-m", "venv", environment])
    run([python, "-m", "pip", "install", "-q", "pytest", "hypothesis", *packages])
    (site,) = environment.glob("lib/python*/site-packages")
    # The same settings for both, so that cargo compiles PyO3 once for the two of them.
    settings = {f"CARGO_PROFILE_{name}_DEBUG": "line-tables-only" for name in ("DEV", "RELEASE")}
    libraries = {}
    for name, module in MODULES.items():
        wheels = root / "wheels" / name
        command = [sys.executable, "-m", "maturin", "build", "-i", python, "-o", wheels]
        command += ["-m", CORPUS / name / "Cargo.toml", "--target-dir", target]
        run([*command, *(["--release"] if profile == "release" else [])], settings)
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        (libraries[name],) = (site / module).glob("*.so")
    return Built(python, libraries, root)


def run(command: Iterable[Any], environ: Mapping[str, str] | None = None) -> None:
    """Run a program; what it said stands in the error where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **(environ or {})}
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"


def cell(built: Built, name: str, jobs: int = 2) -> Cellular:
    """What leakgrid's detectors need to run the suite of one half."""
    requests, why = library.client_requests(built.scratch / "requests")
    assert requests is not None, why
    scratch = built.scratch / name
    scratch.mkdir(exist_ok=True)
    return Cellular(
        python=built.python,
        environ={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        directory=CORPUS / name,
        pytest_args=("-q", "-p", "no:cacheprovider"),
        libraries=(str(built.libraries[name]),),
        allocators={},
        requests=str(requests),
        scratch=scratch,
        logs=scratch,
        jobs=jobs,
        test_limit=60,
        meter=str(library.heap_meter(built.scratch / "requests") or ""),
    )


def screened(built: Built, name: str, python: str) -> Seen:
    """Run one half's suite natively and screen it."""
    place = cell(built, name)
    seen = native.run(place)
    return Seen(half(name, python), seen, screen.run(place, seen.measurable, seen.seconds))
