"""Texts and documents through the embedder, and through LlamaIndex's `embeddings_cache` where one is set.

The host's own keys are the texts alone. Here they are `<space>/<side>/<digest>`: many models may share a cache.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from llama_index_twofold.marks import remember
from llama_index_twofold.observers import admitted, observed
from twofold import Document, InputError, ProviderError
from twofold.adapters import Lookup, invoke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.embeddings.base import BaseEmbedding

    from twofold import Embedder
    from twofold.adapters import Side

COLLECTION, VALUE = "embeddings", "float32"
"""Where the host keeps vectors, and the one field of each: the values in base64."""


def embed(
    host: BaseEmbedding,
    embedder: Embedder,
    side: Side,
    items: Sequence[Any],
    chunks: Sequence[str],
    *,
    waits: bool = False,
    progress: bool = False,
) -> list[list[float]]:
    """The vectors of `items`, texts or documents, in one call of the embedder; `chunks` is what each vector is of.

    Raises:
        InputError: an item that cannot be embedded, named by its place, before any work.
        ProviderError: a hosted model failed; what was paid for is in its `partial`, and in the cache.
    """
    with observed(host, chunks) as vectors:
        if host.embeddings_cache is None:
            admitted(host, len(chunks), waits=waits)
            arrays = _embed(embedder, side, items, progress=progress)
        else:
            lookup: Lookup[Any] = Lookup(embedder, side, items)
            _fill(host, embedder, side, lookup, waits=waits, progress=progress)
            arrays = lookup.arrays()
        whole = [arrays] if isinstance(arrays, np.ndarray) else arrays
        vectors.extend(row for own in whole for row in own.reshape(-1, embedder.dimensions).tolist())
        remember(vectors, embedder)
    return vectors


def _fill(
    host: BaseEmbedding, embedder: Embedder, side: Side, lookup: Lookup[Any], *, waits: bool, progress: bool
) -> None:
    """Read what the cache has, embed what it lacks, and keep that."""
    cache: Any = host.embeddings_cache

    def keep(pairs: list[tuple[str, bytes]]) -> None:
        for key, value in pairs:
            invoke(cache, "put", key, {VALUE: b64encode(value).decode()}, COLLECTION)

    read = [invoke(cache, "get", key, COLLECTION) for key in lookup.keys]
    lookup.read([entry and b64decode(entry[VALUE]) for entry in read])
    if not lookup.missing:
        return
    admitted(host, len(lookup.missing), waits=waits)
    try:
        arrays = _embed(embedder, side, list(lookup.missing.values()), progress=progress)
    except (InputError, ProviderError) as error:
        keep(lookup.salvaged(error))
        raise
    keep(lookup.filled(arrays))


def _embed(embedder: Embedder, side: Side, items: Sequence[Any], *, progress: bool) -> Any:
    late = bool(items) and isinstance(items[0], Document)
    name = "embed_late" if late else {"query": "embed_queries", "document": "embed_documents"}[side]
    return invoke(embedder, name, items, progress=progress)
