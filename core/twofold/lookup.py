"""Caches of vectors: what a text's key is, and, of one call, what a cache has of its texts and what is missing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.errors import ProviderError
    from twofold.vectors import FloatArray

Side: TypeAlias = Literal["query", "document"]
Pairs: TypeAlias = list[tuple[str, bytes]]
"""What a byte store takes."""


def cache_key(embedder: Embedder, side: Side, text: str) -> str:
    """`<space>/<side>/<digest of the text>`: any number of models may share a cache, and queries get no document's."""
    return f"{embedder.space.fingerprint}/{side}/{hashlib.sha256(text.encode()).hexdigest()}"


class Lookup:
    """The texts of one call. `keys` has one for each text, `missing` the texts to embed by their keys, each once."""

    def __init__(self, embedder: Embedder, side: Side, texts: Sequence[str]) -> None:
        """All are missing until the store is read."""
        self.keys = [cache_key(embedder, side, text) for text in texts]
        self.missing = dict(zip(self.keys, texts, strict=True))
        self._size = 4 * embedder.dimensions
        self._found: dict[str, bytes] = {}

    def read(self, values: Sequence[bytes | None]) -> None:
        """Take what the store has under `keys`."""
        for key, value in zip(self.keys, values, strict=True):
            if value is not None and len(value) == self._size:  # of another length: it was cut off when written
                self._found[key] = value
                self.missing.pop(key, None)

    def filled(self, vectors: FloatArray) -> Pairs:
        """Take the vectors of the missing texts; returns what to store."""
        pairs = [(key, _packed(row)) for key, row in zip(self.missing, vectors, strict=True)]
        self._found.update(pairs)
        return pairs

    def salvaged(self, error: InputError | ProviderError) -> Pairs:
        """What to store of a call that failed; `error` then names texts by their places in the call."""
        sent = list(self.missing)
        places = [self.keys.index(key) for key in sent]
        error.add_note(f"Its numbers count the {len(sent)} texts that are not in the cache.")
        if isinstance(error, InputError):
            error.index = None if error.index is None else places[error.index]
            return []
        pairs = [(sent[number], _packed(rows[0])) for number, rows in error.partial.items()]
        error.renumber(places)
        return pairs

    def vectors(self) -> list[list[float]]:
        """The vectors of all texts, in their order."""
        return [np.frombuffer(self._found[key], "<f4").tolist() for key in self.keys]


def _packed(row: FloatArray) -> bytes:
    return row.astype("<f4").tobytes()
