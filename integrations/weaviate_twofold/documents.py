"""Adding documents, whole or late-chunked, as a flow: embedded and written slice by slice."""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from twofold.jobs.lengths import count_documents
from twofold.jobs.rows import check_documents, document_rows
from weaviate_twofold.flow import Embed
from weaviate_twofold.rows import declaring, object_of, removing, text_property
from weaviate_twofold.writing import Writing, sending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold import Document, Embedder
    from twofold.jobs.store import Scalar
    from weaviate_twofold.flow import Flow
    from weaviate_twofold.layout import Layout

Chunked: TypeAlias = "Document | Sequence[str]"
"""A document that is cut: its text with spans, or its consecutive chunks."""

SLICE = 256
"""Documents that are embedded, then written, at a time."""


def writing_documents(
    layout: Layout,
    collection: Any,
    embedder: Embedder,
    *,
    ids: Sequence[str],
    documents: Sequence[str] | Sequence[Chunked],
    metadatas: Sequence[Mapping[str, Scalar]] | None,
    late_chunking: bool,
) -> Flow[list[str]]:
    """Embed documents, write their rows, and remove the rows that they had before and have no more."""
    name = text_property(layout, collection)
    metadatas = metadatas if metadatas is not None else [{}] * len(documents)
    given = check_documents(ids, documents, metadatas, chunked=late_chunking)
    if not late_chunking:
        count_documents(embedder, ids, [document.text for document in given])
    digest = _digest(given, ids, late_chunking)
    rows = [
        row
        for key, document, metadata in zip(ids, given, metadatas, strict=True)
        for row in document_rows(key, document, metadata, chunked=late_chunking, digest=digest)
    ]
    writing = Writing(collection.name, [row.id for row in rows], [object_of(row, name) for row in rows])
    yield from declaring(collection, metadatas, name, set())
    ends = [0, *accumulate(len(document.spans) for document in given)]
    for start in range(0, len(given), SLICE):
        stop = min(start + SLICE, len(given))
        vectors = np.concatenate((yield Embed("embed_late", (given[start:stop],))))
        before = len(writing.failed)
        yield from sending(layout, collection, writing, slice(ends[start], ends[stop]), vectors[:, None])
        if len(writing.failed) == before:
            yield from removing(collection, ids[start:stop], digest)
    writing.finish()
    return list(writing.ids)


def _digest(documents: Sequence[Document], ids: Sequence[str], late_chunking: bool) -> str:
    """A name for what this call writes, by which rows of earlier calls are told from it."""
    parts = [(key, document.text, document.spans) for key, document in zip(ids, documents, strict=True)]
    return hashlib.sha256(repr((late_chunking, parts)).encode()).hexdigest()[:16]
