"""The cache of vectors: a folder that any number of processes may share, the keys of texts, and the lookup of one call.

The folder has one SQLite file: it survives a kill at any moment, and readers do not wait for writers. A connection
lives for one operation, so that threads and forks never share one. Nothing is ever removed: delete the folder.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from twofold.documents import Document
from twofold.errors import CacheWarning, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.errors import ProviderError
    from twofold.models import ModelCard, Side
    from twofold.settings import Settings
    from twofold.space import Space
    from twofold.vectors import FloatArray

NAME = "vectors.sqlite"
WAIT = 30.0
"""Seconds to wait for another process that is writing."""
AT_ONCE = 500
"""Keys in one query; the oldest builds of SQLite take 999."""

Item = TypeVar("Item", str, Document)
Pairs: TypeAlias = list[tuple[str, bytes]]
"""Keys and values, as a byte store takes them."""


class VectorCache:
    """Bytes by key. A failure after it is opened costs a warning, never an embedding."""

    def __init__(self, folder: str) -> None:
        """Open the cache; create it if it does not exist.

        Raises:
            InputError: the folder cannot be created or written, or has another kind of file under the cache's name.
        """
        self._file = Path(folder).expanduser() / NAME
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as database, database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"cache={folder!r} cannot be used: {error}; name a folder that can be written") from None

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """The value of each key; None if it is missing."""
        found: dict[str, bytes] = {}
        try:
            with closing(self._connect()) as database:
                for start in range(0, len(keys), AT_ONCE):
                    some = keys[start : start + AT_ONCE]
                    marks = ",".join("?" * len(some))
                    # The statement is built from question marks alone.
                    found.update(database.execute(f"SELECT key, value FROM vectors WHERE key IN ({marks})", some))  # noqa: S608
        except sqlite3.Error as error:
            self._warn("read", error)
        return [found.get(key) for key in keys]

    def put(self, pairs: Sequence[tuple[str, bytes]], *, strict: bool = False) -> None:
        """Store these values.

        Raises:
            InputError: they cannot be stored, and `strict` is set because there is no other copy.
        """
        try:
            with closing(self._connect()) as database, database:
                database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", pairs)
        except sqlite3.Error as error:
            if strict:
                raise InputError(f"the cache {self._file} could not be written: {error}") from None
            self._warn("written", error)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=WAIT)

    def _warn(self, done: str, error: sqlite3.Error) -> None:
        warnings.warn(f"the cache {self._file} could not be {done}: {error}", CacheWarning, stacklevel=2)


class Embeds(Protocol):
    """What a key needs to know of an embedder."""

    settings: Settings

    @property
    def card(self) -> ModelCard:
        """The model's card."""

    @property
    def dimensions(self) -> int:
        """The size of the vectors."""

    @property
    def space(self) -> Space:
        """The identity of the vectors."""


def cache_key(embedder: Embeds, side: Side, item: str | Document) -> str:
    """`<space>/<side>/<digest of the text>`: models may share a cache, and a query never gets a document's vector.

    The key of a late-chunked document also covers its spans and the windows of a long text.
    """
    text, settings = item if isinstance(item, str) else item.text, embedder.settings
    cut = settings.query_truncate or settings.truncate if side == "query" else settings.truncate
    place = side if cut == "error" else f"{side}-{cut}"  # a cut text's vector must not answer where it is an error
    if isinstance(item, Document) and not item.is_whole:
        policy = embedder.card.late_policy(settings.late_window, settings.late_overlap)
        place, text = "late", json.dumps([text, item.spans, *policy])
    return f"{embedder.space.fingerprint}/{place}/{hashlib.sha256(text.encode()).hexdigest()}"


class Lookup(Generic[Item]):
    """The texts or documents of one call.

    `keys` has the key of each item, `missing` the items to embed, by their keys and without duplicates.
    """

    def __init__(self, embedder: Embeds, side: Side, items: Sequence[Item]) -> None:
        self.keys = [cache_key(embedder, side, item) for item in items]
        self.missing: dict[str, Item] = dict(zip(self.keys, items, strict=True))
        self._dimensions = embedder.dimensions
        self._sizes = [4 * self._dimensions * (len(item.spans) if isinstance(item, Document) else 1) for item in items]
        self._found: dict[str, bytes] = {}

    def read(self, values: Sequence[bytes | None]) -> None:
        """Take the store's values of `keys`."""
        for key, value, size in zip(self.keys, values, self._sizes, strict=True):
            if value is not None and len(value) == size:  # another length: writing it was interrupted
                self._found[key] = value
                self.missing.pop(key, None)

    def filled(self, vectors: FloatArray | Sequence[FloatArray]) -> Pairs:
        """Take the vectors of the missing items, one array for each. Returns what to store."""
        pairs = [(key, _packed(row)) for key, row in zip(self.missing, vectors, strict=True)]
        self._found.update(pairs)
        return pairs

    def salvaged(self, error: InputError | ProviderError) -> Pairs:
        """What to store of a failed call; `error` then names items by their places in the call."""
        sent = list(self.missing)
        pairs = [] if isinstance(error, InputError) else [(sent[n], _packed(own)) for n, own in error.partial.items()]
        self._found.update(pairs)
        error.renumber([self.keys.index(key) for key in sent])
        return pairs

    def done(self) -> dict[int, FloatArray]:
        """The vectors of the finished items by their places, duplicates included."""
        return {place: self._array(key) for place, key in enumerate(self.keys) if key in self._found}

    def vectors(self) -> list[list[float]]:
        """The vectors of all texts, in order."""
        return [np.frombuffer(self._found[key], "<f4").tolist() for key in self.keys]

    def arrays(self) -> list[FloatArray]:
        """The vectors of all documents, in order: arrays of shape (n_spans, dimensions)."""
        return [self._array(key) for key in self.keys]

    def _array(self, key: str) -> FloatArray:
        return np.frombuffer(self._found[key], "<f4").astype(np.float32).reshape(-1, self._dimensions)


def _packed(row: FloatArray) -> bytes:
    return row.astype("<f4").tobytes()
