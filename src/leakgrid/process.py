"""The only place that starts programs: time limits, process groups, clean kill, logs, CPU time.

Every program gets a session of its own, so that it and everything it started can be ended at
once; its standard input is empty. CPU time comes from ``wait4`` (getrusage(2): the program and
the children it waited for).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal as signals
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from leakgrid.errors import ToolMissing

CAPTURE_LIMIT = 64 * 1024 * 1024
"""Bytes of each stream that are kept in memory; of more, the last ones (a log keeps all)."""
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_live: set[Running] = set()
_live_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended.

    ``returncode`` is the exit status, or ``-signal`` as in subprocess; ``signal`` is the number of
    the signal that ended it, or None. ``seconds`` is wall time, ``cpu_seconds`` user and system
    time with that of the children it waited for. ``timed_out``: its time limit ended it.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float
    cpu_seconds: float
    timed_out: bool = False
    signal: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.returncode == 0 and not self.timed_out

    def tail(self, lines: int = 20) -> str:
        """The last lines of what it said, errors last."""
        return "\n".join((self.stdout + self.stderr).rstrip().splitlines()[-lines:])


class _Output:
    """One stream: read by a thread, kept within bounds, copied to the log, handed on by line."""

    def __init__(
        self,
        stream: IO[bytes],
        log: IO[bytes] | None,
        lock: threading.Lock,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self._stream, self._log, self._lock, self._on_line = stream, log, lock, on_line
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._line = b""
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def text(self) -> str:
        with self._lock:
            return b"".join(self._chunks).decode("utf-8", "replace")

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed under us after a kill
            while chunk := os.read(self._stream.fileno(), 65536):
                self._take(chunk)
        if self._line:
            self._hand_on([self._line])

    def _take(self, chunk: bytes) -> None:
        with self._lock:
            self._chunks.append(chunk)
            self._size += len(chunk)
            while self._size > CAPTURE_LIMIT and len(self._chunks) > 1:
                self._size -= len(self._chunks.popleft())
            if self._log is not None and not self._log.closed:
                self._log.write(chunk)
                self._log.flush()
        if self._on_line is not None:
            *lines, self._line = (self._line + chunk).split(b"\n")
            self._hand_on(lines)

    def _hand_on(self, lines: list[bytes]) -> None:
        if self._on_line is None or self.error is not None:
            return
        try:
            for line in lines:
                self._on_line(line.decode("utf-8", "replace").rstrip("\r"))
        except BaseException as error:  # raised again in wait(), where the caller is
            self.error = error


class Running:
    """A program that runs in a session of its own. Made by :func:`start`."""

    def __init__(
        self,
        argv: tuple[str, ...],
        popen: subprocess.Popen[bytes],
        log: IO[bytes] | None,
        on_line: Callable[[str], None] | None,
    ) -> None:
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.argv = argv
        self.pid = popen.pid
        self._popen, self._log = popen, log
        self._started = time.monotonic()
        self._reap_lock = threading.Lock()
        self._result: tuple[int, float, float] | None = None
        lock = threading.Lock()
        self._out = _Output(popen.stdout, log, lock, on_line)
        self._err = _Output(popen.stderr, log, lock, on_line)
        with _live_lock:
            _live.add(self)

    def poll(self) -> int | None:
        """The return code, or None while it runs."""
        with self._reap_lock:
            if self._result is None:
                self._reap()
            return None if self._result is None else self._result[0]

    def kill(self, grace: float = GRACE) -> None:
        """End the whole process group: SIGTERM, after ``grace`` seconds SIGKILL."""
        if grace > 0 and self._signal(signals.SIGTERM):
            deadline = time.monotonic() + grace
            while self.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
        self._signal(signals.SIGKILL)
        while self.poll() is None:
            time.sleep(0.01)

    def wait(self, timeout: float | None = None) -> Completed:
        """Wait for the end; after ``timeout`` seconds the group is ended and that is said.

        Whatever interrupts the waiting (Ctrl-C) ends the group before it goes on.
        """
        timed_out = False
        pause = 0.001
        try:
            while self.poll() is None:
                if timeout is not None and time.monotonic() - self._started > timeout:
                    timed_out = True
                    self.kill()
                    break
                if self._out.error or self._err.error:
                    self.kill()
                    break
                time.sleep(pause)
                pause = min(pause * 1.5, 0.05)
            return self._completed(timed_out)
        except BaseException:
            self.kill(grace=1.0)
            self._close()
            raise

    def _completed(self, timed_out: bool) -> Completed:
        self._close()
        if error := self._out.error or self._err.error:
            raise error
        assert self._result is not None
        code, seconds, cpu = self._result
        return Completed(
            argv=self.argv,
            returncode=code,
            stdout=self._out.text(),
            stderr=self._err.text(),
            seconds=seconds,
            cpu_seconds=cpu,
            timed_out=timed_out,
            signal=-code if code < 0 else None,
        )

    def _close(self) -> None:
        """Let the readers finish; what still holds a pipe after the kill is not waited for."""
        for output in (self._out, self._err):
            output.thread.join(2.0)
        if self._log is not None:
            self._log.close()
        for stream, output in ((self._popen.stdout, self._out), (self._popen.stderr, self._err)):
            if stream is not None and not output.thread.is_alive():
                stream.close()

    def _reap(self) -> None:
        # Looked at without reaping first: as long as the zombie is there its number cannot be
        # given to another process, so the rest of its group can be ended without a race.
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signals.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        seconds = time.monotonic() - self._started
        code = os.waitstatus_to_exitcode(status)
        self._popen.returncode = code  # or Popen would wait for a process that is gone
        self._result = (code, seconds, usage.ru_utime + usage.ru_stime)
        with _live_lock:
            _live.discard(self)

    def _signal(self, number: int) -> bool:
        with self._reap_lock:
            if self._result is not None:
                return False
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            return True


def start(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    pass_fds: Sequence[int] = (),
) -> Running:
    """Start a program that the caller watches.

    ``env`` is the whole environment (None: this process's own). ``log`` gets both streams as they
    come, appended. ``on_line`` is called with each line of both from reader threads.
    Raises ToolMissing when the program is not there or cannot be run.
    """
    arguments = tuple(os.fspath(part) for part in argv)
    stream: IO[bytes] | None = None
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("ab")
    try:
        popen = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
            pass_fds=tuple(pass_fds),
        )
    except (FileNotFoundError, PermissionError, NotADirectoryError, OSError) as error:
        if stream is not None:
            stream.close()
        if cwd is not None and not cwd.is_dir():
            raise
        raise ToolMissing(
            f"{arguments[0]} cannot be run",
            why=error.strerror or str(error),
            next=f"Install {Path(arguments[0]).name}, or put it on PATH.",
        ) from error
    return Running(arguments, popen, stream, on_line)


def near(path: Path) -> str:
    """A path as one would type it: relative where it lies below the working directory."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a program to its end: :func:`start`, then :meth:`Running.wait`.

    ``timeout`` is in seconds of wall time. Raises ToolMissing.
    """
    return start(argv, cwd=cwd, env=env, log=log, on_line=on_line).wait(timeout)


def kill_all(grace: float = 1.0) -> None:
    """End every program that is still running (for a main thread whose workers wait)."""
    with _live_lock:
        running = tuple(_live)
    for program in running:
        program._signal(signals.SIGTERM)
    for program in running:
        program.kill(grace)


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Within it SIGTERM does what Ctrl-C does: KeyboardInterrupt in the main thread.

    On the way out by any exception every program still running is ended.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signals.signal(signals.SIGTERM, interrupt)
    try:
        yield
    except BaseException:
        kill_all()
        raise
    finally:
        signals.signal(signals.SIGTERM, previous)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder with a short path (Unix sockets allow 108 bytes), removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="leakgrid-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
