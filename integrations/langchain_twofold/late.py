"""Late chunking with any LangChain splitter: chunks whose vectors know their whole document."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from twofold import Document as Text
from twofold import InputError
from twofold.extras import extra
from twofold.offsets import locate

with extra("langchain"):
    from langchain_core.documents import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_text_splitters import TextSplitter

    from langchain_twofold.cache import CachedEmbeddings
    from langchain_twofold.embeddings import TwofoldEmbeddings
    from twofold.vectors import FloatArray

CHUNKS = uuid.UUID("6f0c1f2e-0d6a-5c1b-9a3e-7d6f2b1c4e58")
"""The namespace of chunks' ids."""


def late_chunk(
    documents: Iterable[Document], splitter: TextSplitter, embeddings: TwofoldEmbeddings | CachedEmbeddings
) -> tuple[list[Document], list[list[float]]]:
    """The chunks of `documents` and their vectors, for `add_documents(store, *late_chunk(…))`.

    Each document goes through the model whole; each chunk's vector is pooled from its own tokens. A chunk has its
    document's metadata, `start_index` and `end_index` (its offsets in the document's text, verified: a splitter's own
    are guesses, and wrong on repetitive text), `document_id` (the document's id, or a digest of its text and metadata),
    and an id that is the same each time, so that indexing again replaces.

    Raises:
        InputError: a splitter whose chunks are not pieces of the text in its order, two documents with one id, a text
            that can not be embedded, or a model that can not late-chunk.
    """
    chunks, texts = _split(documents, splitter)
    return chunks, _rows(embeddings.embedder.embed_late(texts))


async def alate_chunk(
    documents: Iterable[Document], splitter: TextSplitter, embeddings: TwofoldEmbeddings | CachedEmbeddings
) -> tuple[list[Document], list[list[float]]]:
    """`late_chunk`, without holding up the event loop."""
    chunks, texts = _split(documents, splitter)
    return chunks, _rows(await embeddings.embedder.aembed_late(texts))


def _rows(vectors: Sequence[FloatArray]) -> list[list[float]]:
    return [row for document in vectors for row in document.tolist()]


def _split(documents: Iterable[Document], splitter: TextSplitter) -> tuple[list[Document], list[Text]]:
    chunks: list[Document] = []
    texts: list[Text] = []
    seen: dict[str, int] = {}
    for number, document in enumerate(documents):
        identity = _identity(document)
        if seen.setdefault(identity, number) != number:
            raise InputError(
                f"documents {seen[identity]} and {number} have one id, or are the same and have none: "
                "give each its own id, or leave one out",
                index=number,
            )
        own, text = _split_one(number, document, splitter, identity)
        chunks.extend(own)
        texts.append(text)
    return chunks, texts


def _identity(document: Document) -> str:
    told = json.dumps([document.page_content, document.metadata], sort_keys=True, default=str)
    return document.id or hashlib.sha256(told.encode()).hexdigest()[:32]


def _split_one(number: int, document: Document, splitter: TextSplitter, identity: str) -> tuple[list[Document], Text]:
    pieces = splitter.split_documents([document])
    try:
        contents = [piece.page_content for piece in pieces]
        spans = locate(document.page_content, contents, [_hint(piece) for piece in pieces])
        text = Text.from_spans(document.page_content, spans)
    except InputError as error:
        raise InputError(f"document {number}: {error}", index=number) from error
    return [_chunk(piece, identity, *span) for piece, span in zip(pieces, spans, strict=True)], text


def _hint(piece: Document) -> int | None:
    start = piece.metadata.get("start_index")
    return start if isinstance(start, int) else None


def _chunk(piece: Document, identity: str, start: int, end: int) -> Document:
    metadata: dict[str, Any] = {**piece.metadata, "start_index": start, "end_index": end, "document_id": identity}
    identifier = str(uuid.uuid5(CHUNKS, f"{identity}:{start}:{end}"))
    return Document(id=identifier, page_content=piece.page_content, metadata=metadata)
