"""`twofold demo --through chroma`: a collection on disk that embeds by itself."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from chroma_twofold.connect import close, connect
from chroma_twofold.store import open_collection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold import Embedder

ANSWERS = 10
"""Entries found for each question."""


def ask(embedder: Embedder, entries: Sequence[Any], questions: Sequence[str]) -> list[list[tuple[str, float]]]:
    """Return the names and scores of the best entries for each question."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = connect(folder)
        try:
            collection = open_collection(client, "demo", embedder)
            collection.add(ids=[entry.name for entry in entries], documents=[entry.text for entry in entries])
            found = [collection.query(query_texts=[question], n_results=ANSWERS) for question in questions]
        finally:
            close(client)
    return [
        [(name, 1 - distance) for name, distance in zip(one["ids"][0], (one["distances"] or [[]])[0], strict=True)]
        for one in found
    ]
