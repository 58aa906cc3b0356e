"""Writing documents: all are checked first, then embedded and written slice by slice; nothing paid for is lost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from twofold.documents import Document
from twofold.errors import InputError, ProviderError, StoreError
from twofold.progress import reporting
from twofold.stores.checks import check_documents
from twofold.stores.drivers import done
from twofold.stores.lengths import checking_lengths
from twofold.stores.moving import refusing_closed
from twofold.stores.opening import checking
from twofold.stores.replacing import replacing
from twofold.stores.rows import Row, digest_of, text_digest, version_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold.embedder import Embedder
    from twofold.stores.checks import Checked, Given
    from twofold.stores.drivers import Calls
    from twofold.stores.rows import Metadata
    from twofold.stores.store import Store
    from twofold.vectors import FloatArray

Metadatas: TypeAlias = "Sequence[Metadata | Sequence[Metadata | None] | None]"
"""Fields for each document, or for each of its chunks; None where there are none."""

SLICE = 256
"""Documents that are embedded, then written, at a time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One document as it is to be written.

    Attributes:
        id: the document's.
        document: its text and spans; None where it is blank, and so has no row.
        metadatas: the fields of each row.
        digest: its version.
        chunked: whether its rows are "<id>#<number>", not "<id>".
        late: whether each chunk is embedded in its document, not alone.
        source: where the document came from.
        first: the number of its first row, and
        offset: where it begins in the document, in characters, where this is a part of a long one;
        rows_of_all: how many rows that one has.
    """

    id: str
    document: Document | None
    metadatas: Sequence[Metadata] = ()
    digest: str = ""
    chunked: bool = False
    late: bool = True
    source: str = ""
    first: int = 0
    offset: int = 0
    rows_of_all: int | None = None

    def units(self) -> list[Document]:
        """What goes through the model at once: the document, or each of its chunks alone."""
        if self.document is None:
            return []
        if self.late:
            return [self.document]
        return [Document.whole(self.document.text[start:end]) for start, end in self.document.spans]

    def rows(self) -> list[Row]:
        """One row for each span."""
        if self.document is None:
            return []
        text, spans = self.document.text, self.document.spans
        return [
            Row(
                id=f"{self.id}#{number}" if self.chunked else self.id,
                document=self.id,
                text=text[start:end],
                span=(self.offset + start, self.offset + end),
                metadata=metadata,
                digest=self.digest,
                rows=self.rows_of_all or len(spans),
                source=self.source,
                section=self.offset if self.late else 0,
            )
            for number, ((start, end), metadata) in enumerate(zip(spans, self.metadatas, strict=True), self.first)
        ]


async def adding(
    store: Store,
    calls: Calls,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    *,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them, in place of those with the same ids; the ids of the rows written.

    A string is a whole document, one row with its id. A list of consecutive chunks, or a `Document`, is late-chunked:
    each chunk becomes a row whose vector knows the whole document, with the id "<document id>#<number>". A blank
    document has no rows; a warning names it. Rows that a document had before and has no more are removed.

    Raises:
        InputError: lists of unlike lengths, an id twice, a document that cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: the store refused a slice, or is gone; `failed` has the documents from that slice on.
        ProviderError: a hosted model failed; every document that has its vectors is written, and `partial` and
            `failed` count documents.
    """
    await checking(store, calls)
    given = check_documents(ids, documents, metadatas, keeps_lists=store.keeps_lists)
    await checking_lengths(calls, ids, [each.document for each in given])
    entries = [
        Entry(key, each.document, each.metadatas, version(calls.embedder, each), each.chunked)
        for key, each in zip(ids, given, strict=True)
    ]
    written: list[str] = []
    with reporting(len(entries), "adding", shown=progress) as report:
        for start in range(0, len(entries), SLICE):
            some = entries[start : start + SLICE]
            try:
                written += await writing(store, calls, some)
            except StoreError as refused:
                refused.failed = {**dict.fromkeys(ids[start:], str(refused)), **refused.failed}
                raise
            except InputError as error:
                error.index = None if error.index is None else start + error.index
                raise
            except ProviderError as error:
                error.renumber(range(start, start + len(some)))
                raise
            report(len(some), 0)
    return written


async def writing(store: Store, calls: Calls, entries: Sequence[Entry]) -> list[str]:
    """Embed a slice and write its rows in place of those that its documents had; the ids of the rows written.

    The collection's record is the caller's to check. What readers see in between: see `twofold.stores.replacing`.

    Raises:
        InputError: a document that cannot be embedded, named by its id.
        StoreError: rows that were not written.
        ProviderError: a hosted model failed; documents that have all their vectors are written, and the error's
            `partial` and `failed` count `entries`.
    """
    await refusing_closed(store)
    vectors, failure = await embedding(calls, entries)
    whole = [index for index in range(len(entries)) if index in vectors]
    rows = [row for index in whole for row in entries[index].rows()]
    arrays = [vectors[index] for index in whole if len(vectors[index])]
    await replacing(store, [entries[index].id for index in whole], rows, np.concatenate(arrays) if arrays else None)
    if failure is not None:
        raise failure
    return [row.id for row in rows]


async def embedding(calls: Calls, entries: Sequence[Entry]) -> tuple[dict[int, FloatArray], ProviderError | None]:
    """The vectors of each entry all of whose rows have theirs, by its place, and what kept others from theirs.

    An array has shape (rows of the entry, dimensions). The error counts entries; raise it once what is there is kept.

    Raises:
        InputError: an entry that cannot be embedded, named by its id; `index` is its place.
    """
    units = [(index, unit) for index, entry in enumerate(entries) for unit in entry.units()]
    failure: ProviderError | None = None
    done_units: Mapping[int, FloatArray]
    try:
        done_units = dict(enumerate(await done(calls.embed_late([unit for _, unit in units]))))
    except InputError as error:
        if error.index is None:
            raise
        place = units[error.index][0]
        raise InputError(f"document {entries[place].id!r}: {error}", index=place, spans=error.spans) from None
    except ProviderError as error:
        done_units, failure = error.partial, error
    found: dict[int, list[FloatArray]] = defaultdict(list)
    lacking: dict[int, str] = {}
    for number, (index, _) in enumerate(units):
        if number in done_units:
            found[index].append(done_units[number])
        elif failure is not None:
            lacking.setdefault(index, failure.failed.get(number, str(failure)))
    blank = {index: np.empty((0, 0), np.float32) for index, entry in enumerate(entries) if entry.document is None}
    vectors = {index: np.concatenate(arrays) for index, arrays in found.items() if index not in lacking} | blank
    if failure is not None:
        failure.partial = {index: rows for index, rows in vectors.items() if index not in blank}
        failure.failed = lacking
    return vectors, failure


def version(embedder: Embedder, given: Checked) -> str:
    """The digest of a document as it is indexed: its text and spans and how what is long is cut, and its fields."""
    document = given.document
    if document is None:
        return ""
    fields = [dict(metadata) for metadata in given.metadatas]
    policy = cut_policy(embedder, late=given.chunked)
    return version_digest(digest_of(text_digest(document.text), document.spans, given.chunked, policy), fields)


def cut_policy(embedder: Embedder, *, late: bool) -> list[object]:
    """How the embedder cuts a long text, or windows one that is late-chunked: part of what a vector stands for."""
    settings = embedder.settings
    if late:
        return list(embedder.card.late_policy(settings.late_window, settings.late_overlap))
    return [settings.truncate]
