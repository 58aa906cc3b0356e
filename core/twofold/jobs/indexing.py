"""Indexing: what is new or changed is embedded and written, slice by slice, and what is there is left alone.

A document's digest covers its text, its metadata and how it is cut. It is stored with each of its rows, so that a run
knows what an earlier one finished, also where that one was killed in the middle of a document.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twofold.documents import Document, check_text
from twofold.errors import InputError
from twofold.jobs.chunking import check_chunk_tokens, split
from twofold.progress import reporting
from twofold.stores.checks import check_ids, check_metadata
from twofold.stores.drivers import Calls, run
from twofold.stores.lengths import check_lengths
from twofold.stores.opening import checking
from twofold.stores.rows import digest_of
from twofold.stores.writing import Entry, cut_policy, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twofold.backend import Report
    from twofold.embedder import Embedder
    from twofold.jobs.corpus import Item
    from twofold.stores.opened import OpenStore
    from twofold.stores.rows import Held

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

    def digest(self, embedder: Embedder, item: Item) -> str:
        """The version of an item that is cut so: its text, its fields, and how what is long is cut or windowed."""
        long = cut_policy(embedder, late=self.late) if self.late or self.chunk_tokens is None else []
        return digest_of(item.text, dict(item.metadata), self.chunk_tokens, self.late, long)


class Plan:
    """What indexing `items` into `store` would do; `run` does it.

    Everything that can be wrong with an item is said here, before the first one is embedded.

    Attributes:
        pending: the documents to write, in the order of `items`.
        skipped: how many are there already, unchanged.

    Raises:
        InputError: an item that cannot be embedded or stored, or an id that is there twice; named by its id.
    """

    def __init__(
        self, embedder: Embedder, store: OpenStore, items: Iterable[Item], cutting: Cutting | None = None
    ) -> None:
        """Read what the store holds, and compare."""
        self.embedder, self.store, self.cutting = embedder, store, cutting or Cutting()
        run(checking(store.store, Calls(embedder)))
        if self.cutting.chunk_tokens is not None:
            check_chunk_tokens(embedder, self.cutting.chunk_tokens)
        wanted = _checked(items)
        held = _by_document(store)
        digests = [self.cutting.digest(embedder, item) for item in wanted]
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
        """Embed a slice and write its rows; how many."""
        return len(run(writing(self.store.store, Calls(self.embedder), [self._entry(pending) for pending in some])))

    def _entry(self, pending: Pending) -> Entry:
        document = self.cutting.document(self.embedder, pending.item.text)
        return Entry(
            pending.item.id,
            document,
            [pending.item.metadata] * len(document.spans),
            pending.digest,
            chunked=self.cutting.chunk_tokens is not None,
            late=self.cutting.late or self.cutting.chunk_tokens is None,
        )

    def _count(self, items: Sequence[Item]) -> list[int]:
        counts = self.embedder.count_tokens([item.text for item in items]) if items else []
        if self.cutting.chunk_tokens is None:
            check_lengths(self.embedder, [item.id for item in items], dict(enumerate(counts)))
        return counts


def index(
    embedder: Embedder,
    store: OpenStore,
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
        store: see `twofold.stores.open_store`.
        items: see `twofold.jobs.corpus.read_corpus`.
        chunk_tokens: cut documents into chunks of at most so many tokens, instruction and special tokens included.
        late_chunking: embed each chunk in its document, not alone.
        progress: draw a bar.
        stop: asked before each slice of a few seconds; True ends the run cleanly.

    Raises:
        InputError, StoreError, ProviderError: see `Plan` and `Plan.run`.
    """
    plan = Plan(embedder, store, items, Cutting(chunk_tokens, late_chunking))
    with reporting(len(plan.pending), "indexing", shown=progress) as report:
        return plan.run(report=report, stop=stop)


def _checked(items: Iterable[Item]) -> list[Item]:
    wanted = list(items)
    check_ids([item.id for item in wanted])
    for index, item in enumerate(wanted):
        try:
            check_metadata(item.metadata, keeps_lists=False)
            check_text(item.text)
        except InputError as error:
            raise InputError(f"document {item.id!r}: {error}", index=index) from None
    return wanted


def _by_document(store: OpenStore) -> defaultdict[str, list[Held]]:
    held: defaultdict[str, list[Held]] = defaultdict(list)
    for row in store.scan():
        held[row.document].append(row)
    return held


def _done(rows: Sequence[Held], digest: str) -> bool:
    """Whether every row of this version is there, and none of another."""
    return bool(rows) and len(rows) == rows[0].rows and all(row.digest == digest for row in rows)


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
