"""Writing documents: all are checked first, then embedded and written slice by slice. Nothing paid for is lost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from twofold.documents import Document
from twofold.errors import InputError, ProviderError, StoreError
from twofold.progress import reporting
from twofold.stores.checks import as_list, check_documents, check_lengths
from twofold.stores.moving import check_not_closed
from twofold.stores.opening import check_record
from twofold.stores.rows import Row, by_documents, digest_of, text_digest, version_digest
from twofold.stores.threads import check_cancelled, invoke, run_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twofold.embedder import Embedder
    from twofold.stores.checks import Checked, Given
    from twofold.stores.rows import Metadata
    from twofold.stores.store import Store
    from twofold.vectors import FloatArray

Metadatas: TypeAlias = "Iterable[Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None]"
"""Metadata for each document, or for each of its chunks, None for none; see `check_metadata` for the values."""

SLICE = 256
"""Documents that are embedded, then written, at a time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One document to be written.

    Attributes:
        id: the document's id.
        document: its text and spans; None if it is blank and has no rows.
        metadatas: the metadata of each row.
        digest: its version.
        chunked: whether row ids are "<id>#<number>" instead of "<id>".
        late: whether each chunk is embedded in its document instead of alone.
        source: where the document came from.
        first: the number of the first row, if this is a part of a long document.
        offset: the start of that part in the document, in characters.
        rows_of_all: the number of rows of the long document.
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
        """Return what the model embeds: the document, or each of its chunks alone."""
        if self.document is None:
            return []
        if self.late:
            return [self.document]
        return [Document.whole(self.document.text[start:end]) for start, end in self.document.spans]

    def rows(self) -> list[Row]:
        """Return one row for each span."""
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


def add_documents(
    store: Store,
    embedder: Embedder,
    *,
    ids: Iterable[str],
    documents: Iterable[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them, replacing those with the same ids; return the ids of the rows written.

    A string is a whole document: one row with the document's id. A list of consecutive chunks, or a `Document`, is
    late-chunked: each chunk becomes a row whose vector knows the whole document, with the id "<document id>#<number>".
    A blank document has no rows; a warning names it. Rows that a document had before and no longer has are removed.
    For the metadata that can be stored, see `check_metadata`.

    Raises:
        InputError: lists of different lengths, a duplicate id, metadata that cannot be stored, or a document that
            cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: the store refused a slice, or is gone; `failed` has the documents from that slice on.
        ProviderError: a hosted model failed. Every document that has its vectors is written; `partial` and `failed`
            count documents.
    """
    check_record(store, embedder)
    ids, documents = as_list("ids", ids), as_list("documents", documents)
    metadatas = None if metadatas is None else as_list("metadatas", metadatas)
    reserved = getattr(store, "reserved_fields", ())
    given = check_documents(ids, documents, metadatas, keeps_lists=store.keeps_lists, reserved=reserved)
    check_lengths(embedder, ids, [each.document for each in given])
    entries = [
        Entry(key, each.document, each.metadatas, version(embedder, each), each.chunked)
        for key, each in zip(ids, given, strict=True)
    ]
    written: list[str] = []
    with reporting(len(entries), "adding", shown=progress) as report:
        for start in range(0, len(entries), SLICE):
            check_cancelled()
            some = entries[start : start + SLICE]
            try:
                written += write_entries(store, embedder, some)
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


async def aadd_documents(
    store: Store,
    embedder: Embedder,
    *,
    ids: Iterable[str],
    documents: Iterable[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents` without blocking the event loop. If it is cancelled, whole slices stay written."""
    return await run_in_thread(
        add_documents, store, embedder, ids=ids, documents=documents, metadatas=metadatas, progress=progress
    )


def write_entries(store: Store, embedder: object, entries: Sequence[Entry]) -> list[str]:
    """Embed entries and write their rows, replacing the rows their documents had; return the ids of the rows written.

    Does not check the collection's record. `embedder` is anything with `embed_late`.

    Raises:
        InputError: a document that cannot be embedded, named by its id; `index` is its place.
        StoreError: rows were not written, or the collection is being moved.
        ProviderError: a hosted model failed. Documents that have all their vectors are written; the error's `partial`
            and `failed` count `entries`.
    """
    check_not_closed(store)
    vectors, failure = embed_entries(embedder, entries)
    whole = [index for index in range(len(entries)) if index in vectors]
    rows = [row for index in whole for row in entries[index].rows()]
    arrays = [vectors[index] for index in whole if len(vectors[index])]
    replace_rows(store, [entries[index].id for index in whole], rows, np.concatenate(arrays) if arrays else None)
    if failure is not None:
        raise failure
    return [row.id for row in rows]


def embed_entries(embedder: object, entries: Sequence[Entry]) -> tuple[dict[int, FloatArray], ProviderError | None]:
    """Embed entries; return the vectors of each complete entry by its place, and the error that stopped the others.

    An array has shape (rows of the entry, dimensions). The error counts entries. The caller raises it once the vectors
    are stored. `embedder` is anything with `embed_late`.

    Raises:
        InputError: an entry that cannot be embedded, named by its id; `index` is its place.
    """
    units = [(index, unit) for index, entry in enumerate(entries) for unit in entry.units()]
    failure: ProviderError | None = None
    made: Mapping[int, FloatArray]
    try:
        made = dict(enumerate(invoke(embedder, "embed_late", [unit for _, unit in units])))
    except InputError as error:
        if error.index is None:
            raise
        place = units[error.index][0]
        raise InputError(f"document {entries[place].id!r}: {error}", index=place) from None
    except ProviderError as error:
        made, failure = error.partial, error
    found: dict[int, list[FloatArray]] = defaultdict(list)
    lacking: dict[int, str] = {}
    for number, (index, _) in enumerate(units):
        if number in made:
            found[index].append(made[number])
        elif failure is not None:
            lacking.setdefault(index, failure.failed.get(number, str(failure)))
    blank = {index: np.empty((0, 0), np.float32) for index, entry in enumerate(entries) if entry.document is None}
    vectors = {index: np.concatenate(arrays) for index, arrays in found.items() if index not in lacking} | blank
    if failure is not None:
        failure.partial = {index: rows for index, rows in vectors.items() if index not in blank}
        failure.failed = lacking
    return vectors, failure


def replace_rows(store: Store, documents: Sequence[str], rows: Sequence[Row], vectors: FloatArray | None) -> None:
    """Remove the rows that `documents` had and no longer have, and write their new ones, part by part.

    A reader sees the old version, then the part of it that is being overwritten, then the new version. It never sees
    rows of two versions if the store applies the rows of a call at once and the document has at most `ROWS_AT_ONCE`
    rows. If no row keeps its id, the document is missing for the time of one call. A run that is killed or refused in
    between leaves a version with fewer rows than each of them says; the next run writes it again. Nothing is read in
    between, since a read may make the store reorganise its search structure at a moment when a kill would damage it.

    Raises:
        StoreError: rows that were not written, or not removed.
    """
    stale = {row.id: row.document for row in store.held(documents)} if documents else {}
    for row in rows:
        stale.pop(row.id, None)
    written = {row.document for row in rows}
    if bare := sorted(key for key, document in stale.items() if document not in written):
        store.delete(bare)
    if vectors is None:
        return
    for some in list(by_documents(rows)):
        part = {row.document for row in rows[some]}
        gone = [key for key, document in stale.items() if document in part]
        for key in gone:
            del stale[key]
        try:
            if gone:
                store.delete(sorted(gone))
            store.upsert(rows[some], vectors[some])
        except StoreError as refused:
            unwritten = rows[some.stop if refused.failed else some.start :]
            refused.failed = {**dict.fromkeys((row.id for row in unwritten), str(refused)), **refused.failed}
            raise


def version(embedder: Embedder, given: Checked) -> str:
    """Return the digest of a document as it is indexed: its text and spans, how long texts are cut, its metadata."""
    document = given.document
    if document is None:
        return ""
    fields = [dict(metadata) for metadata in given.metadatas]
    policy = cut_policy(embedder, late=given.chunked)
    return version_digest(digest_of(text_digest(document.text), document.spans, given.chunked, policy), fields)


def cut_policy(embedder: Embedder, *, late: bool) -> list[object]:
    """Return how the embedder cuts a long text, or windows a long late-chunked one. It affects the vectors."""
    settings = embedder.settings
    if late:
        return list(embedder.card.late_policy(settings.late_window, settings.late_overlap))
    return [settings.truncate]
