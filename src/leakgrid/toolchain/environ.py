"""The environment variables that programs of a cell get."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

# Variables of the caller's Python that would change what another Python does: its search path, its
# allocator, its optimisation level, and whether it may write .pyc files (under Valgrind cold ones
# cost most of a minute).
_PYTHON = frozenset(
    {
        "VIRTUAL_ENV",
        "VIRTUAL_ENV_PROMPT",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONOPTIMIZE",
        "PYTHONMALLOC",
        "PYTHONHASHSEED",
        "PYTHONINSPECT",
        "PYTHONDEBUG",
        "PYTHONVERBOSE",
        "PYTHONTRACEMALLOC",
        "PYTHONDEVMODE",
        "PYTHONNOUSERSITE",
        "PYTHONSAFEPATH",
        "PYTHONWARNINGS",
        "PYTHONPLATLIBDIR",
        "PYTHONEXECUTABLE",
        "__PYVENV_LAUNCHER__",
        "PYTHONBREAKPOINT",
        "PYTHONFAULTHANDLER",
        "PYTHONPROFILEIMPORTTIME",
        "PYTHONASYNCIODEBUG",
        "PYTHON_GIL",
        "PYTHON_JIT",
    }
)
# What version managers and outer tools set for themselves.
_MANAGERS = frozenset(
    {
        "PYENV_VERSION",
        "PYENV_DIR",
        "PYENV_HOOK_PATH",
        "ASDF_PYTHON_VERSION",
        "MISE_PYTHON_VERSION",
        "UV_PYTHON",
        "UV_PROJECT_ENVIRONMENT",
        "CONDA_PREFIX",
        "CONDA_DEFAULT_ENV",
        "PIP_REQUIRE_VIRTUALENV",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_PYTHON",
        "NOX_SESSION_NAME",
        "PYTEST_ADDOPTS",
        "PYTEST_PLUGINS",
        "PYTEST_CURRENT_TEST",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
        "COVERAGE_PROCESS_START",
        "PY_COLORS",
        "FORCE_COLOR",
    }
)
# What would change the code or the place that cargo and rustc write: PyO3's own switches and the
# target directory, which leakgrid gives as an option so that compiler caches still hit.
_BUILD = frozenset(
    {
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "PYO3_PYTHON",
        "PYO3_CONFIG_FILE",
        "PYO3_NO_PYTHON",
        "PYO3_CROSS",
        "PYO3_CROSS_LIB_DIR",
        "PYO3_CROSS_PYTHON_VERSION",
        "PYO3_USE_ABI3_FORWARD_COMPATIBILITY",
        "PYTHON_SYS_EXECUTABLE",
        "MATURIN_PEP517_ARGS",
        "MATURIN_PYPI_TOKEN",
        "MATURIN_PASSWORD",
    }
)


def clean_environ(
    extra: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    *,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """This process's environment without what would leak into a cell, with ``extra`` on top.

    Taken away: the caller's Python switches, version managers' choices, pytest's options, and
    PyO3's and cargo's redirections. Proxies, certificates, pip's index and locale stay.
    """
    source = os.environ if base is None else base
    kept = {
        name: value
        for name, value in source.items()
        if name not in _PYTHON
        and name not in _MANAGERS
        and name not in _BUILD
        and not name.startswith(("CARGO_PKG_", "CARGO_MANIFEST_"))
    }
    kept.update(extra)
    return kept
