"""Tables and JSON on standard output."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from twofold.cli.say import line, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twofold.backend import Price

PIPE_WIDTH = 1000
_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that JSON does not escape but that affect a terminal or end a line."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, fitted to a terminal or at full width in a pipe. Control characters are escaped."""
    from rich import box  # noqa: PLC0415 - takes 0.1 s, not needed for help and JSON
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(plain(column), overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    console.print(drawn)


def as_json(value: Any) -> None:
    """Print a value as JSON on one line, in ASCII unless standard output is UTF."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    text = json.dumps(value, ensure_ascii=not encoding.startswith("utf"))
    line(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def expected(seconds: float | None, cost: float | None, price: Price | None) -> None:
    """Print how long a run will take and what it will cost, if known."""
    if seconds is not None:
        line(f"about {duration(seconds)}")
    if price is not None and cost is not None:
        line(f"about ${cost:,.2f}, at ${price.dollars} a million tokens ({price.as_of})")


def duration(seconds: float) -> str:
    """Seconds as a short text, such as "40 s", "12 min" or "1.5 h"."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
