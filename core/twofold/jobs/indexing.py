"""Indexing: what is new or changed is embedded and written, slice by slice, and what is there is left alone.

A document's digest covers its text and how it is cut, then its metadata. It is stored with each of its rows, so that a
run knows what an earlier one finished, also where that one was killed in the middle of a document.
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
from twofold.jobs.comparing import Work, ahead, by_document, check_item, check_source, compare, looks
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
    from twofold.jobs.comparing import Task
    from twofold.jobs.corpus import Item
    from twofold.jobs.distributed import Engine
    from twofold.jobs.setting_aside import OnError
    from twofold.stores.store import Store

Prune: TypeAlias = "bool | Callable[[int, int], bool]"
"""Whether to remove what left the corpus; or what is asked that, with the documents and the rows that it is."""


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
    """Index `items` into `store`: what is there unchanged is skipped, what changed replaced, and a killed run resumed.

    The corpus is read once, some thousand documents at a time; memory does not grow with it. Of each such part all
    that can be checked is checked before the first text of it is embedded. A reader sees a document's old version,
    then what of that is to be overwritten, then the new one, never rows of both (see `twofold.stores.replacing`); one
    of more than `chunking.SECTION` characters that is cut grows section by section, and each of its rows says how many
    there will be.

    Args:
        embedder: the one that `store` was opened with.
        store: see `twofold.stores.open_store`.
        items: see `twofold.jobs.corpus.read_corpus`; any iterable.
        chunk_tokens: cut documents into chunks of at most so many tokens, instruction and special tokens included.
        late_chunking: embed each chunk in its document, not alone.
        on_error: "stop" at the first document that cannot be embedded, or "skip" it.
        dead_letters: a file for the ids, reasons and sources of those that were skipped, a line of JSON each.
        prune: remove what is in the collection and not in the corpus; never after a run that was cut short or that set
            documents aside. A function is asked first, with the numbers of documents and of rows.
        force: write documents again that are there unchanged.
        take_over: write over documents that came from another source.
        budget: what a hosted model may cost. A run that would not fit is refused, for which the corpus is read twice;
            one that does not, after all, ends before the first slice that does not fit.
        progress: draw a bar.
        stop: asked before each slice of a second or two; True ends the run cleanly.
        engine: what carries the embedding to other processes or machines; None is here. All else is the same.

    Raises:
        InputError: an option; or, unless it is skipped, a document that cannot be embedded or stored, an id that comes
            twice or that belongs to another source; named by its id, its number in the corpus in `index`.
        StoreError, ProviderError, BudgetExceeded, EngineError: what was embedded before is written; another run goes
            on after it.
    """
    cutting = Cutting(chunk_tokens, late_chunking)
    cutting.check(embedder)
    check_record(store, embedder)
    spending = Spending(embedder, budget)
    if engine is not None and spending.limit < inf:
        raise InputError("a budget is held against what this process sends: leave out the engine, or the budget")
    if budget is not None and budget.ahead and spending.limit < inf:
        if iter(items) is items:
            raise InputError(
                "the corpus can be read only once, and a budget is held against all of it first: give a list, or "
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
        for pending in ahead(job.prepared(items), lambda: calls.hungry):
            job.write(pending)
        return job.end(prune)


class Indexing:
    """One run: each part of the corpus is `prepared`, then written; then the `end`."""

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
        """Rows that the corpus has in the store."""
        self._report, self._writer = report, writer

    def prepared(self, items: Iterable[Item | Unreadable]) -> Iterator[list[Task]]:
        """What of each part of the corpus is to be embedded; all that needs no vectors is done."""
        for look in looks(items):
            if self._stops():
                return
            tasks = self._tasks(look)
            pending = self._writer.counted([task for task in tasks if task.work is Work.EMBEDDING])
            self._without_embedding([task for task in tasks if task.work is not Work.EMBEDDING])
            self._writer.expect(pending)
            yield pending

    def write(self, pending: Sequence[Task]) -> None:
        """Embed and write what is `prepared`, in slices."""
        for some in self._writer.slices(pending):
            if self._stops():
                return
            for task, rows in self._writer.write(some, self.stop):
                self._count(task, rows)
            self.counts.stopped |= self._writer.stopped

    def _stops(self) -> bool:
        """Whether the run is over; `stop` is asked."""
        self.counts.stopped = self.counts.stopped or (self.stop is not None and self.stop())
        return self.counts.stopped

    def end(self, prune: Prune) -> Counts:
        """Look for what left the corpus, and remove it where that is wanted."""
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
                f"the corpus has no documents, so that prune would remove all {self.counts.gone} of the collection: "
                "to do that, remove the collection"
            )
        if prune is True or (callable(prune) and prune(self.counts.gone or 0, rows)):
            remove_gone(self.store, self.seen)
            self.counts.pruned = self.counts.gone or 0

    def _tasks(self, look: Sequence[tuple[int, Item | Unreadable]]) -> list[Task]:
        """The documents of a part that can be worked on."""
        good = [(place, item) for place, item in look if self._passes(place, item)]
        held = by_document(self.store.held([item.id for _, item in good])) if good else by_document(())
        tasks = []
        for place, item in good:
            assert not isinstance(item, Unreadable)  # noqa: S101 - those do not pass
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

    def _without_embedding(self, tasks: Sequence[Task]) -> None:
        refiled = [task for task in tasks if task.work is Work.FIELDS]
        self._writer.refile(refiled)
        self.store.delete([row.id for task in tasks if task.work is Work.REMOVAL for row in task.before])
        blank = sum(not task.digest for task in tasks)
        self.counts.refiled += len(refiled)
        self.counts.blank += blank
        self.counts.skipped += len(tasks) - len(refiled) - blank
        if tasks:
            self._report(len(tasks), 0)

    def _count(self, task: Task, rows: int) -> None:
        self.counts.added += not task.before
        self.counts.updated += bool(task.before)
        self.counts.rows += rows
        self.counts.tokens += task.tokens
        self._rows += rows - len(task.before)
