"""Collections that know their space: made with it, and refused where it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from chroma_twofold.function import TwofoldEmbeddingFunction
from twofold import SpaceMismatch, SpaceRecord, StoreError
from twofold.extras import extra
from twofold.space import CANARY_COSINE, lowest_cosine

with extra("chroma"):
    from chromadb.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection
    from chromadb.api.models.CollectionCommon import CollectionCommon

    from twofold import Embedder

RECORD = "twofold_record"
"""The collection's metadata field that holds its `SpaceRecord`."""

SAMPLE = 8
HNSW_SPACE = "hnsw:space"
"""Collections of older versions hold their distance here too; Chroma refuses to be told of it again."""


def open_collection(
    client: ClientAPI,
    name: str,
    embedder: Embedder,
    *,
    create: bool = True,
    adopt: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Collection:
    """Open a collection for `embedder`, or make it, for cosine, with the embedder's space stored in it.

    The collection that comes back embeds by itself: `add` and `upsert` on the document side, `query` on the query side.

    Args:
        client: any synchronous client of Chroma's.
        name: the collection's.
        embedder: what writes and searches it.
        create: make it where it is not there.
        adopt: take in a collection that has vectors but no record of their space, once some of its documents, embedded
            again, give the vectors that are stored.
        metadata: more fields for a new collection.

    Raises:
        SpaceMismatch: its vectors are of another space; the message names both and what differs.
        StoreError: no such collection and not `create`; a name that Chroma does not take; or one with vectors and no
            record, and not `adopt`.
    """
    function = TwofoldEmbeddingFunction(embedder)
    try:
        collection = client.get_collection(name, embedding_function=None)
    except NotFoundError:
        if not create:
            raise StoreError(f"there is no collection {name!r}: make it with create=True") from None
        stamped = {**(metadata or {}), RECORD: embedder.record().to_json()}
        try:
            collection = client.get_or_create_collection(
                name, embedding_function=cast("Any", function), metadata=stamped
            )
        except InvalidArgumentError as error:
            raise StoreError(f"collection {name!r} can not be made: {error}") from None
    _check_function(collection)
    if RECORD not in (collection.metadata or {}):
        _stamp(collection, embedder, adopt)
    check_collection(collection, embedder)
    return client.get_collection(name, embedding_function=cast("Any", function))


def check_collection(collection: CollectionCommon[Any], embedder: Embedder) -> None:
    """Let `embedder` work on `collection`, or refuse; asks nothing of the server.

    Raises:
        SpaceMismatch: its vectors are of another space.
        StoreError: it has no record of their space.
    """
    stored = (collection.metadata or {}).get(RECORD)
    if stored is None:
        raise StoreError(
            f"collection {collection.name!r} does not say what its vectors are: "
            "open it with chroma_twofold.open_collection(client, name, embedder)"
        )
    try:
        embedder.check(SpaceRecord.from_json(str(stored)))
    except SpaceMismatch as mismatch:
        raise SpaceMismatch(f"collection {collection.name!r}: {mismatch}") from None


def _check_function(collection: Collection) -> None:
    """Chroma can not change the name of the function that a collection was made with."""
    other = (collection.configuration_json.get("embedding_function") or {}).get("name")
    if other not in (None, TwofoldEmbeddingFunction.name()):
        raise StoreError(
            f"collection {collection.name!r} was made for Chroma's embedding function {other!r}, which can not be "
            "changed: embed its documents into a new collection"
        )


def _stamp(collection: Collection, embedder: Embedder, adopt: bool) -> None:
    """Store the record in a collection that is empty, or whose vectors prove to be this embedder's."""
    sample = collection.get(limit=SAMPLE, include=["documents", "embeddings"])
    if sample["ids"] and not adopt:
        raise StoreError(
            f"collection {collection.name!r} has vectors and does not say of which space: embed its documents into a "
            "new collection, or, if this embedder wrote them, open it once with adopt=True, which checks that"
        )
    if sample["ids"]:
        stored = np.asarray(sample["embeddings"], np.float32)
        texts = [text for text in sample["documents"] or () if text]
        if len(texts) != len(stored):
            raise StoreError(f"collection {collection.name!r} has no documents beside its vectors, which prove nothing")
        now = embedder.embed_documents(texts)
        if (cosine := lowest_cosine(stored, now)) < CANARY_COSINE:
            raise SpaceMismatch(
                f"collection {collection.name!r} was not written by this embedder: its documents, embedded again, have "
                f"a cosine of {cosine:.4f} with the vectors stored"
            )
    kept = {key: value for key, value in (collection.metadata or {}).items() if key != HNSW_SPACE}
    collection.modify(metadata={**kept, RECORD: embedder.record().to_json()})
