"""Writes a long document section by section, and leaves rows from an earlier run alone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from twofold.documents import Document, is_blank
from twofold.errors import InputError
from twofold.jobs.chunking import sections
from twofold.jobs.entries import entry_of, tokens_of
from twofold.stores.rows import ROWS_AT_ONCE
from twofold.stores.writing import embed_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from twofold.errors import RequestRefused
    from twofold.jobs.budget import Spending
    from twofold.jobs.calls import Calls
    from twofold.jobs.chunking import Cutting
    from twofold.jobs.comparing import Compared
    from twofold.stores.store import Store
    from twofold.stores.writing import Entry

SECONDS = 1.5
"""How long a slice should take. A kill loses that much work, and a clean stop takes that long."""

FIRST_TOKENS = 4096
MAX_TOKENS = 1_000_000

OF_THE_DOCUMENT = frozenset({400, 413, 422})
"""HTTP statuses with which a hosted model rejects the text and not the caller."""

Spans: TypeAlias = "NDArray[np.int32]"


class Pace:
    """Estimates how many `tokens` a slice may have to take about `SECONDS`, from the previous slice."""

    def __init__(self) -> None:
        self.tokens = FIRST_TOKENS

    def learn(self, tokens: int, seconds: float) -> None:
        if tokens:
            self.tokens = int(min(max(tokens * SECONDS / max(seconds, 1e-6), 1), MAX_TOKENS))


def is_of_the_document(error: InputError | RequestRefused) -> bool:
    """Whether an error concerns one document, so that other documents may succeed."""
    return isinstance(error, InputError) or error.status in OF_THE_DOCUMENT


class LongDocument:
    """A document that is cut into sections. Memory holds its text once, its spans as int32, and one part's vectors.

    Attributes:
        tokens: tokens embedded so far.
        stopped: whether writing stopped in the middle.
    """

    def __init__(
        self, calls: Calls, store: Store, cutting: Cutting, task: Compared, *, pace: Pace, spending: Spending
    ) -> None:
        self.embedder, self.store, self.cutting, self.task = calls.embedder, store, cutting, task
        self._calls, self._pace, self._spending = calls, pace, spending
        self.tokens, self.stopped = 0, False
        self._cuts: dict[tuple[int, int], Spans] = {}

    @property
    def rows(self) -> int:
        """How many rows the document has."""
        return sum(map(len, self._cuts.values()))

    def write(self, stop: Callable[[], bool] | None) -> Iterator[int]:
        """Remove the rows of other versions, then write the missing rows. Yields the tokens of each part written.

        Raises:
            InputError, StoreError, ProviderError, BudgetExceeded: rows written before stay. Another run continues from
                there.
        """
        self._cut(stop)
        if not self.stopped:
            yield from self._write(stop)

    def _cut(self, stop: Callable[[], bool] | None) -> None:
        """Find the chunks of all sections before embedding the first, because each row states their number."""
        text = self.task.item.text
        for start, end in sections(text):
            if stop is not None and stop():
                self.stopped = True
                return
            if not is_blank(text[start:end]):
                document = self.cutting.document(self.embedder, text[start:end])
                self._cuts[start, end] = np.asarray(document.spans, np.int32)

    def _write(self, stop: Callable[[], bool] | None) -> Iterator[int]:
        rows, first = self.rows, 0
        there = {row.id for row in self.task.before if row.digest == self.task.digest and row.rows == rows}
        self.store.delete([row.id for row in self.task.before if row.id not in there])
        for section, spans in self._cuts.items():
            for part in self._parts(len(spans)):
                if stop is not None and stop():
                    self.stopped = True
                    return
                entry = replace(self._entry(section, spans[part]), first=first + part.start, rows_of_all=rows)
                if not all(row.id in there for row in entry.rows()):
                    yield self._write_part(entry)
            first += len(spans)

    def _parts(self, count: int) -> Iterator[slice]:
        """What is embedded at once: a whole section for late chunking, else as many chunks as `SECONDS` allow."""
        start = 0
        while start < count:
            size = count if self.cutting.late else max(1, self._pace.tokens // (self.cutting.chunk_tokens or 1))
            yield slice(start, min(start + size, count))
            start += size

    def _entry(self, section: tuple[int, int], spans: Spans) -> Entry:
        document = Document.from_spans(self.task.item.text[slice(*section)], spans.tolist())
        return replace(entry_of(self.task, self.cutting, document), offset=section[0])

    def _write_part(self, entry: Entry) -> int:
        """Embed and write some rows and return their tokens."""
        tokens = tokens_of(self.embedder, [entry])
        self._spending.take(tokens)
        started = time.monotonic()
        vectors, failure = embed_entries(self._calls, [entry])
        if failure is not None:
            raise failure
        rows = entry.rows()
        for start in range(0, len(rows), ROWS_AT_ONCE):
            self.store.upsert(rows[start : start + ROWS_AT_ONCE], vectors[0][start : start + ROWS_AT_ONCE])
        self._pace.learn(tokens, time.monotonic() - started)
        self.tokens += tokens
        return tokens
