"""Tables and numbers on standard output: for eyes on a terminal, at their full width in a pipe."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PIPE_WIDTH = 1000


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, every cell as it is."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)


def line(text: str) -> None:
    """Print a line of data."""
    sys.stdout.write(f"{text}\n")


def as_json(value: Any) -> None:
    """Print a value as JSON on one line."""
    line(json.dumps(value, ensure_ascii=False))


def say(text: str) -> None:
    """Tell the user something that is no data, on standard error."""
    sys.stderr.write(f"{text}\n")
