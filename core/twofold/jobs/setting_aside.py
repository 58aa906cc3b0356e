"""Handles documents that cannot be embedded: stops at the first, or sets each aside and records it in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Self, TypeAlias

from twofold.errors import InputError

if TYPE_CHECKING:
    import os

    from twofold.jobs.corpus import Item, Unreadable

OnError: TypeAlias = Literal["stop", "skip"]


class SettingAside:
    """Stops at a document that cannot be embedded, or sets it aside.

    Args:
        on_error: "stop" raises at the first one, "skip" continues.
        dead_letters: a file that receives one JSON object a line for each document set aside, with `id`, `reason` and
            `source`. An existing file is replaced.

    Raises:
        InputError: `on_error` is unknown, or the file cannot be written.
    """

    def __init__(self, on_error: OnError = "stop", dead_letters: str | os.PathLike[str] | None = None) -> None:
        if on_error not in ("stop", "skip"):
            raise InputError(f"on_error={on_error!r}: choose 'stop' or 'skip'")
        self.skips, self.count = on_error == "skip", 0
        self._file: IO[str] | None = None
        if dead_letters is not None:
            try:
                self._file = Path(dead_letters).open("w", encoding="utf-8")  # noqa: SIM115 - closed by __exit__
            except OSError as error:
                raise InputError(f"cannot write the dead-letter file {str(dead_letters)!r}: {error.strerror}") from None

    def put(self, place: int, item: Item | Unreadable, reason: str) -> None:
        """Set a document aside.

        Raises:
            InputError: with on_error="stop". `index` is the document's number in the corpus.
        """
        if not self.skips:
            raise InputError(reason, index=place)
        self.count += 1
        if self._file is not None:
            self._file.write(json.dumps({"id": str(item.id), "reason": reason, "source": item.source}) + "\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
