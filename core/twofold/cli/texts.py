"""Stores the texts of a command in a temporary file, so that memory does not grow with their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from twofold.jobs.comparing import read_parts
from twofold.jobs.seen import scratch
from twofold.stores.checks import check_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twofold.embedder import Embedder
    from twofold.jobs import Item


class Text(NamedTuple):
    """A text with its id and its number of tokens."""

    id: str
    text: str
    tokens: int


class Texts:
    """Texts in their order. `tokens` is their total number of tokens."""

    def __init__(self) -> None:
        self._db = scratch()
        self._db.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, id TEXT, text TEXT, tokens INT)")
        self._count = self.tokens = 0

    def read(self, embedder: Embedder, task: str | None, items: Iterable[Item]) -> Iterator[None]:
        """Count the tokens of all texts and store them, about a thousand at each step.

        Raises:
            InputError: a text cannot be embedded, or is too long for the model.
        """
        for look in read_parts(items):
            ids, texts = [item.id for _, item in look], [item.text for _, item in look]  # type: ignore[union-attr] # all are items
            counts = embedder.count_tokens(texts, task=task)
            check_counts(embedder, ids, dict(enumerate(counts)))
            self._db.executemany(
                "INSERT INTO texts (id, text, tokens) VALUES (?, ?, ?)", zip(ids, texts, counts, strict=True)
            )
            self._count += len(ids)
            self.tokens += sum(counts)
            yield

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Text]:
        return map(Text._make, self._db.execute("SELECT id, text, tokens FROM texts ORDER BY number"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()


def slices(texts: Iterable[Text], tokens: int) -> Iterator[list[Text]]:
    """Group texts into slices of about `tokens` tokens. Reads no more of `texts` than a slice needs."""
    some: list[Text] = []
    held = 0
    for text in texts:
        if some and held + text.tokens > tokens:
            yield some
            some, held = [], 0
        some.append(text)
        held += text.tokens
    if some:
        yield some
