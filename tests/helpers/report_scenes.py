"""Results that the report tests share: one of every case that a reader meets."""

from __future__ import annotations

from leakgrid.amounts import counted
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.signature import Frame, Owner

LIB = "one.cpython-313-x86_64-linux-gnu.so"
LEAK = Finding(
    detector="memcheck",
    kind="Leak_DefinitelyLost",
    id="0123456789ab",
    owner=Owner.EXTENSION,
    tests=tuple(f"tests/test_map.py::test_insert[{n}]" for n in range(5)),
    blocks=1,
    bytes=500,
    per_call=True,
    frames=(
        Frame("malloc", "", 0, "vgpreload_memcheck.so", Owner.LIBC),
        Frame("alloc::raw_vec::RawVec<T>::with_capacity", "alloc/raw_vec.rs", 10, LIB),
        Frame("one::Map::insert", "src/lib.rs", 123, LIB, Owner.EXTENSION),
        Frame("<one::Map as Trait>::call", "src/lib.rs", 99, LIB, Owner.EXTENSION),
        Frame("pyo3::impl_::trampoline", "pyo3-0.30.1/src/impl_/trampoline.rs", 7, LIB, Owner.PYO3),
        Frame("cfunction_vectorcall", "Objects/methodobject.c", 50, "libpython", Owner.CPYTHON),
        Frame("_PyEval_EvalFrameDefault", "Python/ceval.c", 60, "libpython", Owner.CPYTHON),
        Frame("PyEval_EvalCode", "Python/ceval.c", 70, "libpython", Owner.CPYTHON),
    ),
    summary="one block lost per call",
)
INVALID = Finding(
    detector="memcheck",
    kind="InvalidRead",
    id="ba9876543210",
    owner=Owner.EXTENSION,
    tests=("tests/test_map.py::test_peek",),
    frames=(Frame("one::peek", "src/lib.rs", 40, LIB, Owner.EXTENSION),),
    summary="Invalid read of size 1",
)
PYO3_LEAK = Finding(
    detector="memcheck",
    kind="Leak_DefinitelyLost",
    id="aaaaaaaaaaaa",
    owner=Owner.PYO3,
    blocks=2.5,
    bytes=1234567,
)
HOSTILE = "error: `x` | <b>\x1b[31mred\n*bold* [link](x) #1 @someone"


def cell(python: str, pyo3: str, verdict: str, reason: str = "", **more: object) -> CellResult:
    target = str(more.pop("target", "one"))
    return CellResult(
        target=target,
        python={"version": python},
        pyo3=pyo3,
        verdict=verdict,
        reason=reason or f"{verdict} because the test says so",
        toolchain={"rustc": "1.95.0", "valgrind": "3.19.0"} if verdict == "clean" else {},
        started="2026-11-22T10:00:00Z",
        **more,  # type: ignore[arg-type]
    )


CELLS = (
    cell(
        "3.13.0",
        "0.30.1",
        "regressed",
        findings=(LEAK, INVALID, PYO3_LEAK),
        comparison={"new": (LEAK.id, INVALID.id), "known": (PYO3_LEAK.id,)},
    ),
    cell("3.9.18", "0.30.1", "build-failed", HOSTILE),
    cell("3.12.1", "0.30.1", "regressed", findings=(LEAK,), comparison={"new": (LEAK.id,)}),
    cell(
        "3.13.0",
        "0.9.2",
        "clean",
        partial=True,
        tests={
            "a::ok": TestRecord("passed"),
            "a::bad": TestRecord("failed"),
            "a::hang": TestRecord("hung-under-valgrind"),
        },
        timing={"build": {"seconds": 12.4, "cpu": 20.1}, "memcheck": {"seconds": 30, "cpu": 31}},
        totals={"definite": {"cpython": {"blocks": 12, "bytes": 3456}}},
        suppressed={"python-dlopen": 3},
        not_checked=("uninitialised use was switched off",),
    ),
    cell(
        "3.12.1",
        "0.9.2",
        "known",
        findings=(PYO3_LEAK,),
        comparison={"known": (PYO3_LEAK.id,)},
        not_checked=("uninitialised use was switched off", "file descriptors"),
    ),
    cell("3.14.0", "0.30.1", "unbaselined", findings=(PYO3_LEAK,), target="two-b"),
    cell("3.13t", "0.30.1", "blind", "the planted leak was not found", target="two-b"),
)
CLEAN = (cell("3.13.0", "0.30.1", "clean"), cell("3.13.0", "0.29.0", "improved"))
NOTHING = (cell("3.13.0", "0.30.1", "unsupported"), cell("3.12.0", "0.30.1", "unsupported"))


def grown(
    number: int,
    tests: str,
    *functions: str,
    owner: Owner = Owner.EXTENSION,
    size: float = 100,
    library: str = "",
) -> Finding:
    """Memory that grows at ``functions`` (innermost first), in one test per letter."""
    own = Owner.EXTENSION
    frames = [Frame(f"one::{name}", "src/doc.rs", number, LIB, own) for name in functions]
    if library:
        frames.insert(0, Frame(library, "deep-1.0.0/src/lib.rs", 9, LIB, owner))
    return Finding(
        detector="growth",
        kind="native-memory",
        id=f"{number:012x}",
        owner=owner,
        tests=tuple(f"t.py::test_{letter}" for letter in sorted(tests)),
        blocks=1,
        bytes=size,
        per_call=True,
        frames=tuple(frames),
        summary=f"{counted(size, 'byte')} in 1 block per call",
    )


GRAPH = (
    grown(1, "abcd", "Doc::new", owner=Owner.DEPENDENCY, size=536, library="deep::Store::new"),
    grown(2, "abc", "Subscription<*T*>::new", "Doc::observe", size=56),
    grown(3, "ab", "Doc::text", owner=Owner.DEPENDENCY, size=400, library="deep::Item::new"),
    *(grown(n, "a", "Event::new", size=n / 3) for n in range(4, 10)),
    grown(10, "ax", "Other::new", size=8),
    LEAK,
)
SCENES = {
    "mixed": CELLS,
    "clean": CLEAN,
    "nothing": NOTHING,
    "graph": (cell("3.13.0", "0.30.1", "unbaselined", findings=GRAPH),),
}
