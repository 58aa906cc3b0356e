"""The batches at a provider whose results are not in the cache yet, recorded in a file beside the cache.

A batch is recorded before it is submitted, with the digests of its texts, so a killed process loses nothing. Its texts
count as submitted, in this run and in later ones, until its results are in the cache.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "batches.sqlite"
AT_ONCE = 500
"""Digests in one query. The oldest builds of SQLite allow 999 variables."""


class Submission(NamedTuple):
    """A batch: our marker, the provider's id (None if unknown), the time of submission, and the number of texts."""

    marker: str
    id: str | None
    since: float
    lines: int


class Submissions:
    """The submissions for one cache and one `door`: a space, a side and an address. One process at a time can use it.

    Raises:
        InputError: another process uses the file, or it cannot be opened.
    """

    def __init__(self, folder: str, door: str) -> None:
        """Open the file; create it if it does not exist."""
        self._door = door
        file = Path(folder).expanduser() / NAME
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, timeout=1.0, isolation_level=None)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # held until the process ends
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS batches (marker TEXT PRIMARY KEY, door TEXT, id TEXT, since REAL,"
                " lines INTEGER)"
            )
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS lines (digest TEXT, door TEXT, marker TEXT, reason TEXT,"
                " PRIMARY KEY (digest, door)) WITHOUT ROWID"
            )
            self._db.execute("CREATE INDEX IF NOT EXISTS of_batch ON lines (marker)")
            self._db.execute("CREATE TABLE IF NOT EXISTS ended (id TEXT PRIMARY KEY)")
            self._db.execute("CREATE TABLE IF NOT EXISTS proved (door TEXT PRIMARY KEY)")
            self._db.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            if "locked" in str(error):
                raise InputError(
                    f"another process is waiting for the batches of cache={folder!r}: wait until it ends, or stop it"
                ) from None
            raise InputError(f"{file} cannot be used: {error}") from None

    def open(self) -> list[Submission]:
        """The submissions without results, the oldest first."""
        return [
            Submission(*row)
            for row in self._db.execute(
                "SELECT marker, id, since, lines FROM batches WHERE door = ? ORDER BY since", (self._door,)
            )
        ]

    def intend(self, marker: str, digests: Sequence[str]) -> None:
        """Record that these texts are about to be submitted."""
        self._db.execute("BEGIN")
        self._db.execute(
            "INSERT INTO batches VALUES (?, ?, NULL, ?, ?)", (marker, self._door, time.time(), len(digests))
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO lines VALUES (?, ?, ?, NULL)", [(digest, self._door, marker) for digest in digests]
        )
        self._db.execute("COMMIT")

    def submitted(self, marker: str, batch: str) -> None:
        """Record the id of an accepted batch."""
        self._db.execute("UPDATE batches SET id = ? WHERE marker = ?", (batch, marker))

    def over(self, marker: str, refused: Mapping[str, str] | None = None) -> None:
        """Record that a batch has ended. Texts in `refused`, with their reasons, are not submitted again."""
        self._db.execute("BEGIN")
        self._db.execute("INSERT OR IGNORE INTO ended SELECT id FROM batches WHERE marker = ? AND id > ''", (marker,))
        self._db.execute("DELETE FROM batches WHERE marker = ?", (marker,))
        self._db.execute("DELETE FROM lines WHERE marker = ?", (marker,))
        self._db.executemany(
            "INSERT OR REPLACE INTO lines VALUES (?, ?, '', ?)",
            [(digest, self._door, reason) for digest, reason in (refused or {}).items()],
        )
        self._db.execute("COMMIT")

    def ids(self) -> set[str]:
        """The provider's ids of all known batches, ended ones included."""
        return {name for (name,) in self._db.execute("SELECT id FROM batches WHERE id > '' UNION SELECT id FROM ended")}

    def texts_of(self, marker: str) -> set[str]:
        """The digests of a batch's texts."""
        return {digest for (digest,) in self._db.execute("SELECT digest FROM lines WHERE marker = ?", (marker,))}

    def known(self, digests: Sequence[str]) -> dict[str, str | None]:
        """The texts that were submitted (mapped to None) or refused (mapped to the reason)."""
        found: dict[str, str | None] = {}
        for start in range(0, len(digests), AT_ONCE):
            some = digests[start : start + AT_ONCE]
            marks = ",".join("?" * len(some))
            # Only question marks are formatted into the statement.
            found.update(
                self._db.execute(
                    f"SELECT digest, reason FROM lines WHERE door = ? AND digest IN ({marks})",  # noqa: S608
                    (self._door, *some),
                )
            )
        return found

    @property
    def is_proved(self) -> bool:
        """Whether the batch API is known to return the vectors of single requests."""
        return self._db.execute("SELECT 1 FROM proved WHERE door = ?", (self._door,)).fetchone() is not None

    def prove(self) -> None:
        """Record that it does."""
        self._db.execute("INSERT OR IGNORE INTO proved VALUES (?)", (self._door,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
