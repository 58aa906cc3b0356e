"""Opening collections, and adding documents to them, by Chroma's own client and collection objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from chroma_twofold.embedding import TwofoldEmbeddingFunction
from chroma_twofold.rows import ChromaStore
from twofold import InputError, StoreError, adapters
from twofold.adapters import as_embedder

AnyCollection = TypeVar("AnyCollection", bound="CollectionCommon[Any]")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chromadb.api import AsyncClientAPI, ClientAPI
    from chromadb.api.models.AsyncCollection import AsyncCollection
    from chromadb.api.models.Collection import Collection
    from chromadb.api.models.CollectionCommon import CollectionCommon

    from twofold import Embedder
    from twofold.adapters import Given, Metadatas, Model


def open_collection(
    where: ClientAPI,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: bool = False,
    metadata: Mapping[str, Any] | None = None,
    configuration: Mapping[str, Any] | None = None,
    schema: Any = None,
) -> Collection:
    """Open a collection for `embedder`, or make it, with the embedder's space stored in it.

    The collection that comes back embeds by itself: `add` and `upsert` on the document side, `query` on the query side.

    Args:
        where: any synchronous client of Chroma's.
        name: the collection's.
        embedder: what writes and searches it: an `Embedder`, what holds one, or a model's name.
        create: make it where it is not there.
        adopt: take in a collection that has vectors but no record of their space, once some of its documents, embedded
            again, give the vectors that are stored.
        metadata: more fields for a new collection.
        configuration: of a new collection, as Chroma takes it; its distance is cosine where it says no other.
        schema: of a new collection, in place of `configuration`.

    Raises:
        SpaceMismatch: its vectors are of another space; the message names both and what differs.
        StoreError: no such collection and not `create`; a name that Chroma does not take; or one with vectors and no
            record, and not `adopt`.
    """
    made = as_embedder(embedder)
    store = _store(where, name, metadata=metadata, configuration=configuration, schema=schema)
    adapters.open_collection(store, made, create=create, adopt=adopt)
    return _bound(where.get_collection(store.name, embedding_function=None), made)


async def aopen_collection(
    where: AsyncClientAPI,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: bool = False,
    metadata: Mapping[str, Any] | None = None,
    configuration: Mapping[str, Any] | None = None,
    schema: Any = None,
) -> AsyncCollection:
    """`open_collection` with an asynchronous client.

    Search it with `await collection.query(query_embeddings=[(await embedder.aembed_query(text)).tolist()])`: given
    texts, Chroma would hold up the event loop while they are embedded.
    """
    made = as_embedder(embedder)
    store = _store(where, name, metadata=metadata, configuration=configuration, schema=schema)
    await adapters.aopen_collection(store, made, create=create, adopt=adopt)
    return _bound(await where.get_collection(store.name, embedding_function=None), made)


def add_documents(
    collection: Collection,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    embedder: Model | None = None,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them, in place of those with the same ids; returns the ids of the rows written.

    A string is a whole document, one row with its id. A list of consecutive chunks, white space between them kept in
    them, or a `Document`, is late-chunked: each chunk becomes a row whose vector knows the whole document, with the id
    "<document id>#<number>". With its metadata each row has `twofold_document`, `twofold_start` and `twofold_end`, in
    characters. A blank document has no row; a warning names it.

    Args:
        collection: what `open_collection` gave.
        ids: of the documents, no two alike.
        documents: see above; both kinds may be in one call.
        metadatas: fields of each document, or a list of the fields of each of its chunks.
        embedder: what embeds; None is the one that the collection was opened with.
        progress: draw a bar.

    Raises:
        InputError: lists of unlike lengths, an id twice, a document that cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: Chroma refused a slice, or is gone; `failed` has the documents from that slice on.
        ProviderError: a hosted model failed; every document that has its vectors is written.
    """
    store, made = ChromaStore(None, collection.name, collection=collection), _embedder(collection, embedder)
    return adapters.add_documents(store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress)


async def aadd_documents(
    collection: AsyncCollection,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    embedder: Model | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents` to an asynchronous collection. Cancelled, it leaves whole slices written."""
    store, made = ChromaStore(None, collection.name, collection=collection), _embedder(collection, embedder)
    return await adapters.aadd_documents(
        store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress
    )


def _store(where: Any, name: str, **options: Any) -> ChromaStore:
    if "embedding_function" in (options["configuration"] or {}):
        raise InputError("configuration names an embedding_function: the embedder is given as such")
    if options["schema"] is not None and options["configuration"] is not None:
        raise InputError("configuration and schema exclude each other in Chroma: give one of them")
    return ChromaStore(where, name, **options)


def _bound(collection: AnyCollection, embedder: Embedder) -> AnyCollection:
    """The collection, embedding by `embedder`.

    Chroma refuses to be given our function where the collection was made without one, since its own default is
    persisted then; what it looks at when it embeds is this attribute.
    """
    collection._embedding_function = cast("Any", TwofoldEmbeddingFunction(embedder))  # noqa: SLF001 - see above
    return collection


def _embedder(collection: CollectionCommon[Any], given: Model | None) -> Embedder:
    if given is not None:
        return as_embedder(given)
    function = collection._embedding_function  # noqa: SLF001 - Chroma shows it nowhere else
    if not isinstance(function, TwofoldEmbeddingFunction):
        raise StoreError(f"collection {collection.name!r} has no embedder: open it with chroma_twofold.open_collection")
    return function.embedder
