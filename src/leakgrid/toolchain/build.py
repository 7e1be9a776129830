"""maturin: from a staged project to a wheel whose leaks can be read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from leakgrid import process, registry
from leakgrid.errors import BuildFailed, ToolMissing
from leakgrid.toolchain import coupled, stage
from leakgrid.toolchain.cargo_errors import explain
from leakgrid.toolchain.environ import clean_environ
from leakgrid.toolchain.interpreters import Interpreter

BUILD_TIMEOUT = 3600.0
"""Seconds that one build may take."""

DEBUG_LEVEL = "limited"
"""Debug information of the build (cargo book, "debug"): function names and lines, no variables.

Measured on rpds-py with link-time optimisation off: Valgrind names every inlined Rust function
with this level, with ``line-tables-only`` and with ``full``; the wheel has 8.1, 7.2 and 12.0 MB.
It is link-time optimisation that makes ``UnknownInlinedFun`` of them.
"""

ALLOCATORS = frozenset(
    {
        "mimalloc",
        "libmimalloc-sys",
        "tikv-jemallocator",
        "tikv-jemalloc-sys",
        "jemallocator",
        "jemalloc-sys",
        "snmalloc-rs",
        "snmalloc-sys",
        "rpmalloc",
        "rpmalloc-sys",
        "tcmalloc",
        "wee_alloc",
        "dlmalloc",
        "talc",
        "mimalloc-rust",
        "mimalloc-safe",
        "auto-allocator",
        "scudo",
        "tcmalloc-better",
        "rlsf",
        "good_memory_allocator",
    }
)
"""Crates that bring a memory allocator of their own, whose memory Valgrind does not see."""


@dataclass(frozen=True, slots=True)
class Built:
    """A wheel and what it was made with.

    ``libraries`` are the names of the compiled libraries inside the wheel. ``pyo3`` is the version
    that the lock resolved. ``crates`` maps each crate of the extension (no development
    dependencies) to its version, the newest where there are several. ``allocators`` are those of
    them that bring an allocator. ``abi3``: the wheel serves later Pythons too. ``seconds`` and
    ``cpu_seconds`` are the build's cost; ``reused`` is true when it was built for another cell.
    """

    wheel: Path
    libraries: tuple[str, ...]
    pyo3: str
    rustc: str
    maturin: str
    crates: Mapping[str, str]
    allocators: tuple[str, ...]
    abi3: bool = False
    reused: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def build(
    staged: stage.Staged,
    interpreter: Interpreter,
    pyo3: str,
    *,
    target_dir: Path,
    out: Path,
    log: Path,
    timeout: float = BUILD_TIMEOUT,
) -> Built:
    """Build the staged project for this interpreter.

    ``target_dir`` is cargo's, shared between cells; ``out`` gets the one wheel and is emptied
    first. An abi3 wheel is kept beside the target directory and serves the next Pythons. Raises
    BuildFailed with the first compiler error and the log, ToolMissing without cargo or maturin.
    """
    rustc, maturin = versions(staged.root)
    crates = _crates(staged, log)
    _empty(out)
    shelf = target_dir / "leakgrid-abi3" / _key(staged, rustc, maturin)
    wheel = _from_shelf(shelf, interpreter, out)
    reused, seconds, cpu = wheel is not None, 0.0, 0.0
    if wheel is None:
        done = _maturin(staged, interpreter, pyo3, target_dir, out, log, timeout)
        seconds, cpu = done.seconds, done.cpu_seconds
        wheel = _only_wheel(out, log)
        if _is_abi3(wheel):
            shelf.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wheel, shelf / wheel.name)
    return Built(
        wheel=wheel,
        libraries=_libraries(wheel, log),
        pyo3=_prove(staged, crates, pyo3, log),
        rustc=rustc,
        maturin=maturin,
        crates=crates,
        allocators=tuple(sorted(ALLOCATORS & set(crates))),
        abi3=_is_abi3(wheel),
        reused=reused,
        seconds=seconds,
        cpu_seconds=cpu,
    )


def maturin_command() -> tuple[str, ...]:
    """leakgrid's own maturin, whatever the PATH says."""
    return (sys.executable, "-m", "maturin")


def build_environ(profile: str, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a build: lines kept, nothing stripped, no link-time optimisation.

    Cargo reads ``CARGO_PROFILE_<name>_*`` over the manifest's own profile (cargo book,
    "Environment variables"). The optimisation level and the panic strategy stay the project's.
    """
    name = {"dev": "DEV", "test": "TEST"}.get(profile, profile.upper().replace("-", "_"))
    prefix = f"CARGO_PROFILE_{name}_"
    return clean_environ(
        {
            prefix + "DEBUG": DEBUG_LEVEL,
            prefix + "STRIP": "none",
            prefix + "LTO": "off",
            prefix + "SPLIT_DEBUGINFO": "off",
            "MATURIN_STRIP": "false",
            "CARGO_TERM_COLOR": "never",
        },
        base=base,
    )


def _maturin(
    staged: stage.Staged,
    interpreter: Interpreter,
    pyo3: str,
    target_dir: Path,
    out: Path,
    log: Path,
    timeout: float,
) -> process.Completed:
    profile = staged.layout.profile
    options = ["--release"] if profile == "release" else ["--profile", profile]
    result = process.run(
        [
            *maturin_command(),
            "build",
            *options,
            "--strip",
            "false",
            "--auditwheel",
            "skip",
            "--compression-method",
            "stored",
            "--manifest-path",
            staged.manifest,
            "--target-dir",
            target_dir,
            "--interpreter",
            interpreter.executable,
            "--out",
            out,
        ],
        cwd=staged.root,
        env=build_environ(profile),
        timeout=timeout,
        log=log,
    )
    if result.timed_out:
        raise BuildFailed(
            f"the build went past its limit of {timeout:.0f} s",
            log=str(log),
            next=f"See how far it came in {log}.",
        )
    if not result.ok:
        raise explain(result.stdout + result.stderr, log, pyo3=pyo3)
    return result


def _prove(staged: stage.Staged, crates: Mapping[str, str], pyo3: str, log: Path) -> str:
    """PyO3's version in the lock after the build; anything but the one asked for is an error."""
    lock = coupled.locked_versions(staged.lock.read_text(encoding="utf-8"))
    found = {
        name: versions[name]
        for versions in (lock, crates)
        for name in ("pyo3", "pyo3-ffi")
        if name in versions
    }
    if not found or set(found.values()) != {pyo3}:
        raise BuildFailed(
            f"PyO3 {found.get('pyo3', 'none')} was built where {pyo3} was asked for",
            log=str(log),
            why="the lock after the build says so",
            next="Look for [patch] and paths in the project's cargo configuration.",
        )
    return found.get("pyo3", pyo3)


def _crates(staged: stage.Staged, log: Path) -> dict[str, str]:
    """What the extension is built from: crates reached without development dependencies."""
    answer: Any = stage.metadata(
        staged.manifest,
        staged.root,
        "--offline",
        *stage.feature_options(staged.layout),
        log=log,
        pyo3=staged.pyo3,
    )
    manifest = str(staged.manifest.resolve())
    packages = {package["id"]: package for package in answer["packages"]}
    nodes = {node["id"]: node for node in answer["resolve"]["nodes"]}
    root = answer["resolve"]["root"] or next(
        key for key, package in packages.items() if package["manifest_path"] == manifest
    )
    reached, waiting = set[str](), [root]
    while waiting:
        key = waiting.pop()
        if key in reached:
            continue
        reached.add(key)
        waiting += [
            item["pkg"]
            for item in nodes[key]["deps"]
            if any(kind["kind"] != "dev" for kind in item["dep_kinds"])
        ]
    found: dict[str, str] = {}
    for package in sorted((packages[key] for key in reached), key=_package_order):
        found[package["name"]] = package["version"]
    return found


def _package_order(package: Mapping[str, Any]) -> tuple[Any, ...]:
    return (package["name"], registry.sort_key(package["version"]))


def versions(root: Path) -> tuple[str, str]:
    """The versions of rustc and maturin that would build in ``root``.

    A project's own rust-toolchain file counts. Raises ToolMissing without cargo or maturin.
    """
    return (
        _version(["rustc", "-V"], root, "Install Rust (rustup)."),
        _version([*maturin_command(), "--version"], root, "Install maturin."),
    )


def _version(command: list[str], cwd: Path, advice: str) -> str:
    result = process.run(command, cwd=cwd, timeout=60.0, env=clean_environ())
    if not result.ok:
        raise ToolMissing(f"{command[-2]} does not run", why=result.tail(3), next=advice)
    return " ".join(result.stdout.split()[1:2])


def _key(staged: stage.Staged, rustc: str, maturin: str) -> str:
    parts = (staged.digest, rustc, maturin, DEBUG_LEVEL, str(staged.root))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _from_shelf(shelf: Path, interpreter: Interpreter, out: Path) -> Path | None:
    for wheel in sorted(shelf.glob("*.whl")):
        if serves(wheel.name, interpreter):
            shutil.copyfile(wheel, out / wheel.name)
            return out / wheel.name
    return None


def serves(wheel: str, interpreter: Interpreter) -> bool:
    """Whether an abi3 wheel of this file name can be imported by this interpreter."""
    if interpreter.free_threaded or interpreter.debug:
        return False
    try:
        tags = parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return False
    for tag in tags:
        match = re.fullmatch(r"cp3(\d+)", tag.interpreter)
        if tag.abi == "abi3" and match and interpreter.release[:2] >= (3, int(match[1])):
            return True
    return False


def _is_abi3(wheel: Path) -> bool:
    return "-abi3-" in wheel.name


def _only_wheel(out: Path, log: Path) -> Path:
    wheels = sorted(out.glob("*.whl"))
    if len(wheels) != 1:
        raise BuildFailed(
            f"maturin made {len(wheels)} wheels where one was expected",
            log=str(log),
            why=", ".join(wheel.name for wheel in wheels),
        )
    return wheels[0]


def _libraries(wheel: Path, log: Path) -> tuple[str, ...]:
    with zipfile.ZipFile(wheel) as archive:
        names = tuple(
            sorted(
                name for name in archive.namelist() if re.search(r"\.(so(\.\d+)*|pyd|dylib)$", name)
            )
        )
    if not names:
        raise BuildFailed(
            f"{wheel.name} holds no compiled library",
            log=str(log),
            why="maturin built it with other bindings than PyO3's",
            next="Name the folder of the extension itself.",
        )
    return names


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
