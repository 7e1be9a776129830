"""What an explanation is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that could be the reason, and where it is documented."""

    text: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``leakgrid explain`` says of a finding; every text is whole sentences.

    ``reproducers`` maps what it is to its lines. ``classes`` tells of each class of loss what the
    run saw, or that it was not measured. ``bytes_per_1000_calls`` is None where the run did not
    measure per call, or where it is no memory.
    """

    what: str
    cost: str
    owner: str
    causes: tuple[Cause, ...]
    reproducers: Mapping[str, tuple[str, ...]]
    classes: Mapping[str, str]
    bytes_per_1000_calls: float | None = None
