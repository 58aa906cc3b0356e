"""What was left with a provider's batch API and is still to come, in a file beside the cache: a kill loses nothing.

A batch is written down before it is submitted, with the digests of its texts. Until its results are in the cache its
texts are on their way, in this run or in a later one.
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
"""Digests in one question; SQLite takes 999 variables in its oldest builds."""


class Submission(NamedTuple):
    """A batch: what we call it, what its provider does (None while that is not known), since when, and its texts."""

    marker: str
    id: str | None
    since: float
    lines: int


class Submissions:
    """Those from one cache to one `door`: a space, a side and an address. For one process at a time.

    Raises:
        InputError: another process has the file, or it cannot be used.
    """

    def __init__(self, folder: str, door: str) -> None:
        """Open the file, and make it where it is not there yet."""
        self._door = door
        file = Path(folder).expanduser() / NAME
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, timeout=1.0, isolation_level=None)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # held until the process ends, however it does
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
                    f"another process is waiting for the batches of cache={folder!r}: let it, or end it, first"
                ) from None
            raise InputError(f"{file} cannot be used: {error}") from None

    def open(self) -> list[Submission]:
        """Those that are still to come, the oldest first."""
        return [
            Submission(*row)
            for row in self._db.execute(
                "SELECT marker, id, since, lines FROM batches WHERE door = ? ORDER BY since", (self._door,)
            )
        ]

    def intend(self, marker: str, digests: Sequence[str]) -> None:
        """Write down that these texts are about to be submitted."""
        self._db.execute("BEGIN")
        self._db.execute(
            "INSERT INTO batches VALUES (?, ?, NULL, ?, ?)", (marker, self._door, time.time(), len(digests))
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO lines VALUES (?, ?, ?, NULL)", [(digest, self._door, marker) for digest in digests]
        )
        self._db.execute("COMMIT")

    def submitted(self, marker: str, batch: str) -> None:
        """The provider has taken it, as `batch`."""
        self._db.execute("UPDATE batches SET id = ? WHERE marker = ?", (batch, marker))

    def over(self, marker: str, refused: Mapping[str, str] | None = None) -> None:
        """Nothing more comes of it; texts that were `refused`, with the reasons, are not submitted again."""
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
        """What the provider calls the batches that are known, those that are over included."""
        return {name for (name,) in self._db.execute("SELECT id FROM batches WHERE id > '' UNION SELECT id FROM ended")}

    def texts_of(self, marker: str) -> set[str]:
        """The digests of a batch's texts."""
        return {digest for (digest,) in self._db.execute("SELECT digest FROM lines WHERE marker = ?", (marker,))}

    def known(self, digests: Sequence[str]) -> dict[str, str | None]:
        """Which of these texts are on their way, with None, and which were refused, with the reason."""
        found: dict[str, str | None] = {}
        for start in range(0, len(digests), AT_ONCE):
            some = digests[start : start + AT_ONCE]
            marks = ",".join("?" * len(some))
            # The statement is made of question marks alone.
            found.update(
                self._db.execute(
                    f"SELECT digest, reason FROM lines WHERE door = ? AND digest IN ({marks})",  # noqa: S608
                    (self._door, *some),
                )
            )
        return found

    @property
    def is_proved(self) -> bool:
        """Whether the batch API has given the vectors that single requests give."""
        return self._db.execute("SELECT 1 FROM proved WHERE door = ?", (self._door,)).fetchone() is not None

    def prove(self) -> None:
        """Note that it has."""
        self._db.execute("INSERT OR IGNORE INTO proved VALUES (?)", (self._door,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
