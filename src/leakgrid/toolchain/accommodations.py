"""What keeps pytest plugins and crates from spoiling a measurement: options and variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "pytest-cov": ("--no-cov",),  # tracing is slow under Valgrind, and allocates
    "pytest-timeout": ("--timeout=0",),  # limits for native speed; leakgrid has its own
    "pytest-rerunfailures": ("--reruns=0",),
    "pytest-benchmark": ("--benchmark-disable",),  # each benchmark runs once
    "pytest-randomly": ("-p", "no:randomly"),  # two runs must be comparable
    "pytest-random-order": ("-p", "no:random_order"),
    "pytest-codspeed": ("-p", "no:codspeed"),  # it looks for Valgrind itself
}

VARIABLES: Mapping[str, Mapping[str, str]] = {
    # mimalloc reserves 1 GiB at once, and each leak check walks all of it (measured: 60 CPU s).
    "libmimalloc-sys": {"MIMALLOC_ARENA_RESERVE": "0"},
}


def variables(crates: Collection[str]) -> dict[str, str]:
    """Environment variables for what the extension is built from."""
    return {
        name: value
        for crate, wanted in VARIABLES.items()
        if crate in crates
        for name, value in wanted.items()
    }


def arguments(packages: Mapping[str, str]) -> tuple[str, ...]:
    """pytest arguments for what is installed (names as pip lists them)."""
    installed = {name.lower().replace("_", "-") for name in packages}
    return tuple(
        option for name, options in OPTIONS.items() if name in installed for option in options
    )
