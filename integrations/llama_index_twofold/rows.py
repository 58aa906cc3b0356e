"""Rows of a collection as LlamaIndex's nodes: what it reads of them, and what of them was embedded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from llama_index_twofold.marks import is_late, mark
from twofold.adapters import DOCUMENT, END, OWN_PREFIX, START, Held, Hit, Stored, extra

with extra("llama-index"):
    from llama_index.core.schema import MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from twofold import Embedder
    from twofold.adapters import FloatArray, Row, Store, Where

CONTENT = "_node_content"
"""The field in which the host keeps a whole node, as JSON."""


PAGE = 1000
"""Rows that are read at a time."""


def as_nodes(native: Store, embedder: Embedder, *, adopt: object = False) -> Store:
    """The store, with rows that LlamaIndex reads as nodes, written by `embedder`; to `adopt` what the host wrote."""
    return cast("Store", _HostsRows(native, embedder) if adopt else _NodeStore(native, embedder))


class _NodeStore:
    """What is not here is the store's that it stands before."""

    def __init__(self, native: Store, embedder: Embedder) -> None:
        """Take the collection's own store."""
        self.native, self.embedder = native, embedder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.native, name)

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """Rows with their vectors, and with the text that these were made of.

        The host puts a node's metadata before its text, and stores the text alone.
        """
        return [Stored(embedded(row), vector) for row, vector in self.native.get(ids)]

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """The nearest rows, with the text that their vectors were made of."""
        return [Hit(embedded(row), score) for row, score in self.native.search(vector, limit, where)]

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows with the host's fields beside Twofold's."""
        rows = [replace(row, metadata={**row.metadata, **_fields(row, self.embedder.space.tag)}) for row in rows]
        self.native.upsert(rows, vectors)


class _HostsRows(_NodeStore):
    """The same for proving what the host wrote: late-chunked rows belong to the document that their node names."""

    def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        """Rows of their nodes' documents."""
        rows, cursor = self.native.page(cursor, limit)
        stored = self.get([row.id for row in rows])
        return [Held(row.id, row.document, row.digest, row.rows) for row, _ in stored], cursor

    def held(self, documents: Sequence[str]) -> list[Held]:
        """Every row of these documents; the whole collection is read, since the host's field cannot be asked for."""
        found, cursor = self.page(None, PAGE)
        while cursor is not None:
            more, cursor = self.page(cursor, PAGE)
            found += more
        return [row for row in found if row.document in documents]


def stamped(node: BaseNode, space: str) -> BaseNode:
    """A copy of a node that the host is to write, with its mark and the fields that rows have everywhere."""
    text = node.get_content(MetadataMode.NONE)
    start = getattr(node, "start_char_idx", None) or 0
    own = {DOCUMENT: node.ref_doc_id or node.node_id, START: start, END: start + len(text)}
    late = is_late(node)
    copy = node.model_copy(update={"metadata": {**node.metadata, **own}})
    copy.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, *own]
    copy.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, *own]
    mark(copy, space, late=late)
    return copy


def _fields(row: Row, space: str) -> dict[str, Any]:
    node = TextNode(
        id_=row.id,
        text=row.text,
        metadata=dict(row.metadata),
        start_char_idx=row.span[0],
        end_char_idx=row.span[1],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=row.document)},
    )
    mark(node, space, late=True)  # of its text alone, in its document
    fields = node_to_metadata_dict(node, remove_text=True)
    return {name: value for name, value in fields.items() if name not in row.metadata}


def embedded(row: Row) -> Row:
    """A row with the text that its vector was made of, in the document that this belongs to."""
    if CONTENT not in row.metadata:
        return row
    node = metadata_dict_to_node(dict(row.metadata), text=row.text)
    row = replace(row, metadata=user_fields(node))
    if is_late(node):
        start = getattr(node, "start_char_idx", None) or 0
        return replace(row, document=node.ref_doc_id or row.id, span=(start, start + len(row.text)))
    text = node.get_content(MetadataMode.EMBED)
    return replace(row, document=row.id, text=text, span=(0, len(text)))


def user_fields(node: BaseNode) -> dict[str, Any]:
    """A node's metadata without Twofold's own fields."""
    return {name: value for name, value in node.metadata.items() if not name.startswith(OWN_PREFIX)}
