"""`Calls`: an embedder as a job calls it. An engine has its own subclass, which begins before it is asked."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.vectors import FloatArray


class Calls:
    """The embedder itself: it computes when it is asked."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @property
    def hungry(self) -> bool:
        """Whether more documents should be announced."""
        return False

    @property
    def most_characters(self) -> float:
        """The most characters of documents to ask for together."""
        return inf

    def expect(self, documents: Iterable[Document]) -> None:
        """Announce documents that `embed_late` will be asked for."""

    def embed_late(self, documents: Iterable[Document]) -> list[FloatArray]:
        """See `Embedder.embed_late`."""
        return self.embedder.embed_late(documents)
