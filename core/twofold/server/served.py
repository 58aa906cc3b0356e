"""One served embedder: its names, whether it is ready, and how a request becomes work for its engine."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document, check_texts, too_long
from twofold.errors import InputError
from twofold.server.gathering import Gatherer
from twofold.server.refusal import Refusal
from twofold.server.turns import QueuedRequest
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

FAR = 16
"""Characters for each token of a model's limit beyond which a text is not counted whole. A token has about 4."""
INLINE_CHARACTERS = 16_384
"""Requests of up to this many characters are tokenised on the event loop, longer ones in a thread."""


class Served:
    """One served embedder.

    Attributes:
        embedder: the embedder.
        name: the name in its answers.
        names: all names that requests can use for it.
        failure: the error that loading raised, or None.
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
        return self._loading is not None and self._loading.done() and self.failure is None

    def start(self) -> asyncio.Task[None]:
        """Start loading, unless that has already happened."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        return self._loading

    async def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
        await self._gatherer.stop()

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(getattr, self.embedder, "backend")
            await self.embedder.aembed(["ready"], task=self.embedder.query_task.name)  # `aembed` never uses the cache
        except Exception as error:  # noqa: BLE001 - raised to every request; `twofold serve` exits with it
            self.failure = error
        else:
            own = self.embedder.card.name
            self.names = tuple(dict.fromkeys((*self.names, own.rpartition("/")[2], own)))
            self._gatherer.start()

    async def loaded(self) -> None:
        """Wait until it is ready.

        Raises:
            Exception: loading failed.
        """
        await asyncio.shield(self.start())
        if self.failure is not None:
            raise self.failure

    # -- embedding ----------------------------------------------------------------------------------------------------

    async def work_of(self, ask: Ask, side: Side | None, client: Hashable, most_texts: int) -> QueuedRequest:
        """Check a request and return the work for the engine. `side` is the one that the request's path sets.

        Raises:
            Refusal, InputError: the request is invalid; the message names the text, the limit and what to do.
        """
        if not ask.texts:
            raise Refusal(422, "there is no text to embed", "invalid")
        if len(ask.texts) > most_texts:
            said = f"the request has {len(ask.texts)} texts, the limit is {most_texts}: send several requests"
            raise Refusal(413, said, "texts")
        task, urgent = task_of(self.embedder, ask.task, side)
        dimensions = self.dimensions(ask)
        check_encoding(dimensions, (ask.encoding, *ask.others))
        texts = check_texts(ask.texts)
        documents = [Document.from_chunks(texts)] if ask.late else [Document.whole(text) for text in texts]
        truncate = self._truncate(ask, urgent=urgent)
        return QueuedRequest(
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

    async def vectors_of(self, work: QueuedRequest, *, normalize: bool | None) -> FloatArray:
        """Return the finished vectors of a request, shape (n, dimensions).

        Raises:
            Refusal: the queue is full.
            ClientGone: `hang_up` was called meanwhile.
            TwofoldError: the engine failed.
        """
        rows = await self._gatherer.rows_of(work)
        together = rows[0] if len(rows) == 1 else np.concatenate(rows)
        if work.kept:
            return together
        unit = self.embedder.settings.normalize if normalize is None else normalize
        return finish(together, len(together), work.dimensions, unit=unit)

    def hang_up(self, work: QueuedRequest) -> None:
        """Drop work because its client has disconnected."""
        self._gatherer.hang_up(work)

    def dimensions(self, ask: Ask) -> int:
        """The requested number of dimensions, or the embedder's own if the request names none.

        Raises:
            InputError: the model has fewer.
        """
        if ask.dimensions is None:
            return self.embedder.dimensions
        return self.embedder.card.check_dimensions(ask.dimensions)

    @cached_property
    def two_sided(self) -> bool:
        """Whether queries and documents are embedded differently."""
        return self.embedder.query_task != self.embedder.document_task

    # -- inside -------------------------------------------------------------------------------------------------------

    def _kept(self, task: Task, truncate: Truncate, dimensions: int, normalize: bool | None) -> Side | None:
        """The side whose cached vectors answer this request; None if the embedder's cache cannot."""
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
        """Count the tokens of each document and check them against the model's limit.

        Of a text far beyond the limit of a local model, only the start is counted: it is cut or refused anyway.

        Raises:
            InputError: a whole text is too long; its number is named.
        """
        most = self.embedder.card.max_tokens
        far = FAR * most if self._local else None
        texts = [document.text[:far] if document.is_whole else document.text for document in documents]
        counts = await self._count(texts, task)
        for place, (document, text) in enumerate(zip(documents, texts, strict=True)):
            is_part = len(text) < len(document.text)
            if is_part and counts[place] <= most:
                (counts[place],) = await self._count([document.text], task)
                is_part = False
            if counts[place] > most and document.is_whole and self._local:
                if truncate == "error":
                    raise too_long(
                        f"text {place}", counts[place], most, index=place, is_least=is_part, way_out=TOO_LONG
                    )
                counts[place] = most
        return counts

    async def _count(self, texts: Sequence[str], task: Task) -> list[int]:
        count = self.embedder.backend.count_tokens
        if self._local and sum(map(len, texts)) <= INLINE_CHARACTERS:
            return count(texts, task)
        return await asyncio.to_thread(count, texts, task)

    @cached_property
    def _local(self) -> bool:
        return self.embedder.backend.provider is None


TOO_LONG = "split it (late_chunking keeps the context of its chunks), or cut its end with truncate"


def check_encoding(dimensions: int, encodings: Sequence[str]) -> None:
    """Raise InputError if vectors of this width cannot be packed into bits."""
    if dimensions % 8 and not {"binary", "ubinary"}.isdisjoint(encodings):
        raise InputError(f"binary vectors need a multiple of 8 dimensions, not {dimensions}")
