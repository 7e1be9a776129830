import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from leakgrid.detectors import library
from leakgrid.errors import DataError

NEEDS_CC = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def compiled(folder, source: str, *options: str):
    (folder / "x.c").write_text(source)
    path = folder / "x.so"
    subprocess.run(["cc", "-shared", "-fPIC", *options, "-o", path, folder / "x.c"], check=True)
    return path


@NEEDS_CC
@pytest.mark.parametrize("name", ["__rust_alloc", "_RNvCsabc_7___rustc12___rust_alloc"])
def test_the_allocator_is_found_by_its_old_and_its_new_name(tmp_path, name):
    path = compiled(tmp_path, f"static void *{name}(long n) {{ return (void *)n; }}\n"
                    f"void *use(long n) {{ return {name}(n); }}\n")  # fmt: skip
    found = library.inspect(path)
    assert found.path == path
    assert found.allocator


@NEEDS_CC
def test_other_allocation_functions_are_not_taken_for_it(tmp_path):
    source = "void *__rust_alloc_zeroed(long n) { return (void *)n; }\nint __rust_alloc;\n"
    assert library.inspect(compiled(tmp_path, source)).allocator is None


@NEEDS_CC
def test_a_stripped_library_has_no_known_allocator(tmp_path):
    path = compiled(tmp_path, "static void *__rust_alloc(long n) { return (void *)n; }\n", "-s")
    assert library.inspect(path).allocator is None


def test_what_is_no_library_is_refused(tmp_path):
    path = tmp_path / "x.so"
    path.write_text("hello")
    with pytest.raises(DataError, match=r"x\.so is not an ELF library"):
        library.inspect(path)


def test_without_a_compiler_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert library.client_requests(tmp_path) == (None, "no C compiler (cc) on PATH")


def test_a_failing_compiler_leaves_no_file_and_says_why(tmp_path, monkeypatch):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    assert library.client_requests(tmp_path / "cache") == (None, "no space left")
    assert list((tmp_path / "cache").iterdir()) == []


def test_it_is_built_once_per_source_and_compiler(tmp_path, monkeypatch):
    compiler = tmp_path / "cc"
    compiler.write_text(
        f'#!/bin/sh\necho built >> {tmp_path}/log\nwhile [ "$1" != -o ]; do shift; done\n'
        'echo leakgrid_has_valgrind_requests > "$2"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    first, again = (library.client_requests(tmp_path / "cache")[0] for _ in range(2))
    assert first == again
    assert first.exists()
    assert (tmp_path / "log").read_text() == "built\n"


@NEEDS_CC
def test_without_valgrinds_headers_it_serves_the_screen_and_says_so(tmp_path, monkeypatch):
    compiler = tmp_path / "without"
    compiler.write_text('#!/bin/sh\nexec cc -DLEAKGRID_WITHOUT_VALGRIND "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    path, missing = library.client_requests(tmp_path / "cache")
    assert missing == "Valgrind's headers are missing"
    built = ctypes.CDLL(str(path))
    built.leakgrid_heap.restype = ctypes.c_size_t
    assert built.leakgrid_heap() > 0
    assert built.leakgrid_running() == 0
    built.leakgrid_added_leak_check()
    numbers = (ctypes.c_ulong * 8)(*[7] * 8)
    built.leakgrid_totals(numbers)
    assert list(numbers) == [0] * 8
    assert library.client_requests(tmp_path / "cache") == (path, missing)


FUNCTIONS = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.calloc.restype = libc.realloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.calloc.argtypes = [ctypes.c_size_t] * 2
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.free.argtypes = libc.malloc_usable_size.argtypes = [ctypes.c_void_p]
read = libc.leakgrid_heap_in_use
read.restype = libc.malloc_usable_size.restype = ctypes.c_size_t
"""


@pytest.fixture
def meter(tmp_path):
    built = library.heap_meter(tmp_path)
    if built is None:
        pytest.skip("no glibc")
    return built


def preloaded(meter, code):
    done = subprocess.run(
        [sys.executable, "-c", FUNCTIONS + code],
        env={**os.environ, "LD_PRELOAD": str(meter)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@NEEDS_CC
def test_the_preloaded_meter_counts_what_is_allocated_and_forgets_what_is_freed(meter):
    code = """
at = [0] * 8
for _ in range(3):
    at[0] = read()
    block = libc.malloc(100_000)
    at[1] = read()
    block = libc.realloc(block, 300_000)
    at[2] = read()
    libc.free(block)
    at[3] = read()
print(at[1] - at[0] >= 100_000, at[2] - at[1] >= 200_000, abs(at[3] - at[0]) < 1000)
"""
    assert preloaded(meter, code) == "True True True\n"


@NEEDS_CC
def test_the_preloaded_meter_counts_a_block_the_same_whatever_was_free_before(meter):
    code = """
at = [0] * 400
blocks = [libc.malloc(size) for size in range(2000, 2400)]
for block in blocks[::2]:
    libc.free(block)
for number in range(0, 400, 2):
    before = read()
    blocks[number] = libc.malloc(1900)
    at[number] = read() - before
for number in range(1, 400, 2):
    before = read()
    blocks[number] = libc.realloc(libc.calloc(19, 10), 1900)
    at[number] = read() - before
print({size for size in at if size > 1800}, libc.calloc(2**62, 8), libc.malloc(2**64 - 1))
"""
    assert preloaded(meter, code) == "{1920} None None\n"


@NEEDS_CC
def test_a_block_that_its_owner_fills_beyond_what_was_asked_for_is_still_given_back(meter):
    code = """
at = [0] * 2
for _ in range(3):
    at[0] = read()
    block = libc.malloc(100_000)
    ctypes.memset(block, 120, libc.malloc_usable_size(block))
    libc.free(block)
    at[1] = read()
print(abs(at[1] - at[0]) < 5000)
"""
    assert preloaded(meter, code) == "True\n"


@NEEDS_CC
def test_the_preloaded_meter_clears_what_is_freed_when_it_is_asked_to(meter):
    code = """
found = []
for on in (0, 1, 0):
    libc.leakgrid_wipe(on)
    block = libc.malloc(100_000)
    ctypes.memset(block, 120, 100_000)
    after = libc.malloc(100)  # or the block joins what is free behind it
    libc.free(block)
    found.append(ctypes.string_at(block + 50_000, 100) == b"x" * 100)
print(found)
"""
    assert preloaded(meter, code) == "[True, False, True]\n"
