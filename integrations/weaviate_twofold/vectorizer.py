"""Weaviate collections whose vectors come from an embedder on the client's side.

- Collections are Weaviate's own: what is not here (filters, generation, deleting) is done as with any other.
- Each method takes a sync client, or its collection, and gives its result; of an async one it gives an awaitable.
- A collection object is checked when it is first used, here or by `open`: one request, then no more.
- Vectors are kept as they are given, to the bit; the server normalises its own copies to compare them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, overload
from weakref import WeakKeyDictionary

from twofold import Embedder, InputError
from weaviate_twofold.documents import writing_documents
from weaviate_twofold.flow import run
from weaviate_twofold.objects import searching, writing_objects
from weaviate_twofold.schema import creating, layout_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from weaviate import WeaviateAsyncClient, WeaviateClient
    from weaviate.collections import Collection, CollectionAsync
    from weaviate.collections.classes.internal import QueryReturn

    from twofold.jobs.store import Scalar
    from twofold.vectors import FloatArray
    from weaviate_twofold.documents import Chunked
    from weaviate_twofold.flow import Flow
    from weaviate_twofold.layout import Layout, Vectorize

    Sync: TypeAlias = Collection[Any, Any]
    Async: TypeAlias = CollectionAsync[Any, Any]
    Found: TypeAlias = QueryReturn[Any, Any]
    Objects: TypeAlias = Sequence[Mapping[str, Any]]


class TwofoldVectorizer:
    """Writes objects with the embedder's document side, and searches with its query side.

    Args:
        model: an `Embedder`, or what one takes as its model, with its options as keywords.

    Raises:
        InputError: an option that no embedder takes, or a value that the model can not take.
    """

    def __init__(self, model: Embedder | str, **options: Any) -> None:
        if isinstance(model, Embedder) and options:
            raise InputError(f"give {', '.join(options)} to the embedder: it is made already")
        self.embedder = model if isinstance(model, Embedder) else Embedder(model, **options)
        self._layouts: WeakKeyDictionary[Any, Layout] = WeakKeyDictionary()

    def query_vector(self, query: str) -> FloatArray:
        """The vector of a query, shape (dimensions,), for those of Weaviate's methods that are not here."""
        return self.embedder.embed_query(query)

    @overload
    def create_collection(
        self, client: WeaviateClient, name: str, *, vectorize: Vectorize = ..., separator: str = ..., **options: Any
    ) -> Sync: ...
    @overload
    def create_collection(
        self,
        client: WeaviateAsyncClient,
        name: str,
        *,
        vectorize: Vectorize = ...,
        separator: str = ...,
        **options: Any,
    ) -> Awaitable[Async]: ...
    def create_collection(
        self, client: Any, name: str, *, vectorize: Vectorize = "text", separator: str = "\n", **options: Any
    ) -> Any:
        r"""Make a collection for vectors of its own, compared by cosine, with the embedder's space stored in it.

        Args:
            client: a connected client.
            name: the collection's.
            vectorize: the text properties that vectors are made of, in this order: `"text"`, `["title", "body"]`, or
                for several named vectors `{"title": "title", "all": ["title", "body"]}`. Those that are not among
                the `properties` are added.
            separator: what joins them.
            options: `quantizer`, for each vector, and what `client.collections.create` takes: `properties`,
                `description` (the layout is put behind it), `multi_tenancy_config`, and so on.

        Raises:
            InputError: `vectorize` names nothing, or an option that is decided here.
            StoreError: Weaviate refused: a name that it can not take, or one that exists.
        """
        flow = creating(self._layouts, client, name, vectorize, separator=separator, options=options)
        return run(client, self.embedder, flow)

    @overload
    def open(self, client: WeaviateClient, name: str) -> Sync: ...
    @overload
    def open(self, client: WeaviateAsyncClient, name: str) -> Awaitable[Async]: ...
    def open(self, client: Any, name: str) -> Any:
        """An existing collection, for this embedder.

        Raises:
            SpaceMismatch: its vectors are of another space; the message names both and what differs.
            StoreError: there is no such collection, or it does not say what its vectors are.
        """
        return run(client, self.embedder, self._opening(client.collections.use(name)))

    def layout(self, collection: Sync) -> Layout:
        """What is stored with a sync client's collection: its space, and what its vectors are made of.

        Raises:
            SpaceMismatch, StoreError: see `open`.
        """
        layout: Layout = run(collection, self.embedder, layout_of(self._layouts, collection))
        return layout

    @overload
    def add_objects(
        self, collection: Sync, objects: Objects, *, ids: Sequence[str | UUID] | None = ...
    ) -> list[str]: ...
    @overload
    def add_objects(
        self, collection: Async, objects: Objects, *, ids: Sequence[str | UUID] | None = ...
    ) -> Awaitable[list[str]]: ...
    def add_objects(self, collection: Any, objects: Objects, *, ids: Sequence[str | UUID] | None = None) -> Any:
        """Embed objects and write them, in place of those with the same ids; gives the UUIDs that they have.

        Args:
            collection: what `create_collection` or `open` gave, or any that they would.
            objects: their properties.
            ids: UUIDs, or any strings, of which UUIDs are made; without them an object's id is made of its properties,
                so that the same object, written twice, is there once.

        Raises:
            InputError: an id twice, or an object without a text to embed, or with one too long; before any work.
            SpaceMismatch, StoreError: see `open`.
            StoreError: objects were refused; all others are written, `failed` has the reasons by id.
        """
        return run(collection, self.embedder, self._then(collection, writing_objects, self.embedder, objects, ids))

    @overload
    def add_documents(
        self,
        collection: Sync,
        *,
        ids: Sequence[str],
        documents: Sequence[str] | Sequence[Chunked],
        metadatas: Sequence[Mapping[str, Scalar]] | None = ...,
        late_chunking: bool = ...,
    ) -> list[str]: ...
    @overload
    def add_documents(
        self,
        collection: Async,
        *,
        ids: Sequence[str],
        documents: Sequence[str] | Sequence[Chunked],
        metadatas: Sequence[Mapping[str, Scalar]] | None = ...,
        late_chunking: bool = ...,
    ) -> Awaitable[list[str]]: ...
    def add_documents(
        self,
        collection: Any,
        *,
        ids: Sequence[str],
        documents: Sequence[str] | Sequence[Chunked],
        metadatas: Sequence[Mapping[str, Scalar]] | None = None,
        late_chunking: bool = False,
    ) -> Any:
        """Embed documents and write them, in place of those with the same ids; gives the ids of the rows written.

        With `late_chunking` each document is the list of its chunks, white space between them kept in them, or a
        `Document`. Each chunk becomes an object whose vector knows the whole document. Its `twofold_id` is
        "<document id>#<number>"; `twofold_document`, `twofold_start` and `twofold_end` say where it stands, in
        characters. The collection makes its one vector of one property, which holds the text.

        Args:
            collection: see `add_objects`.
            ids: of the documents, no two alike: any strings.
            documents: texts, or chunked documents.
            metadatas: further properties of each document.
            late_chunking: see above.

        Raises:
            InputError: lists of unlike lengths, an id twice, a document that can not be embedded; before any work.
            SpaceMismatch: see `open`.
            StoreError: see `add_objects`.
        """
        given = {"ids": ids, "documents": documents, "metadatas": metadatas, "late_chunking": late_chunking}
        return run(collection, self.embedder, self._then(collection, writing_documents, self.embedder, **given))

    @overload
    def near_text(self, collection: Sync, query: str, *, target_vector: Any = ..., **options: Any) -> Found: ...
    @overload
    def near_text(
        self, collection: Async, query: str, *, target_vector: Any = ..., **options: Any
    ) -> Awaitable[Found]: ...
    def near_text(self, collection: Any, query: str, *, target_vector: Any = None, **options: Any) -> Any:
        """Objects near to `query`, which is embedded on the query side.

        Args:
            collection: see `add_objects`.
            query: one text.
            target_vector: the named vector to search, where there are several; what `near_vector` takes.
            options: what `collection.query.near_vector` takes: `limit`, `filters`, `return_metadata`, and so on.

        Raises:
            InputError: an empty query, or a vector that the collection does not have.
            SpaceMismatch, StoreError: see `open`.
        """
        flow = self._then(collection, searching, "near_vector", query, target=target_vector, options=options)
        return run(collection, self.embedder, flow)

    @overload
    def hybrid(self, collection: Sync, query: str, *, target_vector: Any = ..., **options: Any) -> Found: ...
    @overload
    def hybrid(
        self, collection: Async, query: str, *, target_vector: Any = ..., **options: Any
    ) -> Awaitable[Found]: ...
    def hybrid(self, collection: Any, query: str, *, target_vector: Any = None, **options: Any) -> Any:
        """`near_text` together with a search by words: `collection.query.hybrid`, with its options (`alpha`, ...)."""
        flow = self._then(collection, searching, "hybrid", query, target=target_vector, options=options)
        return run(collection, self.embedder, flow)

    def _opening(self, collection: Any) -> Flow[Any]:
        yield from layout_of(self._layouts, collection)
        return collection

    def _then(self, collection: Any, act: Callable[..., Flow[Any]], *arguments: Any, **named: Any) -> Flow[Any]:
        """Check the collection, then act on it."""
        layout = yield from layout_of(self._layouts, collection)
        return (yield from act(layout, collection, *arguments, **named))

    def __repr__(self) -> str:
        """Show the embedder, which shows nothing secret."""
        return f"{type(self).__name__}({self.embedder!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle to the embedder, and leave what was read from a server."""
        return type(self), (self.embedder,)
