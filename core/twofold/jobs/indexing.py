"""Indexing: what is new or changed is embedded and written, slice by slice, and what is there is left alone.

A document's digest covers its text, its metadata and how it is cut. It is stored with each of its rows, so that a run
knows what an earlier one finished, also where that one was killed in the middle of a document.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document, check_text
from twofold.errors import InputError
from twofold.jobs.embedding import embed_each
from twofold.jobs.lengths import count_documents
from twofold.jobs.rows import check_ids, check_metadata, document_rows
from twofold.jobs.split import check_chunk_tokens, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from twofold.backend import Report
    from twofold.embedder import Embedder
    from twofold.errors import ProviderError
    from twofold.jobs.corpus import Item
    from twofold.jobs.store import Held, Row, Store
    from twofold.vectors import FloatArray

SECONDS = 3.0
"""How long a slice is meant to take: what is lost by a kill, and how long a clean stop takes."""

FIRST_TOKENS = 8192
MAX_TOKENS = 1_000_000
MAX_DOCUMENTS = 2000


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did, in documents; `rows` and `tokens` of those that were written."""

    added: int = 0
    updated: int = 0
    skipped: int = 0
    rows: int = 0
    tokens: int = 0
    left: int = 0
    """Documents that a stop left for the next run."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A document that is to be written."""

    item: Item
    digest: str
    tokens: int
    before: tuple[str, ...]
    """The ids of the rows that an earlier version has in the store."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How documents are cut: into chunks of at most `chunk_tokens`, embedded each in its document or each alone.

    Raises:
        InputError: late chunking without a size of chunks.
    """

    chunk_tokens: int | None = None
    late: bool = False

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.late and self.chunk_tokens is None:
            raise InputError("late_chunking needs chunk_tokens: how many tokens a chunk may have")

    def document(self, embedder: Embedder, text: str) -> Document:
        """The text with the spans that each get a vector."""
        if self.chunk_tokens is None:
            return Document.whole(text)
        return Document(text, split(embedder, text, self.chunk_tokens))

    def units(self, document: Document) -> list[Document]:
        """What goes through the model at once: the document, or each of its chunks alone."""
        if self.chunk_tokens is None or self.late:
            return [document]
        return [Document.whole(document.text[start:end]) for start, end in document.spans]


class Plan:
    """What indexing `items` into `store` would do; `run` does it.

    Everything that can be wrong with an item is said here, before the first one is embedded.

    Attributes:
        pending: the documents to write, in the order of `items`.
        skipped: how many are there already, unchanged.

    Raises:
        InputError: an item that can not be embedded or stored, or an id that is there twice; named by its id.
    """

    def __init__(self, embedder: Embedder, store: Store, items: Iterable[Item], cutting: Cutting | None = None) -> None:
        """Read what the store holds, and compare."""
        self.embedder, self.store, self.cutting = embedder, store, cutting or Cutting()
        if self.cutting.chunk_tokens is not None:
            check_chunk_tokens(embedder, self.cutting.chunk_tokens)
        wanted = _checked(items)
        held = _by_document(store)
        digests = [_digest(item, self.cutting) for item in wanted]
        changed = [
            (item, digest) for item, digest in zip(wanted, digests, strict=True) if not _done(held[item.id], digest)
        ]
        self.skipped = len(wanted) - len(changed)
        tokens = self._count([item for item, _ in changed])
        self.pending = [
            Pending(item, digest, count, tuple(row.id for row in held[item.id]))
            for (item, digest), count in zip(changed, tokens, strict=True)
        ]

    def run(self, *, report: Report | None = None, stop: Callable[[], bool] | None = None) -> Counts:
        """Embed and write what is pending; `stop` is asked before each slice, and ends the run cleanly.

        Raises:
            StoreError, ProviderError: what was embedded before is written; another run continues after it.
        """
        counts, budget, done = Counts(skipped=self.skipped), FIRST_TOKENS, 0
        while done < len(self.pending) and not (stop is not None and stop()):
            some = _take(self.pending, done, budget)
            started = time.monotonic()
            rows = self._write(some)
            tokens = sum(pending.tokens for pending in some)
            updated = sum(bool(pending.before) for pending in some)
            counts = replace(
                counts,
                added=counts.added + len(some) - updated,
                updated=counts.updated + updated,
                rows=counts.rows + rows,
                tokens=counts.tokens + tokens,
            )
            done += len(some)
            budget = _next_budget(tokens, time.monotonic() - started)
            if report is not None:
                report(len(some), tokens)
        return replace(counts, left=len(self.pending) - done)

    def _write(self, some: Sequence[Pending]) -> int:
        """Embed a slice, write its rows, then remove what earlier versions have and these have not."""
        documents = [self.cutting.document(self.embedder, pending.item.text) for pending in some]
        vectors, error = self._embed([pending.item.id for pending in some], documents)
        rows = [row for index in vectors for row in self._rows(some[index], documents[index])]
        if rows:
            self.store.upsert(rows, np.concatenate(list(vectors.values())))
        stale = {key for index in vectors for key in some[index].before}.difference(row.id for row in rows)
        self.store.delete(sorted(stale))
        if error is not None:
            raise error
        return len(rows)

    def _embed(
        self, ids: Sequence[str], documents: Sequence[Document]
    ) -> tuple[dict[int, FloatArray], ProviderError | None]:
        """The vectors of each document all of whose rows have theirs, by its index, in order."""
        units = [(index, unit) for index, document in enumerate(documents) for unit in self.cutting.units(document)]
        done, error = embed_each(self.embedder, [ids[index] for index, _ in units], [unit for _, unit in units])
        lacking = {index for number, (index, _) in enumerate(units) if number not in done}
        found: dict[int, list[FloatArray]] = defaultdict(list)
        for number, (index, _) in enumerate(units):
            if index not in lacking:
                found[index].append(done[number])
        return {index: np.concatenate(arrays) for index, arrays in found.items()}, error

    def _rows(self, pending: Pending, document: Document) -> list[Row]:
        chunked = self.cutting.chunk_tokens is not None
        return document_rows(pending.item.id, document, pending.item.metadata, chunked=chunked, digest=pending.digest)

    def _count(self, items: Sequence[Item]) -> list[int]:
        ids, texts = [item.id for item in items], [item.text for item in items]
        if self.cutting.chunk_tokens is None:
            return count_documents(self.embedder, ids, texts)
        return self.embedder.count_tokens(texts) if texts else []


def index(
    embedder: Embedder,
    store: Store,
    items: Iterable[Item],
    *,
    chunk_tokens: int | None = None,
    late_chunking: bool = False,
    progress: bool = False,
    stop: Callable[[], bool] | None = None,
) -> Counts:
    """Index `items` into `store`: what is there unchanged is skipped, what changed replaced, and a killed run resumed.

    Args:
        embedder: the one that `store` was opened with.
        store: see `twofold.jobs.store`.
        items: see `twofold.jobs.corpus.read_corpus`.
        chunk_tokens: cut documents into chunks of at most so many tokens, instruction and special tokens included.
        late_chunking: embed each chunk in its document, not alone.
        progress: draw a bar.
        stop: asked before each slice of a few seconds; True ends the run cleanly.

    Raises:
        InputError, StoreError, ProviderError: see `Plan` and `Plan.run`.
    """
    plan = Plan(embedder, store, items, Cutting(chunk_tokens, late_chunking))
    with _reporting(len(plan.pending), progress) as report:
        return plan.run(report=report, stop=stop)


def _reporting(total: int, progress: bool) -> AbstractContextManager[Report | None]:
    if not progress or not total:
        return nullcontext()
    from twofold.progress import reporting  # noqa: PLC0415 - draws with a library of the extra `cli`

    return reporting(total, "indexing")


def _checked(items: Iterable[Item]) -> list[Item]:
    wanted = list(items)
    ids = [item.id for item in wanted]
    check_ids(ids)
    check_metadata(ids, [item.metadata for item in wanted])
    for index, item in enumerate(wanted):
        try:
            check_text(item.text)
        except InputError as error:
            raise InputError(f"document {item.id!r}: {error}", index=index) from None
    return wanted


def _by_document(store: Store) -> defaultdict[str, list[Held]]:
    held: defaultdict[str, list[Held]] = defaultdict(list)
    for row in store.held():
        held[row.document].append(row)
    return held


def _done(rows: Sequence[Held], digest: str) -> bool:
    """Whether every row of this version is there, and none of another."""
    return bool(rows) and len(rows) == rows[0].pieces and all(row.digest == digest for row in rows)


def _digest(item: Item, cutting: Cutting) -> str:
    said = [item.text, dict(item.metadata), cutting.chunk_tokens, cutting.late]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def _take(pending: Sequence[Pending], start: int, budget: int) -> Sequence[Pending]:
    """The documents from `start` on that `budget` tokens hold; one at least."""
    end, tokens = start, 0
    while end < min(len(pending), start + MAX_DOCUMENTS) and (end == start or tokens + pending[end].tokens <= budget):
        tokens += pending[end].tokens
        end += 1
    return pending[start:end]


def _next_budget(tokens: int, seconds: float) -> int:
    """As many tokens as `SECONDS` should take, going by the last slice."""
    return int(min(max(tokens * SECONDS / max(seconds, 1e-6), 1), MAX_TOKENS))
