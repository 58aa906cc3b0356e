"""Record keys for LangChain's `index()`, so that a change of model embeds again."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING

from twofold import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.documents import Document

    from langchain_twofold.cache import CachedEmbeddings
    from langchain_twofold.embeddings import TwofoldEmbeddings


def record_key_encoder(embeddings: TwofoldEmbeddings | CachedEmbeddings) -> Callable[[Document], str]:
    """The `key_encoder` of `index()` and `aindex()` for vectors of `embeddings`.

    LangChain's own keys know a document's text and metadata only, so after a change of model everything is skipped
    as known. These hold the space as well: documents are embedded again, and `cleanup` removes the old vectors. A key
    is a UUID, which every store takes as an id.

    Raises:
        InputError: metadata of a document that is not JSON.
    """

    def key(document: Document) -> str:
        space = embeddings.embedder.space.fingerprint
        try:
            told = json.dumps([space, document.page_content, document.metadata], sort_keys=True)
        except (TypeError, ValueError) as error:
            raise InputError(f"metadata of a document that is indexed must be JSON: {error}") from None
        return str(uuid.UUID(bytes=hashlib.sha256(told.encode()).digest()[:16], version=5))

    return key
