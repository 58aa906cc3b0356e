"""Documents and their nodes through the embedder, batch by batch, with the host told of each."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from llama_index_twofold.marks import mark
from twofold.extras import extra

with extra("llama-index"):
    from llama_index.core.callbacks import CBEventType, EventPayload
    from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
    from llama_index.core.schema import MetadataMode
    from llama_index.core.utils import get_tqdm_iterable
    from llama_index_instrumentation import get_dispatcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llama_index.core.schema import BaseNode

    from llama_index_twofold.embedding import TwofoldEmbedding
    from llama_index_twofold.pages import Page
    from twofold.vectors import FloatArray

dispatcher = get_dispatcher(__name__)


def embed_pages(model: TwofoldEmbedding, pages: Sequence[Page], show_progress: bool) -> list[BaseNode]:
    """Give each node of each page its late-chunked vector and its mark; all nodes, in order."""
    for batch in get_tqdm_iterable(_batches(pages, model.embed_batch_size), show_progress, "Late chunking"):
        if model.rate_limiter is not None:
            model.rate_limiter.acquire()
        with _reported(model, batch) as vectors:
            vectors.extend(model.embedder.embed_late([page.text for page in batch]))
    return [node for page in pages for node in page.nodes]


async def aembed_pages(model: TwofoldEmbedding, pages: Sequence[Page], show_progress: bool) -> list[BaseNode]:
    """`embed_pages`, without holding up the event loop."""
    for batch in get_tqdm_iterable(_batches(pages, model.embed_batch_size), show_progress, "Late chunking"):
        if model.rate_limiter is not None:
            await model.rate_limiter.async_acquire()
        with _reported(model, batch) as vectors:
            vectors.extend(await model.embedder.aembed_late([page.text for page in batch]))
    return [node for page in pages for node in page.nodes]


def _batches(pages: Sequence[Page], size: int) -> list[list[Page]]:
    """Documents with about `size` nodes together."""
    batches: list[list[Page]] = []
    count = size
    for page in pages:
        if count >= size:
            batches.append([])
            count = 0
        batches[-1].append(page)
        count += len(page.nodes)
    return batches


@contextmanager
def _reported(model: TwofoldEmbedding, pages: Sequence[Page]) -> Iterator[list[FloatArray]]:
    """Tell the host's observers of one batch, and give the nodes the vectors that were put into the list."""
    payload = model.to_payload()
    vectors: list[FloatArray] = []
    dispatcher.event(EmbeddingStartEvent(model_dict=payload))
    with model.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}) as event:
        yield vectors
        rows = [row for own in vectors for row in own.tolist()]
        nodes = [node for page in pages for node in page.nodes]
        space = model.embedder.space.fingerprint
        for node, row in zip(nodes, rows, strict=True):
            node.embedding = row
            mark(node, space, late=True)
        chunks = [node.get_content(MetadataMode.NONE) for node in nodes]
        event.on_end(payload={EventPayload.CHUNKS: chunks, EventPayload.EMBEDDINGS: rows})
    dispatcher.event(EmbeddingEndEvent(chunks=chunks, embeddings=rows))
