import pytest

from leakgrid.finding import Finding
from leakgrid.signature import (
    Frame,
    Origins,
    Owner,
    RawFrame,
    cause_key,
    clean_function,
    clean_object,
    normalise,
    own_functions,
    owner_of,
    signature_id,
    story,
)

EXT = "/venv/lib/python3.12/site-packages/demo/demo.cpython-312-x86_64-linux-gnu.so"
LIBPYTHON = "/opt/py/lib/libpython3.12.so.1.0"
VALGRIND = "/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so"
ROOT = "/stage/demo"
PYO3 = "/home/u/.cargo/registry/src/index-1949cf8c6b5b557f/pyo3-0.29.3"
STD = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860"
ORIGINS = Origins(frozenset({EXT}), (ROOT,))


def ext(function: str, file: str = "src/lib.rs", line: int = 7) -> RawFrame:
    return RawFrame(function, EXT, ROOT, file, line)


def pyo3(function: str, file: str = "src/err.rs") -> RawFrame:
    return RawFrame(function, EXT, PYO3, file, 9)


def crate(function: str, package: str = "smallvec-1.16.6") -> RawFrame:
    return RawFrame(function, EXT, f"{PYO3.rsplit('/', 1)[0]}/{package}", "src/lib.rs", 3)


def std(function: str) -> RawFrame:
    return RawFrame(function, EXT, STD, "library/alloc/src/vec/mod.rs", 1)


def py(function: str) -> RawFrame:
    return RawFrame(function, LIBPYTHON, "/tmp/build/Python-3.12.1/Objects", "x.c", 5)


MALLOC = RawFrame("malloc", VALGRIND)
TRAMPOLINE = pyo3("pyo3::impl_::trampoline::noargs", "src/impl_/trampoline.rs")
CALL = [TRAMPOLINE, py("method_vectorcall_NOARGS"), py("_PyEval_EvalFrameDefault"), py("run_mod")]


def owner(*raw: RawFrame) -> Owner:
    return owner_of(normalise(raw, ORIGINS))


def identity(*raw: RawFrame) -> str:
    return signature_id("memcheck", "Leak_DefinitelyLost", normalise(raw, ORIGINS))


def key(*raw: RawFrame, kind: str = "Leak_DefinitelyLost", tests: tuple[str, ...] = ("t",)) -> str:
    frames = normalise(raw, ORIGINS)
    return cause_key(Finding("memcheck", kind, "0" * 12, owner_of(frames), tests, frames=frames))


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("demo::f::h0123456789abcdef", "demo::f"),
        ("demo::f::h0123456789abcdef.llvm.123456", "demo::f"),
        ("demo[8f3cbe0123456789]::f", "demo::f"),
        ("__rustc[59807616e1fa2540]::__rust_alloc", "__rustc::__rust_alloc"),
        ("demo::f::{{closure}}", "demo::f::{closure}"),
        ("demo::f::{closure#2}", "demo::f::{closure}"),
        ("g<demo::f::{closure_env#0}, u8>", "g<demo::f::{closure}, u8>"),
        ("demo::{impl#12}::go", "demo::{impl}::go"),
        ("pymain_run_python.constprop.0", "pymain_run_python"),
        ("f.part.0.isra.0.cold", "f"),
        ("f [clone .cold]", "f"),
        ("memcpy@@GLIBC_2.14", "memcpy"),
        ("memcpy@GLIBC_2.2.5", "memcpy"),
        (
            "_$LT$demo..T$u20$as$u20$demo..Go$GT$::go::h0123456789abcdef",
            "<demo::T as demo::Go>::go",
        ),
        ("_RNvCs1234_4demo1f", "_RNvC4demo1f"),
        ("0x48A3B0", "???"),
        ("", "???"),
        ("???", "???"),
        ("(below main)", "(below main)"),
        ("f<[u8; 4]>", "f<[u8; 4]>"),
    ],
)
def test_function_names_lose_what_another_compilation_changes(raw, clean):
    assert clean_function(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (EXT, "demo.so"),
        ("/x/_x.abi3.so", "_x.so"),
        (LIBPYTHON, "libpython"),
        ("/usr/bin/python3.12", "python"),
        ("/opt/bin/python3.13t", "python"),
        ("/usr/lib/libc.so.6", "libc.so"),
        ("/usr/lib/libm-2.31.so", "libm-2.31.so"),
        ("/sp/numpy.libs/libgfortran-040039e1.so.5.0.0", "libgfortran.so"),
        ("", ""),
    ],
)
def test_objects_lose_versions_and_abi_tags(raw, clean):
    assert clean_object(raw) == clean


@pytest.mark.parametrize(
    ("directory", "file", "relative", "whose"),
    [
        (ROOT, "src/lib.rs", "src/lib.rs", Owner.EXTENSION),
        (f"{ROOT}/src", "lib.rs", "src/lib.rs", Owner.EXTENSION),
        ("", f"{ROOT}/crates/core/src/lib.rs", "crates/core/src/lib.rs", Owner.EXTENSION),
        (PYO3, "src/err.rs", "pyo3-0.29.3/src/err.rs", Owner.PYO3),
        (PYO3.replace("pyo3-", "pyo3-ffi-"), "src/x.rs", "pyo3-ffi-0.29.3/src/x.rs", Owner.PYO3),
        (PYO3.replace("pyo3-", "pyo3-file-"), "src/x.rs", "pyo3-file-0.29.3/src/x.rs",
         Owner.DEPENDENCY),
        (f"{PYO3.replace('pyo3-', 'numpy-')}/src", "a.rs", "numpy-0.29.3/src/a.rs",
         Owner.DEPENDENCY),
        ("/c/git/checkouts/pyo3-0123456789abcdef/1a2b3c4/src", "err.rs", "pyo3/src/err.rs",
         Owner.PYO3),
        (f"{ROOT}/vendor/serde-1.0.1/src", "a.rs", "serde-1.0.1/src/a.rs", Owner.DEPENDENCY),
        (STD, "library/std/src/panic.rs", "rust/library/std/src/panic.rs", Owner.UNKNOWN),
        (f"{STD}/library/alloc/src", "vec.rs", "rust/library/alloc/src/vec.rs", Owner.UNKNOWN),
        ("/r/toolchains/s/lib/rustlib/src/rust/library/core/src", "x.rs",
         "rust/library/core/src/x.rs", Owner.UNKNOWN),
        ("/rust/deps/hashbrown-0.16.1", "src/map.rs", "rust/deps/hashbrown/src/map.rs",
         Owner.UNKNOWN),
        ("/elsewhere/build", "gen.rs", "gen.rs", Owner.EXTENSION),
    ],
)  # fmt: skip
def test_files_in_the_extension_are_relative_and_say_whose_they_are(
    directory, file, relative, whose
):
    (frame,) = normalise([RawFrame("f", EXT, directory, file, 1)], ORIGINS)
    assert (frame.file, frame.owner) == (relative, whose)


@pytest.mark.parametrize(
    ("function", "whose"),
    [
        ("demo::Thing::go", Owner.EXTENSION),
        ("<alloc::vec::Vec<T> as core::clone::Clone>::clone", Owner.UNKNOWN),
        ("__rust_alloc", Owner.UNKNOWN),
        ("pyo3::err::PyErr::take", Owner.PYO3),
        ("???", Owner.UNKNOWN),
    ],
)
def test_without_debug_lines_the_function_tells_whose_a_frame_is(function, whose):
    (frame,) = normalise([RawFrame(function, EXT)], ORIGINS)
    assert frame.owner is whose


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        (LIBPYTHON, Owner.CPYTHON),
        ("/usr/bin/python3.11", Owner.CPYTHON),
        ("/py/lib/python3.12/lib-dynload/_json.cpython-312-x86_64-linux-gnu.so", Owner.CPYTHON),
        ("/usr/lib/libc.so.6", Owner.LIBC),
        ("/usr/lib/libm-2.31.so", Owner.LIBC),
        ("/lib64/ld-linux-x86-64.so.2", Owner.LIBC),
        ("/usr/lib/libstdc++.so.6.0.30", Owner.LIBC),
        (VALGRIND, Owner.LIBC),
        ("/v/lib/python3.12/site-packages/numpy/_core/_u.cpython-312-x.so", Owner.DEPENDENCY),
        ("/usr/lib/libffi.so.8", Owner.UNKNOWN),
        ("/other/link/site-packages/demo/demo.cpython-312-x86_64-linux-gnu.so", Owner.EXTENSION),
    ],
)
def test_libraries_have_owners(path, whose):
    (frame,) = normalise([RawFrame("f", path)], ORIGINS)
    assert frame.owner is whose


def test_a_leak_in_the_extension_is_its_own_although_pyo3_called_it():
    assert owner(MALLOC, std("with_capacity"), ext("leak"), *CALL) is Owner.EXTENSION


def test_a_list_made_through_pyo3_by_the_extension_is_the_extensions():
    raw = [MALLOC, py("PyList_New"), pyo3("pyo3::types::list::PyList::new"), ext("leak"), *CALL]
    assert owner(*raw) is Owner.EXTENSION


def test_a_method_of_which_only_the_macros_frame_is_left_is_still_the_extensions():
    raw = [MALLOC, std("with_capacity"), ext("demo::T::__pymethod_go__"), *CALL]
    assert owner(*raw) is Owner.EXTENSION


def test_pyo3_is_to_blame_where_only_its_macros_lie_below():
    raw = [MALLOC, py("PyDict_New"), pyo3("tp_new_impl"), ext("demo::T::__pymethod___new____")]
    assert owner(*raw, *CALL) is Owner.PYO3


def test_a_dependency_is_to_blame_when_it_comes_before_the_extension():
    assert owner(MALLOC, crate("grow"), ext("go"), *CALL) is Owner.DEPENDENCY
    assert owner(MALLOC, ext("callback"), crate("each"), ext("go"), *CALL) is Owner.EXTENSION


def test_a_crate_that_pyo3_uses_does_not_hide_who_is_to_blame():
    raw = [MALLOC, crate("init", "once_cell-1.21.3"), pyo3("get_or_init")]
    assert owner(*raw, ext("go"), *CALL) is Owner.EXTENSION
    assert owner(*raw, *CALL) is Owner.PYO3


def test_python_code_that_the_extension_called_is_judged_on_its_own():
    raw = [
        MALLOC,
        py("PyList_New"),
        py("_PyEval_EvalFrameDefault"),
        pyo3("call0"),
        ext("go"),
        *CALL,
    ]
    assert owner(*raw) is Owner.CPYTHON


def test_what_called_the_allocator_when_a_collection_ran_is_chance():
    raw = [RawFrame("free", VALGRIND), py("subtype_dealloc"), py("gc_collect_main"), ext("go")]
    assert owner(*raw, *CALL) is Owner.CPYTHON


def test_an_invalid_read_belongs_to_who_reads():
    assert owner(std("read_volatile"), ext("bad_read"), *CALL) is Owner.EXTENSION
    assert owner(RawFrame("strlen", VALGRIND), ext("bad_read"), *CALL) is Owner.EXTENSION


def test_stacks_without_any_of_these_are_libcs_or_unknown():
    assert owner(MALLOC, RawFrame("dlopen", "/usr/lib/libc.so.6")) is Owner.LIBC
    assert owner(RawFrame("", "")) is Owner.UNKNOWN
    assert owner() is Owner.UNKNOWN


def test_the_story_leaves_out_allocators_std_trampolines_and_the_interpreter():
    raw = [MALLOC, std("alloc"), py("_PyObject_GC_New"), py("PyList_New"), pyo3("PyList::new")]
    told = story(normalise([*raw, ext("leak"), ext("demo::T::__pymethod_leak__"), *CALL], ORIGINS))
    assert [frame.function for frame in told] == [
        "PyList_New",
        "PyList::new",
        "leak",
        "demo::T::__pymethod_leak__",
    ]


def test_the_story_never_leaves_out_the_extensions_own_frames():
    raw = [MALLOC, *(pyo3(f"p{i}") for i in range(5)), *(ext(f"f{i}") for i in range(8))]
    told = story(normalise([*raw, *CALL], ORIGINS), most=6)
    assert [frame.function for frame in told] == [f"f{i}" for i in range(8)]


def test_the_story_of_a_stack_that_is_dull_throughout_still_says_something():
    assert story(normalise([MALLOC, std("alloc")], ORIGINS))


def test_the_id_is_twelve_hex_digits_and_always_the_same():
    # A changed value makes every stored baseline stale: change it only together with the schema.
    found = identity(MALLOC, std("with_capacity"), ext("leak"), *CALL)
    assert found == "b7007cb5f93b"
    assert set(found) <= set("0123456789abcdef")


def test_the_id_does_not_depend_on_how_the_test_called_the_extension():
    other = [TRAMPOLINE, py("cfunction_call"), py("PyObject_Call"), py("_PyEval_EvalFrameDefault")]
    assert identity(MALLOC, ext("leak"), *CALL) == identity(MALLOC, ext("leak"), *other)


def test_the_id_does_not_depend_on_std_or_allocator_internals():
    assert identity(MALLOC, std("a"), std("b"), ext("leak"), *CALL) == identity(
        RawFrame("calloc", VALGRIND), std("c"), ext("leak"), *CALL
    )


def test_the_id_tells_kinds_detectors_and_c_api_functions_apart():
    one = [MALLOC, py("PyList_New"), ext("leak"), *CALL]
    two = [MALLOC, py("PyDict_New"), ext("leak"), *CALL]
    frames = normalise(one, ORIGINS)
    assert identity(*one) != identity(*two)
    assert signature_id("memcheck", "a", frames) != signature_id("memcheck", "b", frames)
    assert signature_id("memcheck", "a", frames) != signature_id("growth", "a", frames)


def test_the_id_tells_methods_of_the_same_name_apart_by_their_type():
    one = [MALLOC, ext("insert"), ext("demo::Map::__pymethod_insert__"), *CALL]
    two = [MALLOC, ext("insert"), ext("demo::Set::__pymethod_insert__"), *CALL]
    assert identity(*one) != identity(*two)


def test_without_native_frames_cpythons_functions_up_to_its_loop_count():
    loop = py("_PyEval_EvalFrameDefault")
    assert identity(MALLOC, py("a"), loop, py("b")) == identity(MALLOC, py("a"), loop, py("c"))
    assert identity(MALLOC, py("a"), loop) != identity(MALLOC, py("b"), loop)


def test_the_cause_survives_another_pyo3_with_other_internals():
    old = [MALLOC, std("x"), ext("leak"), ext("demo::T::__pymethod_leak__"), *CALL]
    newer = RawFrame("pyo3::impl_::call::run", EXT, PYO3.replace("0.29.3", "0.30.1"), "src/c.rs")
    new = [MALLOC, newer, ext("demo::T::leak"), ext("demo::_::T::ITEMS::trampoline"), newer]
    assert key(*old) == key(*new, kind="Leak_StillReachable")
    assert key(*old) != key(*new, kind="InvalidRead")
    assert key(*old) != key(MALLOC, ext("other"), *CALL)


def test_without_own_frames_the_tests_and_the_c_api_function_are_the_cause():
    old = [MALLOC, py("inner"), py("PyDict_New"), pyo3("old_name"), *CALL]
    new = [MALLOC, py("PyDict_New"), pyo3("new_name"), *CALL]
    assert key(*old) == key(*new)
    assert key(*old) != key(*new, tests=("another",))


def test_own_functions_are_named_as_their_author_knows_them():
    raw = [ext("{closure#0}"), ext("go"), ext("demo::T::__pymethod_go__"), ext("PyInit_demo")]
    assert own_functions(normalise(raw, ORIGINS)) == ("go", "PyInit_demo")


def test_frames_survive_json():
    frame = Frame("f", "src/lib.rs", 3, "demo.so", Owner.EXTENSION)
    assert Frame.from_dict(frame.to_dict()) == frame
