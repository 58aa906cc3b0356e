"""`Calls`: how a job calls an embedder. An engine has a subclass that starts computing before results are needed."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.vectors import FloatArray


class Calls:
    """Calls the embedder directly, and computes only when vectors are requested."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @property
    def wants_more(self) -> bool:
        """Whether more documents should be announced."""
        return False

    @property
    def most_characters(self) -> float:
        """The most characters of documents in one call of `embed_late`."""
        return inf

    def expect(self, documents: Iterable[Document]) -> None:
        """Announce documents that `embed_late` will receive."""

    def embed_late(self, documents: Iterable[Document]) -> list[FloatArray]:
        """See `Embedder.embed_late`."""
        return self.embedder.embed_late(documents)
