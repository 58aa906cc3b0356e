"""Which index is using an embedding, and whether the vectors in that index are of the embedding's space.

LlamaIndex gives an embedding nothing but texts. It takes nodes that have a vector as they are, and loads and searches
an index without saying what wrote it. A store that `open_collection` returned checks all of that itself. For any other
index, the call stack is searched for an index or a retriever that uses the embedding: by the type of the objects whose
methods run, at any depth, and also in other tasks and threads, where a wrapper may have moved the call.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from dataclasses import dataclass
from itertools import chain, islice
from traceback import walk_stack
from typing import TYPE_CHECKING, Any

from llama_index_twofold.marks import check_nodes, mark, marked_tag, proved, tag_of, texts_of
from twofold import Embedder, SpaceMismatch, SpaceRecord, TwofoldWarning
from twofold.adapters import extra, store_over

with extra("llama-index"):
    from llama_index.core import StorageContext
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.graph_stores.types import PropertyGraphStore
    from llama_index.core.indices.base import BaseIndex
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import BaseNode, MetadataMode, QueryBundle, TransformComponent
    from llama_index.core.storage.docstore.types import BaseDocumentStore
    from llama_index.core.vector_stores import SimpleVectorStore
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType
    from weakref import WeakSet

SAMPLE = 8
"""Stored vectors of an index that are looked at: whatever is added later is looked at when it is added."""

WAY_OUT = "open a collection of Chroma or Weaviate with llama_index_twofold.open_collection, which keeps a record"

_warned: set[str] = set()


@dataclass(frozen=True, slots=True)
class Caller:
    """The index or retriever that asks for vectors, and the nodes on the stack between it and the embedding."""

    host: BaseIndex[Any] | BaseRetriever
    nodes: Sequence[BaseNode]

    def check(self, embedder: Embedder, seen: WeakSet[Any]) -> None:
        """Refuse nodes that come with a vector of another space, and an index, looked at once, that holds such vectors.

        The evidence is the record of its collection, the marks of its nodes, or else some stored vectors, which their
        texts, embedded again, must give. Warns once for each kind of store that has none of these.

        Raises:
            SpaceMismatch: there are vectors of another space.
        """
        check_nodes([node for node in self.nodes if node.embedding is not None], tag_of(embedder))
        index = next(_held(self.host, BaseIndex), self.host)  # it lives longer than its retrievers
        if index not in seen:
            self._check_index(type(index).__name__, embedder)
            seen.add(index)

    def _check_index(self, name: str, embedder: Embedder) -> None:
        stores = list(_held(self.host, BasePydanticVectorStore))
        records = [record for store in stores if (record := _record(store)) is not None]
        for record in records:
            embedder.check(SpaceRecord.from_json(record))
        pairs = []
        for item, vector in _stored(self.host):
            if isinstance(item, BaseNode):
                check_nodes([item], tag_of(embedder))
            if vector is not None and not (isinstance(item, BaseNode) and marked_tag(item)):
                pairs.append((texts_of(item) if isinstance(item, BaseNode) else [str(item)], vector))
        if pairs and not any(proved(pairs, embedder)):
            raise SpaceMismatch(
                f"this {name} holds vectors that are not of {tag_of(embedder)}: of {len(pairs)} "
                "texts, none gives the stored vector when it is embedded again. Use the embedding that wrote the "
                "index, or embed its documents again into a new one"
            )
        graphs = [graph for graph in _held(self.host, PropertyGraphStore) if graph.supports_vector_queries]
        if not records:
            unknown = [store for store in stores if store.stores_text and not hasattr(store, "_guard")] + graphs
            for kind in {type(store).__name__ for store in unknown}:
                _warn(f"this {kind} keeps no record of the space of its vectors")

    def mark(self, texts: Iterable[str], tag: str) -> None:
        """Mark the nodes whose texts were embedded."""
        embedded = set(texts)
        for node in self.nodes:
            if node.embedding is None and node.get_content(MetadataMode.EMBED) in embedded:
                mark(node, tag)


def caller_of(embedding: BaseEmbedding, texts: Sequence[str], *, wanted: bool = False) -> Caller | None:
    """The index or retriever that is using `embedding` for `texts`; None where something else calls it.

    With `wanted`, warns once if LlamaIndex itself calls, but for an index that cannot be found.
    """
    own = [frame for frame, _ in walk_stack(sys._getframe(1))]  # noqa: SLF001 - LlamaIndex says it nowhere else
    caller, is_step = _search(own, embedding)
    for stack in () if caller is not None or is_step else _other_stacks():
        caller, _ = _search(stack, embedding, set(texts))
        if caller is not None:
            break
    else:
        hosts = [name for frame in own if (name := frame.f_globals.get("__name__", "")).startswith("llama_index.core")]
        if wanted and caller is None and not is_step and hosts:
            _warn(f"{hosts[0]} searches with this embedding, and the index that it searches cannot be found")
    return caller


def _search(
    frames: Iterable[FrameType], embedding: BaseEmbedding, texts: set[str] | None = None
) -> tuple[Caller | None, bool]:
    """The innermost index or retriever that uses `embedding`, or None and whether a step that needs no index calls.

    On the stack of another task or thread, `texts` must be found too: other calls of the same embedding may run there.
    """
    nodes: dict[int, BaseNode] = {}
    active: list[Any] = []
    wanted, found = texts or set(), texts is None
    for frame in frames:
        code = frame.f_code
        if not code.co_argcount:
            continue
        values = frame.f_locals
        first = values.get(code.co_varnames[0])
        if isinstance(first, BaseEmbedding):
            active.append(first)
            if code.co_name in {"__call__", "acall"}:  # a step of a pipeline
                return None, True
        elif isinstance(first, TransformComponent | BaseNodePostprocessor):  # a splitter that compares sentences, say
            return None, True
        for value in values.values():
            own = [value] if isinstance(value, BaseNode) else value if isinstance(value, list | tuple) else []
            if own and isinstance(own[0], BaseNode):
                nodes |= {id(node): node for node in own if isinstance(node, BaseNode)}
                found = found or any(node.get_content(MetadataMode.EMBED) in wanted for node in own)
            elif isinstance(value, QueryBundle):
                found = found or not wanted.isdisjoint(value.embedding_strs)
        if (
            isinstance(first, BaseIndex | BaseRetriever)
            and found
            and _uses(first, embedding, active, own=texts is None)
        ):
            return Caller(first, list(nodes.values())), False
    return None, False


def _uses(host: Any, embedding: BaseEmbedding, active: Sequence[Any], *, own: bool) -> bool:
    """Whether `host` was made with `embedding`, or with one that wraps it; `active` are those whose methods run."""
    models = [value for value in vars(host).values() if isinstance(value, BaseEmbedding)]
    models = models or list(_held(host, BaseEmbedding))
    if not models:
        return own and any(True for _ in _held(host, BasePydanticVectorStore))
    return any((own and any(model is each for each in active)) or _wraps(model, embedding) for model in models)


def _wraps(model: object, embedding: BaseEmbedding, depth: int = 3) -> bool:
    if model is embedding:
        return True
    if not depth or isinstance(model, Embedder):
        return False
    private = getattr(model, "__pydantic_private__", None) or {}
    inner = [*getattr(model, "__dict__", {}).values(), *private.values()]
    return any(_wraps(each, embedding, depth - 1) for each in inner if hasattr(each, "__dict__"))


def _held(host: Any, kind: Any) -> Iterator[Any]:
    """What an index or a retriever holds of a kind, in any attribute; each once."""
    held = list(vars(host).values())
    for index in [each for each in held if isinstance(each, BaseIndex)]:
        held += vars(index).values()
    for context in [each for each in held if isinstance(each, StorageContext)]:
        held += [context.property_graph_store]
    yield from {id(each): each for each in held if isinstance(each, kind)}.values()


def _other_stacks() -> Iterator[Sequence[FrameType]]:
    """The frames of the event loop's waiting tasks, then of the other threads; each from the innermost out."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no event loop runs here
        tasks = set()
    for task in tasks:
        frames: list[FrameType | None] = []
        step: Any = task.get_coro()
        while step is not None:
            frames.append(getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None))
            step = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
        yield [frame for frame in reversed(frames) if frame is not None]
    for thread, top in sys._current_frames().items():  # noqa: SLF001
        if thread != threading.get_ident():
            yield [frame for frame, _ in walk_stack(top)]


def _stored(host: Any) -> Iterator[tuple[Any, Sequence[float] | None]]:
    """Some nodes or texts of which an index holds vectors, with the vectors that can be read."""
    vectors: dict[str, Sequence[float]] = {}
    for store in _held(host, BasePydanticVectorStore):
        if isinstance(store, SimpleVectorStore):
            vectors |= islice(store.data.embedding_dict.items(), SAMPLE)
    struct = getattr(next(_held(host, BaseIndex), host), "_index_struct", None)  # which it lacks until it is built
    yield from islice(getattr(struct, "embedding_dict", {}).items(), SAMPLE)  # triplets of a knowledge graph
    elsewhere = list(islice(getattr(struct, "nodes_dict", {}).values(), SAMPLE))
    names = [getattr(struct, "nodes", []), getattr(struct, "all_nodes", {}).values()]
    for name in dict.fromkeys(chain(vectors, elsewhere, *(islice(some, SAMPLE) for some in names))):
        node = _node(host, name)
        vector = vectors.get(name) or getattr(node, "embedding", None)
        if node is not None and (vector is not None or name in elsewhere):
            yield node, vector


def _node(host: Any, name: str) -> Any:
    """The node of a document store, or of a graph, with this id."""
    for documents in _held(host, BaseDocumentStore):
        if (node := documents.get_document(name, raise_error=False)) is not None:
            return node
    return next((node for graph in _held(host, PropertyGraphStore) for node in graph.get(ids=[name])), None)


def _record(vector_store: Any) -> str | None:
    """The record of the collection under one of LlamaIndex's stores; None if it has none or cannot be read here."""
    if getattr(vector_store, "_aclient", None) is not None:
        return None
    native = store_over(vector_store.client, getattr(vector_store, "index_name", None))
    return native.record() if native is not None else None


def _warn(what: str) -> None:
    """Warn once for each `what`."""
    if what not in _warned:
        _warned.add(what)
        warnings.warn(
            f"{what}, so vectors of another embedding would go unnoticed; {WAY_OUT}", TwofoldWarning, stacklevel=4
        )
