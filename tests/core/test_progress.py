"""How long work shows itself: lines where there is no terminal, a bar where there is one."""

import contextlib
import io
import sys
from types import SimpleNamespace

import pytest

from twofold import progress
from twofold.progress import reporting


class Clock:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_a_line_now_and_then_and_one_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(40, "indexing") as report:
        for _ in range(4):
            clock.now += 5
            report(10, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "indexing: 20 of 40, 2 documents/s, 200 tokens/s, 10 s left",
        "indexing: 40 of 40, 2 documents/s, 200 tokens/s, 0 s left",
    ]


def test_nothing_is_said_of_short_work_that_fails(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(RuntimeError), reporting(40) as report:
        clock.now += 1
        report(10, 1000)
        raise RuntimeError
    assert capsys.readouterr().err == ""


def test_no_time_and_no_documents_divide_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(2) as report:
        report(0, 0)
        clock.now += 10
        report(0, 0)
        report(2, 5)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "embedding: 0 of 2",
        "embedding: 2 of 2",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with reporting(4, "embedding") as report:
        report(1, 100)
        report(3, 300)
    shown = terminal.getvalue()
    assert "embedding" in shown
    assert "4/4" in shown
    assert "tokens/s" in shown
