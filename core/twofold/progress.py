"""Shows the progress of long work on standard error: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twofold.backend import Report

SECONDS_BETWEEN_LINES = 10.0
_displays: list[Callable[[str], None]] = []
"""What shows a notice: one for each progress that is shown now."""


def notice(text: str) -> bool:
    """Show a notice, for example what is being waited for, beside all progress. Returns whether there is any."""
    for display in tuple(_displays):  # another thread may end one
        display(text)
    return bool(_displays)


@contextmanager
def reporting(total: int | None, title: str = "embedding", *, shown: bool = True) -> Iterator[Report]:
    """Yield a `Report` to call with the numbers of finished documents and tokens; show the rate and the time left.

    A bar needs a terminal and the extra `cli`; otherwise lines are written. `total` is None if it is unknown. Nothing
    is written if `shown` is False or the total is 0.
    """
    if not shown or total == 0:
        yield _silent
        return
    with _bar(total, title) if sys.stderr.isatty() and find_spec("rich") else _lines(total, title) as report:
        yield report


def _silent(documents: int, tokens: int) -> None:
    pass


@contextmanager
def _bar(total: int | None, title: str) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - of the extra `cli`
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, rate="")
        tally = _Tally(total)

        def report(documents: int, tokens: int) -> None:
            tally.add(documents, tokens)
            progress.update(task, advance=documents, rate=tally.rate())

        with _showing(lambda text: progress.update(task, rate=text)):
            yield report


@contextmanager
def _lines(total: int | None, title: str) -> Iterator[Report]:
    tally = _Tally(total)
    last = time.monotonic()

    def report(documents: int, tokens: int) -> None:
        nonlocal last
        tally.add(documents, tokens)
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES or tally.documents == total:
            last = time.monotonic()
            of = "" if total is None else f" of {total}"
            sys.stderr.write(f"{title}: {tally.documents}{of}, {tally.rate()}{tally.left()}\n")

    def show(text: str) -> None:
        sys.stderr.write(f"{title}: {tally.documents} done, {text}\n")

    with _showing(show):
        yield report


@contextmanager
def _showing(display: Callable[[str], None]) -> Iterator[None]:
    _displays.append(display)
    try:
        yield
    finally:
        _displays.remove(display)


class _Tally:
    """Counts what is done, and how fast."""

    def __init__(self, total: int | None) -> None:
        self.total, self.documents, self.tokens = total, 0, 0
        self.start = time.monotonic()

    def add(self, documents: int, tokens: int) -> None:
        self.documents += documents
        self.tokens += tokens

    def rate(self) -> str:
        seconds = max(time.monotonic() - self.start, 1e-9)
        return f"{self.documents / seconds:,.0f} documents/s, {self.tokens / seconds:,.0f} tokens/s"

    def left(self) -> str:
        """A comma and the time left; empty if the total is unknown."""
        if self.total is None:
            return ""
        seconds = (time.monotonic() - self.start) * (self.total - self.documents) / max(self.documents, 1)
        return f", {seconds:.0f} s left"
