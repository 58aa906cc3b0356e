"""What one request asks, and how much it may hold."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Literal, NamedTuple


class Item(NamedTuple):
    """One input of a request: its text, its tokens and bytes, and whose it is.

    `documents` are those that have this very text, `rows` their rows in the result; no rows for context only.
    """

    text: str
    tokens: int
    size: int
    documents: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()


PROBE = Item("test", 1, 4)
"""What is sent to learn whether anything is taken."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one request asks: separate texts, or with `late` the consecutive chunks of one document."""

    items: tuple[Item, ...]
    late: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that the request is counted, or estimated, to have."""
        return sum(item.tokens for item in self.items)

    @property
    def size(self) -> int:
        """Bytes of its texts."""
        return sum(item.size for item in self.items)

    def halves(self) -> tuple[Piece, Piece]:
        """The two halves of a batch."""
        middle = len(self.items) // 2
        return Piece(self.items[:middle]), Piece(self.items[middle:])

    def cut(self, items: float, size: float) -> tuple[Piece, Piece]:
        """As much of a batch as is within the limits, one text at least, and the rest."""
        sums = list(accumulate(item.size for item in self.items))
        end = max(1, min(bisect_right(sums, size), len(sums) if items == inf else int(items), len(sums) - 1))
        return Piece(self.items[:end]), Piece(self.items[end:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold, and how long a text may be.

    Attributes:
        items, tokens, size: texts, tokens and bytes in a batch.
        late_items, late_tokens: chunks and tokens in a late-chunked request.
        length: the model's, in tokens.
        window, overlap: those of late chunking.
        long: what becomes of a text over `length`: "error", "end" where the provider cuts it, "cut" where we must.
        counted: whether the provider refuses a text over `length`; if not, an estimate must do.
    """

    items: int
    tokens: int
    length: int
    window: int
    overlap: int
    size: float = inf
    late_items: int = 512
    late_tokens: int = 8192
    long: Literal["error", "end", "cut"] = "error"
    counted: bool = True


def size_of(text: str) -> int:
    """Bytes of a text in a request."""
    return len(text) if text.isascii() else len(text.encode())
