#!/usr/bin/env python3
"""From a fresh clone to a verdict: make .venv, check the tools, run the sessions.

    python3 scripts/bootstrap.py valgrind [--yes] [arguments for nox]   the matrix's quick cells
    python3 scripts/bootstrap.py tests [--yes] [arguments for nox]      leakgrid's lint and tests

Missing system packages are installed after a question at a terminal, or without one when --yes is
given; the commands are printed first in either case. Without a terminal and without --yes they are
printed only. Arguments for nox replace the quick selection when they select sessions themselves;
whatever follows -- goes on to pytest.

Exit codes: nox's own (0 or 1; 2 for a faulty matrix.toml), 2 also when something is missing that
this script may not install, 130 after Ctrl-C.
Runs on Python 3.9 and later with the standard library only.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "leakgrid-bootstrap"
MINIMUM = (3, 11)
COMMANDS = ("valgrind", "tests")
# What PyO3 0.30 asks for (rust-version in its Cargo.toml); older PyO3 versions ask for less.
RUST = (1, 85)

# need -> packages per package manager
PACKAGES = {
    "apt-get": {
        "valgrind": ["valgrind"],
        "compiler": ["gcc", "libc6-dev"],
        "rust": ["cargo", "rustc"],
        "python": ["python3", "python3-venv"],
    },
    "dnf": {
        "valgrind": ["valgrind", "valgrind-devel"],
        "compiler": ["gcc", "glibc-devel"],
        "rust": ["cargo", "rust"],
        "python": ["python3.12"],
    },
    "pacman": {
        "valgrind": ["valgrind"],
        "compiler": ["gcc"],
        "rust": ["rust"],
        "python": ["python"],
    },
    "zypper": {
        "valgrind": ["valgrind", "valgrind-devel"],
        "compiler": ["gcc", "glibc-devel"],
        "rust": ["cargo", "rust"],
        "python": ["python312"],
    },
}
INSTALL = {
    "apt-get": [["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends"]],
    "dnf": [["dnf", "install", "-y"]],
    "pacman": [["pacman", "-S", "--needed", "--noconfirm"]],
    "zypper": [["zypper", "--non-interactive", "install"]],
}
NEEDS = {
    "valgrind": "Valgrind with its headers (valgrind/valgrind.h)",
    "compiler": "a C compiler",
    "rust": "Rust (cargo and rustc; a current one comes from https://rustup.rs)",
    "python": "Python 3.11 or later with venv (for leakgrid itself)",
}


class Arguments(NamedTuple):
    """The command line; ``nox`` is what goes on to nox."""

    command: str
    yes: bool
    nox: list[str]


def main(argv: list[str]) -> int:
    """Run the script; returns its exit code."""
    arguments = parse(argv)
    check_platform(sys.platform, platform.machine())
    add_cargo_to_path()
    provide(arguments)
    make_venv()
    if arguments.command == "tests":
        return nox(["-s", "lint", "tests", *arguments.nox])
    return valgrind(arguments.nox)


def parse(argv: list[str]) -> Arguments:
    """Split the command line: --yes is ours up to the first --, the rest is nox's."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__.strip() if __doc__ else "")
        sys.exit(0 if argv else 2)
    if argv[0] not in COMMANDS:
        fail(f"unknown command {argv[0]!r}", f"Give one of: {', '.join(COMMANDS)}.")
    end = argv.index("--") if "--" in argv else len(argv)
    ours = [item for item in argv[1:end] if item in ("--yes", "-y")]
    rest = [item for item in argv[1:end] if item not in ("--yes", "-y")]
    return Arguments(argv[0], bool(ours), rest + argv[end:])


def check_platform(system: str, machine: str) -> None:
    """Stop where Valgrind cannot run."""
    if system.startswith("linux") and machine.lower() in ("x86_64", "amd64", "aarch64", "arm64"):
        return
    name = {"darwin": "macOS", "win32": "Windows"}.get(system, system)
    fail(
        f"Valgrind needs Linux on x86-64 or arm64; this is {name} on {machine}",
        "Run this on a Linux machine, in a Linux virtual machine or container, or in CI:\n"
        ".github/workflows/ has a workflow to start from.",
    )


def add_cargo_to_path() -> None:
    """rustup puts cargo into a folder that only login shells have on their PATH."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"
    if not shutil.which("cargo") and (home / "cargo").exists():
        os.environ["PATH"] = f"{home}{os.pathsep}{os.environ.get('PATH', '')}"


def provide(arguments: Arguments) -> None:
    """See to it that everything is there, or stop and say what to run."""
    needs = missing()
    if needs:
        say("Missing: " + "; ".join(NEEDS[need] for need in needs) + ".")
        install(needs, arguments.yes)
        needs = missing()
        if needs:
            fail(
                "still missing: " + "; ".join(NEEDS[need] for need in needs),
                "The package manager did not bring it: install it by hand and run this again.",
            )
    version = rust_version()
    if version and version < RUST:
        say(
            f"Note: Rust {version[0]}.{version[1]} is older than the {RUST[0]}.{RUST[1]} that PyO3 "
            "0.30 asks for, so cells of new PyO3 versions will not build. A current Rust comes "
            "from https://rustup.rs."
        )


def missing() -> list[str]:
    """What is not there, as keys of NEEDS."""
    needs = []
    if not shutil.which("valgrind") or not has_header():
        needs.append("valgrind")
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang")):
        needs.append("compiler")
    if not shutil.which("cargo") or not shutil.which("rustc"):
        needs.append("rust")
    if not usable(PYTHON) and find_python() is None:
        needs.append("python")
    return needs


def has_header() -> bool:
    """Whether valgrind.h is where compilers look, or beside the valgrind on the PATH."""
    prefixes = [Path("/usr"), Path("/usr/local")]
    program = shutil.which("valgrind")
    if program:
        prefixes.append(Path(program).resolve().parent.parent)
    places = [prefix / "include" / "valgrind" / "valgrind.h" for prefix in prefixes]
    return any(place.exists() for place in places)


def install(needs: list[str], yes: bool) -> None:
    """Print the commands that install what is missing, and run them when that is allowed."""
    commands = install_commands(needs)
    if not commands:
        fail(
            "no known package manager (" + ", ".join(PACKAGES) + ") on this machine",
            "Install what is missing by hand and run this again.",
        )
    say("These commands install it:")
    for command in commands:
        say("  " + shlex.join(command))
    if not yes and not agreed():
        fail("nothing was installed", "Run the commands above, or this script with --yes.")
    if commands[0][0] != "sudo" and os.geteuid() != 0:
        fail("installing needs root and there is no sudo", "Run the commands above as root.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in commands:
        say("+ " + shlex.join(command))
        code = subprocess.call(command, env=environment, stdin=subprocess.DEVNULL)
        if code:
            fail(f"{shlex.join(command)} failed with exit code {code}", "Its output is above.")


def install_commands(needs: list[str]) -> list[list[str]]:
    """The commands of this machine's package manager; empty when there is none."""
    for manager, packages in PACKAGES.items():
        if shutil.which(manager):
            wanted = [name for need in needs for name in packages[need]]
            *before, last = INSTALL[manager]
            sudo = ["sudo"] if os.geteuid() != 0 and shutil.which("sudo") else []
            return [[*sudo, *command] for command in (*before, [*last, *wanted])]
    return []


def agreed() -> bool:
    """Ask at a terminal; without one the answer is no."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input("Run them now? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def rust_version() -> tuple[int, int] | None:
    """Major and minor version of rustc, or None when it does not say."""
    try:
        text = subprocess.run(
            ["rustc", "--version"], capture_output=True, text=True, check=False, cwd=ROOT
        ).stdout
    except OSError:
        return None
    found = re.match(r"rustc (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def find_python() -> Path | None:
    """A Python for .venv: this one if it is new enough, else the best on the machine."""
    if sys.version_info >= MINIMUM and usable(Path(sys.executable)):
        return Path(sys.executable)
    # Newer Pythons come last: wheels for them may not exist yet.
    for minor in (13, 12, 11, 14, 15):
        for candidate in interpreters(f"3.{minor}"):
            if usable(candidate):
                return candidate
    return next((path for path in interpreters("3") if usable(path)), None)


def interpreters(version: str) -> list[Path]:
    """Programs that may be this Python: on the PATH and in version managers' folders."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    found = [
        os.path.join(folder, f"python{version}")
        for folder in os.environ.get("PATH", "").split(os.pathsep)
        if folder
    ]
    for pattern in (
        pyenv / "versions" / f"{version}*" / "bin" / "python",
        home / ".local/share/uv/python" / f"cpython-{version}*" / "bin" / "python3",
        home / ".asdf/installs/python" / f"{version}*" / "bin" / "python3",
        home / ".local/share/mise/installs/python" / f"{version}*" / "bin" / "python3",
    ):
        found += sorted(glob.glob(str(pattern)))
    return [Path(path) for path in dict.fromkeys(found) if os.access(path, os.X_OK)]


def usable(python: Path, minimum: tuple[int, int] = MINIMUM) -> bool:
    """Whether a program is a CPython of at least ``minimum`` that can make environments."""
    code = (
        "import sys, venv, ensurepip\n"
        f"sys.exit(sys.implementation.name != 'cpython' or sys.version_info < {minimum!r})"
    )
    try:
        # A version manager's shim looks for .python-version in the working directory.
        command = [str(python), "-c", code]
        return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False


def make_venv() -> None:
    """Make .venv and install leakgrid with its tools; nothing when that is done already."""
    if not usable(PYTHON):
        python = find_python()
        if python is None:
            fail("no Python 3.11 or later", "Install one and run this again.")
        say(f"Making {VENV.name} with {python}")
        run([str(python), "-m", "venv", "--clear", str(VENV)])
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return
    say("Installing leakgrid and its tools into .venv")
    run([str(PYTHON), "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[dev]"])
    STAMP.write_text(wanted, encoding="utf-8")


def valgrind(arguments: list[str]) -> int:
    """Run the quick cells, or what the arguments select."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if any(re.match(r"-[stk]|--(session|tag|keyword)", item) for item in own):
        return nox(arguments)
    cells = listed("-t", "quick")
    tell_missing(listed("-s", "valgrind"))
    if any(found(cell["python"]) for cell in cells):
        return nox(["-s", "valgrind", "-t", "quick", *arguments])
    versions = {cell["pyo3"] for cell in cells}
    target = cells[0]["target"] if cells else ""
    instead = [
        cell["session"]
        for cell in listed("-s", "valgrind")
        if cell["pyo3"] in versions and cell["target"] == target and found(cell["python"])
    ]
    if instead:
        say("None of the quick cells' Pythons is installed; running what there is instead.")
        return nox(["-s", *instead, *arguments])
    return nox(["-s", "valgrind", "-t", "quick", *arguments])


def listed(*selection: str) -> list[dict[str, str]]:
    """The sessions of the matrix that a selection names, with their Python and PyO3."""
    command = [str(PYTHON), "-m", "nox", "--list", "--json", *selection]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, cwd=ROOT)
    if output.returncode:
        sys.exit(output.returncode)
    entries = json.loads(output.stdout)
    return [{"session": entry["session"], **entry["call_spec"]} for entry in entries]


def tell_missing(cells: list[dict[str, str]]) -> None:
    """Say which Pythons of the matrix are not there; their cells are not evaluated."""
    pythons = dict.fromkeys(cell["python"] for cell in cells)
    absent = [python for python in pythons if not found(python)]
    if absent:
        say(
            f"Note: no Python {', '.join(absent)} was found; their cells will not be evaluated. "
            "A version manager (pyenv, uv) installs any of them; headers are not needed."
        )


def found(python: str) -> bool:
    """Whether an interpreter of this minor version answers."""
    return any(answers(path, python) for path in interpreters(python))


def answers(path: Path, python: str) -> bool:
    """Whether a program runs and is this version: a shim exists for versions that do not."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    command = [str(path), "-c", code]
    try:
        output = subprocess.run(command, capture_output=True, check=False, text=True, cwd="/")
    except OSError:
        return False
    return output.stdout.strip() == python.rstrip("t")


def nox(arguments: list[str]) -> int:
    """Run nox from .venv in the repository; returns its exit code."""
    command = [str(PYTHON), "-m", "nox", *arguments]
    say("+ " + shlex.join(["nox", *arguments]))
    return subprocess.call(command, cwd=ROOT)


def run(command: list[str]) -> None:
    """Run a step of the set-up; stop when it fails."""
    code = subprocess.call(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    if code:
        fail(f"{shlex.join(command)} failed with exit code {code}", "Its output is above.")


def say(text: str) -> None:
    """Progress goes to stderr, data to stdout."""
    print(text, file=sys.stderr, flush=True)


def fail(what: str, next_step: str) -> NoReturn:
    """Stop with exit code 2, saying what happened and what to do."""
    say(f"bootstrap: {what}.\n{next_step}")
    sys.exit(2)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
