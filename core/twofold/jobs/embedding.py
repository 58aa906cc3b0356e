"""Embedding one slice of a job, so that an error names its document and nothing that was paid for is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.vectors import FloatArray


def embed_each(
    embedder: Embedder, ids: Sequence[str], documents: Sequence[Document]
) -> tuple[Mapping[int, FloatArray], ProviderError | None]:
    """The vectors of each document, by its index, and the error that kept some from having theirs.

    Store what is there, then raise the error.

    Raises:
        InputError: a document that can not be embedded, named by its id.
    """
    try:
        return dict(enumerate(embedder.embed_late(documents))), None
    except InputError as error:
        if error.index is None:
            raise
        raise InputError(f"document {ids[error.index]!r}: {error}", index=error.index) from None
    except ProviderError as error:
        return error.partial, error
