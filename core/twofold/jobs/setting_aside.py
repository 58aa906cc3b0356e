"""Documents that cannot be embedded: the first ends the run, or each is set aside, with its reason, in a file."""

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
    """What is done with a document that cannot be embedded.

    Args:
        on_error: "stop" raises at the first one, "skip" goes on.
        dead_letters: a file for those that are set aside, a line of JSON each, with `id`, `reason` and `source`; one of
            an earlier run is replaced.

    Raises:
        InputError: another word, or a file that cannot be written.
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
                raise InputError(f"the file of dead letters {str(dead_letters)!r}: {error.strerror}") from None

    def put(self, place: int, item: Item | Unreadable, reason: str) -> None:
        """Set a document aside.

        Raises:
            InputError: the run stops at errors; `index` is the document's place in the corpus.
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
