"""What an `embed` that was cut short has paid for: vectors by the digests of their texts, in a file beside its output.

The file is SQLite's, through the standard library: what was written survives a kill at any moment. A table of one row
says what the vectors are, another holds 16 bytes of each text's SHA-256 with its vector as little-endian float32.
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
    """The vectors that are there of earlier runs, and those of this one.

    Args:
        output: the file that will hold them all; None keeps them in a temporary file.
        said: what these vectors are.

    Attributes:
        path: the file, `<output>.unfinished`.

    Raises:
        InputError: an earlier run left vectors of something else.
    """

    def __init__(self, output: Path | None, said: dict[str, Any]) -> None:
        """Open it, and make it where it is not there."""
        self.path = None if output is None else output.with_name(f"{output.name}.unfinished")
        wanted = json.dumps(said, sort_keys=True)
        other = InputError(
            f"{self.path} is what another model or task left unfinished: finish that embed, or remove the file"
        )
        try:
            self._db = sqlite3.connect(self.path or "", isolation_level=None)  # the empty name is a temporary file's
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
        """Whether a text has its vector."""
        return self._db.execute("SELECT 1 FROM vectors WHERE key = ?", (_key(text),)).fetchone() is not None

    @property
    def count(self) -> int:
        """How many texts have theirs."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM vectors").fetchone()
        return int(count)

    def keep(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Write vectors down, all of them or none.

        Raises:
            OSError: the disk is full.
        """
        rows = [(_key(text), vector.astype("<f4").tobytes()) for text, vector in zip(texts, vectors, strict=True)]
        with self._named():
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
            self._db.execute("COMMIT")

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of texts that have theirs, shape (n, dimensions)."""
        asked = "SELECT vector FROM vectors WHERE key = ?"
        found = [self._db.execute(asked, (_key(text),)).fetchone()[0] for text in texts]
        return np.frombuffer(b"".join(found), "<f4").reshape(len(texts), -1)

    def remove(self) -> None:
        """Remove the file: the output is whole."""
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
