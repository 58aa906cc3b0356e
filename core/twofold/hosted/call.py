"""What one call wants of one provider, and what it has asked of it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from twofold.hosted.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.documents import Document
    from twofold.hosted.piece import Piece
    from twofold.wires.wire import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call wants, and how to ask for it.

    Attributes:
        name: of provider and model, for messages.
        documents: the user's documents.
        pieces: the requests that they need.
        write, read: a piece's body; an answer's body as a `Reply`, or an error of `twofold.wires.wire`.
        width: the size that vectors must have; None takes what comes.
        unit: whether they must have unit length.
        echoes: whether an answer's model name is the one that was asked for.
        at_once: requests under way together.
        deadline: on the clock, when the call must be over.
        timeout: the user's own seconds, for messages.
        max_outage: seconds for which a provider that is away is waited for.
        late_limit: tokens at which a provider cuts a late-chunked document short without a word.
        busy: statuses that are worth another try, beyond the usual ones.
        proved: whether this model and key have been accepted before; if not, one request goes ahead alone.
        sizes: how large a request the provider takes; it learns.
    """

    name: str
    documents: Sequence[Document]
    pieces: Sequence[Piece]
    write: Callable[[Piece], bytes]
    read: Callable[[bytes, Piece], Reply]
    width: int | None
    unit: bool
    echoes: Callable[[str], bool]
    at_once: int
    deadline: float
    timeout: float
    max_outage: float = inf
    late_limit: int
    busy: frozenset[int] = frozenset()
    proved: bool = False
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(slots=True)
class Usage:
    """What has been asked of a provider.

    Attributes:
        tokens: those that it says it bills.
        unsaid: those, as they are counted here, of answers that do not say.
        requests, retries: how many.
    """

    tokens: int = 0
    unsaid: int = 0
    requests: int = 0
    retries: int = 0

    def add(self, other: Usage) -> None:
        """Sum up."""
        self.tokens += other.tokens
        self.unsaid += other.unsaid
        self.requests += other.requests
        self.retries += other.retries
