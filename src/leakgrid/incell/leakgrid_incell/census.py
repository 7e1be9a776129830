"""Reference counts of the extension's objects after its modules were imported.

What counts is the surplus: references that no container holds, so held by native code. It is the
same whatever the tests import from the extension, and one more between two versions of PyO3 is a
reference that was lost while a class or module was made.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from leakgrid_incell.holders import Snapshot
from leakgrid_incell.measure import Targets

if TYPE_CHECKING:
    from collections.abc import Sequence


def take(libraries: Sequence[str]) -> dict[str, int]:
    """Map the name of each type, attribute, function and constant to its surplus of references."""
    targets = Targets(libraries)
    targets.refresh()
    named: dict[int, tuple[object, str]] = {}
    for thing, name in targets.named():
        named.setdefault(id(thing), (thing, name))
    names = [name for _, name in named.values()]
    things = [thing for thing, _ in named.values()]
    del named
    gc.collect()
    counts = list(map(sys.getrefcount, things))
    held = Snapshot(things).held
    own = sys.getrefcount(_lonely([object()]))
    surplus = {}
    for name, thing, count, known in zip(names, things, counts, held):
        # Text is shared with whatever else spells it so, and its holders are not all visible.
        if type(thing) is not str and count < 2**29:
            surplus[name] = count - known - own
    return surplus


def _lonely(things: list[object]) -> object:
    """One reference from a list, like the counted ones have."""
    return things[0]
