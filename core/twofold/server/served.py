"""`Served`: one embedder as a server has it: its names, its readiness, and what a request asks of it."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document, check_texts, too_long
from twofold.errors import InputError
from twofold.server.gathering import Gatherer
from twofold.server.refusal import Refusal
from twofold.server.turns import Work
from twofold.server.words import task_of
from twofold.vectors import finish

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from twofold.embedder import Embedder
    from twofold.models import Side, Task
    from twofold.server.limits import Limits
    from twofold.server.metrics import Metrics
    from twofold.settings import Truncate
    from twofold.vectors import FloatArray
    from twofold.wires.wire import Ask

INLINE_CHARACTERS = 16_384
"""Texts of up to so many characters are tokenised at once, others away from the event loop."""


class Served:
    """One embedder, under its names.

    Attributes:
        embedder: it.
        name: the name that its answers have.
        names: all by which it may be asked for.
        failure: why it cannot be used, once that is known.
    """

    def __init__(self, embedder: Embedder, name: str, limits: Limits, metrics: Metrics) -> None:
        self.embedder, self.name = embedder, name
        self.names: tuple[str, ...] = (name,)
        self.failure: Exception | None = None
        self._gatherer = Gatherer(embedder, limits, metrics, self.name)
        self._loading: asyncio.Task[None] | None = None

    # -- readiness ----------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether its weights are loaded."""
        return self._loading is not None and self._loading.done() and self.failure is None

    def start(self) -> asyncio.Task[None]:
        """Load it, unless that is done or under way."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        return self._loading

    async def stop(self) -> None:
        """Let go of it."""
        if self._loading is not None:
            self._loading.cancel()
        await self._gatherer.stop()

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(getattr, self.embedder, "backend")
            await self.embedder.aembed(["ready"], task=self.embedder.query_task.name)  # which no cache answers
        except Exception as error:  # noqa: BLE001 - it is told whoever asks, and `twofold serve` ends with it
            self.failure = error
        else:
            own = self.embedder.card.name
            self.names = tuple(dict.fromkeys((*self.names, own.rpartition("/")[2], own)))
            self._gatherer.start()

    async def loaded(self) -> None:
        """Wait until it is ready.

        Raises:
            Exception: why it cannot be.
        """
        await asyncio.shield(self.start())
        if self.failure is not None:
            raise self.failure

    # -- embedding ----------------------------------------------------------------------------------------------------

    async def work_of(self, ask: Ask, side: Side | None, client: Hashable, most_texts: int) -> Work:
        """What a request asks of the engine, all of it checked. `side` is that of the request's address.

        Raises:
            Refusal, InputError: it cannot be embedded; the message names the input, the limit and the way out.
        """
        if not ask.texts:
            raise Refusal(422, "there is no text to embed", "invalid")
        if len(ask.texts) > most_texts:
            said = f"{len(ask.texts)} texts came, the limit is {most_texts}: send several requests"
            raise Refusal(413, said, "texts")
        task, urgent = task_of(self.embedder, ask.task, side)
        dimensions = self.dimensions(ask)
        check_encoding(dimensions, (ask.encoding, *ask.others))
        texts = check_texts(ask.texts)
        documents = [Document.from_chunks(texts)] if ask.late else [Document.whole(text) for text in texts]
        truncate = self._truncate(ask, urgent=urgent)
        return Work(
            documents=documents,
            tokens=await self._tokens(documents, task, truncate),
            task=task,
            truncate=truncate,
            dimensions=dimensions,
            kept=self._kept(task, truncate, dimensions, ask.normalize),
            client=client,
            urgent=urgent,
            done=asyncio.get_running_loop().create_future(),
        )

    async def vectors_of(self, work: Work, *, normalize: bool | None) -> FloatArray:
        """The finished vectors of a request, (n, dimensions).

        Raises:
            Refusal: too much waits already.
            ClientGone: `hang_up` was called meanwhile.
            TwofoldError: the engine's.
        """
        rows = await self._gatherer.rows_of(work)
        together = rows[0] if len(rows) == 1 else np.concatenate(rows)
        if work.kept:
            return together
        unit = self.embedder.settings.normalize if normalize is None else normalize
        return finish(together, len(together), work.dimensions, unit=unit)

    def hang_up(self, work: Work) -> None:
        """Nobody waits for it any more."""
        self._gatherer.hang_up(work)

    def dimensions(self, ask: Ask) -> int:
        """How many a request asks for; the embedder's own where it does not say.

        Raises:
            InputError: more than the model has.
        """
        if ask.dimensions is None:
            return self.embedder.dimensions
        return self.embedder.card.check_dimensions(ask.dimensions)

    @cached_property
    def two_sided(self) -> bool:
        """Whether queries and documents go in differently."""
        return self.embedder.query_task != self.embedder.document_task

    # -- inside -------------------------------------------------------------------------------------------------------

    def _kept(self, task: Task, truncate: Truncate, dimensions: int, normalize: bool | None) -> Side | None:
        """The side of which a request's vectors are the embedder's own, where that has a cache of them."""
        embedder, settings = self.embedder, self.embedder.settings
        if settings.cache is None or dimensions != embedder.dimensions or normalize not in (None, settings.normalize):
            return None
        if task == embedder.query_task and truncate == (settings.query_truncate or settings.truncate):
            return "query"
        return "document" if task == embedder.document_task and truncate == settings.truncate else None

    def _truncate(self, ask: Ask, *, urgent: bool) -> Truncate:
        if ask.truncate is not None:
            return "end" if ask.truncate else "error"
        settings = self.embedder.settings
        return (settings.query_truncate if urgent else None) or settings.truncate

    async def _tokens(self, documents: Sequence[Document], task: Task, truncate: Truncate) -> list[int]:
        """The length of each document, checked against the model's.

        Raises:
            InputError: a whole text that is too long, by its number.
        """
        texts, most = [document.text for document in documents], self.embedder.card.max_tokens
        count = self.embedder.backend.count_tokens
        if self._local and sum(map(len, texts)) <= INLINE_CHARACTERS:
            counts = count(texts, task)
        else:
            counts = await asyncio.to_thread(count, texts, task)
        for place, (document, tokens) in enumerate(zip(documents, counts, strict=True)):
            if tokens > most and document.is_whole and self._local:
                if truncate == "error":
                    raise too_long(f"text {place}", tokens, most, index=place, way_out=TOO_LONG)
                counts[place] = most
        return counts

    @cached_property
    def _local(self) -> bool:
        return self.embedder.backend.provider is None


TOO_LONG = "split it (late_chunking keeps the context of its chunks), or let its end be cut by truncate"


def check_encoding(dimensions: int, encodings: Sequence[str]) -> None:
    """Refuse what cannot be packed, before any work.

    Raises:
        InputError: bits of a width that is not a multiple of 8.
    """
    if dimensions % 8 and not {"binary", "ubinary"}.isdisjoint(encodings):
        raise InputError(f"binary vectors need a multiple of 8 dimensions, not {dimensions}")
