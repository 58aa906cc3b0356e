"""Rows of a collection as LlamaIndex's nodes: the fields that it reads, and the text that was embedded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llama_index_twofold.identity import is_late, mark, tag_of
from twofold.adapters import extra
from twofold.stores import DOCUMENT, END, OWN_PREFIX, START, Held, Hit, Stored

with extra("llama-index"):
    from llama_index.core.schema import MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from twofold import Embedder
    from twofold.adapters import FloatArray
    from twofold.stores import Row, Store, Where

CONTENT = "_node_content"
"""The field in which LlamaIndex keeps a whole node, as JSON."""

PAGE = 1000
"""Rows that are read at a time."""


class NodeStore:
    """A store whose rows LlamaIndex reads as nodes; everything else is the native store's.

    With `adopt`, rows that LlamaIndex wrote are read as its nodes say: each late-chunked row belongs to its document.
    """

    def __init__(self, native: Store, embedder: Embedder, *, adopt: bool = False) -> None:
        self.native, self.embedder, self.adopt = native, embedder, adopt

    def __getattr__(self, name: str) -> Any:
        return getattr(self.native, name)

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """Rows with their vectors and the embedded texts, which LlamaIndex may have made of text and metadata."""
        return [Stored(embedded(row), vector) for row, vector in self.native.get(ids)]

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """The nearest rows, with the embedded texts."""
        return [Hit(embedded(row), score) for row, score in self.native.search(vector, limit, where)]

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows with LlamaIndex's fields beside Twofold's."""
        tag = tag_of(self.embedder)
        self.native.upsert([replace(row, metadata={**row.metadata, **_fields(row, tag)}) for row in rows], vectors)

    def page(self, cursor: Any, limit: int) -> tuple[Sequence[Held], Any]:
        rows, cursor = self.native.page(cursor, limit)
        if self.adopt:
            stored = self.get([row.id for row in rows])
            rows = [Held(row.id, row.document, row.digest, row.rows) for row, _ in stored]
        return rows, cursor

    def held(self, documents: Sequence[str]) -> Sequence[Held]:
        """Every row of these documents. To adopt, the whole collection is read: no query can name a node's document."""
        if not self.adopt:
            return self.native.held(documents)
        rows, cursor = self.page(None, PAGE)
        found = [*rows]
        while cursor is not None:
            rows, cursor = self.page(cursor, PAGE)
            found += rows
        return [row for row in found if row.document in documents]


def stamp(node: BaseNode, tag: str) -> BaseNode:
    """Copy a node that LlamaIndex is about to write, with its mark and the fields that Twofold's rows have."""
    text = node.get_content(MetadataMode.NONE)
    start = getattr(node, "start_char_idx", None) or 0
    own = {DOCUMENT: node.ref_doc_id or node.node_id, START: start, END: start + len(text)}
    excluded = ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys")
    hidden = {field: [*getattr(node, field), *own] for field in excluded}
    copy = node.model_copy(update={"metadata": {**node.metadata, **own}, **hidden})
    mark(copy, tag, late=is_late(node))
    return copy


def user_fields(node: BaseNode) -> dict[str, Any]:
    """A node's metadata without Twofold's own fields."""
    return {name: value for name, value in node.metadata.items() if not name.startswith(OWN_PREFIX)}


def _fields(row: Row, tag: str) -> dict[str, Any]:
    node = TextNode(
        id_=row.id,
        text=row.text,
        metadata=dict(row.metadata),
        start_char_idx=row.span[0],
        end_char_idx=row.span[1],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=row.document)},
    )
    mark(node, tag, late=True)  # its text was embedded without metadata
    fields = node_to_metadata_dict(node, remove_text=True)
    return {name: value for name, value in fields.items() if name not in row.metadata}


def embedded(row: Row) -> Row:
    """A row with the text of which its vector is, in the document to which that text belongs."""
    if CONTENT not in row.metadata:
        return row
    node = metadata_dict_to_node(dict(row.metadata), text=row.text)
    row = replace(row, metadata=user_fields(node))
    if is_late(node):
        start = getattr(node, "start_char_idx", None) or 0
        return replace(row, document=node.ref_doc_id or row.id, span=(start, start + len(row.text)))
    text = node.get_content(MetadataMode.EMBED)
    return replace(row, document=row.id, text=text, span=(0, len(text)))
