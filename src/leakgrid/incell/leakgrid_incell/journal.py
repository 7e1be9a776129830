"""The journal: one JSON line per event, written at once, so that a crash keeps what was done."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

# High enough that a suite which counts or closes low descriptors does not meet it.
_LOWEST_DESCRIPTOR = 400


class Journal:
    """Appends events to one file; forked workers share it, since short appends do not mix."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
        except OSError:  # a low RLIMIT_NOFILE
            self._descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(descriptor)

    def write(self, event: str, **fields: Any) -> None:
        """Append one event. Short lines are atomic with O_APPEND (POSIX write)."""
        fields["event"] = event
        line = json.dumps(fields, ensure_ascii=True) + "\n"
        data = line.encode("ascii")
        while data:
            data = data[os.write(self._descriptor, data) :]
