"""What one call wants of one provider, which answers it believes, and what it has asked so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from twofold.hosted.sizes import Sizes
from twofold.wires.wire import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.documents import Document
    from twofold.hosted.piece import Piece
    from twofold.wires import Wire
    from twofold.wires.wire import Ask, Reply


UNIT = 1e-2
"""How far from 1 the length of a vector may be that is to have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call wants, and how to ask for it.

    Attributes:
        name: of provider and model, for messages.
        documents: the user's documents.
        pieces: the requests that they need.
        ask: what is the same in every request.
        wire, late_wire: the dialects in which plain and late-chunked pieces are said.
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
    ask: Ask
    wire: Wire
    late_wire: Wire
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

    def write(self, piece: Piece) -> bytes:
        """The body of a piece's request."""
        return (self.late_wire if piece.late else self.wire).write_request(self._filled(piece))

    def read(self, body: bytes, piece: Piece) -> Reply:
        """What an answer's body says.

        Raises:
            Garbled, Violation: see `twofold.wires`.
        """
        return (self.late_wire if piece.late else self.wire).read_answer(body, self._filled(piece))

    def check(self, reply: Reply, width: int | None, redact: Callable[[str], str]) -> None:
        """Refuse vectors that cannot be right.

        Raises:
            Violation: another width, a number that is not finite, zeros, another length than 1, another model.
        """
        vectors = reply.vectors
        if width is not None and vectors.shape[1] != width:
            raise Violation(f"vectors of {vectors.shape[1]} dimensions came, and {width} were asked for")
        if not np.isfinite(vectors).all():
            raise Violation("a vector has NaN or infinity")
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        if not norms.all():
            raise Violation("a vector is all zeros")
        if self.unit and np.abs(norms - 1).max() > UNIT:
            raise Violation(f"a vector has length {norms[np.abs(norms - 1).argmax()]:.3f}, and 1 was asked for")
        if reply.model is not None and not self.echoes(reply.model):
            named = redact(reply.model)[:80]
            raise Violation(f"the model {named!r} answered, which was not asked for (a gateway's name: served_as)")

    def _filled(self, piece: Piece) -> Ask:
        """The request for one piece; late-chunked documents are never cut short."""
        texts = tuple(item.text for item in piece.items)
        if not piece.late:
            return replace(self.ask, texts=texts)
        return replace(self.ask, texts=texts, late=True, truncate=None if self.ask.truncate is None else False)


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
