"""Indexing: embeds and writes new and changed documents, slice by slice, and leaves unchanged ones alone.

A document's digest covers its text, its cutting and its metadata. Each of its rows stores the digest, so a run can tell
what an earlier run finished, even if that run was killed in the middle of a document.
"""

from __future__ import annotations

from collections.abc import Sized
from contextlib import nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from twofold.errors import InputError
from twofold.jobs.budget import Spending
from twofold.jobs.calls import Calls
from twofold.jobs.chunking import Cutting
from twofold.jobs.comparing import Work, by_document, check_item, check_source, compare, read_ahead, read_parts
from twofold.jobs.corpus import Unreadable
from twofold.jobs.counts import Counts
from twofold.jobs.dry_run import dry_run
from twofold.jobs.pruning import count_gone, remove_gone
from twofold.jobs.seen import Seen
from twofold.jobs.setting_aside import SettingAside
from twofold.jobs.writing import Writer
from twofold.progress import reporting
from twofold.stores.checks import check_id
from twofold.stores.opening import check_record

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from twofold.backend import Report
    from twofold.embedder import Embedder
    from twofold.jobs.budget import Budget
    from twofold.jobs.comparing import Compared
    from twofold.jobs.corpus import Item
    from twofold.jobs.distributed import Engine
    from twofold.jobs.setting_aside import OnError
    from twofold.stores.store import Store

Prune: TypeAlias = "bool | Callable[[int, int], bool]"
"""Whether to remove documents that left the corpus, or a function that decides, given how many documents and rows."""


def index(
    embedder: Embedder,
    store: Store,
    items: Iterable[Item | Unreadable],
    *,
    chunk_tokens: int | None = None,
    late_chunking: bool = False,
    on_error: OnError = "stop",
    dead_letters: str | os.PathLike[str] | None = None,
    prune: Prune = False,
    force: bool = False,
    take_over: bool = False,
    budget: Budget | None = None,
    progress: bool = False,
    stop: Callable[[], bool] | None = None,
    engine: Engine | None = None,
) -> Counts:
    """Index `items` into `store`: skip unchanged documents, replace changed ones, and continue a killed run.

    The corpus is read once, about a thousand documents at a time, so memory does not grow with it. Each part is checked
    before any of its texts is embedded. While a document is replaced, a reader sees the old version, then the part of
    it that is about to be overwritten, then the new version, but never rows of both (see `twofold.stores.replacing`).
    A document of more than `chunking.SECTION` characters that is cut into chunks appears section by section. Each of
    its rows states how many rows it will have.

    Args:
        embedder: the embedder that `store` was opened with.
        store: see `twofold.stores.open_store`.
        items: any iterable of documents, such as `twofold.jobs.corpus.read_corpus` returns.
        chunk_tokens: the most tokens in a chunk, including instruction and special tokens. None keeps documents whole.
        late_chunking: embed each chunk in the context of its document instead of alone.
        on_error: "stop" at the first document that cannot be embedded, or "skip" it.
        dead_letters: a file that receives the id, reason and source of each skipped document, one JSON object a line.
        prune: remove documents that are in the collection but not in the corpus. Never removes anything if the run
            stopped early or set documents aside. A function is called first with the numbers of documents and rows,
            and decides.
        force: write unchanged documents again.
        take_over: overwrite documents that came from another source.
        budget: the most that a hosted model may cost. The corpus is first read once to check that the run fits. If it
            turns out to cost more, the run ends before the first slice that does not fit.
        progress: show a progress bar.
        stop: called before each slice of a second or two. Returning True ends the run cleanly.
        engine: runs the embedding in other processes or on other machines; None embeds in this process. Everything else
            stays the same.

    Raises:
        InputError: an option is invalid; or, with on_error="stop", a document cannot be embedded or stored, or its id
            occurs twice or belongs to another source. The message names the id; `index` is its number in the corpus.
        StoreError, ProviderError, BudgetExceeded, EngineError: everything embedded before is stored. Another run
            continues from there.
    """
    cutting = Cutting(chunk_tokens, late_chunking)
    cutting.check(embedder)
    check_record(store, embedder)
    spending = Spending(embedder, budget)
    if engine is not None and spending.limit < inf:
        raise InputError("a budget only counts what this process sends: leave out the engine or the budget")
    if budget is not None and budget.ahead and spending.limit < inf:
        if iter(items) is items:
            raise InputError(
                "a budget reads the corpus once before the run, but this corpus can be read only once: give a list, or "
                "Budget(…, ahead=False)"
            )
        cut: Any = {"chunk_tokens": chunk_tokens, "late_chunking": late_chunking}
        spending.check(dry_run(embedder, store, items, force=force, take_over=take_over, **cut).tokens)
    total = len(items) if isinstance(items, Sized) else None
    with (
        nullcontext(Calls(embedder)) if engine is None else engine.calls(embedder) as calls,
        SettingAside(on_error, dead_letters) as aside,
        Seen() as seen,
        reporting(total, "indexing", shown=progress) as report,
    ):
        writer = Writer(calls, store, cutting, spending=spending, aside=aside, report=report)
        job = Indexing(writer, aside, seen, report, force=force, take_over=take_over, stop=stop)
        for pending in read_ahead(job.prepare(items), lambda: calls.wants_more):
            job.write(pending)
        return job.end(prune)


class Indexing:
    """The state of one index run: `prepare` and `write` handle each part of the corpus, `end` finishes the run."""

    def __init__(
        self,
        writer: Writer,
        aside: SettingAside,
        seen: Seen,
        report: Report,
        *,
        force: bool,
        take_over: bool,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.store, self.aside, self.seen = writer.store, aside, seen
        self.force, self.take_over, self.stop = force, take_over, stop
        self.counts = Counts()
        self._rows = 0
        """Rows in the store that belong to documents of the corpus."""
        self._report, self._writer = report, writer

    def prepare(self, items: Iterable[Item | Unreadable]) -> Iterator[list[Compared]]:
        """Yield what must be embedded of each part of the corpus, after doing everything that needs no vectors."""
        for look in read_parts(items):
            if self._stops():
                return
            tasks = self._tasks(look)
            pending = self._writer.count([task for task in tasks if task.work is Work.EMBEDDING])
            self._without_embedding([task for task in tasks if task.work is not Work.EMBEDDING])
            self._writer.expect(pending)
            yield pending

    def write(self, pending: Sequence[Compared]) -> None:
        """Embed and write the documents from `prepare`, in slices."""
        for some in self._writer.slices(pending):
            if self._stops():
                return
            for task, rows in self._writer.write(some, self.stop):
                self._count(task, rows)
            self.counts.stopped |= self._writer.stopped

    def _stops(self) -> bool:
        """Call `stop` and return whether the run ends."""
        self.counts.stopped = self.counts.stopped or (self.stop is not None and self.stop())
        return self.counts.stopped

    def end(self, prune: Prune) -> Counts:
        """Count the documents that left the corpus, and remove them if requested."""
        self.counts.set_aside = self.aside.count
        if self.counts.stopped:
            return self.counts
        self.counts.gone = 0
        if self.store.count() > self._rows:
            self.counts.gone, rows = count_gone(self.store, self.seen)
            if self.counts.gone and prune and not self.aside.count:
                self._prune(prune, rows)
        return self.counts

    def _prune(self, prune: Prune, rows: int) -> None:
        if not self._rows:
            raise InputError(
                f"the corpus has no documents, so prune would remove all {self.counts.gone} documents of the "
                "collection: to do that, drop the collection"
            )
        if prune is True or (callable(prune) and prune(self.counts.gone or 0, rows)):
            remove_gone(self.store, self.seen)
            self.counts.pruned = self.counts.gone or 0

    def _tasks(self, look: Sequence[tuple[int, Item | Unreadable]]) -> list[Compared]:
        """Compare the valid documents of a part with the store, and set the others aside."""
        good = [(place, item) for place, item in look if self._passes(place, item)]
        held = by_document(self.store.held([item.id for _, item in good])) if good else by_document(())
        tasks = []
        for place, item in good:
            assert not isinstance(item, Unreadable)  # noqa: S101 - _passes rejects those
            task = compare(self._writer.embedder, self._writer.cutting, place, item, held[item.id], force=self.force)
            try:
                if not self.take_over:
                    check_source(task)
            except InputError as error:
                self._rows += len(task.before)
                self.aside.put(place, item, str(error))
            else:
                self._rows += 0 if task.work is Work.REMOVAL else len(task.before)
                tasks.append(task)
        return tasks

    def _passes(self, place: int, item: Item | Unreadable) -> bool:
        try:
            check_id(item.id, place)
            earlier = self.seen.add(item.id, item.source)
            check_item(item, earlier)
        except InputError as error:
            self.aside.put(place, item, str(error))
            return False
        return True

    def _without_embedding(self, tasks: Sequence[Compared]) -> None:
        refiled = [task for task in tasks if task.work is Work.FIELDS]
        self._writer.refile(refiled)
        self.store.delete([row.id for task in tasks if task.work is Work.REMOVAL for row in task.before])
        blank = sum(not task.digest for task in tasks)
        self.counts.refiled += len(refiled)
        self.counts.blank += blank
        self.counts.skipped += len(tasks) - len(refiled) - blank
        if tasks:
            self._report(len(tasks), 0)

    def _count(self, task: Compared, rows: int) -> None:
        self.counts.added += not task.before
        self.counts.updated += bool(task.before)
        self.counts.rows += rows
        self.counts.tokens += task.tokens
        self._rows += rows - len(task.before)
