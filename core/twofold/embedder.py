"""`Embedder`: the public face. One embedder, two sides."""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from twofold.backend import Requesting
from twofold.computing import Computing, split
from twofold.documents import Document, check_documents, check_text, check_texts
from twofold.errors import InputError
from twofold.estimate import Estimate
from twofold.models import AUTO
from twofold.space import CANARIES, SpaceRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twofold.lookup import Side
    from twofold.vectors import FloatArray


def _whole(texts: Iterable[str]) -> list[Document]:
    return [Document.whole(text) for text in check_texts(texts)]


def _as_record(record: object) -> SpaceRecord:
    if not isinstance(record, SpaceRecord):
        raise InputError(
            f"expected a SpaceRecord, got {type(record).__name__}: read one by SpaceRecord.from_json, or compare two "
            "spaces by space.differences"
        )
    return record


@contextmanager
def _naming_chunks() -> Iterator[None]:
    """Call the spans of the one document what the caller gave: chunks."""
    try:
        yield
    except InputError as error:
        raise InputError(re.sub(r"\bspan (\d+) of document 0\b", r"chunk \1", str(error)), index=error.index) from None


class Embedder(Computing):
    """Text to vectors, with the query and the document side each sent as the model was trained for.

    Cheap to make: weights are loaded, and connections opened, at the first use, and loaded weights are shared by the
    whole process. Its repr and its pickle hold its settings and no secret. Safe to use from several threads.

    Args:
        model: a hub id ("jinaai/jina-embeddings-v3"), a checkpoint folder, or a hosted model
            ("jina:jina-embeddings-v3").
        options: those of `Settings`, by their names.
        api_key: the key of a hosted model: a string, or a callable that is asked for each request.
        http_client: an httpx client of your own, sync or async, for proxies and certificates.

    Raises:
        InputError: an option that does not exist, or that the model cannot take. For a model whose card is known this
            is said here; for another at the first use.
    """

    # -- identity -----------------------------------------------------------------------------------------------------

    def record(self) -> SpaceRecord:
        """The space with its canary vectors: what to store beside the vectors. Embeds a few short texts."""
        return SpaceRecord(self.space, self._canaries())

    def check(self, record: SpaceRecord) -> None:
        """Let this embedder work on vectors that were stored with `record`, or refuse.

        Raises:
            SpaceMismatch: they are of another space; the message names both and what differs.
            InputError: it is no record.
        """
        _as_record(record).require(self.space, self._canaries)

    async def arecord(self) -> SpaceRecord:
        """`record`, without holding up the event loop."""
        return SpaceRecord((await self._ready()).space, await self._acanaries())

    async def acheck(self, record: SpaceRecord) -> None:
        """`check`, without holding up the event loop."""
        stored, space = _as_record(record), (await self._ready()).space
        canaries = await self._acanaries() if stored.space.relation(space) == "unproven" else None
        stored.require(space, lambda: self._canaries() if canaries is None else canaries)

    def count_tokens(self, texts: Iterable[str], *, task: str | None = AUTO) -> list[int]:
        """The length of each text in tokens as the model sees it; "auto" counts it as a document."""
        chosen = self.document_task if task == AUTO else self.card.task(task)
        return self.backend.count_tokens(check_texts(texts), chosen)

    async def acount_tokens(self, texts: Iterable[str], *, task: str | None = AUTO) -> list[int]:
        """`count_tokens`, without holding up the event loop."""
        return await asyncio.to_thread(self.count_tokens, check_texts(texts), task=task)

    def estimate(self, texts: Iterable[str | Document], *, side: Side = "document") -> Estimate:
        """The requests and tokens that embedding `texts` would take, and its cost where the price is known.

        Nothing is embedded and no key is needed; of a model that only its server knows, one word is asked, as ever. A
        local model takes no requests and costs nothing, nor does what the cache has.

        Raises:
            InputError: what embedding them would refuse.
        """
        items = check_texts(texts) if isinstance(texts, str) else list(texts)  # one string is refused there
        documents = [
            item if isinstance(item, Document) else Document.whole(check_text(item, index))
            for index, item in enumerate(items)
        ]
        task = self.query_task if side == "query" else self.document_task
        if (lookup := self._look_up(documents, side)) is not None:
            documents = list(lookup.missing.values())
        if isinstance(self.backend, Requesting):
            return self.backend.estimate(documents, task, self.dimensions, truncate=self._truncate(side))
        tokens = sum(self.backend.count_tokens([document.text for document in documents], task)) if documents else 0
        return Estimate(texts=len(documents), requests=0, tokens=tokens, exact=True, cost=0.0)

    # -- embedding ----------------------------------------------------------------------------------------------------

    def embed_query(self, text: str) -> FloatArray:
        """The vector of one query, shape (dimensions,).

        Raises:
            InputError: see `embed_documents`; a list is refused too.
        """
        return self._embed([Document.whole(text)], self.query_task, "query").reshape(-1)

    def embed_queries(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """The vectors of queries, shape (n, dimensions), in the order of `texts`."""
        return self._embed(_whole(texts), self.query_task, "query", progress)

    def embed_documents(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """The vectors of documents, shape (n, dimensions), in the order of `texts`.

        Raises:
            InputError: an empty or blank text, one over the model's length, a lone surrogate, or something that is
                not a string; named by its index, before any work.
            ProviderError: a hosted model failed; what was done is in its `partial`.
        """
        return self._embed(_whole(texts), self.document_task, "document", progress)

    def embed_chunks(self, chunks: Iterable[str]) -> FloatArray:
        """The vectors of the consecutive chunks of ONE document, late-chunked, shape (n, dimensions).

        The whole document goes through the model, so each chunk knows its context. Chunks are joined as they are: the
        white space between them belongs to them, since "a" and "b" alone make one word, "ab".
        """
        with _naming_chunks():
            return self._embed([Document.from_chunks(chunks)], self.document_task, "document")

    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """The vectors of each document's spans, late-chunked: a list of arrays of shape (n_spans, dimensions)."""
        documents = check_documents(documents)
        return split(self._embed(documents, self.document_task, "document", progress), documents)

    def embed(self, texts: Iterable[str], *, task: str | None, progress: bool = False) -> FloatArray:
        """The vectors of `texts` under any task of the model, shape (n, dimensions); None is the bare model."""
        return self._embed(_whole(texts), self.card.task(task), None, progress)

    async def aembed_query(self, text: str) -> FloatArray:
        """`embed_query`, without holding up the event loop."""
        documents = [Document.whole(text)]
        task = (await self._loaded()).query_task
        return (await self._aembed(documents, task, "query")).reshape(-1)

    async def aembed_queries(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """`embed_queries`, without holding up the event loop."""
        return await self._aembed(_whole(texts), (await self._loaded()).query_task, "query", progress)

    async def aembed_documents(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """`embed_documents`, without holding up the event loop."""
        return await self._aembed(_whole(texts), (await self._loaded()).document_task, "document", progress)

    async def aembed_chunks(self, chunks: Iterable[str]) -> FloatArray:
        """`embed_chunks`, without holding up the event loop."""
        with _naming_chunks():
            return await self._aembed([Document.from_chunks(chunks)], (await self._loaded()).document_task, "document")

    async def aembed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """`embed_late`, without holding up the event loop."""
        documents = check_documents(documents)
        return split(
            await self._aembed(documents, (await self._loaded()).document_task, "document", progress), documents
        )

    async def aembed(self, texts: Iterable[str], *, task: str | None, progress: bool = False) -> FloatArray:
        """`embed`, without holding up the event loop."""
        return await self._aembed(_whole(texts), (await self._loaded()).card.task(task), None, progress)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _canaries(self) -> FloatArray:
        """Never from the cache: they are to show what this door gives now."""
        whole = _whole(CANARIES)
        return np.concatenate([self._embed(whole, self.query_task, None), self._embed(whole, self.document_task, None)])

    async def _acanaries(self) -> FloatArray:
        whole = _whole(CANARIES)
        query, document = (await self._loaded()).query_task, self.document_task
        return np.concatenate([await self._aembed(whole, query, None), await self._aembed(whole, document, None)])
