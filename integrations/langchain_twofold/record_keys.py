"""Record keys for LangChain's `index()`, which hold the space beside the text."""

from __future__ import annotations

import json
import uuid
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from langchain_twofold.writing import Target
from twofold import InputError
from twofold.adapters import DOCUMENT, run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore


def record_key_encoder(store: VectorStore) -> Callable[[Document], str]:
    """The `key_encoder` of `index()` and `aindex()` for `store`, whose embeddings will compute the vectors.

    LangChain's own keys know a document's text and metadata only, so that after a change of model everything is
    skipped as known. These hold the space as well. A key is a UUID, which every store takes as an id. Make it anew for
    each run: the collection's record is compared here, before `index()` writes anything.

    Raises:
        SpaceMismatch: the collection's vectors are of another space than the store's embeddings.
        StoreError: it has vectors, and no record of their space: open it with `open_collection(…, adopt=True)`.
        InputError: a store without embeddings of Twofold's. From the keys: metadata that is not JSON; a chunk of
            `late_chunk`, whose vector `index()` would compute anew, from the chunk alone.
    """
    return _encoder(Target(store, {}))


async def arecord_key_encoder(store: VectorStore) -> Callable[[Document], str]:
    """`record_key_encoder`, without holding up the event loop."""
    return await run_in_thread(record_key_encoder, store)


def _encoder(target: Target) -> Callable[[Document], str]:
    space = target.reference() if target.own is not None else None
    if space is None:
        raise InputError(f"{target.name} has no embeddings: open it with TwofoldEmbeddings")
    return partial(_key, space.fingerprint)


def _key(space: str, document: Document) -> str:
    if document.metadata.get(DOCUMENT, document.id) != document.id:
        raise InputError(
            f"a chunk of the late-chunked document {document.metadata[DOCUMENT]!r}: index() would embed it alone; give "
            "it to add_documents with its vector, which replaces what the document had before"
        )
    try:
        told = json.dumps([space, document.page_content, document.metadata], sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"metadata of a document that is indexed must be JSON: {error}") from None
    return str(uuid.UUID(bytes=sha256(told.encode()).digest()[:16], version=5))
