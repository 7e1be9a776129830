"""Cargo's and rustc's output turned into one sentence, its place, and the next step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from leakgrid.errors import BuildFailed
from leakgrid.process import near

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR = re.compile(r"^\s*error(?:\[(?P<code>E\d+)\])?: (?P<text>.+)$")
_PLACE = re.compile(r"^\s*--> (?P<place>\S+?:\d+)(?::\d+)?\s*$")


@dataclass(frozen=True, slots=True)
class _Cause:
    """A pattern in the output, and what it means for the person."""

    pattern: str
    what: str
    next: str


_CAUSES = (
    _Cause(
        r"linker `?\S+`? not found|failed to find tool \"?\w*cc|is `cc` not installed",
        "the linker is missing",
        "Install a C compiler (gcc or clang with the C library's headers) and run it again.",
    ),
    _Cause(
        r"links to the native library `(?:pyo3-)?python`|Only one package in the graph may specify "
        r"the same links value",
        "two versions of PyO3 meet in one build",
        "A dependency is bound to another PyO3; the log names it. Wait for its release, or leave "
        "this pair out in matrix.toml.",
    ),
    _Cause(
        r"rustc [\w.-]+ is not supported by the following|requires rustc \d|"
        r"is not supported by .*rust-version|feature `edition\d+` is required",
        "this Rust is too old for the crates",
        "Update Rust (rustup update), or name a newer toolchain in rust-toolchain.toml.",
    ),
    _Cause(
        r"toolchain '.*' is not installed|toolchain .* is not installed",
        "the Rust toolchain that the project names is not installed",
        "Run rustup toolchain install with the name in its rust-toolchain.toml.",
    ),
    _Cause(
        r"location searched: directory source",
        "the project builds from crates of its own folder, which lacks this version",
        "Choose the PyO3 that it carries, or take the source replacement out of its cargo "
        "configuration in a copy.",
    ),
    _Cause(
        r"\(locked to [\w.+-]+\)",
        "its Cargo.lock names a version that cargo's index does not have",
        "See whether that version was taken back, and cargo's source configuration; in a copy, "
        "cargo update moves the lock.",
    ),
    _Cause(
        r"failed to select a version for",
        "no set of crate versions fits together",
        "A dependency does not allow this PyO3; the log names the chain of requirements.",
    ),
    _Cause(
        r"no matching package named",
        "cargo's index has no such crate",
        "Check the name and cargo's source configuration (offline, only crates already fetched are "
        "known).",
    ),
    _Cause(
        r"spurious network error|failed to download|Could not resolve host|download of .* failed|"
        r"failed to get `.*` as a dependency",
        "cargo cannot get a crate",
        "Check the network and cargo's source configuration, then run it again.",
    ),
    _Cause(
        r"is newer than PyO3's maximum supported version|is lower than PyO3's minimum supported",
        "this PyO3 does not support this Python",
        "Leave this pair out in matrix.toml.",
    ),
    _Cause(
        r"No space left on device",
        "the disk is full",
        "Free some space and run it again.",
    ),
    _Cause(
        r"unable to find library -lpython|cannot find -lpython|Python\.h: No such file",
        "this Python has no development files",
        "Install the -dev (or -devel) package of this Python.",
    ),
)
_DEFAULT_NEXT = (
    "If this PyO3 changed the API, the extension's sources must follow (see PyO3's migration "
    "guide); leave the pair out in matrix.toml until then."
)
_READ_NEXT = "Correct what cargo says, and see that the project builds by itself first."


def first_error(output: str) -> str:
    """The first error of rustc or cargo in one line, with ``file:line`` where it tells one.

    ``could not compile`` and maturin's own summary are told only when there is nothing else.
    """
    lines = [_ANSI.sub("", line) for line in output.splitlines()]
    fallback = ""
    for number, line in enumerate(lines):
        match = _ERROR.match(line)
        if match is None:
            continue
        text = line.strip()
        if match["text"].startswith(("could not compile", "aborting due to")):
            fallback = fallback or text
            continue
        for follower in lines[number + 1 : number + 8]:
            place = _PLACE.match(follower)
            if place:
                return f"{text} --> {place['place']}"
        return "; ".join([text, *_detail(lines[number + 1 :])])
    summary = [line.strip() for line in lines if "💥" in line]
    return fallback or (summary[0] if summary else "")


def explain(
    output: str, log: Path | None, *, pyo3: str = "", doing: str = "the extension does not build"
) -> BuildFailed:
    """The error to raise for a cargo or maturin run that failed."""
    plain = _ANSI.sub("", output)
    cause = next((item for item in _CAUSES if re.search(item.pattern, plain)), None)
    what = doing + (f" with PyO3 {pyo3}" if pyo3 else "")
    first = first_error(plain) or " ".join(plain.strip().splitlines()[-1:])
    step = cause.next if cause else _DEFAULT_NEXT if "compile" in plain else _READ_NEXT
    return BuildFailed(
        what,
        log=str(log or ""),
        why=f"{cause.what}: {first}" if cause and first else (cause.what if cause else first),
        next=step + (f"\nThe whole output is in {near(log)}" if log else ""),
    )


def _detail(following: list[str]) -> list[str]:
    """What cargo says below an error without a place: at most the first causes."""
    said = []
    for line in following:
        text = line.strip()
        if not text or _ERROR.match(line):
            break
        if text != "Caused by:":
            said.append(text)
        if len(said) == 3:
            break
    return said
