"""Checks of ids, documents, metadata and lengths, all made before any work."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from twofold.documents import Document, is_blank, too_long
from twofold.errors import BlankWarning, InputError
from twofold.stores.rows import OWN_PREFIX

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.stores.rows import Metadata

Given: TypeAlias = "str | Document | Sequence[str]"
"""A document: whole as a string, or cut, as its consecutive chunks or as a `Document`."""


class Checked(NamedTuple):
    """A document that can be embedded, or None for a blank one, and the fields of each of its rows."""

    document: Document | None
    metadatas: Sequence[Metadata]
    chunked: bool


def check_documents(
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Sequence[Any] | None = None,
    *,
    keeps_lists: bool = False,
) -> list[Checked]:
    """Documents with their fields; blank ones are passed over with a warning.

    Raises:
        InputError: lists of several lengths, an id or metadata that the store does not keep, or a text that cannot be
            embedded; the document is named.
    """
    metadatas = metadatas if metadatas is not None else [None] * len(documents)
    if isinstance(documents, str) or not len(ids) == len(documents) == len(metadatas):
        counts = f"{len(ids)} ids, {len(documents)} documents, {len(metadatas)} metadatas"
        raise InputError(f"{counts}: expected lists with one of each for every document")
    check_ids(ids)
    return [
        _check(item, metadata, index, ids[index], keeps_lists)
        for index, (item, metadata) in enumerate(zip(documents, metadatas, strict=True))
    ]


def _check(item: Given, metadata: Any, index: int, key: str, keeps_lists: bool) -> Checked:
    try:
        document = as_document(item)
        chunked = not isinstance(item, str)
        if document is None:
            warn_blank(f"document {index}, {key!r},")
        rows = 0 if document is None else len(document.spans)
        fields = _each(metadata, rows, chunked)
        for one in fields:
            check_metadata(one, keeps_lists=keeps_lists)
    except InputError as error:
        raise InputError(f"document {index}, {key!r}: {error}", index=index) from None
    return Checked(document, fields, chunked)


def as_document(item: Given) -> Document | None:
    """What `item` says; None where it is blank.

    Raises:
        InputError: it cannot be embedded.
    """
    if isinstance(item, Document):
        return item
    if isinstance(item, str):
        return None if is_blank(item) else Document.whole(item)
    if not isinstance(item, Sequence):
        raise InputError(f"expected a string, a list of chunks or a Document, got {type(item).__name__}")
    blank = all(isinstance(chunk, str) and is_blank(chunk) for chunk in item)
    return None if blank else Document.from_chunks(item)


def warn_blank(name: str) -> None:
    """Say that `name` is blank and has no rows."""
    warnings.warn(f"{name} is blank: it has no meaning to embed, and nothing is stored for it", BlankWarning, 5)


def _each(metadata: Any, rows: int, chunked: bool) -> list[Metadata]:
    """The fields of each row: those of the document, or its chunks' own."""
    if metadata is None or isinstance(metadata, Mapping):
        return [metadata or {}] * rows
    if not chunked or isinstance(metadata, str) or not isinstance(metadata, Sequence):
        raise InputError(f"its metadata is of type {type(metadata).__name__}: expected a mapping, or None")
    if len(metadata) != rows and rows:
        raise InputError(f"{len(metadata)} metadatas for its {rows} chunks: expected one for each, or one for them all")
    return [{} if one is None else one for one in metadata]


def check_ids(ids: Sequence[str]) -> None:
    """Refuse ids that a store would lose a document by.

    Raises:
        InputError: an id that is empty, not a string, or there twice.
    """
    for index, key in enumerate(ids):
        check_id(key, index)
    twice = [key for key, count in Counter(ids).items() if count > 1]
    if twice:
        index = ids.index(twice[0], ids.index(twice[0]) + 1)
        raise InputError(f"id {twice[0]!r} is there twice ({len(twice)} such ids): the last would win", index=index)


def check_id(key: object, index: int) -> None:
    """Refuse an id that no store keeps.

    Raises:
        InputError: it is empty, not a string, or has no UTF-8 form.
    """
    if not isinstance(key, str) or not key:
        raise InputError(f"id {index} is {key!r}: expected a string that is not empty", index=index)
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InputError(f"id {index}, {key!r}, has a lone surrogate, which no store keeps", index=index) from None


def check_metadata(metadata: Any, *, keeps_lists: bool) -> None:
    """Refuse metadata that the store does not keep as it is.

    Raises:
        InputError: no mapping, a field of Twofold's own, or a value that the store has no form for.
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata is of type {type(metadata).__name__}: expected a mapping, or None")
    for name, value in metadata.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"metadata field {name!r}: expected a name that is a string and not empty")
        if name.startswith(OWN_PREFIX):
            raise InputError(f"metadata field {name!r} is Twofold's own: rename it")
        if not _storable(value) and not (keeps_lists and _storable_list(value)):
            lists = ", or a list of such values of one type" if keeps_lists else ""
            raise InputError(
                f"metadata field {name!r} is {value!r} of type {type(value).__name__}: "
                f"expected a string, a finite number of at most 64 bits or a boolean{lists}"
            )


def _storable(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _storable_list(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(map(_storable, value))
        and len({type(one) for one in value}) == 1
    )


def check_lengths(embedder: Embedder, ids: Sequence[str], documents: Sequence[Document | None]) -> None:
    """Refuse whole documents that are longer than a local model accepts, unless it cuts their ends.

    Raises:
        InputError: the first one that is too long, named by its id.
    """
    if not refuses_long(embedder):
        return
    whole = [(index, one) for index, one in enumerate(documents) if one is not None and one.is_whole]
    counts = embedder.count_tokens([one.text for _, one in whole]) if whole else []
    check_counts(embedder, ids, dict(zip((index for index, _ in whole), counts, strict=True)))


def refuses_long(embedder: Embedder) -> bool:
    """Return whether texts can be refused by their token counts.

    Counts of a hosted model may be estimates far above the truth, so its backend checks lengths itself.
    """
    return embedder.settings.truncate == "error" and embedder.backend.provider is None


def check_counts(embedder: Embedder, ids: Sequence[str], counts: dict[int, int]) -> None:
    """Refuse texts that are too long; `counts` has the number of tokens of each text, by its place in `ids`.

    Raises:
        InputError: see `check_lengths`.
    """
    limit = embedder.card.max_tokens
    over = [index for index, count in counts.items() if count > limit]
    if refuses_long(embedder) and over:
        raise too_long(
            f"document {ids[over[0]]!r}",
            counts[over[0]],
            limit,
            index=over[0],
            note=f" ({len(over)} of {len(counts)} documents are too long)",
            way_out="cut them into chunks, or cut their ends with truncate='end'",
        )
