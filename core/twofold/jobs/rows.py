"""From documents to the rows that a store keeps, with everything that can be wrong said first."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, cast

from twofold.documents import Document, check_text
from twofold.errors import InputError
from twofold.jobs.store import OWN_PREFIX, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold.jobs.store import Scalar


def document_rows(
    id: str,  # noqa: A002 - the stores' word
    document: Document,
    metadata: Mapping[str, Scalar],
    *,
    chunked: bool,
    digest: str = "",
) -> list[Row]:
    """The rows of one document, one for each span; `<id>#<number>` where it is `chunked`, `<id>` where it is not."""
    return [
        Row(
            id=f"{id}#{number}" if chunked else id,
            document=id,
            text=document.text[start:end],
            span=(start, end),
            metadata=metadata,
            digest=digest,
            pieces=len(document.spans),
        )
        for number, (start, end) in enumerate(document.spans)
    ]


def check_documents(
    ids: Sequence[str],
    documents: Sequence[object],
    metadatas: Sequence[Mapping[str, Scalar]],
    *,
    chunked: bool,
) -> list[Document]:
    """Documents as a store's users give them: texts, or, `chunked`, each one's chunks or a `Document` with spans.

    Raises:
        InputError: lists of several lengths, an id or metadata that no store keeps, or a text that can not be embedded.
    """
    if isinstance(documents, str) or not len(ids) == len(documents) == len(metadatas):
        counts = f"{len(ids)} ids, {len(documents)} documents, {len(metadatas)} metadatas"
        raise InputError(f"{counts}: lists with one of each for every document are wanted")
    check_ids(ids)
    check_metadata(ids, metadatas)
    return [_document(item, index, chunked) for index, item in enumerate(documents)]


def _document(item: object, index: int, chunked: bool) -> Document:
    if not chunked:
        return Document.whole(check_text(item, index, "document"))
    if isinstance(item, str):
        raise InputError(
            f"document {index} is a string, which does not say where its chunks end: "
            "give the list of its chunks, or a Document",
            index=index,
        )
    try:
        return item if isinstance(item, Document) else Document.from_chunks(cast("Sequence[str]", item))
    except InputError as error:
        raise InputError(f"document {index}: {error}", index=index) from None


def check_ids(ids: Sequence[str]) -> None:
    """Refuse ids that a store would lose a document by.

    Raises:
        InputError: an id that is empty, not a string, or there twice.
    """
    for index, key in enumerate(ids):
        if not isinstance(key, str) or not key:
            raise InputError(f"id {index} is {key!r}: a string that is not empty is wanted", index=index)
    twice = [key for key, count in Counter(ids).items() if count > 1]
    if twice:
        index = ids.index(twice[0], ids.index(twice[0]) + 1)
        raise InputError(f"id {twice[0]!r} is there twice ({len(twice)} such ids): the last would win", index=index)


def check_metadata(ids: Sequence[str], metadatas: Sequence[Mapping[str, Scalar]]) -> None:
    """Refuse metadata that no store keeps as it is.

    Raises:
        InputError: a field of Twofold's own, or a value that is no string, number or boolean; with the document's id.
    """
    for index, metadata in enumerate(metadatas):
        for name, value in metadata.items():
            if not isinstance(name, str) or name.startswith(OWN_PREFIX):
                raise InputError(
                    f"document {ids[index]!r}: metadata field {name!r} is Twofold's own: rename it", index=index
                )
            if not _storable(value):
                raise InputError(
                    f"document {ids[index]!r}: metadata field {name!r} is {value!r} of type {type(value).__name__}; "
                    "a string, a finite number of at most 64 bits or a boolean is wanted",
                    index=index,
                )


def _storable(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or (isinstance(value, int) and -(2**63) <= value < 2**63)
