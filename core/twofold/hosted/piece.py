"""What one request asks for, how much it may hold, and the state of its attempts."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from twofold.errors import ProviderError


class Item(NamedTuple):
    """One input of a request: its text, and the text's length in tokens, counted or likely, and in bytes.

    `most` is the length in tokens, counted or a bound. `documents` are the indices of the documents that have this
    text, `rows` their rows in the result. A chunk that is sent only as context has no rows.
    """

    text: str
    tokens: int
    size: int
    documents: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    most: int = 0


PROBE = Item("test", 1, 4, most=4)
"""One word, sent to learn whether the provider accepts anything."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The inputs of one request: separate texts, or with `late` consecutive chunks of one document.

    If `below` is set, a text may be longer than the model allows. The vectors are right only if the provider counts
    fewer tokens than that for the whole request: otherwise it may have cut the end of a text silently.
    """

    items: tuple[Item, ...]
    late: bool = False
    below: int | None = None

    @property
    def tokens(self) -> int:
        """Tokens of the request, counted or likely."""
        return sum(item.tokens for item in self.items)

    @property
    def most(self) -> int:
        """Tokens of the request, counted or a bound."""
        return sum(item.most for item in self.items)

    @property
    def size(self) -> int:
        """Bytes of its texts."""
        return sum(item.size for item in self.items)

    def halves(self) -> tuple[Piece, Piece]:
        middle = len(self.items) // 2
        return replace(self, items=self.items[:middle]), replace(self, items=self.items[middle:])

    def cut(self, items: float, size: float) -> tuple[Piece, Piece]:
        """As many texts as fit the limits (at least one), and the rest."""
        sums = list(accumulate(item.size for item in self.items))
        end = max(1, min(bisect_right(sums, size), len(sums) if items == inf else int(items), len(sums) - 1))
        return replace(self, items=self.items[:end]), replace(self, items=self.items[end:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold, and how long a text may be.

    Attributes:
        items, tokens, size: texts, tokens and bytes in a batch.
        late_items, late_tokens: chunks and tokens in a late-chunked request.
        length: the model's maximum length in tokens.
        window, overlap: tokens of a late-chunking window, and of the overlap of two windows.
        long: what happens to a text over `length`: "error"; "end", the provider cuts it; "cut", we cut it.
        counted: whether the provider refuses a text over `length`. If not, it may cut the text silently.
        says_tokens: whether the provider says how many tokens it counted, as far as known.
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
    says_tokens: bool = True


def size_of(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


@dataclass(slots=True)
class Split:
    """A batch that was halved, and how many of its halves have been accepted."""

    piece: Piece
    accepted: int = 0


@dataclass(slots=True)
class Attempt:
    """A piece that is sent until it succeeds or fails, and what has happened to it so far.

    Attributes:
        probe: whether it is the one-word probe.
        tries: earlier requests.
        failed_at, failure: when the last of them failed, and why.
        blamed: how many failed with a 5xx while others were answered.
        timeouts: of these, how many were answered with 504, or not in time.
        garbled: how many answers were not JSON.
        rejected: how many answers had invalid vectors.
        split: the batch of which it is a half.
    """

    piece: Piece
    probe: bool = False
    tries: int = 0
    failed_at: float | None = None
    failure: Failure | None = None
    blamed: int = 0
    timeouts: int = 0
    garbled: int = 0
    rejected: int = 0
    split: Split | None = None

    @property
    def is_half(self) -> bool:
        """Whether it is a part of a batch that failed."""
        return self.split is not None

    def is_window_of(self, document: int) -> bool:
        """Whether it is a part of this late-chunked document."""
        return self.piece.late and self.piece.items[0].documents[0] == document


@dataclass(frozen=True, slots=True)
class Failure:
    """What will be raised: the error's class, its message, and the answer's status and request id."""

    kind: type[ProviderError]
    reason: str
    status: int | None = None
    request_id: str | None = None
