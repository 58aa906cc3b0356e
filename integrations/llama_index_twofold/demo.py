"""What `twofold demo --through llama-index` does: the same questions through LlamaIndex's store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index_twofold.embedding import TwofoldEmbedding
from twofold.adapters import extra

with extra("llama-index"):
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import TextNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold import Embedder

DEPTH = 10
"""Answers to a question."""


def ask(embedder: Embedder, entries: Sequence[Any], questions: Sequence[str]) -> list[list[tuple[str, float]]]:
    """The names and the scores of the nearest entries to each question, best first."""
    nodes = [TextNode(id_=entry.name, text=entry.text) for entry in entries]
    index = VectorStoreIndex(nodes, embed_model=TwofoldEmbedding(embedder))
    retriever = index.as_retriever(similarity_top_k=DEPTH)
    return [[(hit.node.node_id, hit.score or 0.0) for hit in retriever.retrieve(question)] for question in questions]
