"""Options for pytest plugins whose usual work would spoil a measurement."""

from __future__ import annotations

from collections.abc import Mapping

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "pytest-cov": ("--no-cov",),  # tracing is slow under Valgrind, and allocates
    "pytest-timeout": ("--timeout=0",),  # limits for native speed; leakgrid has its own
    "pytest-rerunfailures": ("--reruns=0",),
    "pytest-benchmark": ("--benchmark-disable",),  # each benchmark runs once
    "pytest-randomly": ("-p", "no:randomly"),  # two runs must be comparable
    "pytest-random-order": ("-p", "no:random_order"),
    "pytest-codspeed": ("-p", "no:codspeed"),  # it looks for Valgrind itself
}


def arguments(packages: Mapping[str, str]) -> tuple[str, ...]:
    """pytest arguments for what is installed (names as pip lists them)."""
    installed = {name.lower().replace("_", "-") for name in packages}
    return tuple(
        option for name, options in OPTIONS.items() if name in installed for option in options
    )
