"""For which index the host calls an embedding, and for which nodes.

LlamaIndex gives an embedding texts alone: nodes that have a vector are taken as they are (`embed_nodes`: "else:
id_to_embed_map[node.node_id] = node.embedding"), and an index is loaded, and searched, without a word of what wrote it.
The index and the nodes stand in the frames of the call. There vectors of two spaces are refused before they meet, and
nodes are marked, so that an index that is saved says its space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index_twofold.marks import mark, marked_tag, spaces_of
from twofold import SpaceMismatch, SpaceRecord
from twofold.adapters import extra, mismatch_message, store_over

with extra("llama-index"):
    from llama_index.core.indices.vector_store import VectorIndexRetriever, VectorStoreIndex

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from weakref import WeakSet

    from llama_index.core.schema import BaseNode

    from twofold import Embedder

FRAMES = 4
"""How far up a call the host's own function stands; it is the second frame of 0.14."""

EMBEDDING = ("embed_nodes", "async_embed_nodes")
"""The host's functions that hold the nodes of which an embedding gets the texts."""

SAMPLE = 8
"""Nodes of an index that are looked at: whatever comes into it later was looked at when it came."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The index that called, and the nodes that it embeds; there are none where it is searched."""

    index: VectorStoreIndex
    nodes: Sequence[BaseNode] = ()

    def meet(self, embedder: Embedder, seen: WeakSet[Any]) -> None:
        """Refuse vectors of another space than the embedder's; an index is looked at once, and then `seen`.

        Raises:
            SpaceMismatch: a node that comes with a vector of another space, or an index that holds such vectors.
        """
        for node in self.nodes:
            if node.embedding is not None:
                _check(node, embedder)
        if self.index not in seen:
            for node in self._sample():
                _check(node, embedder)
            if (record := _record(self.index.vector_store)) is not None:
                embedder.check(SpaceRecord.from_json(record))
            seen.add(self.index)

    def mark(self, space: str) -> None:
        """Mark the nodes that were embedded now."""
        for node in self.nodes:
            if node.embedding is None:
                mark(node, space)

    def _sample(self) -> list[BaseNode]:
        struct = getattr(self.index, "_index_struct", None)  # which it lacks until it is built
        names = list(struct.nodes_dict.values())[:SAMPLE] if struct is not None else []
        found = [self.index.docstore.get_document(name, raise_error=False) for name in names]
        return [node for node in found if node is not None]


def caller_of(frame: FrameType | None) -> Caller | None:
    """The index for which the host is calling; None where it is called otherwise."""
    for _ in range(FRAMES):
        if frame is None or frame.f_back is None:
            return None
        if frame.f_code.co_name in EMBEDDING:
            index = frame.f_back.f_locals.get("self")
            return Caller(index, frame.f_locals["nodes"]) if isinstance(index, VectorStoreIndex) else None
        if isinstance(retriever := frame.f_locals.get("self"), VectorIndexRetriever):
            return Caller(retriever._index)  # noqa: SLF001 - the host shows it nowhere else
        frame = frame.f_back
    return None


def _check(node: BaseNode, embedder: Embedder) -> None:
    own, spaces = embedder.space, spaces_of(node.embedding) if node.embedding is not None else []
    if own in spaces or (not spaces and marked_tag(node) in (None, own.tag)):
        return
    if spaces:
        told = mismatch_message(spaces[-1], own, spaces[-1].differences(own))
        raise SpaceMismatch(f"node {node.node_id!r}: {told}")
    raise SpaceMismatch(
        f"node {node.node_id!r} has a vector of {marked_tag(node)}, this embedder's are {own.tag}: use the embedding "
        "that wrote it, or embed its documents again into a new index"
    )


def _record(vector_store: Any) -> str | None:
    """What the collection under one of the host's stores says of its space; None where it cannot be asked here."""
    if getattr(vector_store, "_aclient", None) is not None:
        return None
    native = store_over(vector_store.client, getattr(vector_store, "index_name", None))
    return native.record() if native is not None else None
