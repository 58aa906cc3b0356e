"""Opening LlamaIndex's own vector stores, checked against the record of their space, and adding documents to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index_twofold.guard import Guard, guard, guarded
from llama_index_twofold.node_spans import content, found
from llama_index_twofold.rows import as_nodes, user_fields
from twofold import InputError, adapters
from twofold.adapters import as_embedder, extra, run_in_thread, store_over

with extra("llama-index"):
    from llama_index.core.schema import BaseNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.node_parser import NodeParser
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from twofold.adapters import Adopt, Given, Metadatas, Model, Store


def open_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> Any:
    """LlamaIndex's own vector store over a collection of Chroma's or Weaviate's, for `embedder`; made where it is not.

    It is a `ChromaVectorStore` or a `WeaviateVectorStore`. It refuses nodes whose vectors are of another space, before
    anything is written, and questions of another, before anything is answered. Rows keep `twofold_document`,
    `twofold_start` and `twofold_end` beside the host's own fields.

    Args:
        where: a client of Chroma's or Weaviate's.
        name: the collection's; Weaviate's begin with a capital.
        embedder: a `TwofoldEmbedding`, an `Embedder`, or a model's name.
        create: make it where it is not there.
        adopt: take in a collection that has vectors but no record of their space, written by LlamaIndex or anyone,
            once some of its rows, embedded again, give the vectors that are stored. An empty one is simply taken.
        options: those that the integration of `where` has for a new collection, such as Chroma's `configuration`.

    Raises:
        InputError: not such a client.
        SpaceMismatch: its vectors are of another space; the message names both and what differs.
        StoreError: no such collection and not `create`; or one with vectors and no record, and not `adopt`.
    """
    made, native = as_embedder(embedder), _native(where, name, options)
    adapters.open_collection(as_nodes(native, made, adopt=adopt), made, create=create, adopt=adopt)
    return guard(_vector_store(where, native.name), as_nodes(native, made), made)


async def aopen_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> Any:
    """`open_collection`, without holding up the event loop: with Weaviate's asynchronous client, or in a thread."""
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
    """Embed documents and write them as nodes, in place of those with the same ids; returns the ids of the nodes.

    A string is a whole document, one node with its id. A list of consecutive chunks, or a `twofold.Document`, is
    late-chunked: each chunk becomes a node whose vector knows the whole document, with the id
    "<document id>#<number>". LlamaIndex's own documents are whole, or late-chunked as `node_parser` cuts them. Texts
    are embedded without their metadata. Nodes that a document had before and has no more are removed; a blank document
    has none, and a warning names it.

    Args:
        store: what `open_collection` gave.
        documents: see above; all kinds may be in one call.
        ids: of the documents; not needed where all are LlamaIndex's own, which have theirs.
        metadatas: fields of each document, or a list of the fields of each of its chunks; None for a document that is
            LlamaIndex's own leaves it those that it has.
        node_parser: cuts LlamaIndex's documents.
        progress: draw a bar.

    Raises:
        InputError: a store that `open_collection` did not give, lists of unlike lengths, an id twice, a document that
            cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space; before anything is written.
        StoreError: the store refused a slice, or is gone; `failed` has the documents from that slice on.
        ProviderError: a hosted model failed; every document that has its vectors is written.
    """
    own, given = _guard(store), _given(documents, ids, metadatas, node_parser)
    return adapters.add_documents(own.store, own.embedder, **given, progress=progress)


async def aadd_documents(
    store: BasePydanticVectorStore,
    documents: Sequence[BaseNode | Given],
    *,
    ids: Sequence[str] | None = None,
    metadatas: Metadatas | None = None,
    node_parser: NodeParser | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents`, without holding up the event loop: with Weaviate's asynchronous client, or in a thread."""
    options: dict[str, Any] = {"ids": ids, "metadatas": metadatas, "node_parser": node_parser, "progress": progress}
    return await run_in_thread(add_documents, store, documents, **options)


def _native(where: Any, name: str, options: dict[str, Any]) -> Store:
    native = store_over(where, name, **options)
    if native is None:
        raise InputError(f"{type(where).__name__} is not a client of Chroma's or Weaviate's: there is no store in it")
    if _waits(where) and _root(where) == "chromadb":
        raise InputError("LlamaIndex has no store over Chroma's asynchronous client: give a synchronous one")
    return native


def _vector_store(where: Any, name: str) -> Any:
    root = _root(where)
    if root == "chromadb":
        with extra(package="llama-index-vector-stores-chroma"):
            from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: PLC0415 - each store is a package
        return guarded(ChromaVectorStore)(chroma_collection=where.get_collection(name, embedding_function=None))
    if root == "weaviate":
        with extra(package="llama-index-vector-stores-weaviate"):
            from llama_index.vector_stores.weaviate import WeaviateVectorStore  # noqa: PLC0415 - see above
        return guarded(WeaviateVectorStore)(weaviate_client=where, index_name=name)
    raise InputError(f"LlamaIndex's store over a {root} client is not known: clients of chromadb and weaviate are")


def _root(client: Any) -> str:
    return type(client).__module__.partition(".")[0]


def _waits(client: Any) -> bool:
    return "Async" in type(client).__name__


def _guard(store: Any) -> Guard:
    guard = getattr(store, "_guard", None)
    if not isinstance(guard, Guard):
        raise InputError(f"this {type(store).__name__} does not say its space: open it with open_collection")
    return guard


def _given(
    documents: Sequence[BaseNode | Given],
    ids: Sequence[str] | None,
    metadatas: Metadatas | None,
    node_parser: NodeParser | None,
) -> dict[str, Any]:
    """What the shared writer takes: a text or a cut text for each document, its id and its fields."""
    if isinstance(documents, str | BaseNode):
        raise InputError("expected a list of documents, got one: pass [document]")
    fields = list(metadatas) if metadatas is not None else [None] * len(documents)
    texts: list[Any] = []
    for place, item in enumerate(documents):
        text: Any = item
        own: Any = None
        if isinstance(item, BaseNode):
            text, own = _split(place, item, node_parser)
        texts.append(text)
        if place < len(fields) and fields[place] is None:
            fields[place] = own
    return {"ids": _names(documents) if ids is None else ids, "documents": texts, "metadatas": fields}


def _split(place: int, document: BaseNode, node_parser: NodeParser | None) -> tuple[Any, Any]:
    """The text of a document and its fields, or the text with its spans, and the fields of each of these."""
    if node_parser is None or not content(document).strip():
        return content(document), user_fields(document)
    nodes = node_parser([document])
    return found(place, document, nodes).text, [user_fields(node) for node in nodes]


def _names(documents: Sequence[BaseNode | Given]) -> list[str]:
    for place, item in enumerate(documents):
        if not isinstance(item, BaseNode):
            raise InputError(f"document {place} has no id of its own: give ids, one for each document", index=place)
    return [item.node_id for item in documents if isinstance(item, BaseNode)]
