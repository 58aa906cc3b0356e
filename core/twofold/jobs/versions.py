"""Counts a collection's rows by document and version on disk, so that memory does not grow with them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Self

from twofold.jobs.seen import scratch
from twofold.stores.rows import content_of

if TYPE_CHECKING:
    from twofold.stores.rows import Held


class Versions:
    """The versions of each document and how many rows each version has, in a temporary file."""

    def __init__(self) -> None:
        self._db = scratch()
        self._db.execute(
            "CREATE TABLE versions (document TEXT, content TEXT, rows INT, there INT, PRIMARY KEY (document, content))"
            " WITHOUT ROWID"
        )

    def add(self, row: Held) -> None:
        self._db.execute(
            "INSERT INTO versions VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET there = there + 1",
            (row.document, content_of(row.digest), row.rows),
        )

    def broken(self, named: int) -> tuple[int, list[str]]:
        """How many documents do not consist of exactly one complete version, and the first ids."""
        bad = "SELECT document FROM versions GROUP BY document HAVING COUNT(*) > 1 OR MAX(there) != MAX(rows)"
        (count,) = self._db.execute(f"SELECT COUNT(*) FROM ({bad})").fetchone()  # noqa: S608 - constants alone
        return count, [document for (document,) in self._db.execute(f"{bad} ORDER BY document LIMIT {named:d}")]

    def counts(self) -> tuple[int, int]:
        """The number of documents and of rows."""
        documents, rows = self._db.execute("SELECT COUNT(DISTINCT document), SUM(there) FROM versions").fetchone()
        return documents, rows or 0

    def sample(self, size: int, seed: int | None) -> list[str]:
        """Draw documents at random."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM versions").fetchone()
        places = set(random.Random(seed).sample(range(count), min(size, count)))  # noqa: S311 - a sample, not a secret
        found = self._db.execute("SELECT document FROM versions ORDER BY document")
        return list(dict.fromkeys(document for place, (document,) in enumerate(found) if place in places))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
