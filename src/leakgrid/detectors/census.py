"""References too many after import: compared between two results of the same Python.

A count is a surplus: references to one of the extension's types, attributes, functions or
constants that no Python container holds. Alone it means nothing, since native code keeps
references for good reasons; a difference between two versions of PyO3 does.
"""

from __future__ import annotations

from collections.abc import Mapping

from leakgrid.detectors.suspects import counted, identity
from leakgrid.finding import Finding
from leakgrid.signature import Owner

DETECTOR = "census"
KIND = "reference-at-import"


def compare(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[Finding, ...]:
    """Objects of both results that have more surplus references in ``after``.

    Objects that only one of them has were added or removed by their author, which is no leak.
    """
    found = []
    for name in sorted(before.keys() & after.keys()):
        more = after[name] - before[name]
        if more > 0:
            found.append(
                Finding(
                    detector=DETECTOR,
                    kind=KIND,
                    id=identity(DETECTOR, KIND, name),
                    owner=Owner.UNKNOWN,
                    blocks=more,
                    summary=f"{counted(more, 'reference')} more to {name} after import",
                    subject=name,
                )
            )
    return tuple(found)
