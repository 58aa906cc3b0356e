"""What a flow remembers of a piece on its way, and of why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.errors import ProviderError
    from twofold.hosted.piece import Piece


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
