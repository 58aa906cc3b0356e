"""Whose turn it is: work of several clients, served fairly by tokens."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Hashable, Sequence

    from twofold.documents import Document
    from twofold.models import Side, Task
    from twofold.settings import Truncate
    from twofold.vectors import FloatArray


QUANTUM = 512
"""Tokens that a request gets before the next one of its client: small requests are served in the order they came."""


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """What one request asks of the engine.

    Attributes:
        documents: in the order of its answer.
        tokens: of each.
        task, truncate: how they go in.
        dimensions: that are needed at least.
        kept: the side, where the embedder's cache may have these very vectors, finished.
        client: whose it is.
        urgent: whether somebody waits for it: queries go before documents.
        done: the rows of every document, once all are there.
    """

    documents: Sequence[Document]
    tokens: Sequence[int]
    task: Task
    truncate: Truncate
    dimensions: int
    kept: Side | None
    client: Hashable
    urgent: bool
    done: asyncio.Future[list[FloatArray]]
    rows: list[FloatArray | None] = field(init=False)
    left: deque[int] = field(init=False)
    missing: int = field(init=False)
    given: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Put neighbours in length beside each other: they make the best batches."""
        self.rows = [None] * len(self.documents)
        self.left = deque(sorted(range(len(self.documents)), key=lambda place: -self.tokens[place]))
        self.missing = len(self.documents)

    def take(self, place: int, rows: FloatArray) -> None:
        """Keep the rows of one document; the last one completes it."""
        self.rows[place] = rows
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result([one for one in self.rows if one is not None])

    def fail(self, error: Exception) -> int:
        """Give up on it: what has not begun is not computed; returns the tokens of that."""
        spared = sum(self.tokens[place] for place in self.left)
        self.left.clear()
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # it is known, whether or not anybody asks for it
        return spared


Part: TypeAlias = tuple[Work, int]
"""A document of some work."""

Kind: TypeAlias = tuple[Any, ...]
"""What a batch has in common."""


class Turns:
    """Work of one kind. Each client gets the same number of tokens, and its requests take turns among themselves.

    This is start-time fair queuing: whoever has been given the fewest tokens is next, and a client that comes back
    starts level with the others, whatever it did not use before.
    """

    def __init__(self) -> None:
        self._clients: dict[Hashable, deque[Work]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._numbers = count()
        self._level = 0.0

    def __bool__(self) -> bool:
        """Whether there may be work."""
        return bool(self._heap)

    def add(self, work: Work) -> None:
        """Put it behind what its client has here already."""
        if work.client in self._clients:
            self._clients[work.client].append(work)
            return
        self._clients[work.client] = deque([work])
        heapq.heappush(self._heap, (self._level, next(self._numbers), work.client))

    def take(self, budget: int) -> list[Part]:
        """Documents of up to `budget` tokens; a longer one comes alone."""
        parts: list[Part] = []
        while self._heap:
            given, _, client = self._heap[0]
            work = self._next(client)
            if work is None:
                heapq.heappop(self._heap)
                del self._clients[client]
                continue
            cost = work.tokens[work.left[0]]
            if parts and cost > budget:
                break
            parts.append((work, work.left.popleft()))
            budget -= cost
            self._level = given
            work.given += cost
            if work.given >= QUANTUM:
                work.given = 0
                self._clients[client].rotate(-1)
            heapq.heapreplace(self._heap, (given + cost, next(self._numbers), client))
        return parts

    def _next(self, client: Hashable) -> Work | None:
        """The client's work whose turn it is, what is finished or given up being dropped."""
        works = self._clients[client]
        while works and not works[0].left:
            works.popleft()
        return works[0] if works else None
