"""Writing documents with their vectors into any of LangChain's stores: checks, the writing itself, stale rows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_twofold.embedding import as_embeddings, embedder_of, ready
from twofold import Document as Text
from twofold import InputError, SpaceMismatch, StoreError
from twofold.adapters import (
    Entry,
    Held,
    Row,
    check_ids,
    check_lengths,
    check_metadata,
    check_text,
    embed_entries,
    extra,
    invoke,
    is_blank,
    mismatch_message,
    open_collection,
    read_record,
    store_over,
    warn_blank,
)

with extra("langchain"):
    from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.documents import Document

    from twofold import ProviderError, Space


@dataclass(frozen=True)
class Documents:
    """The documents of one call of `add_documents`.

    Attributes:
        items: LangChain's documents.
        rows: the same documents as rows.
        named: whether each has its own id, so that it may already be stored.
        vectors: one for each; None if it must be computed, or if the document is blank.
        space: the space of the vectors, if it is known.
        embeddings: what computes the other vectors, if not the store's own embeddings.
    """

    items: Sequence[Document]
    rows: list[Row]
    named: Sequence[bool]
    vectors: Sequence[list[float] | None]
    space: Space | None = None
    embeddings: Any = None

    @classmethod
    def of(cls, items: Sequence[Document], ids: Sequence[str] | None, given: Any) -> Documents:
        """Combine documents with the `embeddings` that `add_documents` was given.

        Raises:
            InputError: not one id, or one vector, for each; or a duplicate id.
        """
        if ids is not None and len(ids) != len(items):
            raise InputError(f"{len(ids)} ids for {len(items)} documents: expected one for each")
        told = list(ids) if ids is not None else [item.id for item in items]
        names = [str(uuid.uuid4()) if name is None else name for name in told]
        check_ids(names)
        rows = [
            Row.from_fields(name, item.page_content, item.metadata) for name, item in zip(names, items, strict=True)
        ]
        named = [name is not None for name in told]
        if given is None or isinstance(given, str) or not hasattr(given, "__len__"):
            embeddings = None if given is None else as_embeddings(given)
            return cls(items, rows, named, [None] * len(items), embeddings=embeddings)
        return cls(items, rows, named, _vectors(given, len(items)), getattr(given, "space", None))

    def missing(self, places: Iterable[int]) -> list[int]:
        """The places, among these, whose vectors must be computed."""
        return [place for place in places if self.vectors[place] is None and not is_blank(self.rows[place].text)]


class Target:
    """The store of one call of `add_documents`."""

    def __init__(self, host: VectorStore, options: Mapping[str, Any]) -> None:
        """Find the store's embeddings, and its collection if that keeps a record.

        Raises:
            InputError: not one of LangChain's stores, or one that searches with embeddings that are not Twofold's.
        """
        if not isinstance(host, VectorStore):
            raise InputError(f"store is of type {type(host).__name__}, not a VectorStore of LangChain's")
        self.host, self.options, self.name = host, dict(options), type(host).__name__
        self.own: Any = host.embeddings
        if self.own is not None:
            embedder_of(self.own, f"{self.name} searches with")
        native, tenant = getattr(host, "_collection", None), options.get("tenant")
        has_tenants = hasattr(native, "with_tenant")
        if native is not None and has_tenants and tenant is not None:
            native = native.with_tenant(tenant)
        self.collection: Any = None if native is None else store_over(native)
        unknown = sorted(set(options) - ({"tenant"} if has_tenants else set()))
        if self.collection is not None and unknown:
            raise InputError(f"{self.name} takes no {', '.join(unknown)} here")

    def check(self, given: Documents) -> None:
        """Refuse documents and vectors that must not or cannot be written.

        Raises:
            InputError, SpaceMismatch, StoreError: see `add_documents`.
        """
        if self.collection is None and self.own is None and not hasattr(self.host, "add_embeddings"):
            raise InputError(
                f"{self.name} was opened without TwofoldEmbeddings, and has no add_embeddings to write vectors with: "
                "open it with TwofoldEmbeddings"
            )
        reference = self.reference(given.embeddings)
        if self.own is None and given.embeddings is None and given.missing(range(len(given.rows))):
            raise InputError(f"{self.name} has no embeddings: open it with some, or give them")
        theirs = [given.space] if given.space is not None else []
        if given.embeddings is not None:
            theirs.append(given.embeddings.embedder.space)
        for space in theirs:
            if reference is not None and (differences := reference.differences(space)):
                raise SpaceMismatch(f"{self.name}: {mismatch_message(reference, space, differences)}")
        for vector in given.vectors:
            if reference is not None and vector is not None and len(vector) != reference.dimensions:
                raise InputError(f"vectors of {len(vector)} dimensions, the store's have {reference.dimensions}")
        self._check_rows(given)

    def reference(self, embeddings: Any = None) -> Space | None:
        """The space of what may be written: that of the store's embeddings, once the collection's record agrees.

        Raises:
            SpaceMismatch: the record does not agree.
            StoreError: the collection has vectors without a record.
        """
        writer = self.own if self.own is not None else embeddings
        if writer is None:
            return None if self.collection is None else read_record(self.collection).space
        if self.collection is not None:
            open_collection(self.collection, writer.embedder, create=False)
        space: Space = writer.embedder.space
        return space

    def write(self, given: Documents, some: range, written: list[str]) -> None:
        """Embed the missing vectors of a slice, and write all that have one; appends their ids to `written`.

        Raises:
            StoreError: the store refused some; `failed` names them, and all that come after.
            ProviderError: a hosted model failed; its numbers count all documents.
        """
        vectors, failure = self._embed(given, some)
        places = sorted(vectors)
        try:
            if places:
                self._put(given, places, [vectors[place] for place in places])
        except StoreError as refused:
            later = [row.id for row in given.rows[some.stop :]]
            refused.failed = {**dict.fromkeys(later, str(refused)), **refused.failed}
            raise
        written += [given.rows[place].id for place in places]
        if failure is not None:
            raise failure

    def remove_stale(self, given: Documents, written: Sequence[str]) -> None:
        """Remove rows of earlier versions of those documents all of whose rows are written now."""
        kept = set(written)
        versions = {
            row.document: None if is_blank(row.text) else row.digest
            for row, named in zip(given.rows, given.named, strict=True)
            if named or row.document != row.id
        }
        for row in given.rows:
            if not is_blank(row.text) and row.id not in kept:
                versions.pop(row.document, None)
        held: Sequence[Held] = ()
        if self.collection is not None and versions:
            held = self.collection.held(list(versions))
        elif isinstance(self.host, InMemoryVectorStore):
            held = [Held.from_fields(key, item["metadata"]) for key, item in self.host.store.items()]
        stale = [row.id for row in held if row.id not in kept and versions.get(row.document, row.digest) != row.digest]
        if stale:
            (self.collection or self.host).delete(stale)

    def _check_rows(self, given: Documents) -> None:
        texts: list[Text | None] = [None] * len(given.rows)
        for place in given.missing(range(len(given.rows))):
            texts[place] = Text.whole(check_text(given.rows[place].text, place, "document"))
        for place, row in enumerate(given.rows):
            if given.vectors[place] is None and texts[place] is None:
                warn_blank(f"document {place}, {row.id!r},")
            if self.collection is not None:
                try:
                    lists, reserved = self.collection.keeps_lists, getattr(self.collection, "reserved_fields", ())
                    plain = check_metadata(row.metadata, keeps_lists=lists, reserved=reserved)
                    given.rows[place] = replace(row, metadata=plain)
                except InputError as error:
                    raise InputError(f"document {place}, {row.id!r}: {error}", index=place) from None
        writer = given.embeddings if given.embeddings is not None else self.own
        if writer is not None:
            check_lengths(writer.embedder, [row.id for row in given.rows], texts)

    def _embed(self, given: Documents, some: range) -> tuple[dict[int, list[float]], ProviderError | None]:
        """The vectors of a slice by their places, and the error that kept the others from being made."""
        found = {place: vector for place in some if (vector := given.vectors[place]) is not None}
        missing = given.missing(some)
        if not missing:
            return found, None
        writer: Any = given.embeddings if given.embeddings is not None else self.own
        entries = [Entry(given.rows[place].id, Text.whole(given.rows[place].text)) for place in missing]
        try:
            arrays, failure = embed_entries(writer, entries)
        except InputError as error:
            error.index = None if error.index is None else missing[error.index]
            raise
        if failure is not None:
            failure.renumber(missing)
        return found | {missing[number]: rows[0].tolist() for number, rows in arrays.items()}, failure

    def _put(self, given: Documents, places: Sequence[int], vectors: list[list[float]]) -> None:
        rows = [given.rows[place] for place in places]
        if self.collection is not None:
            self.collection.upsert(rows, np.asarray(vectors, np.float32))
            return
        ids = [row.id for row in rows]
        try:
            self._hand_over([given.items[place] for place in places], ids, vectors)
        except Exception as error:
            message = f"{self.name} refused documents {places[0]} to {places[-1]}: {error}; those before are stored"
            raise StoreError(message, failed=dict.fromkeys(ids, str(error))) from error

    def _hand_over(self, items: list[Document], ids: list[str], vectors: list[list[float]]) -> None:
        """Use the store's own method for existing vectors, or its method for texts, which asks its embeddings."""
        texts = [item.page_content for item in items]
        add: Any = getattr(self.host, "add_embeddings", None)
        if add is None:
            with ready(texts, vectors):
                invoke(self.host, "add_documents", items, ids=ids, **self.options)
            return
        parameters = signature(add).parameters
        pairs: tuple[Any, ...] = (
            ([*zip(texts, vectors, strict=True)],) if "text_embeddings" in parameters else (texts, vectors)
        )
        named = {"metadatas": [item.metadata for item in items], "keys" if "keys" in parameters else "ids": ids}
        invoke(self.host, "add_embeddings", *pairs, **named, **self.options)


def _vectors(given: Any, count: int) -> list[list[float] | None]:
    """One vector, or None, for each document.

    Raises:
        InputError: a different number of vectors, different widths, or values that are not finite numbers.
    """
    rows: list[list[float] | None] = []
    for place, row in enumerate(given):
        try:
            vector = None if row is None else np.asarray(row, np.float32)
        except (TypeError, ValueError):
            vector = np.empty(0, np.float32)
        if vector is not None and (vector.ndim != 1 or not vector.size or not np.isfinite(vector).all()):
            raise InputError(f"vector {place} is not a list of finite numbers", index=place)
        rows.append(None if vector is None else vector.tolist())
    widths = sorted({len(row) for row in rows if row is not None})
    if len(rows) != count or len(widths) > 1:
        raise InputError(
            f"{len(rows)} vectors of the widths {widths} for {count} documents: expected one each, of one width"
        )
    return rows
