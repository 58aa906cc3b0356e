"""What one request asks, how much it may hold, and what it has met on its way."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from twofold.errors import ProviderError


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


@dataclass(slots=True)
class Whole:
    """A batch that was split, and how many of its halves have been taken."""

    piece: Piece
    taken: int = 0


@dataclass(slots=True)
class Attempt:
    """A piece on its way, and what it has met so far."""

    piece: Piece
    probe: bool = False
    tries: int = 0
    silences: int = 0
    garbled: int = 0
    disbelieved: int = 0
    whole: Whole | None = None

    def is_window_of(self, document: int) -> bool:
        """Whether this is a part of one late-chunked document."""
        return self.piece.late and self.piece.items[0].documents[0] == document


@dataclass(frozen=True, slots=True)
class Lost:
    """Why nothing more is sent."""

    kind: type[ProviderError]
    reason: str
    status: int | None = None
    request_id: str | None = None
