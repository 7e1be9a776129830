"""Forked workers: each runs one batch of tests, and outlives none of its parent's limits.

The parent (the zygote) has imported and collected everything once; a fork starts a worker in a
fraction of a second where a fresh interpreter under Valgrind takes many. Only a single-threaded
zygote may fork: a lock that another thread holds would stay locked in the child.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from leakgrid_incell.journal import Journal

_NO_TEST = -1  # in place of the running test
_FINISHED = -2  # with so many tests less as were left to another worker
_PAUSE = 0.02
_PR_SET_PDEATHSIG = 1


class Slots:
    """Shared memory in which each worker notes the test that it runs, and since when.

    Every value is one aligned word that is written at once: ``struct.pack_into`` would write zeros
    first, and a reader in between would take them for a start long ago.
    """

    def __init__(self, count: int) -> None:
        self._words = memoryview(mmap.mmap(-1, max(1, count) * 16)).cast("q")
        for number in range(count):
            self.note(number, _NO_TEST)

    def note(self, number: int, index: int) -> None:
        """``index`` of the running test (-1: none) and the present time in nanoseconds."""
        self._words[2 * number + 1] = time.monotonic_ns()
        self._words[2 * number] = index

    def read(self, number: int) -> tuple[int, float]:
        """(index, seconds since it began)."""
        began = self._words[2 * number + 1]
        return self._words[2 * number], (time.monotonic_ns() - began) / 1e9


class Batch:
    """Tests (indices into the collected items) that one worker runs in order."""

    def __init__(self, number: int, indices: Iterable[int]) -> None:
        self.number = number
        self.indices = list(indices)
        self.losses = 0


class Workers:
    """Runs batches in forked workers, ``plan.jobs`` at a time, and replaces the ones that die.

    A worker that dies or hangs is charged to the test it was running. With ``restart`` ``"all"``
    the batch begins again without that test (memcheck: what a dead process had lost is not
    known), with ``"rest"`` it goes on behind it.

    ``run_batch`` returns how many tests at the batch's end it left to another worker.
    """

    def __init__(
        self,
        plan: dict[str, Any],
        journal: Journal,
        run_batch: Callable[[Batch, Slots], int],
        limit_of: Callable[[int], float],
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._run_batch = run_batch
        self._limit_of = limit_of
        self._slots = Slots(0)

    def run(self, batches: Iterable[Batch]) -> None:
        """Run all batches to their end."""
        waiting = list(batches)
        self._slots = Slots(len(waiting))
        running: dict[int, Batch] = {}
        while waiting or running:
            while waiting and len(running) < self._plan["jobs"]:
                batch = waiting.pop(0)
                if batch.indices:
                    running[self._fork(batch)] = batch
            for pid, status in self._ended(running):
                batch = running.pop(pid)
                # A test may end the interpreter with status 0, too: only the batch's end counts.
                left = _FINISHED - self._slots.read(batch.number)[0]
                if status != 0 or left < 0:
                    self._lost(batch, pid, status)
                else:
                    batch.indices = batch.indices[len(batch.indices) - left :]
                if batch.indices:
                    waiting.insert(0, batch)
            time.sleep(_PAUSE)

    def _fork(self, batch: Batch) -> int:
        self._slots.note(batch.number, _NO_TEST)
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            die_with_parent()
            left = self._run_batch(batch, self._slots)
            self._slots.note(batch.number, _FINISHED - left)
            code = 0
        except BaseException as error:
            self._journal.write("worker-error", batch=batch.number, error=repr(error)[:2000])
        finally:
            # No finalization: at a normal exit the interpreter drops its last references in an
            # order that memcheck reports as more than a thousand lost blocks.
            os._exit(code)

    def _ended(self, running: dict[int, Batch]) -> Iterator[tuple[int, int | None]]:
        """Yield (pid, status) of workers that ended; None for those killed at their limit."""
        for pid in list(running):
            index, seconds = self._slots.read(running[pid].number)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                yield pid, status
            elif seconds > self._limit_of(index):
                kill_tree(pid)
                os.waitpid(pid, 0)
                yield pid, None

    def _lost(self, batch: Batch, pid: int, status: int | None) -> None:
        index, seconds = self._slots.read(batch.number)
        batch.losses += 1
        hung = status is None
        number, code = 0, None
        if status is not None:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        self._journal.write(
            "lost",
            batch=batch.number,
            pid=pid,
            test=index,
            hung=hung,
            signal=number,
            exit=code,
            seconds=round(seconds, 3),
        )
        if index < 0 or batch.losses > self._plan["most_losses"]:
            self._journal.write("gave-up", batch=batch.number, tests=batch.indices)
            batch.indices = []
        elif self._plan["restart"] == "all":
            batch.indices.remove(index)
        else:
            batch.indices = batch.indices[batch.indices.index(index) + 1 :]


def die_with_parent(parent: int | None = None) -> None:
    """A cell's process must not outlive a killed run: Linux's PR_SET_PDEATHSIG (prctl(2)).

    The signal comes only for a death after the call, so one before it, with the number of
    ``parent`` known, is looked for.
    """
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (ImportError, AttributeError, OSError):
        return
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def kill_tree(root: int) -> None:
    """Kill a process and all that it started, deepest knowledge first, through /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    doomed = [root]
    for pid in doomed:
        doomed.extend(children.get(pid, ()))
    for pid in doomed:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
