"""Estimates an index run without writing anything: documents, chunks, tokens, time and price."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from twofold.documents import is_blank
from twofold.errors import InputError
from twofold.jobs.budget import PROBE
from twofold.jobs.chunking import Cutting, sections
from twofold.jobs.comparing import Work, by_document, check_item, check_source, compare, read_parts
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
    from twofold.jobs.comparing import Compared
    from twofold.jobs.corpus import Item
    from twofold.stores.store import Store

SECONDS = 2.0
"""How long to measure the rate of a local model."""

AT_ONCE = 16
"""Documents in one measurement."""


@dataclass(slots=True)
class DryRun:
    """What an index run would do.

    Attributes:
        embedded: documents that would be embedded.
        chunks, tokens: their chunks and tokens. Tokens of a hosted model may be an estimate.
        refiled: documents of which only the metadata would be written.
        skipped: already stored, unchanged.
        blank: have no visible character.
        set_aside: would be rejected; `first_refused` is the reason for the first.
        tokens_a_second: measured on some of the documents; None for a hosted model, where measuring costs money, or if
            there is nothing to embed.
        price: the price of a million tokens; None if it is unknown or the model is free.
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
        """US dollars; None if the price is unknown."""
        return None if self.price is None else self.tokens * self.price.dollars / 1e6

    @property
    def batch_cost(self) -> float | None:
        """US dollars through the provider's batch API; None if that price is unknown."""
        return None if self.price is None or self.price.batch is None else self.tokens * self.price.batch / 1e6

    @property
    def seconds(self) -> float | None:
        """How long embedding would take; None if no rate was measured."""
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
    """Read a corpus as `index` would and count. Writes nothing and sends nothing to a hosted model.

    Args:
        embedder: would embed the corpus. A local model embeds some documents for two seconds to measure its rate.
        store: would be written to; None if it does not exist yet.
        items: see `index`.
        chunk_tokens: see `index`.
        late_chunking: see `index`.
        force: see `index`.
        take_over: see `index`.

    Raises:
        InputError: an option is invalid.
        SpaceMismatch: the collection belongs to another space.
        StoreError: the collection cannot be read.
    """
    cutting = Cutting(chunk_tokens, late_chunking)
    cutting.check(embedder)
    if store is not None:
        check_record(store, embedder)
    with Seen() as seen:
        job = _Counting(embedder, store, cutting, seen, force=force, take_over=take_over)
        for look in read_parts(items):
            job.take(look)
    job.found.tokens_a_second = job.rate.measured()
    job.found.price = embedder.estimate([PROBE]).price if job.found.embedded else None
    return job.found


class _Counting:
    """The state of one dry run."""

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
        good: list[tuple[int, Item]] = []
        for place, item in look:
            try:
                check_id(item.id, place)
                check_item(item, self.seen.add(item.id, item.source))
            except InputError as error:
                self._refuse(str(error))
            else:
                assert not isinstance(item, Unreadable)  # noqa: S101 - check_item rejects those
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

    def _counts(self, task: Compared) -> bool:
        """Count a document and return whether it would be embedded."""
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

    def _count(self, task: Compared) -> None:
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
    """Measures the rate of a local model on the first documents that it would embed."""

    def __init__(self, embedder: Embedder, cutting: Cutting) -> None:
        self._embedder, self._cutting = embedder, cutting
        self._local = embedder.backend.provider is None
        self._tokens, self._seconds = 0, 0.0

    def offer(self, texts: Iterator[str]) -> None:
        """Embed some of the texts unless enough time has been spent already."""
        while self._local and self._seconds < SECONDS and (some := list(islice(texts, AT_ONCE))):
            try:
                self._try([document for text in some for document in self._units(text)])
            except InputError:  # a run would set this document aside
                continue

    def measured(self) -> float | None:
        """Tokens a second; None if nothing was embedded."""
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
            self._embedder.embed_late(documents[:1])  # load the weights before measuring
        started = time.perf_counter()
        self._embedder.embed_late(documents)
        self._seconds += time.perf_counter() - started
        self._tokens += sum(self._embedder.count_tokens([document.text for document in documents]))
