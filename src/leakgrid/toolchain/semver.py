"""Cargo's version requirements (cargo book, "Specifying Dependencies")."""

from __future__ import annotations

import re

from leakgrid.registry import sort_key

Version = tuple[int, int, int]
_COMPARATOR = re.compile(
    r"(?P<op>\^|~|=|>=|<=|>|<)?\s*(?P<major>\d+|\*|x)(?:\.(?P<minor>\d+|\*|x))?"
    r"(?:\.(?P<patch>\d+|\*|x))?(?P<pre>-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$"
)


def matches(requirement: str, version: str) -> bool:
    """Whether ``version`` satisfies a cargo requirement such as ``^0.28`` or ``>=0.26, <0.31``.

    A pre-release satisfies only ``=`` itself. Raises ValueError on what is no requirement.
    """
    numbers, is_pre = _numbers(version), "-" in version
    for part in requirement.split(","):
        part = part.strip()
        match = _COMPARATOR.match(part)
        if match is None:
            raise ValueError(f"no cargo requirement: {requirement!r}")
        if match["pre"] or is_pre:
            exact = part.lstrip("=^~ ")
            if sort_key(exact) != sort_key(version):
                return False
            continue
        given = _given(match)
        if given and not _fits(match["op"] or ("*" if "*" in part else "^"), given, numbers):
            return False
    return True


def _given(match: re.Match[str]) -> tuple[int, ...]:
    """The numbers that are written, up to the first wildcard."""
    numbers: list[int] = []
    for name in ("major", "minor", "patch"):
        if match[name] is None or not match[name].isdigit():
            break
        numbers.append(int(match[name]))
    return tuple(numbers)


def _fits(operator: str, given: tuple[int, ...], version: Version) -> bool:
    head = version[: len(given)]
    if operator in ("=", "*"):
        return head == given
    if operator in (">", ">="):
        return head > given or (operator == ">=" and head == given)
    if operator in ("<", "<="):
        return head < given or (operator == "<=" and head == given)
    floor = (*given, 0, 0)[:3]
    if version < floor:
        return False
    # ^: the first number that is not zero stays; ~: the minor stays where one is written.
    keep = min(len(given), 2) if operator == "~" else _caret(given)
    return version[:keep] == floor[:keep]


def _caret(given: tuple[int, ...]) -> int:
    for index, number in enumerate(given):
        if number:
            return index + 1
    return len(given)


def _numbers(version: str) -> Version:
    parts = re.split(r"[-+]", version, maxsplit=1)[0].split(".")
    numbers = [int(part) for part in parts[:3]]
    major, minor, patch = (*numbers, 0, 0)[:3]
    return (major, minor, patch)
