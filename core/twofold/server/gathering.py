"""Gathers requests into batches: requests that arrive while the engine is busy share its next batch.

A request never waits for others to join it: if the engine is free, it starts at once. Queries go before documents;
after `PATIENCE` batches of queries, waiting documents get one batch.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import span_counts
from twofold.errors import InputError, OutputError
from twofold.server.refusal import ClientGone, Refusal
from twofold.server.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from twofold.embedder import Embedder
    from twofold.server.limits import Limits
    from twofold.server.metrics import Metrics
    from twofold.server.turns import Kind, Part, QueuedRequest
    from twofold.vectors import FloatArray

PATIENCE = 4
FIRST_PACE = 1 / 2000
"""Seconds per token, assumed before the first measurement: a large model on a few cores."""
FRESH = 0.2
"""The weight of the newest batch in the measured pace."""
BATCH_TOKENS = 16_384
"""Tokens in a batch if the engine has no `batch_tokens`, as hosted models do not."""
TURN_SECONDS = 1.0
"""The longest batch of a local engine, so that a query waits about as long for the batch before it."""
LEAST_TOKENS = 256
"""The smallest limit of a batch: below it, the fixed cost of a batch counts more than its tokens."""


class Gatherer:
    """The batches of one embedder and the requests that wait for them."""

    def __init__(self, embedder: Embedder, limits: Limits, metrics: Metrics, name: str) -> None:
        self._embedder, self._limits = embedder, limits
        self._meter = metrics.of_model(name)
        self._turns: dict[Kind, Turns] = {}
        self._more = asyncio.Event()
        self._waiting = {True: 0, False: 0}
        self._owed: Counter[Hashable] = Counter()  # each client's waiting tokens
        self._pace = FIRST_PACE
        self._urgent_batches = 0
        self._runners: list[asyncio.Task[None]] = []
        self._thread: ThreadPoolExecutor | None = None

    # -- asking -------------------------------------------------------------------------------------------------------

    async def rows_of(self, work: QueuedRequest) -> list[FloatArray]:
        """Return the rows of each document of `work`. They have `work.dimensions` columns or more.

        Raises:
            Refusal: the queue is full.
            ClientGone: `hang_up` was called.
            TwofoldError: the engine failed.
        """
        tokens = sum(work.tokens)
        try:
            self._admit(tokens, work)
        except Refusal:
            work.done.cancel()
            raise
        kind = (work.urgent, work.task, work.truncate, work.kept)
        self._turns.setdefault(kind, Turns()).add(work)
        self._count(work, tokens)
        self._more.set()
        return await work.done

    def hang_up(self, work: QueuedRequest) -> None:
        """Drop the part of `work` that the engine has not started, because its client disconnected."""
        if not work.done.done():
            self._count(work, -work.fail(ClientGone()))

    def _admit(self, tokens: int, work: QueuedRequest) -> None:
        """Refuse work that would wait too long. One batch may always wait.

        Queries go first, so only queries count against them. Clients take turns, so each other client
        counts with at most as many tokens as this client would have waiting.

        Raises:
            Refusal: the queue is full; `retry_after` says when there is room.
        """
        ahead = self._waiting[True] + (0 if work.urgent else self._waiting[False])
        own = self._owed[work.client]
        others = sum(min(owed, own + tokens) for client, owed in self._owed.items() if client != work.client)
        ahead = min(ahead, own + others)
        if ahead and ahead + tokens > max(self._limits.queue_seconds / self._pace, self._batch_tokens):
            wait = max(1, min(math.ceil(ahead * self._pace), 60))
            raise Refusal(
                429, f"the queue is full: {ahead} tokens wait already; try again in {wait} s", "queue", retry_after=wait
            )

    def _count(self, work: QueuedRequest, tokens: int) -> None:
        self._waiting[work.urgent] += tokens
        self._owed[work.client] += tokens
        if self._owed[work.client] <= 0:
            del self._owed[work.client]
        self._meter.queue.set(self._waiting[True] + self._waiting[False])

    # -- computing ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start computing: a local engine runs one batch at a time, a provider up to `concurrency`."""
        hosted = self._embedder.backend.provider is not None
        if not hosted:
            self._thread = ThreadPoolExecutor(1, "twofold-engine")
        for _ in range(self._embedder.settings.concurrency if hosted else 1):
            self._runners.append(asyncio.create_task(self._run()))

    async def stop(self) -> None:
        """Stop. Waiting work is dropped."""
        for runner in self._runners:
            runner.cancel()
        for runner in self._runners:
            with suppress(asyncio.CancelledError):
                await runner
        self._runners.clear()
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    @property
    def _batch_tokens(self) -> int:
        """The most tokens in a batch: what the engine takes at once, and of a local one at most `TURN_SECONDS`."""
        most: int = getattr(self._embedder.backend, "batch_tokens", None) or BATCH_TOKENS
        return most if self._thread is None else min(most, max(LEAST_TOKENS, int(TURN_SECONDS / self._pace)))

    async def _run(self) -> None:
        began = 0.0
        while True:
            while not (parts := self._next_batch()):
                self._more.clear()
                await self._more.wait()
                began = 0.0
            began = began or time.perf_counter()  # between consecutive batches, the time in between counts too
            await self._carry_out(parts)
            ended = time.perf_counter()
            self._note(parts, ended - began)
            began = ended

    def _note(self, parts: Sequence[Part], seconds: float) -> None:
        """Update the pace. A batch counts by its size: a small one says little about full ones."""
        tokens = sum(work.tokens[place] for work, place in parts)
        weight = FRESH * min(1.0, tokens / self._batch_tokens)
        self._pace += weight * (seconds / (len(self._runners) * max(tokens, 1)) - self._pace)
        self._meter.batch(len(parts), tokens, seconds)

    def _next_batch(self) -> list[Part]:
        """The next documents of one kind. Kinds of the same urgency take turns."""
        for kind in sorted(self._turns, key=self._is_later):
            turns = self._turns.pop(kind)
            parts = turns.take(self._batch_tokens)
            if turns:
                self._turns[kind] = turns  # behind the others
            if parts:
                self._urgent_batches = self._urgent_batches + 1 if kind[0] else 0
                for work, place in parts:
                    self._count(work, -work.tokens[place])
                now = time.perf_counter()
                for work in {work for work, _ in parts if work.missing == len(work.documents)}:
                    self._meter.wait_seconds.observe(now - work.arrived)
                return parts
        return []

    def _is_later(self, kind: Kind) -> bool:
        urgent_now = self._urgent_batches < PATIENCE
        return bool(kind[0]) != urgent_now

    async def _carry_out(self, parts: Sequence[Part]) -> None:
        try:
            rows = await self._compute(parts)
        except Exception as error:  # noqa: BLE001 - every error is passed to the requests of the batch
            await self._apart(parts, error)
        else:
            for (work, place), own in zip(parts, rows, strict=True):
                work.take(place, own)

    async def _apart(self, parts: Sequence[Part], error: Exception) -> None:
        """Repeat a failed batch request by request, so that only the request at fault fails."""
        works = dict.fromkeys(work for work, _ in parts)
        if len(works) == 1:
            if isinstance(error, InputError):
                error.renumber([place for _, place in parts])
            work = next(iter(works))
            self._count(work, -work.fail(error))
            return
        for work in works:
            if not work.done.done():
                await self._carry_out([part for part in parts if part[0] is work])

    async def _compute(self, parts: Sequence[Part]) -> list[FloatArray]:
        first = parts[0][0]
        documents = [work.documents[place] for work, place in parts]
        if first.kept == "query":
            return list((await self._embedder.aembed_queries([one.text for one in documents]))[:, None])
        if first.kept == "document":
            return await self._embedder.aembed_late(documents)
        dimensions = max(work.dimensions for work, _ in parts)
        backend, task, truncate = self._embedder.backend, first.task, first.truncate
        if self._thread is None:
            rows = await backend.aembed(documents, task, dimensions, truncate=truncate)
        else:
            rows = await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: backend.embed(documents, task, dimensions, truncate=truncate)
            )
        counts = span_counts(documents)
        if len(rows) != sum(counts):
            raise OutputError(f"the model returned {len(rows)} vectors for {sum(counts)} texts")
        return np.split(rows, np.cumsum(counts)[:-1])
