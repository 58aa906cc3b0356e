"""One call to one provider: its requests, the checks of their answers, and what it has used so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from twofold.hosted.sizes import Sizes
from twofold.wires.wire import OtherModel, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.documents import Document
    from twofold.hosted.piece import Piece
    from twofold.wires import Wire
    from twofold.wires.wire import Ask, Reply


UNIT = 1e-2
"""The largest deviation from 1 of a unit vector's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: what is wanted, and how it is requested.

    Attributes:
        name, host: for messages, the provider with its model, and the host that receives the requests.
        documents: the user's documents.
        pieces: the requests that they need.
        ask: what all requests have in common.
        wire, late_wire: the dialects of plain and of late-chunked requests.
        width: the width that vectors must have; None accepts any.
        unit: whether vectors must have unit length.
        echoes: tells whether the model name in an answer is the requested one.
        at_once: the most requests under way at once.
        deadline: when the call must end, on the flow's clock.
        timeout: the user's timeout in seconds, for messages.
        max_outage: seconds to wait for an unavailable provider.
        late_limit: tokens beyond which the provider silently cuts a late-chunked document.
        busy: statuses that are retried in addition to the usual ones.
        proved: whether this model and key have been accepted before. If not, the first request is sent alone.
        sizes: how large a request the provider accepts; updated by each answer.
    """

    name: str
    host: str
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
        return (self.late_wire if piece.late else self.wire).write_request(self._filled(piece))

    def read(self, body: bytes, piece: Piece) -> Reply:
        """Parse an answer's body.

        Raises:
            Garbled, Violation: see `twofold.wires`.
        """
        return (self.late_wire if piece.late else self.wire).read_answer(body, self._filled(piece))

    def check(self, reply: Reply, width: int | None, redact: Callable[[str], str]) -> None:
        """Reject vectors that cannot be right.

        Raises:
            OtherModel: another model answered.
            Violation: the width or the length is wrong, a number is not finite, or a vector is all zeros.
        """
        vectors = reply.vectors
        if reply.model is not None and not self.echoes(reply.model):
            named = redact(reply.model)[:80]
            raise OtherModel(f"the answer is from {named!r}, not the requested model (a gateway's name: served_as)")
        if width is not None and vectors.shape[1] != width:
            raise Violation(f"it has vectors of {vectors.shape[1]} dimensions instead of {width}")
        with np.errstate(over="ignore"):
            norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # without a copy
        if not np.isfinite(norms).all() and not np.isfinite(vectors).all():
            raise Violation("a vector has NaN or infinity")
        if not norms.all() and not vectors.any(axis=1).all():
            raise Violation("a vector is all zeros")
        if self.unit and np.abs(norms - 1).max() > UNIT:
            raise Violation(f"a vector has length {norms[np.abs(norms - 1).argmax()]:.3f} instead of 1")

    def _filled(self, piece: Piece) -> Ask:
        """The request for one piece; late-chunked documents are never cut short."""
        texts = tuple(item.text for item in piece.items)
        if not piece.late:
            return replace(self.ask, texts=texts)
        return replace(self.ask, texts=texts, late=True, truncate=None if self.ask.truncate is None else False)


@dataclass(slots=True)
class Usage:
    """What has been used at a provider.

    Attributes:
        tokens: as the provider reports them.
        unsaid: tokens of answers that report none, as counted here.
        requests, retries: their numbers; a retry counts as a request too.
    """

    tokens: int = 0
    unsaid: int = 0
    requests: int = 0
    retries: int = 0

    def add(self, other: Usage) -> None:
        self.tokens += other.tokens
        self.unsaid += other.unsaid
        self.requests += other.requests
        self.retries += other.retries
