"""The vectors of an interrupted `embed`, in a file beside its output.

It is an SQLite database: committed vectors survive a kill at any moment. The table `about` has one row that describes
the vectors. The table `vectors` maps 16 bytes of each text's SHA-256 to its vector as little-endian float32.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.vectors import FloatArray

KEY_BYTES = 16


class Unfinished:
    """The vectors of earlier runs and of this one.

    Args:
        output: the final output file; None keeps the vectors in a temporary file.
        said: a description of the vectors.

    Attributes:
        path: the file, `<output>.unfinished`, or None.

    Raises:
        InputError: the file exists and its vectors have another description.
    """

    def __init__(self, output: Path | None, said: dict[str, Any]) -> None:
        self.path = None if output is None else output.with_name(f"{output.name}.unfinished")
        wanted = json.dumps(said, sort_keys=True)
        other = InputError(
            f"{self.path} has vectors of an unfinished run of another model or task: finish that run, or remove the "
            "file"
        )
        try:
            self._db = sqlite3.connect(self.path or "", isolation_level=None)  # an empty name is a temporary file
            self._db.execute("CREATE TABLE IF NOT EXISTS about (said TEXT)")
            self._db.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB UNIQUE, vector BLOB)")
            self._db.execute("INSERT INTO about SELECT ? WHERE NOT EXISTS (SELECT 1 FROM about)", (wanted,))
            (found,) = self._db.execute("SELECT said FROM about").fetchone()
        except sqlite3.DatabaseError:
            raise other from None
        if found != wanted:
            self._db.close()
            raise other

    def has(self, text: str) -> bool:
        return self._db.execute("SELECT 1 FROM vectors WHERE key = ?", (_key(text),)).fetchone() is not None

    @property
    def count(self) -> int:
        """The number of stored vectors."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM vectors").fetchone()
        return int(count)

    def keep(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Store vectors, all of them or none.

        Raises:
            OSError: they cannot be written, for example because the disk is full.
        """
        rows = [(_key(text), vector.astype("<f4").tobytes()) for text, vector in zip(texts, vectors, strict=True)]
        with self._named():
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
            self._db.execute("COMMIT")

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of texts that are all stored, shape (n, dimensions)."""
        asked = "SELECT vector FROM vectors WHERE key = ?"
        found = [self._db.execute(asked, (_key(text),)).fetchone()[0] for text in texts]
        return np.frombuffer(b"".join(found), "<f4").reshape(len(texts), -1)

    def remove(self) -> None:
        """Remove the file, once the output is complete."""
        self._db.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(None, str(error), str(self.path or "a temporary file")) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()


def _key(text: str) -> bytes:
    return sha256(text.encode()).digest()[:KEY_BYTES]
