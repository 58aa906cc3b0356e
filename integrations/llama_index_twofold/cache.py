"""One call of an embedder for LlamaIndex: through its `embeddings_cache`, its rate limiter and its observers.

LlamaIndex's own cache keys are the texts alone. Here they are `<space>/<side>/<digest>`, so that models may share a
cache.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from llama_index_twofold.identity import Vector
from twofold import Document, InputError, ProviderError, adapters
from twofold.adapters import Lookup, extra, invoke

with extra("llama-index"):
    from llama_index.core.callbacks import CBEventType, EventPayload
    from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
    from llama_index_instrumentation import get_dispatcher
    from llama_index_instrumentation.event_handlers import NullEventHandler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.adapters import Side

COLLECTION, VALUE = "embeddings", "float32"
"""LlamaIndex's collection for vectors, and the one field of our entries: the values in base64."""

dispatcher = get_dispatcher(__name__)


def embed(
    host: Any,
    side: Side,
    items: Sequence[Any],
    chunks: Sequence[str],
    *,
    progress: bool = False,
) -> list[list[float]]:
    """The vectors of `items`, texts or documents, in one call of the embedder of `host`, a `TwofoldEmbedding`.

    `chunks` has the text of each vector.

    Raises:
        InputError: an item that cannot be embedded, named by its place, before any work.
        ProviderError: a hosted model failed; what was paid for is in its `partial`, and in the cache.
    """
    with _observed(host, chunks) as vectors:
        if host.embeddings_cache is None:
            arrays = _embed(host, side, items, len(chunks), progress=progress)
        else:
            lookup: Lookup[Any] = Lookup(host.embedder, side, items)
            _fill(host, side, lookup, progress=progress)
            arrays = lookup.arrays()
        rows = arrays if isinstance(arrays, np.ndarray) else [row for each in arrays for row in np.atleast_2d(each)]
        embedder = host.embedder
        vectors.extend(Vector(row.tolist(), embedder) for row in rows)
    return vectors


def _fill(host: Any, side: Side, lookup: Lookup[Any], *, progress: bool) -> None:
    """Read what the cache has, embed the rest, and store that."""
    cache: Any = host.embeddings_cache

    def keep(pairs: list[tuple[str, bytes]]) -> None:
        for key, value in pairs:
            invoke(cache, "put", key, {VALUE: b64encode(value).decode()}, COLLECTION)

    read = [invoke(cache, "get", key, COLLECTION) for key in lookup.keys]
    lookup.read([entry and b64decode(entry[VALUE]) for entry in read])
    if missing := list(lookup.missing.values()):
        try:
            arrays = _embed(host, side, missing, len(missing), progress=progress)
        except (InputError, ProviderError) as error:
            keep(lookup.salvaged(error))
            raise
        keep(lookup.filled(arrays))


def _embed(host: Any, side: Side, items: Sequence[Any], count: int, *, progress: bool) -> Any:
    """Ask the rate limiter once for every `embed_batch_size` of `count` texts, then embed."""
    if (limiter := host.rate_limiter) is not None:
        for _ in range(0, count, host.embed_batch_size):
            limiter.acquire()
    if items and isinstance(items[0], Document):
        return invoke(host.embedder, "embed_late", items, progress=progress)
    return invoke(adapters, "embed_texts", host.embedder, side, items, progress=progress)


@contextmanager
def _observed(host: Any, chunks: Sequence[str]) -> Iterator[list[list[float]]]:
    """Tell LlamaIndex's observers of a call: what is embedded, and the vectors that were put into the list."""
    payload = host.to_payload()
    vectors: list[list[float]] = []
    dispatcher.event(EmbeddingStartEvent(model_dict=payload))
    with host.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}) as event:
        yield vectors
        event.on_end(payload={EventPayload.CHUNKS: list(chunks), EventPayload.EMBEDDINGS: vectors})
    if _has_listeners():  # the event validates every number of every vector
        dispatcher.event(EmbeddingEndEvent(chunks=list(chunks), embeddings=vectors))


def _has_listeners() -> bool:
    """Whether any handler gets events, here or further up; LlamaIndex's root has one that does nothing."""
    here = dispatcher
    while not any(not isinstance(handler, NullEventHandler) for handler in here.event_handlers):
        if not here.propagate or here.parent is None:
            return False
        here = here.parent
    return True
