"""Documents with their vectors, into any of LangChain's stores: what is checked, how they go in, what is stale."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_twofold.ready import ready
from twofold import Document as Text
from twofold import Embedder, InputError, SpaceMismatch, StoreError
from twofold.adapters import (
    Entry,
    Held,
    check_lengths,
    check_metadata,
    check_text,
    embed_entries,
    extra,
    invoke,
    mismatch_message,
    open_collection,
    read_record,
    store_over,
    warn_blank,
)

with extra("langchain"):
    from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_twofold.documents import Documents
    from twofold import ProviderError, Space


class Target:
    """A store that is written to; its methods belong to one call."""

    def __init__(self, host: VectorStore, options: Mapping[str, Any]) -> None:
        """Look at the store.

        Raises:
            InputError: no store of LangChain's, or one that searches with embeddings that are not Twofold's.
        """
        if not isinstance(host, VectorStore):
            raise InputError(f"store is of type {type(host).__name__}, not a VectorStore of LangChain's")
        self.host, self.options, self.name = host, dict(options), type(host).__name__
        self.own: Any = host.embeddings
        if self.own is not None and not isinstance(getattr(self.own, "embedder", None), Embedder):
            kind = type(self.own).__name__
            raise InputError(
                f"{self.name} searches with {kind}, whose space is unknown: open it with TwofoldEmbeddings"
            )
        self.collection = self._recorded()

    def check(self, given: Documents) -> None:
        """Refuse what may not be written, or cannot be.

        Raises:
            InputError, SpaceMismatch, StoreError: see `add_documents`.
        """
        if self.collection is None and self.own is None and not hasattr(self.host, "add_embeddings"):
            raise InputError(
                f"{self.name} has no embeddings of Twofold's, and no add_embeddings to give it vectors by: "
                "open it with TwofoldEmbeddings"
            )
        reference = self.reference(given.embeddings)
        if self.own is None and given.embeddings is None and given.lacking(range(len(given.rows))):
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
        """The space of what may be written: that of the store's embeddings, which its collection's record agrees with.

        Raises:
            SpaceMismatch: it does not.
            StoreError: the collection has vectors, and no record of their space.
        """
        writer = self.own if self.own is not None else embeddings
        if writer is None:
            return None if self.collection is None else read_record(self.collection).space
        if self.collection is not None:
            open_collection(self.collection, writer.embedder, create=False)
        space: Space = writer.embedder.space
        return space

    def write(self, given: Documents, some: range, written: list[str]) -> None:
        """Embed what is lacking of a slice, and write all that have their vectors; their ids go into `written`.

        Raises:
            StoreError: the store refused some; `failed` names them, and all that come after.
            ProviderError: a hosted model failed; its numbers count all documents.
        """
        vectors, failure = self._embed(given, some)
        places = sorted(vectors)
        later = [row.id for row in given.rows[some.stop :]]
        try:
            if places:
                self._put(given, places, [vectors[place] for place in places])
        except StoreError as refused:
            refused.failed = {**dict.fromkeys(later, str(refused)), **refused.failed}
            raise
        written += [given.rows[place].id for place in places]
        if failure is not None:
            raise failure

    def sweep(self, given: Documents, written: Sequence[str]) -> None:
        """Remove rows of other versions that these documents had before, where all of theirs are written now."""
        kept = set(written)
        versions = {
            row.document: row.digest if row.text.strip() else None
            for row, named in zip(given.rows, given.named, strict=True)
            if named or row.document != row.id
        }
        for row in given.rows:
            if row.text.strip() and row.id not in kept:
                versions.pop(row.document, None)
        held: Sequence[Held] = ()
        if self.collection is not None and versions:
            held = self.collection.held(list(versions))
        elif isinstance(self.host, InMemoryVectorStore):
            held = [Held.from_fields(key, item["metadata"]) for key, item in self.host.store.items()]
        stale = [row.id for row in held if row.id not in kept and versions.get(row.document, row.digest) != row.digest]
        if stale:
            (self.collection or self.host).delete(stale)

    def _recorded(self) -> Any:
        """The collection behind the store as Twofold's, where it keeps a record; of one tenant, where one is named."""
        native = getattr(self.host, "_collection", None)
        tenant = self.options.get("tenant")
        if native is not None and tenant is not None and hasattr(native, "with_tenant"):
            native = native.with_tenant(tenant)
        store = None if native is None else store_over(native)
        unknown = sorted(set(self.options) - ({"tenant"} if hasattr(native, "with_tenant") else set()))
        if store is not None and unknown:
            raise InputError(f"{self.name} takes no {', '.join(unknown)} here")
        return store

    def _check_rows(self, given: Documents) -> None:
        texts: list[Text | None] = [None] * len(given.rows)
        for place in given.lacking(range(len(given.rows))):
            texts[place] = Text.whole(check_text(given.rows[place].text, place, "document"))
        for place, row in enumerate(given.rows):
            if given.vectors[place] is None and texts[place] is None:
                warn_blank(f"document {place}, {row.id!r},")
            if self.collection is not None:
                try:
                    reserved = getattr(self.collection, "reserved_fields", ())
                    check_metadata(row.metadata, keeps_lists=self.collection.keeps_lists, reserved=reserved)
                except InputError as error:
                    raise InputError(f"document {place}, {row.id!r}: {error}", index=place) from None
        writer = given.embeddings if given.embeddings is not None else self.own
        if writer is not None:
            check_lengths(writer.embedder, [row.id for row in given.rows], texts)

    def _embed(self, given: Documents, some: range) -> tuple[dict[int, list[float]], ProviderError | None]:
        """The vectors of a slice by their places, and what kept others from theirs."""
        found = {place: vector for place in some if (vector := given.vectors[place]) is not None}
        lacking = given.lacking(some)
        if not lacking:
            return found, None
        writer: Any = given.embeddings if given.embeddings is not None else self.own
        entries = [Entry(given.rows[place].id, Text.whole(given.rows[place].text)) for place in lacking]
        try:
            arrays, failure = embed_entries(writer, entries)
        except InputError as error:
            error.index = None if error.index is None else lacking[error.index]
            raise
        if failure is not None:
            failure.renumber(lacking)
        return found | {lacking[number]: rows[0].tolist() for number, rows in arrays.items()}, failure

    def _put(self, given: Documents, places: Sequence[int], vectors: list[list[float]]) -> None:
        ids = [given.rows[place].id for place in places]
        if self.collection is not None:
            lists, reserved = self.collection.keeps_lists, getattr(self.collection, "reserved_fields", ())
            rows = [
                replace(row, metadata=check_metadata(row.metadata, keeps_lists=lists, reserved=reserved))
                for row in (given.rows[place] for place in places)
            ]
            self.collection.upsert(rows, np.asarray(vectors, np.float32))
            return
        try:
            self._give([given.items[place] for place in places], ids, vectors)
        except Exception as error:
            failed = dict.fromkeys(ids, str(error))
            message = f"{self.name} refused documents {places[0]} to {places[-1]}: {error}; those before are stored"
            raise StoreError(message, failed=failed) from error

    def _give(self, items: list[Document], ids: list[str], vectors: list[list[float]]) -> None:
        """Through the store's own methods: for ready vectors, or for texts, whose vectors its embeddings then give."""
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
