"""What `twofold demo --through langchain` asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_twofold.embedding import TwofoldEmbeddings
from twofold.adapters import extra

with extra("langchain"):
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold import Embedder


ANSWERS = 10
"""How many entries are found for each question."""


def ask(embedder: Embedder, entries: Sequence[Any], questions: Sequence[str]) -> list[list[tuple[str, float]]]:
    """The names of the best entries for each question, with their scores, from LangChain's store in memory."""
    store = InMemoryVectorStore(TwofoldEmbeddings(embedder))
    store.add_documents([Document(entry.text, id=entry.name) for entry in entries])
    return [
        [(str(found.id), score) for found, score in store.similarity_search_with_score(question, ANSWERS)]
        for question in questions
    ]
