"""Draws documents of a collection at random, from a list in a temporary file."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Self

from twofold.jobs.seen import scratch

if TYPE_CHECKING:
    from collections.abc import Iterable


class Frame:
    """The documents of a collection with their numbers of rows and characters, stored on disk instead of in memory."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._db = scratch()
        self._db.execute(
            "CREATE TABLE documents (id TEXT PRIMARY KEY, chunked INT, rows INT, characters INT) WITHOUT ROWID"
        )

    def add(self, row: str, document: str, characters: int) -> None:
        """Add a row. A row without text has no characters and is not counted."""
        counted = int(characters > 0)
        self._db.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, "
            "characters = characters + excluded.characters, chunked = MAX(chunked, excluded.chunked)",
            (document, row != document, counted, characters),
        )

    def count(self) -> int:
        """The number of documents."""
        return self._one("SELECT COUNT(*) FROM documents")

    def totals(self, *, late: bool) -> tuple[int, int]:
        """The number of texts to embed and their characters. With `late`, a chunked document is one text."""
        texts = "CASE WHEN chunked THEN rows > 0 ELSE rows END" if late else "rows"
        return self._one(f"SELECT SUM({texts}) FROM documents"), self._one("SELECT SUM(characters) FROM documents")  # noqa: S608 - constants alone

    def documents(self, size: int, *, chunked: bool | None = None) -> list[tuple[str, bool]]:
        """Draw documents that have a text, each with the same probability, in random order; True marks chunked ones.

        `chunked` restricts the draw to chunked or to whole documents.
        """
        kinds = (0, 1) if chunked is None else (int(chunked), int(chunked))
        these = "FROM documents WHERE characters > 0 AND chunked IN (?, ?)"
        (count,) = self._db.execute(f"SELECT COUNT(*) {these}", kinds).fetchone()
        places = set(self._random.sample(range(count), min(size, count)))
        found: Iterable[tuple[str, int]] = self._db.execute(f"SELECT id, chunked {these} ORDER BY id", kinds)
        drawn = [(key, bool(own)) for place, (key, own) in enumerate(found) if place in places]
        self._random.shuffle(drawn)
        return drawn

    def _one(self, question: str) -> int:
        (found,) = self._db.execute(question).fetchone()
        return int(found or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
