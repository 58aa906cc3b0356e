"""Fair turns: each client gets the same number of tokens."""

from __future__ import annotations

import heapq
import time
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
"""Tokens that a request gets before its client's next request has its turn. Small requests keep their order."""


@dataclass(slots=True, kw_only=True, eq=False)
class QueuedRequest:
    """The work of one request.

    Attributes:
        documents: in the order of the answer.
        tokens: the number of tokens of each document.
        task, truncate: how the documents are embedded.
        dimensions: the fewest columns that the rows need.
        kept: the side whose finished vectors the embedder's cache may hold; None if the cache does not apply.
        client: identifies the client, for fair turns.
        urgent: whether it is a query; queries go before documents.
        arrived: when it was made, by `time.perf_counter`.
        done: resolves to the rows of every document.
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
    arrived: float = field(init=False, default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        """Sort by length: documents of similar length make the best batches."""
        self.rows = [None] * len(self.documents)
        self.left = deque(sorted(range(len(self.documents)), key=lambda place: -self.tokens[place]))
        self.missing = len(self.documents)

    def take(self, place: int, rows: FloatArray) -> None:
        """Store the rows of one document. The last one completes the work."""
        self.rows[place] = rows
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result([one for one in self.rows if one is not None])

    def fail(self, error: Exception) -> int:
        """Fail the whole work. Returns the tokens of the documents that were not started."""
        spared = sum(self.tokens[place] for place in self.left)
        self.left.clear()
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # marks it as retrieved: asyncio would log it if nobody awaits it
        return spared


Part: TypeAlias = tuple[QueuedRequest, int]
"""A request's work, and the number of one of its documents."""

Kind: TypeAlias = tuple[Any, ...]
"""What all documents of a batch share: urgency, task, truncation and cache side."""


class Turns:
    """Work of one kind. Each client gets the same number of tokens, and its requests take turns.

    This is start-time fair queuing: the client with the fewest tokens so far is next. A client that returns starts
    level with the others. It does not get the tokens that it did not use earlier.
    """

    def __init__(self) -> None:
        self._clients: dict[Hashable, deque[QueuedRequest]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._numbers = count()
        self._level = 0.0

    def __bool__(self) -> bool:
        """Whether there may be work; `take` may still return nothing."""
        return bool(self._heap)

    def add(self, work: QueuedRequest) -> None:
        """Queue work behind the other work of its client."""
        if work.client in self._clients:
            self._clients[work.client].append(work)
            return
        self._clients[work.client] = deque([work])
        heapq.heappush(self._heap, (self._level, next(self._numbers), work.client))

    def take(self, budget: int) -> list[Part]:
        """Take documents of up to `budget` tokens in total. A longer document is returned alone."""
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

    def _next(self, client: Hashable) -> QueuedRequest | None:
        """The client's next work. Drops work that has no documents left."""
        works = self._clients[client]
        while works and not works[0].left:
            works.popleft()
        return works[0] if works else None
