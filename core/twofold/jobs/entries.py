"""Turns documents into store entries and counts their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.stores.writing import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.jobs.chunking import Cutting
    from twofold.jobs.comparing import Compared


def entry_of(task: Compared, cutting: Cutting, document: Document) -> Entry:
    """The entry for a document, or for one part of it."""
    chunked = cutting.chunk_tokens is not None
    return Entry(
        task.item.id,
        document,
        [task.item.metadata] * len(document.spans),
        task.digest,
        chunked=chunked,
        late=cutting.late or not chunked,
        source=task.item.source,
    )


def tokens_of(embedder: Embedder, entries: Iterable[Entry]) -> int:
    """How many tokens the model processes. Chunks embedded alone each add their instruction and special tokens."""
    return sum(embedder.count_tokens([unit.text for entry in entries for unit in entry.units()]))
