"""What an index run would do, found out without writing anything: documents, chunks, tokens, and the time they take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from twofold.documents import is_blank
from twofold.errors import InputError
from twofold.jobs.budget import PROBE
from twofold.jobs.chunking import Cutting, sections
from twofold.jobs.comparing import Work, by_document, check_item, check_source, compare, looks
from twofold.jobs.corpus import Unreadable
from twofold.jobs.entries import entry_of, tokens_of
from twofold.jobs.seen import Seen
from twofold.stores.checks import check_id
from twofold.stores.opening import check_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twofold.backend import Price
    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.jobs.comparing import Task
    from twofold.jobs.corpus import Item
    from twofold.stores.store import Store

SECONDS = 2.0
"""How long a local model is tried for its rate."""

AT_ONCE = 16
"""Documents in one try."""


@dataclass(slots=True)
class DryRun:
    """What a run would do.

    Attributes:
        embedded: documents that would be embedded, as `chunks`, which have `tokens`; a hosted model's may be estimated.
        refiled: documents of which only the metadata would be written.
        skipped: there, unchanged.
        blank: without a visible character.
        set_aside: would be refused; `first_refused` says why the first would.
        tokens_a_second: as measured on some of the documents; None for a hosted model, which charges for that, or where
            there is nothing to embed.
        price: what a million tokens cost; None where it is not known, or nothing is paid.
    """

    embedded: int = 0
    chunks: int = 0
    tokens: int = 0
    refiled: int = 0
    skipped: int = 0
    blank: int = 0
    set_aside: int = 0
    first_refused: str | None = None
    tokens_a_second: float | None = None
    price: Price | None = None

    @property
    def cost(self) -> float | None:
        """US dollars; None where the price is not known."""
        return None if self.price is None else self.tokens * self.price.dollars / 1e6

    @property
    def batch_cost(self) -> float | None:
        """US dollars by the provider's batch API; None where that is not known."""
        return None if self.price is None or self.price.batch is None else self.tokens * self.price.batch / 1e6

    @property
    def seconds(self) -> float | None:
        """How long the embedding would take; None where no rate was measured."""
        return None if self.tokens_a_second is None else self.tokens / self.tokens_a_second


def dry_run(
    embedder: Embedder,
    store: Store | None,
    items: Iterable[Item | Unreadable],
    *,
    chunk_tokens: int | None = None,
    late_chunking: bool = False,
    force: bool = False,
    take_over: bool = False,
) -> DryRun:
    """Read a corpus as `index` would, and count; nothing is written, and nothing that is paid for is embedded.

    Args:
        embedder: what would embed it. A local model is tried on some documents for two seconds.
        store: what would be written to; None where it is not there yet.
        items: see `index`.
        chunk_tokens: see `index`.
        late_chunking: see `index`.
        force: see `index`.
        take_over: see `index`.

    Raises:
        InputError: an option.
        SpaceMismatch, StoreError: the collection is not of the embedder's space.
    """
    cutting = Cutting(chunk_tokens, late_chunking)
    cutting.check(embedder)
    if store is not None:
        check_record(store, embedder)
    with Seen() as seen:
        job = _Counting(embedder, store, cutting, seen, force=force, take_over=take_over)
        for look in looks(items):
            job.take(look)
    job.found.tokens_a_second = job.rate.measured()
    job.found.price = embedder.estimate([PROBE]).price if job.found.embedded else None
    return job.found


class _Counting:
    """One dry run; `take` parts of the corpus."""

    def __init__(
        self,
        embedder: Embedder,
        store: Store | None,
        cutting: Cutting,
        seen: Seen,
        *,
        force: bool,
        take_over: bool,
    ) -> None:
        self.embedder, self.store, self.cutting, self.seen = embedder, store, cutting, seen
        self.force, self.take_over = force, take_over
        self.found, self.rate = DryRun(), _Rate(embedder, cutting)

    def take(self, look: Sequence[tuple[int, Item | Unreadable]]) -> None:
        """Count a part of the corpus."""
        good: list[tuple[int, Item]] = []
        for place, item in look:
            try:
                check_id(item.id, place)
                check_item(item, self.seen.add(item.id, item.source))
            except InputError as error:
                self._refuse(str(error))
            else:
                assert not isinstance(item, Unreadable)  # noqa: S101 - those do not pass
                good.append((place, item))
        rows = self.store.held([item.id for _, item in good]) if self.store is not None and good else ()
        held = by_document(rows)
        tasks = [
            compare(self.embedder, self.cutting, place, item, held[item.id], force=self.force) for place, item in good
        ]
        fitting = [task.item.text for task in tasks if self._counts(task)]
        self.rate.offer(iter(fitting))

    def _refuse(self, reason: str) -> None:
        self.found.set_aside += 1
        self.found.first_refused = self.found.first_refused or reason

    def _counts(self, task: Task) -> bool:
        """Count a document; whether it would be embedded."""
        try:
            if not self.take_over:
                check_source(task)
            if task.work is Work.EMBEDDING:
                self._count(task)
                return True
        except InputError as error:
            self._refuse(str(error))
            return False
        self.found.blank += not task.digest
        self.found.skipped += task.work is Work.NOTHING and bool(task.digest)
        self.found.refiled += task.work is Work.FIELDS
        return False

    def _count(self, task: Task) -> None:
        text = task.item.text
        cut = [(0, len(text))] if self.cutting.chunk_tokens is None else sections(text)
        parts = [text[start:end] for start, end in cut if not is_blank(text[start:end])]
        entries = [entry_of(task, self.cutting, self.cutting.document(self.embedder, part)) for part in parts]
        tokens = tokens_of(self.embedder, entries)
        if (refused := self.cutting.too_long(self.embedder, task.item.id, tokens)) is not None:
            raise refused
        self.found.chunks += sum(len(entry.rows()) for entry in entries)
        self.found.tokens += tokens
        self.found.embedded += 1


class _Rate:
    """How fast a local model is on the first documents that it would embed."""

    def __init__(self, embedder: Embedder, cutting: Cutting) -> None:
        self._embedder, self._cutting = embedder, cutting
        self._local = embedder.backend.provider is None
        self._tokens, self._seconds = 0, 0.0

    def offer(self, texts: Iterator[str]) -> None:
        """Try some documents, while there is time."""
        while self._local and self._seconds < SECONDS and (some := list(islice(texts, AT_ONCE))):
            try:
                self._try([document for text in some for document in self._units(text)])
            except InputError:  # a run would set it aside
                continue

    def measured(self) -> float | None:
        """Tokens a second; None where nothing was tried."""
        return self._tokens / self._seconds if self._tokens and self._seconds else None

    def _units(self, text: str) -> Iterator[Document]:
        start, end = next(sections(text))
        document = self._cutting.document(self._embedder, text[start:end] if self._cutting.chunk_tokens else text)
        if self._cutting.late or self._cutting.chunk_tokens is None:
            yield document
        else:
            for span in document.spans:
                yield type(document).whole(document.text[slice(*span)])

    def _try(self, documents: Sequence[Document]) -> None:
        if not self._tokens:
            self._embedder.embed_late(documents[:1])  # loads the weights, which is no part of the rate
        started = time.perf_counter()
        self._embedder.embed_late(documents)
        self._seconds += time.perf_counter() - started
        self._tokens += sum(self._embedder.count_tokens([document.text for document in documents]))
