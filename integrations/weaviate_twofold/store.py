"""Collections as users open, make and fill them."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

from twofold import InputError, adapters
from twofold.adapters import as_embedder
from weaviate_twofold.making import arguments
from weaviate_twofold.record import Layout, asked
from weaviate_twofold.rows import WeaviateStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from weaviate import WeaviateAsyncClient, WeaviateClient
    from weaviate.collections import Collection, CollectionAsync

    from twofold.adapters import Given, Metadatas, Model
    from weaviate_twofold.record import Vectorize


def open_collection(
    where: WeaviateClient,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: bool = False,
    vectorize: Vectorize | None = None,
    separator: str = "\n",
    tenant: str | None = None,
    **options: Any,
) -> Collection[Any, Any]:
    r"""Open a collection, or make it where it is not there, for vectors of the embedder's space alone.

    Args:
        where: a connected client; `aopen_collection` takes an asynchronous one.
        name: the collection's.
        embedder: what writes and searches it; see `as_embedder`.
        create: whether to make it.
        adopt: take in a collection that has objects but no record, made by hand or by another library, once some of its
            objects, embedded again, give the vectors that are stored. An empty one is simply taken.
        vectorize: the text properties that vectors are made of, in this order: `"text"`, which is usual,
            `["title", "body"]`, or for several named vectors `{"title": "title", "all": ["title", "body"]}`. Those that
            are not among the `properties` are added.
        separator: what joins them.
        tenant: whose objects are meant, where the collection has tenants; the record is that of all of them.
        options: for making it: `quantizer` and `vector_index_config`, for each vector, and what
            `client.collections.create` takes: `properties`, `references`, `description`, and so on.

    Raises:
        InputError: `vectorize` names nothing, or other properties than the collection has; an option decided here.
        SpaceMismatch: its vectors are of another space; the message names both and what differs.
        StoreError: Weaviate refused; there is none and not `create`; or it has no record and not `adopt`.
    """
    made = as_embedder(embedder)
    store = _store(where, name, tenant, asked(vectorize, separator), options)
    adapters.open_collection(store, made, create=create, adopt=adopt)
    opened: Collection[Any, Any] = store.collection
    return opened


async def aopen_collection(
    where: WeaviateAsyncClient,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: bool = False,
    vectorize: Vectorize | None = None,
    separator: str = "\n",
    tenant: str | None = None,
    **options: Any,
) -> CollectionAsync[Any, Any]:
    """`open_collection` with an asynchronous client."""
    made = as_embedder(embedder)
    store = _store(where, name, tenant, asked(vectorize, separator), options)
    await adapters.aopen_collection(store, made, create=create, adopt=adopt)
    opened: CollectionAsync[Any, Any] = store.collection
    return opened


def add_documents(
    collection: Collection[Any, Any],
    embedder: Model,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them, in place of those with the same ids; the ids of the rows written.

    A string is a whole document. A list of consecutive chunks, or a `Document`, is late-chunked: each chunk becomes an
    object whose vector knows the whole document. Its `twofold_id` is "<document id>#<number>"; `twofold_document`,
    `twofold_start` and `twofold_end` say where it stands, in characters. The collection makes its one vector of one
    property, which holds the text.

    Args:
        collection: see `open_collection`; `aadd_documents` takes an asynchronous one.
        embedder: see `as_embedder`.
        ids: of the documents, no two alike: any strings.
        documents: texts, lists of chunks, or documents of type `Document`; a blank one has no rows, and is warned of.
        metadatas: further properties of each document, or of each of its chunks; None where there are none.
        progress: whether to show it.

    Raises:
        InputError: lists of unlike lengths, an id twice, a document that cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: the server refused rows, or is gone; see `failed`.
        ProviderError: a hosted model failed; documents that have their vectors are written.
    """
    store, made = WeaviateStore(collection), as_embedder(embedder)
    return adapters.add_documents(store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress)


async def aadd_documents(
    collection: CollectionAsync[Any, Any],
    embedder: Model,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents` with an asynchronous client's collection."""
    store, made = WeaviateStore(collection), as_embedder(embedder)
    return await adapters.aadd_documents(
        store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress
    )


def _store(
    where: Any, name: str, tenant: str | None, layout: Layout | None, options: Mapping[str, Any]
) -> WeaviateStore:
    known = signature(where.collections.create).parameters
    unknown = [option for option in arguments(layout or Layout.usual(), "{}", **options) if option not in known]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)}: neither open_collection nor Weaviate's collections.create has such options"
        )
    collection = where.collections.use(name)
    collection = collection.with_tenant(tenant) if tenant else collection
    return WeaviateStore(collection, client=where, layout=layout, options=options, rows=False)
