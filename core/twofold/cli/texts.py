"""Texts of a command that takes them all before it embeds the first, in a temporary file: memory does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from twofold.jobs.comparing import looks
from twofold.jobs.seen import scratch
from twofold.stores.checks import check_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twofold.embedder import Embedder
    from twofold.jobs import Item


class Text(NamedTuple):
    """A text with its id and its length in tokens."""

    id: str
    text: str
    tokens: int


class Texts:
    """Texts in their order. What their lengths come to together is in `tokens`."""

    def __init__(self) -> None:
        """Make the file."""
        self._db = scratch()
        self._db.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, id TEXT, text TEXT, tokens INT)")
        self._count = self.tokens = 0

    def read(self, embedder: Embedder, task: str | None, items: Iterable[Item]) -> Iterator[None]:
        """Count and keep, a thousand texts or so at each step.

        Raises:
            InputError: one cannot be embedded, or is longer than the model takes.
        """
        for look in looks(items):
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
        """How many there are."""
        return self._count

    def __iter__(self) -> Iterator[Text]:
        """Every text."""
        return map(Text._make, self._db.execute("SELECT id, text, tokens FROM texts ORDER BY number"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()


def slices(texts: Iterable[Text], tokens: int) -> Iterator[list[Text]]:
    """Runs of texts with about so many tokens each; `texts` is asked for no more than a run needs."""
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
