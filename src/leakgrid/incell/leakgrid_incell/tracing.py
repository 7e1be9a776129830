"""What Python and the C library keep of some calls, so that it is not taken for a leak.

``tracemalloc``: some Pythons lose its own memory each time. Measured with the C allocator: CPython
3.11 and 3.12 keep 32 bytes of each start, an allocation and stop; 3.9 and 3.13 keep none.

``os.putenv``: glibc never frees the text of a variable that it has not seen before (setenv.c), so
what the heap grew during the call is taken off it.
"""

from __future__ import annotations

import os
import tracemalloc
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

starts = 0
"""How often tracemalloc was started."""
_start = tracemalloc.start
_putenv = os.putenv
_heap: Callable[[], int] = int
# Before, behind, and what was kept in all: made here, since a number that is made between the two
# looks would count as kept.
_sizes = array("q", [0, 0, 0])


def _counting_start(*arguments: int) -> None:
    global starts
    starts += 1
    return _start(*arguments)


def _measured_putenv(*arguments: Any) -> None:
    _sizes[0] = _heap()
    try:
        _putenv(*arguments)
    finally:
        _sizes[1] = _heap()
        _sizes[2] += _sizes[1] - _sizes[0]


def kept() -> int:
    """Bytes that environment variables keep."""
    return _sizes[2]


def install(heap: Callable[[], int]) -> None:
    """Watch from now on; code that imported the functions themselves before is not seen."""
    global _heap
    _heap = heap
    tracemalloc.start = _counting_start
    os.putenv = _measured_putenv
