"""Checks of ids, documents, metadata and lengths. All are made before any work."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from twofold.documents import Document, is_blank, too_long
from twofold.errors import BlankWarning, InputError
from twofold.stores.rows import OWN_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.embedder import Embedder
    from twofold.stores.rows import Metadata

T = TypeVar("T")
Given: TypeAlias = "str | Document | Sequence[str]"
"""A document: a whole text, or its consecutive chunks, or a `Document`."""

MISSING = ("NAType", "NaTType")
"""The types of pandas' missing values."""


class Checked(NamedTuple):
    """A checked document: its text and spans (None if it is blank), the metadata of each row, whether it was cut."""

    document: Document | None
    metadatas: Sequence[Metadata]
    chunked: bool


def check_documents(
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Sequence[Any] | None = None,
    *,
    keeps_lists: bool = False,
    reserved: Iterable[str] = (),
) -> list[Checked]:
    """Return the documents with their metadata; see `check_metadata`. A blank document is skipped with a warning.

    Raises:
        InputError: lists of different lengths, an invalid id or metadata, or a text that cannot be embedded; it names
            the document.
    """
    counts = f"{len(ids)} ids, {len(documents)} documents"
    if metadatas is None:
        metadatas = [None] * len(documents)
    else:
        counts += f", {len(metadatas)} metadatas"
    if not len(ids) == len(documents) == len(metadatas):
        raise InputError(f"{counts}: expected lists with one of each for every document")
    check_ids(ids)
    clean = partial(check_metadata, keeps_lists=keeps_lists, reserved=reserved)
    return [
        _check(item, metadata, index, ids[index], clean)
        for index, (item, metadata) in enumerate(zip(documents, metadatas, strict=True))
    ]


def as_list(name: str, values: Iterable[T]) -> list[T]:
    """Read `values`, a list or any other iterable, into a list; `name` is for the message.

    Raises:
        InputError: one string, a mapping, a `Document`, or something that is not iterable.
    """
    if isinstance(values, str | bytes | Mapping | Document) or not isinstance(values, Iterable):
        raise InputError(f"{name} is of type {type(values).__name__}: expected a list with one for every document")
    return list(values)


def _check(item: Given, metadata: Any, index: int, key: str, clean: Callable[[Any], Metadata]) -> Checked:
    try:
        document = as_document(item)
        chunked = not isinstance(item, str)
        if document is None:
            warn_blank(f"document {index}, {key!r},")
        rows = 0 if document is None else len(document.spans)
        fields = [clean(one) for one in _each(metadata, rows, chunked)]
    except InputError as error:
        raise InputError(f"document {index}, {key!r}: {error}", index=index) from None
    return Checked(document, fields, chunked)


def as_document(item: Given) -> Document | None:
    """Return `item` as a `Document`; None if it is blank.

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
    """Warn that `name` is blank and has no rows."""
    warnings.warn(f"{name} is blank: it has no meaning to embed, and nothing is stored for it", BlankWarning, 5)


def _each(metadata: Any, rows: int, chunked: bool) -> list[Any]:
    """Return the metadata of each row: the document's, or the chunks' own."""
    if metadata is None or isinstance(metadata, Mapping):
        return [metadata or {}] * rows
    if not chunked or isinstance(metadata, str) or not isinstance(metadata, Sequence):
        raise InputError(f"its metadata is of type {type(metadata).__name__}: expected a mapping, or None")
    if len(metadata) != rows and rows:
        raise InputError(f"{len(metadata)} metadatas for its {rows} chunks: expected one for each, or one for them all")
    return [{} if one is None else one for one in metadata]


def check_ids(ids: Sequence[str]) -> None:
    """Refuse invalid and duplicate ids.

    Raises:
        InputError: an id that is empty, not a string, or a duplicate.
    """
    for index, key in enumerate(ids):
        check_id(key, index)
    twice = [key for key, count in Counter(ids).items() if count > 1]
    if twice:
        index = ids.index(twice[0], ids.index(twice[0]) + 1)
        more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
        raise InputError(f"id {twice[0]!r} occurs twice{more}: use each id once", index=index)


def check_id(key: object, index: int) -> None:
    """Refuse an invalid id; `index` is its place.

    Raises:
        InputError: it is empty, not a string, or has no UTF-8 form.
    """
    if not isinstance(key, str) or not key:
        raise InputError(f"id {index} is {key!r}: expected a string that is not empty", index=index)
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InputError(f"id {index}, {key!r}, has a lone surrogate, which no store keeps", index=index) from None


def check_metadata(metadata: Any, *, keeps_lists: bool, reserved: Iterable[str] = ()) -> dict[str, Any]:
    """Return metadata as it is stored.

    Strings, booleans, finite numbers and, if the store keeps them, lists of these are stored as they are. numpy's
    scalars become Python's, dates and times become ISO strings. Fields with None, NaN or a missing value of pandas are
    left out.

    Args:
        metadata: a mapping.
        keeps_lists: whether the store keeps lists of scalars.
        reserved: names that the store uses itself.

    Raises:
        InputError: not a mapping, a reserved name, or a value that cannot be stored.
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata is of type {type(metadata).__name__}: expected a mapping, or None")
    fields: dict[str, Any] = {}
    for name, given in metadata.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"metadata field {name!r}: expected a name that is a string and not empty")
        if name.startswith(OWN_PREFIX):
            raise InputError(f"metadata field {name!r} is Twofold's own: rename it")
        if name in reserved:
            raise InputError(f"metadata field {name!r} is reserved by the store: rename it")
        value = _plain(given)
        if value is None:
            continue
        if not _storable(value) and not (keeps_lists and _storable_list(value)):
            lists = ", or a list of such values of one type that is not empty" if keeps_lists else ""
            way_out = ". Flatten it, or store it as JSON text" if isinstance(given, Mapping) else ""
            raise InputError(
                f"metadata field {name!r} is {given!r} of type {type(given).__name__}: expected a string, a finite "
                f"number of at most 64 bits, a boolean or a date{lists}{way_out}"
            )
        fields[name] = value
    return fields


def _plain(value: Any) -> Any:
    """Return a metadata value in Python's own types, a date as its ISO string; None if it is missing."""
    if value is None or type(value).__name__ in MISSING:
        return None
    if isinstance(value, np.datetime64):
        value = None if np.isnat(value) else value.astype("datetime64[us]").item()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _storable(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _storable_list(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_storable, value)) and len(set(map(type, value))) == 1


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
    if over and refuses_long(embedder):
        raise too_long(
            f"document {ids[over[0]]!r}",
            counts[over[0]],
            limit,
            index=over[0],
            note=f" ({len(over)} of {len(counts)} documents are too long)",
            way_out="cut them into chunks, or cut their ends with truncate='end'",
        )
