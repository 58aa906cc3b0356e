"""The largest request that a provider accepts, learnt from what it has accepted and refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Bound:
    """The bound of texts or of bytes: the most that was accepted, and the least that was refused for its size."""

    most: float = 0
    least: float = inf

    @property
    def limit(self) -> float:
        """The most to send: half way between the two, until they are close."""
        if self.least == inf:
            return inf
        return max(1.0, self.most if self.least - self.most <= max(2, self.most / 8) else (self.most + self.least) // 2)

    def accepted(self, amount: float) -> None:
        """`amount` was accepted. If less was refused before, that had another reason."""
        self.most = max(self.most, amount)
        if self.most >= self.least:
            self.least = inf

    def refused(self, amount: float) -> None:
        """`amount` was too much."""
        if amount > self.most:
            self.least = min(self.least, amount)


@dataclass(slots=True)
class Sizes:
    """What was learnt about the requests to one model, kept from call to call.

    Attributes:
        items, bytes: their bounds.
        says_tokens: whether answers state their tokens, as far as known.
    """

    items: Bound = field(default_factory=Bound)
    bytes: Bound = field(default_factory=Bound)
    says_tokens: bool = True

    def accepted(self, items: int, size: int) -> None:
        """A request was accepted."""
        self.items.accepted(items)
        self.bytes.accepted(size)

    def refused(self, items: int, size: int) -> None:
        """A request was refused and both halves were accepted: it had too many texts, or else too many bytes."""
        if items > self.items.most:
            self.items.refused(items)
        else:
            self.bytes.refused(size)

    def allow(self, items: int, size: int) -> bool:
        """Whether a request is small enough, as far as known."""
        return items <= self.items.limit and size <= self.bytes.limit
