"""Vectors that are paid for, kept in a folder that any number of processes may share.

One SQLite file, through the standard library: it survives a kill at any moment, and readers do not wait for writers.
A connection lives for one operation, so that threads and forks never share one. Nothing is ever removed: delete the
folder.
"""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.errors import CacheWarning, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "vectors.sqlite"
WAIT = 30.0
"""Seconds for which another process that writes is waited for."""
AT_ONCE = 500
"""Keys in one question; SQLite takes 999 in its oldest builds."""


class VectorCache:
    """Bytes by key. What goes wrong with it after it is opened costs a warning, never an embedding."""

    def __init__(self, folder: str) -> None:
        """Open it, and make it where it is not there yet.

        Raises:
            InputError: the folder cannot be made or written, or holds something else under the cache's name.
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
        """What there is under each key."""
        found: dict[str, bytes] = {}
        try:
            with closing(self._connect()) as database:
                for start in range(0, len(keys), AT_ONCE):
                    some = keys[start : start + AT_ONCE]
                    marks = ",".join("?" * len(some))
                    # The statement is made of question marks alone.
                    found.update(database.execute(f"SELECT key, value FROM vectors WHERE key IN ({marks})", some))  # noqa: S608
        except sqlite3.Error as error:
            self._warn("read", error)
        return [found.get(key) for key in keys]

    def put(self, pairs: Sequence[tuple[str, bytes]], *, strict: bool = False) -> None:
        """Keep these.

        Raises:
            InputError: they cannot be kept, and it is `strict`: there is no other place for them.
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
