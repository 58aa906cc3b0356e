"""Caches of vectors: what a text's key is, and, of one call, what a cache has of its texts and what is missing."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from twofold.documents import Document
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.assembly import Assembled
    from twofold.errors import ProviderError
    from twofold.vectors import FloatArray

Item = TypeVar("Item", str, Document)
Side: TypeAlias = Literal["query", "document"]
Pairs: TypeAlias = list[tuple[str, bytes]]
"""What a byte store takes."""


def cache_key(embedder: Assembled, side: Side, item: str | Document) -> str:
    """`<space>/<side>/<digest of the text>`: any number of models may share a cache, and queries get no document's.

    A document whose spans are late-chunked has a key of its own, which holds the spans and how a long one is windowed.
    """
    text, settings = item if isinstance(item, str) else item.text, embedder.settings
    cut = settings.query_truncate or settings.truncate if side == "query" else settings.truncate
    place = side if cut == "error" else f"{side}-{cut}"  # what was cut is no answer where it would be refused
    if isinstance(item, Document) and not item.is_whole:
        policy = embedder.card.late_policy(settings.late_window, settings.late_overlap)
        place, text = "late", json.dumps([text, item.spans, *policy])
    return f"{embedder.space.fingerprint}/{place}/{hashlib.sha256(text.encode()).hexdigest()}"


class Lookup(Generic[Item]):
    """The texts, or the documents, of one call.

    `keys` has one for each item, `missing` the items to embed by their keys, each once.
    """

    def __init__(self, embedder: Assembled, side: Side, items: Sequence[Item]) -> None:
        """All are missing until the store is read."""
        self.keys = [cache_key(embedder, side, item) for item in items]
        self.missing: dict[str, Item] = dict(zip(self.keys, items, strict=True))
        self._dimensions = embedder.dimensions
        self._sizes = [4 * self._dimensions * (len(item.spans) if isinstance(item, Document) else 1) for item in items]
        self._found: dict[str, bytes] = {}

    def read(self, values: Sequence[bytes | None]) -> None:
        """Take what the store has under `keys`."""
        for key, value, size in zip(self.keys, values, self._sizes, strict=True):
            if value is not None and len(value) == size:  # of another length: it was cut off when written
                self._found[key] = value
                self.missing.pop(key, None)

    def filled(self, vectors: FloatArray | Sequence[FloatArray]) -> Pairs:
        """Take the vectors of the missing items, an array for each; returns what to store."""
        pairs = [(key, _packed(row)) for key, row in zip(self.missing, vectors, strict=True)]
        self._found.update(pairs)
        return pairs

    def salvaged(self, error: InputError | ProviderError) -> Pairs:
        """What to store of a call that failed; `error` then names items by their places in the call."""
        sent = list(self.missing)
        pairs = [] if isinstance(error, InputError) else [(sent[n], _packed(own)) for n, own in error.partial.items()]
        self._found.update(pairs)
        error.renumber([self.keys.index(key) for key in sent])
        return pairs

    def done(self) -> dict[int, FloatArray]:
        """The vectors of the items that the store has, by their places, once for each twin."""
        return {place: self._array(key) for place, key in enumerate(self.keys) if key in self._found}

    def vectors(self) -> list[list[float]]:
        """The vectors of all texts, in their order."""
        return [np.frombuffer(self._found[key], "<f4").tolist() for key in self.keys]

    def arrays(self) -> list[FloatArray]:
        """The vectors of all documents, in their order: arrays of shape (n_spans, dimensions)."""
        return [self._array(key) for key in self.keys]

    def _array(self, key: str) -> FloatArray:
        return np.frombuffer(self._found[key], "<f4").astype(np.float32).reshape(-1, self._dimensions)


def _packed(row: FloatArray) -> bytes:
    return row.astype("<f4").tobytes()
