from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from leakgrid import process
from leakgrid.errors import ToolMissing


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> bool:
    for _ in range(500):
        if not alive(pid):
            return True
        time.sleep(0.01)
    return False


def test_output_status_and_streams_are_told_apart() -> None:
    done = process.run(python("import sys; print('out'); print('err', file=sys.stderr); exit(3)"))
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert not done.ok
    assert done.signal is None


def test_cpu_time_counts_children_too() -> None:
    work = "sum(i*i for i in range(3_000_000))"
    inner = f"import subprocess,sys; subprocess.run([sys.executable,'-I','-c',{work!r}])"
    assert process.run(python(inner)).cpu_seconds > process.run(python("pass")).cpu_seconds


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ToolMissing, match="no-such-program"):
        process.run(["no-such-program"])


def test_a_file_without_the_right_to_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("text")
    with pytest.raises(ToolMissing, match="tool"):
        process.run([tmp_path / "tool"])


def test_a_time_limit_ends_the_whole_group_even_when_sigterm_is_ignored(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    parent = (
        "import subprocess,sys,time,pathlib\n"
        f"p=subprocess.Popen([sys.executable,'-I','-c',{child!r}])\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(p.pid))\n"
        "time.sleep(60)"
    )
    done = process.run(python(parent), timeout=1.0)
    assert done.timed_out
    assert done.signal == signal.SIGTERM
    assert wait_until_gone(int(pid_file.read_text()))


def test_what_a_finished_program_left_running_is_ended(tmp_path: Path) -> None:
    code = (
        "import subprocess,sys\n"
        "p=subprocess.Popen([sys.executable,'-I','-c','import time; time.sleep(60)'])\n"
        "print(p.pid)"
    )
    done = process.run(python(code))
    assert done.returncode == 0
    assert wait_until_gone(int(done.stdout))


def test_the_log_gets_both_streams_and_is_appended(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "log"
    for word in ("one", "two"):
        code = f"import sys; print({word!r}); print('e-'+{word!r}, file=sys.stderr)"
        process.run(python(code), log=log)
    assert sorted(log.read_text().split()) == ["e-one", "e-two", "one", "two"]


def test_lines_are_handed_on_whole_and_the_last_one_too() -> None:
    seen: list[str] = []
    process.run(python("print('a'); print('b', end='')"), on_line=seen.append)
    assert seen == ["a", "b"]


def test_an_error_in_on_line_ends_the_program_and_comes_out() -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="stop"):
        process.run(python("import time; print('stop', flush=True); time.sleep(60)"), on_line=fail)


def test_death_by_a_signal_is_said() -> None:
    done = process.run(python("import os; os.abort()"))
    assert (done.signal, done.returncode) == (signal.SIGABRT, -signal.SIGABRT)


def test_output_that_is_no_utf8_is_kept_readable() -> None:
    done = process.run(python("import sys; sys.stdout.buffer.write(b'\\xff ok')"))
    assert done.stdout == "\ufffd ok"


def test_standard_input_is_empty() -> None:
    assert process.run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"


def test_memory_is_bounded_and_the_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "CAPTURE_LIMIT", 100_000)
    log = tmp_path / "log"
    done = process.run(python("print('x' * 2_000_000 + 'END')"), log=log)
    assert done.stdout.endswith("END\n")
    assert len(done.stdout) < 300_000
    assert log.stat().st_size == 2_000_004


def test_a_started_program_can_be_watched_and_ended() -> None:
    running = process.start(python("import time; print('up', flush=True); time.sleep(60)"))
    assert running.poll() is None
    running.kill(grace=0)
    assert running.poll() == -signal.SIGKILL
    assert running.wait().signal == signal.SIGKILL


def test_kill_all_ends_what_other_threads_wait_for() -> None:
    results: list[process.Completed] = []
    started = threading.Event()

    def work() -> None:
        running = process.start(python("import time; time.sleep(60)"))
        started.set()
        results.append(running.wait())

    thread = threading.Thread(target=work)
    thread.start()
    started.wait(10)
    process.kill_all()
    thread.join(10)
    assert [done.signal for done in results] == [signal.SIGTERM]


def test_sigterm_ends_the_running_program_and_interrupts() -> None:
    running: list[process.Running] = []

    def send() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.3, send)

    def work() -> None:
        with process.terminate_as_interrupt():
            running.append(process.start(python("import time; time.sleep(60)")))
            timer.start()
            running[0].wait()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not alive(running[0].pid)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_environment_is_the_one_given() -> None:
    done = process.run(python("import os; print(os.environ.get('HOME'))"), env={"A": "b"})
    assert done.stdout == "None\n"


def test_a_path_below_the_working_directory_is_told_as_one_would_type_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert process.near(tmp_path / "a" / "b.log") == "a/b.log"
    assert process.near(tmp_path.parent / "b.log") == str(tmp_path.parent / "b.log")
