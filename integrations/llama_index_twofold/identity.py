"""Which space a vector belongs to on its way through LlamaIndex, and for which index an embedding is called.

* A vector that an embedding returns is a `Vector`, which knows its space. LlamaIndex keeps that object in queries.
* Nodes copy their vectors to plain lists, so a node carries a mark, which is saved and loaded with it. The mark also
  says which text was embedded, so that no node is embedded twice. It stands among the keys that are excluded from the
  embedded text rather than in the metadata: a node's hash covers its metadata, and a document store would take a marked
  document for a changed one.
* A vector without a mark is proved: its text, embedded again, must give the vector.
* A store that `open_collection` returned checks all of that itself. For any other index, the call stack is searched for
  an index or a retriever that uses the embedding (`caller_of`): by the type of the objects whose methods run, at any
  depth, and also in other tasks and threads, where a wrapper may have moved the call.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from traceback import walk_stack
from types import CellType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from twofold import Embedder, InputError, SpaceMismatch, SpaceRecord, TwofoldWarning
from twofold.adapters import extra, is_blank
from twofold.stores import store_over

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
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from types import FrameType

    from twofold import Space

PREFIX = "twofold:"
LATE, ALONE = "late", "alone"

SAME_COSINE = 0.999
"""The cosine of a stored vector with that of its text, embedded again, above which both are of one space."""

SAMPLE = 8
"""Stored vectors of an index that are looked at, half of them its oldest and half its newest."""

MANY = 64
"""Items of a container above which nobody looks there for an embedding."""

WAY_OUT = "open a collection of Chroma or Weaviate with llama_index_twofold.open_collection, which keeps a record"

_spaces: dict[str, Space] = {}
"""The spaces met in this process by their tags, so that a message can list what differs."""

_seen: WeakKeyDictionary[Any, dict[str, set[str]]] = WeakKeyDictionary()
"""The names of the nodes of each index that were found to be of a space, by its tag; and `STORES`."""

STORES = ""
"""Stands for the records of an index's stores."""

_warned: set[str] = set()


# -- vectors and nodes ------------------------------------------------------------------------------------------------


class Vector(list[float]):
    """A vector that knows the embedder that made it, or that embedder's tag once it is unpickled."""

    __slots__ = ("_maker",)

    def __init__(self, values: Iterable[float], maker: Embedder | str) -> None:
        super().__init__(values)
        self._maker = maker

    @property
    def tag(self) -> str:
        """The tag of its space."""
        return self._maker if isinstance(self._maker, str) else tag_of(self._maker)

    def __reduce__(self) -> tuple[Any, ...]:
        return Vector, (list(self), self.tag)


def tag_of(embedder: Embedder) -> str:
    """The tag of the embedder's space. The first call for a local model reads its files."""
    tag = embedder.space.tag
    _spaces[tag] = embedder.space
    return tag


def mark(node: BaseNode, tag: str, *, late: bool = False) -> None:
    """Note that `node` has its vector in the space with this tag, late-chunked or embedded alone."""
    keys = [key for key in node.excluded_embed_metadata_keys if not key.startswith(PREFIX)]
    node.excluded_embed_metadata_keys = [*keys, _mark(node, tag, LATE if late else ALONE)]


def is_marked(node: BaseNode, tag: str, *, late: bool = False) -> bool:
    """Whether `node` has a vector of this space and its text has not changed since; with `late`, a late-chunked one."""
    kinds = (LATE,) if late else (LATE, ALONE)
    return node.embedding is not None and _said(node) in [_mark(node, tag, kind) for kind in kinds]


def is_late(node: BaseNode) -> bool:
    """Whether the vector of `node` was late-chunked: it is then of the text alone, without metadata."""
    return _said(node).rpartition(":")[0].endswith(f":{LATE}")


def marked_tag(node: BaseNode) -> str | None:
    """The tag of the space that the mark of `node` names; None without a mark."""
    return _said(node).removeprefix(PREFIX).rsplit(":", 2)[0] or None


def _said(node: BaseNode) -> str:
    return next((key for key in node.excluded_embed_metadata_keys if key.startswith(PREFIX)), "")


def _mark(node: BaseNode, tag: str, kind: str) -> str:
    """A late-chunked vector is of the text alone: metadata that is added later does not belong to it."""
    text = node.get_content(MetadataMode.NONE if kind == LATE else MetadataMode.EMBED)
    return f"{PREFIX}{tag}:{kind}:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"


def differences(one: str, other: str) -> str:
    """What differs between two spaces, by their tags: lines for the end of a message; none for an unknown space."""
    if one not in _spaces or other not in _spaces:
        return ""
    return "".join(f"\n  {line}" for line in _spaces[one].differences(_spaces[other]))


def check_nodes(nodes: Iterable[BaseNode], own: str) -> None:
    """Refuse nodes whose marks name another space than `own`.

    Raises:
        SpaceMismatch: such a node.
    """
    for node in nodes:
        if (tag := marked_tag(node)) not in {None, own}:
            raise SpaceMismatch(
                f"node {node.node_id!r} has a vector of {tag}, this embedder's are {own}: use the embedding that wrote "
                f"it, or embed its documents again into a new index{differences(tag or '', own)}"
            )


def texts_of(node: BaseNode) -> list[str]:
    """The texts that an unmarked vector of `node` may be of: with its metadata, with some of it, or without."""
    return list(
        dict.fromkeys(node.get_content(mode) for mode in (MetadataMode.EMBED, MetadataMode.NONE, MetadataMode.ALL))
    )


def proved(pairs: Sequence[tuple[Sequence[str], Sequence[float]]], embed: Callable[[list[str]], Any]) -> list[bool]:
    """Whether each vector is what `embed` makes of one of the texts beside it."""
    texts = list(dict.fromkeys(text for texts, _ in pairs for text in texts if not is_blank(text)))
    try:
        made = dict(zip(texts, embed(texts), strict=True)) if texts else {}
    except InputError:  # such as a text over the model's length: embed the others
        made = {}
        for text in texts:
            with suppress(InputError):
                (made[text],) = embed([text])
    return [any(_agree(vector, made[text]) for text in texts if text in made) for texts, vector in pairs]


def _agree(one: Sequence[float], other: Any) -> bool:
    left, right = np.asarray(one, np.float32), np.asarray(other, np.float32)
    if left.shape != right.shape:
        return False
    size = float(np.linalg.norm(left) * np.linalg.norm(right))
    return size > 0 and float(left @ right) >= SAME_COSINE * size


# -- the index that an embedding is called for ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """The index or retriever that asks for vectors.

    Attributes:
        host: the index or retriever.
        model: its model, which is the embedding or holds it. None if it does not show that it uses the embedding, which
            may belong to something that runs inside of it.
        nodes: the nodes on the stack between it and the embedding.
    """

    host: BaseIndex[Any] | BaseRetriever
    model: BaseEmbedding | None
    nodes: Sequence[BaseNode]

    def check(self, embedding: Any, tag: str) -> None:
        """Refuse nodes that come with a vector of another space, and an index that holds such vectors.

        `embedding` is a `TwofoldEmbedding`, and `tag` that of its space.

        The evidence is the record of its collection, the marks of its nodes, or else some stored vectors, which their
        texts, embedded again, must give. Warns once for each kind of store that has none of these. Without a `model`, a
        warning takes the place of the refusal.

        Raises:
            SpaceMismatch: there are vectors of another space.
        """
        try:
            check_nodes([node for node in self.nodes if node.embedding is not None], tag)
            self._check_index(embedding, tag)
        except SpaceMismatch:
            if self.model is not None:
                raise
            _warn(
                f"{tag} embeds while a {type(self.host).__name__} runs that holds vectors of another space. If it "
                "searches with this embedding, its answers are wrong; if the embedding is its attribute, it is checked"
            )

    def mark(self, texts: Iterable[str], tag: str) -> None:
        """Mark the nodes whose texts were embedded."""
        embedded = () if self.model is None else set(texts)
        for node in self.nodes:
            if node.embedding is None and node.get_content(MetadataMode.EMBED) in embedded:
                mark(node, tag)

    def _check_index(self, embedding: Any, tag: str) -> None:
        index = next(_held(self.host, BaseIndex), self.host)  # it lives longer than its retrievers
        seen = _seen.setdefault(index, {}).setdefault(tag, set())
        found = {name: pair for name, *pair in _stored(self.host, seen)}
        check_nodes([item for item, _ in found.values() if isinstance(item, BaseNode)], tag)
        if STORES not in seen:
            self._check_stores(embedding.embedder)
        if self.model is None:
            return
        is_proved = len(seen) > 1
        is_own = self.model is embedding and type(embedding).__module__.startswith(__name__.partition(".")[0])
        if not is_own:
            seen.update(found, [STORES])  # since a model around the embedding, or a subclass, leads here again
        try:
            if not is_proved:
                embed = embedding.embedder.embed_documents if is_own else self.model.get_text_embedding_batch
                _prove(type(index).__name__, embed, list(found.values()), tag)
        except BaseException:
            seen.clear()
            raise
        seen.update(found, [STORES])

    def _check_stores(self, embedder: Embedder) -> None:
        stores = list(_held(self.host, BasePydanticVectorStore))
        records = [record for store in stores if (record := _record(store)) is not None]
        for record in records:
            embedder.check(SpaceRecord.from_json(record))
        graphs = [graph for graph in _held(self.host, PropertyGraphStore) if graph.supports_vector_queries]
        unknown = [store for store in stores if store.stores_text and not hasattr(store, "_guard")] + graphs
        for kind in {type(store).__name__ for store in unknown} if self.model is not None and not records else ():
            _warn(
                f"this {kind} keeps no record of the space of its vectors, so vectors of another embedding would go "
                f"unnoticed; {WAY_OUT}"
            )


def caller_of(embedding: BaseEmbedding, texts: Sequence[str]) -> Caller | None:
    """The index or retriever that is using `embedding` for `texts`; None where something else calls it.

    Warns once if LlamaIndex searches an index with it that cannot be found.
    """
    own = [frame for frame, _ in walk_stack(sys._getframe(1))]  # noqa: SLF001 - LlamaIndex says it nowhere else
    caller, is_step = _search(own, embedding)
    if caller is not None or is_step:
        return caller
    for stack in _other_stacks():
        found, _ = _search(stack, embedding, set(texts))
        if found is not None and found.model is not None:
            return found
        caller = caller or found
    hosts = [name for frame in own if (name := frame.f_globals.get("__name__", "")).startswith("llama_index.core")]
    searches = any(frame.f_code.co_name.endswith("get_agg_embedding_from_queries") for frame in own)
    if caller is None and hosts and searches:
        _warn(
            f"{hosts[0]} searches with this embedding, and the index that it searches cannot be found, so vectors of "
            f"another embedding would go unnoticed; {WAY_OUT}"
        )
    return caller


def _search(
    frames: Iterable[FrameType], embedding: BaseEmbedding, texts: set[str] | None = None
) -> tuple[Caller | None, bool]:
    """The innermost index or retriever that uses `embedding`, or None and whether a step that needs no index calls.

    On the stack of another task or thread, with `texts`, other calls of the same embedding may run: there the host must
    have one of the texts, or a model around the embedding, which may change the texts.
    """
    nodes: dict[int, BaseNode] = {}
    active: list[Any] = []
    unsure: Caller | None = None
    wanted, found = texts or set(), texts is None
    for frame in frames:
        code = frame.f_code
        if not code.co_argcount:
            continue
        values = frame.f_locals
        first: Any = values.get(code.co_varnames[0])
        if _is(first, BaseEmbedding):
            active.append(first)
        if _is_step(first, code.co_name):
            return None, True
        own = list(_nodes(values))
        nodes |= {id(node): node for node in own}
        found = found or any(node.get_content(MetadataMode.EMBED) in wanted for node in own)
        bundles = [value for value in values.values() if _is(value, QueryBundle)]
        found = found or any(text in wanted for bundle in bundles for text in bundle.embedding_strs)
        if _is(first, BaseIndex | BaseRetriever):
            model = _model(first, embedding, active if texts is None else ())
            if model is not None and found:
                return Caller(first, model, list(nodes.values())), False
            if texts is None or (model is not None and model is not embedding):
                unsure = unsure or Caller(first, None, list(nodes.values()))
    return unsure, False


def _is_step(first: Any, method: str) -> bool:
    """Whether a method needs no index, such as that of a splitter, or of an embedding as a step of a pipeline."""
    if _is(first, BaseEmbedding):
        return method in {"__call__", "acall"}
    return _is(first, TransformComponent | BaseNodePostprocessor)


def _nodes(values: Mapping[str, Any]) -> Iterator[BaseNode]:
    """The nodes among some variables, and in lists of nodes."""
    for value in values.values():
        each = value if _is(value, list | tuple) else [value]
        if each and _is(each[0], BaseNode):
            yield from (node for node in each if _is(node, BaseNode))


def _is(value: object, kind: Any) -> bool:
    """`isinstance` for the variables of others: it would make some proxies load what they stand for."""
    return issubclass(type(value), kind)


def _model(host: Any, embedding: BaseEmbedding, active: Sequence[Any]) -> BaseEmbedding | None:
    """The model of `host` that is the embedding, or holds it, or whose methods run; None if there is none."""
    models: list[BaseEmbedding] = list(_held(host, BaseEmbedding))
    for model in models:
        if any(model is each for each in active) or _reaches(model, embedding):
            return model
    own = [value for value in vars(host).values() if not isinstance(value, BaseIndex)]
    if any(_reaches(value, embedding) for value in own):
        return embedding
    return embedding if active and not models and any(True for _ in _held(host, BasePydanticVectorStore)) else None


def _reaches(value: Any, embedding: BaseEmbedding) -> bool:
    """Whether an object holds the embedding, not more than four steps away."""
    known: dict[int, Any] = {}
    level = [value]
    for _ in range(5):
        if any(each is embedding for each in level):
            return True
        known |= {id(each): each for each in level}
        level = [each for one in level for each in _parts(one) if id(each) not in known]
    return False


def _parts(value: Any) -> Collection[Any]:
    """What an object has: attributes, a few items, or what the code of a function uses."""
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        used = [*cells, *(value.__globals__.get(name) for name in value.__code__.co_names)]
        return [each for each in used if isinstance(each, BaseEmbedding | FunctionType | MethodType | partial)]
    if isinstance(value, MethodType):
        return value.__self__, value.__func__
    if isinstance(value, partial):
        return value.func, *value.args, *value.keywords.values()
    if isinstance(value, list | tuple | dict):
        return () if len(value) > MANY else list(value.values()) if isinstance(value, dict) else value
    if not hasattr(value, "__dict__") or isinstance(value, type | Embedder):
        return ()
    private = getattr(value, "__pydantic_private__", None) or {}
    methods = [each for each in vars(type(value)).values() if isinstance(each, FunctionType)]
    return [*vars(value).values(), *private.values(), *(methods if isinstance(value, BaseEmbedding) else ())]


def _held(host: Any, kind: Any) -> Iterator[Any]:
    """What an index or a retriever holds of a kind, in any attribute, or else its index; each once."""
    held = list(vars(host).values())
    for index in [each for each in held if isinstance(each, BaseIndex)]:
        held += vars(index).values()
    for context in [each for each in held if isinstance(each, StorageContext)]:
        held += [context.property_graph_store]
    yield from {id(each): each for each in held if isinstance(each, kind)}.values()


def _other_stacks() -> Iterator[Sequence[FrameType]]:
    """The frames of the waiting tasks of all event loops, then of the other threads; each from the innermost out."""
    threads = {name: [frame for frame, _ in walk_stack(top)] for name, top in sys._current_frames().items()}  # noqa: SLF001
    loops: set[asyncio.AbstractEventLoop] = set()
    for value in [value for frames in threads.values() for frame in frames for value in frame.f_locals.values()]:
        if _is(value, asyncio.AbstractEventLoop):
            loops.add(value)
        elif _is(value, asyncio.Task):  # a loop in C has no frames
            loops.add(value.get_loop())
    for task in [task for loop in loops for task in asyncio.all_tasks(loop)]:
        waiting: list[FrameType | None] = []
        step: Any = task.get_coro()
        while step is not None:
            waiting.append(getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None))
            step = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
        yield [frame for frame in reversed(waiting) if frame is not None]
    del threads[threading.get_ident()]
    yield from threads.values()


def _stored(host: Any, seen: Collection[str]) -> Iterator[tuple[str, Any, Sequence[float] | None]]:
    """Some nodes or texts of which an index holds vectors, with their names and the vectors that can be read."""
    vectors: dict[str, Sequence[float]] = {}
    for store in _held(host, SimpleVectorStore):
        vectors |= {name: store.data.embedding_dict[name] for name in _ends(store.data.embedding_dict)}
    struct = getattr(next(_held(host, BaseIndex), host), "_index_struct", None)  # which it lacks until it is built
    triplets = getattr(struct, "embedding_dict", {})  # of a knowledge graph
    yield from ((text, text, triplets[text]) for text in _ends(triplets) if text not in seen)
    elsewhere = _ends(getattr(struct, "nodes_dict", {}).values())
    others = [getattr(struct, "nodes", []), getattr(struct, "all_nodes", {}).values()]
    for name in set(chain(vectors, elsewhere, *map(_ends, others))).difference(seen):
        node = _node(host, name)
        vector = vectors.get(name) or getattr(node, "embedding", None)
        if node is not None and (vector is not None or name in elsewhere):
            yield name, node, vector


def _ends(items: Any) -> list[Any]:
    """Up to `SAMPLE` items: the oldest and the newest."""
    if len(items) <= SAMPLE:
        return list(items)
    return [*islice(items, SAMPLE // 2), *islice(reversed(items), SAMPLE // 2)]


def _node(host: Any, name: str) -> Any:
    """The node of a document store, or of a graph, with this id."""
    for documents in _held(host, BaseDocumentStore):
        if (node := documents.get_document(name, raise_error=False)) is not None:
            return node
    return next((node for graph in _held(host, PropertyGraphStore) for node in graph.get(ids=[name])), None)


def _prove(name: str, embed: Callable[[list[str]], Any], found: Sequence[Sequence[Any]], tag: str) -> None:
    """Embed the texts of unmarked vectors again, by the host's own model, which may change texts or vectors."""
    pairs = [
        (texts_of(item) if isinstance(item, BaseNode) else [str(item)], vector)
        for item, vector in found
        if vector is not None and not (isinstance(item, BaseNode) and marked_tag(item))
    ]
    if pairs and not any(proved(pairs, embed)):
        raise SpaceMismatch(
            f"this {name} holds vectors that are not of {tag}: of {len(pairs)} texts, none gives the stored vector "
            "when it is embedded again. Use the embedding that wrote the index, or embed its documents again into "
            "a new one"
        )


def _record(vector_store: Any) -> str | None:
    """The record of the collection under one of LlamaIndex's stores; None if it has none or cannot be read here."""
    if getattr(vector_store, "_aclient", None) is not None:
        return None
    native = store_over(vector_store.client, getattr(vector_store, "index_name", None))
    return native.record() if native is not None else None


def _warn(message: str) -> None:
    """Warn once with each message."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, TwofoldWarning, stacklevel=4)
