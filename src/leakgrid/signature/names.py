"""Names as compilers, linkers and package managers write them, freed of what varies.

Nothing here knows about leaks: strings in, strings out. The spellings are those of rustc's legacy
and v0 mangling, GCC's and LLVM's clone suffixes, cargo's home directory and auditwheel.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

UNKNOWN_FUNCTION = "???"
INLINED = "UnknownInlinedFun"  # Valgrind's word where an inlined function's name is not recorded
CLOSURE = "{closure}"

_ADDRESS = re.compile(r"(?:0x[0-9a-fA-F]+|\?{3}|)\Z")
_LEGACY_HASH = re.compile(r"::h[0-9a-f]{16}(?=\Z|[.@ ])")
_V0_HASH = re.compile(r"(?<=\w)\[[0-9a-f]{6,16}\]")
_V0_MANGLED_HASH = re.compile(r"(?<=C)s[0-9A-Za-z]*_(?=\d)")
_CLONE = re.compile(
    r"(?:\.(?:llvm|cold|part|constprop|isra|lto_priv|localalias|clone)(?:\.\d+)*"
    r"| ?\[clone [^\]]*\])+\Z"
)
_SYMBOL_VERSION = re.compile(r"@{1,2}[A-Z][A-Za-z0-9_.]*\Z")
_CLOSURES = re.compile(r"\{\{closure\}\}|\{closure(?:_env)?(?:#\d+)?\}")
_NUMBERED = re.compile(r"\{(\w+)#\d+\}")
_ESCAPES = {
    "$LT$": "<", "$GT$": ">", "$u20$": " ", "$RF$": "&", "$BP$": "*", "$C$": ",", "$LP$": "(",
    "$RP$": ")", "$u7b$": "{", "$u7d$": "}", "$u5b$": "[", "$u5d$": "]", "$u27$": "'",
    "$u3b$": ";", "$u2b$": "+", "$u22$": '"',
}  # fmt: skip


@lru_cache(maxsize=65536)
def clean_function(name: str) -> str:
    """A demangled name without what another compilation changes: hashes, clones, closure numbers.

    Escapes and hashes are those of rustc's legacy and v0 mangling, clone suffixes those of GCC
    and LLVM. Unknown functions and bare addresses become ``???``.
    """
    before = None
    while before != name:  # suffixes stack up: `f::h0123456789abcdef.llvm.77.cold`
        before = name
        name = _unescape(" ".join(name.split()))
        name = _SYMBOL_VERSION.sub("", _CLONE.sub("", name))
        name = _V0_HASH.sub("", _LEGACY_HASH.sub("", name))
        if name.startswith("_R"):
            name = _V0_MANGLED_HASH.sub("", name)
        name = _NUMBERED.sub(r"{\1}", _CLOSURES.sub(CLOSURE, name))
    return UNKNOWN_FUNCTION if _ADDRESS.match(name) else name


def _unescape(name: str) -> str:
    """Undo rustc's legacy escapes where the demangler left them."""
    if "$" not in name:
        return name
    for escape, plain in _ESCAPES.items():
        name = name.replace(escape, plain)
    name = name.replace("..", "::")
    return name[1:] if name.startswith("_<") else name


_PYTHON_EXE = re.compile(r"python\d*(?:\.\d+)?[a-z]*(?:-dbg|d)?\Z")
_LIBPYTHON = re.compile(r"libpython\d*(?:\.\d+)?[a-z]*\.(?:so|dylib)(?:[.\d]*)\Z")
_ABI_TAG = re.compile(r"\.(?:cpython-\d+\w*|abi3t?|pypy\d*\w*|cp\d+)(?:-[\w-]+)?(?=\.so\Z)")
_VERSIONED_SO = re.compile(r"(?:-\d[\d.]*)?\.so(?:\.\d+)+\Z")
_VENDOR_HASH = re.compile(r"-[0-9a-f]{8}(?=\.so|\.\d)")  # auditwheel: libz-1a2b3c4d.so.1


@lru_cache(maxsize=4096)
def clean_object(path: str) -> str:
    """The base name of a library without version, ABI or platform tags."""
    base = posixpath.basename(path)
    if _PYTHON_EXE.match(base):
        return "python"
    if _LIBPYTHON.match(base) or base == "libpython":
        return "libpython"
    return _VERSIONED_SO.sub(".so", _VENDOR_HASH.sub("", _ABI_TAG.sub("", base)))


_RUSTC = re.compile(r"(?:\A|/)(?:rustc/[0-9a-f]{7,}|lib/rustlib/(?:src/rust|rustc-src/rust))/(.*)")
_RUST_DEPS = re.compile(r"\A/rust/deps/([^/]+?)(?:-\d[^/]*)?/(.*)")
_REGISTRY = re.compile(r"/registry/src/[^/]+/([^/]+/.*)")
_CHECKOUT = re.compile(r"/git/checkouts/([^/]+?)(?:-[0-9a-f]{8,})?/[0-9a-f]{6,}/(.*)")
_VENDORED = re.compile(r"\A(?:.*/)?vendor/([^/]+/.*)")
_CRATE = re.compile(r"([A-Za-z][\w-]*?)-\d+\.\d+[^/]*/")

OWN, STD, ELSEWHERE = "", "rust", "?"  # the words of `place` beside a crate's name


@lru_cache(maxsize=65536)
def place(directory: str, file: str, roots: tuple[str, ...], own: bool) -> tuple[str, str]:
    """Where a source file belongs: its path relative to its package, and the package.

    The package is a crate's name, :data:`OWN` (below one of ``roots``, or unplaced in a library
    that is the target's ``own``), :data:`STD` for Rust's standard library, else :data:`ELSEWHERE`.
    """
    if not file:
        return "", ELSEWHERE
    path = posixpath.normpath(posixpath.join(directory, file))
    if path.startswith("rust/"):
        return path, STD
    if match := _RUST_DEPS.match(path):
        return f"rust/deps/{match[1]}/{match[2]}", STD
    if match := _RUSTC.search(path):
        return "rust/" + match[1], STD
    for pattern in (_REGISTRY, _CHECKOUT):
        if match := pattern.search(path):
            relative = "/".join(match.groups())
            return relative, _crate(relative)
    for root in sorted((root.rstrip("/") + "/" for root in roots), key=len, reverse=True):
        if path.startswith(root):
            return _below_root(path[len(root) :])
    if own and not path.startswith(("/", "..")):
        return _below_root(path)
    return posixpath.basename(path), OWN if own else ELSEWHERE


def _below_root(relative: str) -> tuple[str, str]:
    """A file of the target; crates vendored beside it are dependencies all the same."""
    if match := _VENDORED.match(relative):
        return match[1], _crate(match[1])
    if _CRATE.match(relative):  # normalised before
        return relative, _crate(relative)
    return relative, OWN


def _crate(relative: str) -> str:
    match = _CRATE.match(relative)
    return match[1] if match else relative.split("/")[0]


def without_generics(name: str) -> str:
    """Drop a trailing ``<...>`` or ``::<...>``; the ``<X as Y>`` in front of a path stays."""
    if not name.endswith(">") or name.endswith("->"):
        return name
    depth = 0
    for index in range(len(name) - 1, 0, -1):
        if name[index] == ">" and name[index - 1] != "-":
            depth += 1
        elif name[index] == "<":
            depth -= 1
            if depth == 0:
                return name[:index].removesuffix("::")
    return name


def leaf_name(name: str) -> str:
    """The last segment of a function's path: all that is left of it where it was inlined."""
    name = without_generics(name)
    depth = 0
    for index in range(len(name) - 1, 0, -1):
        if name[index] == ">" and name[index - 1] != "-":
            depth += 1
        elif name[index] == "<":
            depth -= 1
        elif depth == 0 and name[index] == ":" and name[index - 1] == ":":
            return name[index + 1 :]
    return name


_VERSION_IN_PATH = re.compile(r"(?<=\w)-\d+\.\d+[^/]*(?=/)")


def without_version(file: str) -> str:
    """``pyo3-0.29.0/src/err.rs`` -> ``pyo3/src/err.rs``."""
    return _VERSION_IN_PATH.sub("", file)
