"""The patterns that are told apart, and what each of them is and costs.

What Valgrind's words mean is told as its manual does (memcheck, "Leak summary").
"""

from __future__ import annotations

from collections.abc import Callable

from leakgrid.amounts import counted, number
from leakgrid.comparison import mechanism
from leakgrid.finding import Finding

NOT_MEASURED = "not measured"
ERRORS = ("access", "free", "undefined", "error")
"""The patterns that are no leaks."""
_DAY = 86_400
_WHAT = {
    "lost": "Memory that nothing points to any more, so nothing can ever free it (Valgrind's "
    '"definitely lost").',
    "import": "Memory lost once, while the extension was imported, and never again in a test. It "
    "does not grow.",
    "memory": "Memory of the C allocator that stays in use after every call and that no Python "
    "container holds.",
    "object": "Python objects that stay alive after every call although no Python container refers "
    "to them: native code owns a reference and never gives it up.",
    "instance": "After every call an instance of a class, or memory that belongs to one, stays "
    "behind: the references to the class rise together with the memory.",
    "type-reference": "After every call the class has one reference more, which nothing in Python "
    "holds. The instances themselves are freed.",
    "reference": "After every call the object has references more that nothing in Python holds.",
    "descriptor": "After every call a file, socket or pipe stays open that was not open before.",
    "thread": "After every call a thread goes on running that was not there before.",
    "access": "A memory error, not a leak: memory was used that is not, or not any more, the "
    "program's. Whatever follows is undefined; it may crash or give wrong results elsewhere.",
    "free": "A memory error, not a leak: memory was freed in a wrong way (twice, not at its start, "
    "or by another allocator than the one that gave it out).",
    "undefined": "A memory error, not a leak: a decision was made by, or a system call was given, "
    "memory that nobody wrote a value to.",
    "error": "A memory error, not a leak; Valgrind's manual explains this kind.",
}  # fmt: skip
_INDIRECT = (
    ' Other blocks were reachable only from this one and are lost through it ("indirectly lost"): '
    "they go away with it and are no mistake of their own, no wrong deallocator in particular."
)


def pattern_of(finding: Finding) -> str:
    """Which of the patterns that are told apart this finding has."""
    kind = finding.kind.lower()
    if finding.detector == "refs":
        of_type = mechanism(finding)[0].endswith("|type")
        return "type-reference" if of_type else "reference"
    direct = {"lost-at-import": "import", "native-memory": "memory", "object": "object",
              "instance": "instance", "descriptor": "descriptor", "thread": "thread"}  # fmt: skip
    if kind in direct:
        return direct[kind]
    words: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("lost", lambda text: "lost" in text),
        ("free", lambda text: "free" in text or "closed-twice" in text),
        ("undefined", lambda text: text.startswith(("uninit", "syscall"))),
        ("access", lambda text: text.startswith("invalid") or "overlap" in text),
    )
    return next((pattern for pattern, fits in words if fits(kind.replace("_", ""))), "error")


def what(finding: Finding, pattern: str) -> str:
    text = _WHAT[pattern]
    if finding.related or "indirectly" in finding.summary or "through it" in finding.summary:
        text += _INDIRECT
    return text


def cost(finding: Finding, pattern: str) -> str:
    if pattern in ERRORS:
        return "No memory per call; what it can do is in no proportion to how often it happens."
    if pattern == "import":
        return f"{size(finding.bytes)} once per process, however long it runs."
    if pattern == "descriptor":
        return _exhausted(finding, "descriptors", "opening files fails at the limit (`ulimit -n`)")
    if pattern == "thread":
        return _exhausted(
            finding, "threads", "each reserves a stack, and starting one fails at the limit"
        )
    if not finding.per_call:
        return _not_per_call(finding)
    if not finding.bytes:
        return (
            "No memory per call. What the references keep alive can never be freed: "
            f"{counted(finding.blocks * 1000, 'reference')} per 1,000 calls."
        )
    return (
        f"{size(finding.bytes)} per call, which is one run of its test: "
        f"{size(finding.bytes * 1000)} per 1,000 calls. A process that makes one such call a "
        f"second grows by {size(finding.bytes * _DAY)} a day."
    )


def _exhausted(finding: Finding, noun: str, end: str) -> str:
    each = finding.blocks * 1000 if finding.per_call else 0
    told = f"{number(each)} {noun} per 1,000 calls" if each else f"{noun} per call: {NOT_MEASURED}"
    return f"{told}; {end}."


def _not_per_call(finding: Finding) -> str:
    text = f"{size(finding.bytes)} in one run of its tests; per call: {NOT_MEASURED}"
    if finding.tests:
        count = len(finding.tests)
        which = "the test" if count == 1 else f"one of its {count} tests"
        each = size(finding.bytes / count * 1000)
        text += f". If each run of {which} loses the same, that is {each} per 1,000 runs"
    return text + " (`--detectors memcheck,growth` measures it per call)."


def size(count: float) -> str:
    """``83,770 bytes (81.8 KiB)``."""
    text = counted(count, "byte")
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{text} ({count / factor:,.1f} {unit})"
    return text
