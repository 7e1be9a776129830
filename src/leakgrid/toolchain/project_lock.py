"""What a project's own lock pins: its tests are known to run with these versions.

Test plug-ins break with releases of pytest that came after them, and the project's own CI never
sees that. Read are ``uv.lock``, ``poetry.lock`` and ``pdm.lock``, which share tables called
``[[package]]`` with ``name`` and ``version``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from leakgrid.errors import UsageError
from leakgrid.toolchain.manifest import read_toml

LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")


def pins(project: Path) -> tuple[str, ...]:
    """``name==version`` of every package that the lock has in one version from an index.

    What it has in several (for different Pythons), or from a folder or repository, is left to pip.
    Empty without a lock, and for one that cannot be read.
    """
    path = next((project / name for name in LOCKS if (project / name).is_file()), None)
    if path is None:
        return ()
    try:
        packages = read_toml(path).get("package")
    except UsageError:
        return ()
    if not isinstance(packages, list):
        return ()
    usable = [item for item in packages if isinstance(item, Mapping) and _is_pinned(item)]
    often = Counter(canonicalize_name(item["name"]) for item in usable)
    return tuple(
        sorted(
            f"{item['name']}=={item['version']}"
            for item in usable
            if often[canonicalize_name(item["name"])] == 1
        )
    )


def _is_pinned(item: Mapping[str, object]) -> bool:
    source = item.get("source", {"registry": ""})
    from_index = isinstance(source, Mapping) and (
        "registry" in source or source.get("type") == "legacy"
    )
    return from_index and all(isinstance(item.get(key), str) for key in ("name", "version"))
