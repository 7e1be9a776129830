import io
import sys

import pytest
from rich.progress import Progress as Bars

from leakgrid import console
from leakgrid.console import STAGES, Live


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(console, "time", made)
    return made


def test_without_a_terminal_each_stage_is_one_line(capsys, clock):
    with Live("demo/cell") as live:
        live.stage("build")
        live.stage("screen")
        live.note("something else")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"demo/cell: {STAGES['build']}",
        f"demo/cell: {STAGES['screen']}",
        "demo/cell: something else",
    ]


def test_tests_are_told_now_and_then_with_an_estimate(capsys, clock):
    with Live("demo/cell") as live:
        live.stage("memcheck")
        live.tests(10, 100)
        clock.now = 20.0
        live.tests(25, 100)
        clock.now = 21.0
        live.tests(26, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == [f"demo/cell: {STAGES['memcheck']}: 25 of 100 tests, about 60 s left"]


@pytest.mark.parametrize(("done", "spent"), [(1, 36.0), (23, 40.0), (200, 4.0), (0, 60.0)])
def test_no_estimate_is_made_before_a_fair_share_is_done(done, spent):
    assert console._estimate(done, 236, spent) == ""


def test_tests_are_told_without_an_estimate_at_the_start(capsys, clock):
    with Live("demo/cell") as live:
        live.stage("repeat")
        clock.now = 36.0
        live.tests(1, 236)
        clock.now = 60.0
        live.tests(118, 236)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == [
        f"demo/cell: {STAGES['repeat']}: 1 of 236 tests",
        f"demo/cell: {STAGES['repeat']}: 118 of 236 tests, about 60 s left",
    ]


def test_the_bar_tells_the_same_estimate():
    now = 0.0
    left = console._Left()
    bars = Bars(left, get_time=lambda: now, disable=True)
    task = bars.add_task("x", total=None)
    assert str(left.render(bars.tasks[0])) == ""
    bars.update(task, total=100, completed=5)
    now = 30.0
    assert str(left.render(bars.tasks[0])) == ""
    bars.update(task, completed=50)
    assert str(left.render(bars.tasks[0])) == "about 30 s left"


def test_no_estimate_is_made_of_nothing(capsys, clock):
    with Live("demo/cell") as live:
        live.stage("memcheck")
        clock.now = 100.0
        live.tests(0, 100)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_quiet_says_nothing(capsys, clock):
    with Live("demo/cell", quiet=True) as live:
        live.stage("build")
        clock.now = 100.0
        live.tests(5, 10)
        live.note("x")
    assert capsys.readouterr() == ("", "")


def test_a_stage_that_has_no_words_is_named_itself(capsys, clock):
    with Live("demo/cell") as live:
        live.stage("tomorrow")
    assert "tomorrow" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_at_a_terminal_there_is_a_bar_that_goes_away(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Live("demo/cell") as live:
        live.stage("build")
        live.stage("memcheck")
        live.tests(3, 7)
        live.note("a note with [brackets]")
    assert "a note with [brackets]" in terminal.getvalue()
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is back
