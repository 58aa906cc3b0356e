"""Opening LlamaIndex's own vector stores over collections that keep a record, and adding documents to them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from llama_index_twofold.identity import Vector, differences, marked_tag, proved, tag_of, texts_of
from llama_index_twofold.late import content, locate_nodes
from llama_index_twofold.rows import NodeStore, stamp, user_fields
from twofold import InputError, SpaceMismatch, stores
from twofold.adapters import as_embedder, extra, is_blank, run_in_thread
from twofold.stores import check_record, read_record, store_over

with extra("llama-index"):
    from llama_index.core.schema import BaseNode
    from pydantic import PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.node_parser import NodeParser
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery, VectorStoreQueryResult

    from twofold import Embedder
    from twofold.adapters import Model
    from twofold.stores import Adopt, Given, Metadatas, Store

PIECE = 1000
"""Nodes that are handed to LlamaIndex's store at a time: it sends more to Chroma than Chroma takes."""


def open_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> Any:
    """Open or create a collection of Chroma or Weaviate for `embedder`, as LlamaIndex's own vector store.

    Returns a `ChromaVectorStore` or a `WeaviateVectorStore`. It refuses nodes with vectors of another space before
    anything is written, and queries with such a vector before anything is answered. If a vector does not say its space,
    its text is embedded again to prove it. Rows have `twofold_document`, `twofold_start` and `twofold_end` beside
    LlamaIndex's own fields.

    Args:
        where: a client of Chroma or Weaviate.
        name: the collection's name; Weaviate's begin with a capital letter.
        embedder: a `TwofoldEmbedding`, an `Embedder`, or a model's name.
        create: create the collection if it is missing.
        adopt: accept a collection that has vectors but no record, written by LlamaIndex or anything else, if a random
            sample of its rows ("all": every one), embedded again, gives the stored vectors. An empty collection is
            always accepted.
        options: options for a new collection that the integration of `where` has, such as Chroma's `configuration`.

    Raises:
        InputError: not such a client.
        SpaceMismatch: its vectors are of another space; the message names both spaces and what differs.
        StoreError: the collection is missing and `create` is false, or it has vectors without a record and `adopt` is
            false.
    """
    made, native = as_embedder(embedder), store_over(where, name, **options)
    if native is None:
        raise InputError(f"{type(where).__name__} is not a client of Chroma or Weaviate")
    host = type(where).__module__.partition(".")[0]
    if host == "chromadb" and "Async" in type(where).__name__:
        raise InputError("LlamaIndex has no store over Chroma's asynchronous client: give a synchronous one")
    store: Any = NodeStore(native, made)
    adopting: Any = NodeStore(native, made, adopt=True) if adopt else store
    stores.open_collection(adopting, made, create=create, adopt=adopt)
    vector_store = _vector_store(host, where, native.name)
    vector_store._guard = Guard(store, made)  # noqa: SLF001 - the class is ours
    return vector_store


async def aopen_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> Any:
    """`open_collection` without blocking the event loop; also with Weaviate's asynchronous client."""
    return await run_in_thread(open_collection, where, name, embedder, create=create, adopt=adopt, **options)


def add_documents(
    store: BasePydanticVectorStore,
    documents: Sequence[BaseNode | Given],
    *,
    ids: Sequence[str] | None = None,
    metadatas: Metadatas | None = None,
    node_parser: NodeParser | None = None,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them as nodes, replacing those with the same ids; return the ids of the nodes.

    A string is a whole document: one node with the document's id. A list of consecutive chunks, or a
    `twofold.Document`, is late-chunked: each chunk becomes a node whose vector knows the whole document, with the id
    "<document id>#<number>". LlamaIndex's own documents are whole, or late-chunked as `node_parser` splits them. Texts
    are embedded without their metadata. Nodes that a document had before and no longer has are removed. A blank
    document has no nodes; a warning names it.

    Args:
        store: what `open_collection` returned.
        documents: see above; one call may have all kinds.
        ids: the documents' ids; not needed if all are LlamaIndex's own, which have ids.
        metadatas: metadata of each document, or a list with the metadata of each of its chunks. With None, a document
            of LlamaIndex keeps its own.
        node_parser: splits LlamaIndex's documents.
        progress: draw a progress bar.

    Raises:
        InputError: a store that `open_collection` did not return, lists of different lengths, a duplicate id, a
            document that cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space; before anything is written.
        StoreError: the store refused a slice, or is gone; `failed` has the documents from that slice on.
        ProviderError: a hosted model failed. Every document that has its vectors is written.
    """
    guard = getattr(store, "_guard", None)
    if not isinstance(guard, Guard):
        raise InputError(f"this {type(store).__name__} does not say its space: open it with open_collection")
    if isinstance(documents, str | BaseNode):
        raise InputError("expected a list of documents, got one: pass [document]")
    fields = list(metadatas) if metadatas is not None else [None] * len(documents)
    texts: list[Any] = list(documents)
    for place, item in enumerate(documents):
        if isinstance(item, BaseNode):
            texts[place], own = _split(place, item, node_parser)
            if place < len(fields) and fields[place] is None:
                fields[place] = own
    names = _ids(documents) if ids is None else ids
    return stores.add_documents(
        guard.store, guard.embedder, ids=names, documents=texts, metadatas=fields, progress=progress
    )


async def aadd_documents(
    store: BasePydanticVectorStore,
    documents: Sequence[BaseNode | Given],
    *,
    ids: Sequence[str] | None = None,
    metadatas: Metadatas | None = None,
    node_parser: NodeParser | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents` without blocking the event loop; also with Weaviate's asynchronous client."""
    return await run_in_thread(
        add_documents, store, documents, ids=ids, metadatas=metadatas, node_parser=node_parser, progress=progress
    )


def _split(place: int, document: BaseNode, node_parser: NodeParser | None) -> tuple[Any, Any]:
    """The text of a document and its metadata, or the text with its spans and the metadata of each span."""
    if node_parser is None or is_blank(content(document)):
        return content(document), user_fields(document)
    page = locate_nodes(place, document, node_parser([document]))
    return ("", None) if page is None else (page.text, [user_fields(node) for node in page.nodes])


def _ids(documents: Sequence[BaseNode | Given]) -> list[str]:
    for place, item in enumerate(documents):
        if not isinstance(item, BaseNode):
            raise InputError(f"document {place} has no id: pass ids with one id for each document", index=place)
    return [item.node_id for item in documents if isinstance(item, BaseNode)]


# -- the guard of a store ---------------------------------------------------------------------------------------------


class Guard:
    """Lets no vector of another space into an open collection, and none search it."""

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self.store, self.embedder, self.tag = store, embedder, tag_of(embedder)
        self._tags = {self.tag, read_record(store).space.tag}

    def checked(self, nodes: Sequence[BaseNode]) -> list[list[BaseNode]]:
        """Return the nodes in the form in which they are written, in pieces. Reads the record from the store.

        Raises:
            SpaceMismatch: a node has a vector of another space.
        """
        check_record(self.store, self.embedder)
        embedded = [node for node in nodes if node.embedding is not None]
        for node in embedded:
            self._check(f"the vector of node {node.node_id!r}", marked_tag(node))
        unmarked = [node for node in embedded if not marked_tag(node)]
        said = proved([(texts_of(node), node.embedding or []) for node in unmarked], self.embedder.embed_documents)
        for node, is_own in zip(unmarked, said, strict=True):
            if not is_own:
                raise self._unproved(f"the vector of node {node.node_id!r}")
        stamped = [stamp(node, self.tag) for node in nodes]
        return [stamped[start : start + PIECE] for start in range(0, len(stamped), PIECE)]

    def check_query(self, query: VectorStoreQuery) -> None:
        """Refuse a query with a vector of another space.

        Raises:
            SpaceMismatch: the vector is of another space.
        """
        vector = query.query_embedding
        if isinstance(vector, Vector):
            self._check("the question's vector", vector.tag)
        elif vector is not None and not all(proved([([query.query_str or ""], vector)], self.embedder.embed_queries)):
            raise self._unproved("the question's vector")

    def _check(self, what: str, tag: str | None) -> None:
        if tag is not None and tag not in self._tags:
            told = f"{what} is of {tag}{differences(self.tag, tag)}"
            raise SpaceMismatch(f"collection {self.store.name!r} holds vectors of {self.tag}, {told}")

    def _unproved(self, what: str) -> SpaceMismatch:
        return SpaceMismatch(
            f"collection {self.store.name!r} holds vectors of {self.tag}; {what} does not say of which "
            "space it is, and its text gives another vector when it is embedded again: use the embedding that opened "
            "the collection"
        )


def _vector_store(host: str, where: Any, name: str) -> Any:
    if host == "chromadb":
        with extra(package="llama-index-vector-stores-chroma"):
            from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: PLC0415 - each store is a package
        return _guarded(ChromaVectorStore)(chroma_collection=where.get_collection(name, embedding_function=None))
    if host == "weaviate":
        with extra(package="llama-index-vector-stores-weaviate"):
            from llama_index.vector_stores.weaviate import WeaviateVectorStore  # noqa: PLC0415 - see above
        return _guarded(WeaviateVectorStore)(weaviate_client=where, index_name=name)
    raise InputError(f"LlamaIndex has no known store over a client of {host}: use one of chromadb or weaviate")


@cache
def _guarded(kind: type[BasePydanticVectorStore]) -> Any:
    """A subclass of LlamaIndex's class that asks its guard before it writes and before it answers."""

    class Guarded(kind):  # type: ignore[valid-type, misc]
        _guard: Guard = PrivateAttr()

        def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
            pieces = self._guard.checked(nodes)
            return [one for piece in pieces for one in super(Guarded, self).add(piece, **kwargs)]

        async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
            pieces = await run_in_thread(self._guard.checked, nodes)
            return [one for piece in pieces for one in await super(Guarded, self).async_add(piece, **kwargs)]

        def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
            self._guard.check_query(query)
            result: VectorStoreQueryResult = super().query(query, **kwargs)
            return result

        async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
            await run_in_thread(self._guard.check_query, query)
            result: VectorStoreQueryResult = await super().aquery(query, **kwargs)
            return result

    Guarded.__name__, Guarded.__qualname__, Guarded.__doc__ = kind.__name__, kind.__qualname__, kind.__doc__
    return Guarded
