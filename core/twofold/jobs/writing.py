"""Counts, embeds and writes a job's documents in slices of a second or two."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from twofold.errors import InputError, RequestRefused
from twofold.jobs.entries import entry_of, tokens_of
from twofold.jobs.long import LongDocument, Pace, is_of_the_document
from twofold.stores.rows import ROWS_AT_ONCE
from twofold.stores.writing import write_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from twofold.backend import Report
    from twofold.documents import Document
    from twofold.jobs.budget import Spending
    from twofold.jobs.calls import Calls
    from twofold.jobs.chunking import Cutting
    from twofold.jobs.comparing import Compared
    from twofold.jobs.setting_aside import SettingAside
    from twofold.stores.rows import Row
    from twofold.stores.store import Store
    from twofold.stores.writing import Entry

MAX_DOCUMENTS = 2000


class Writer:
    """Writes documents and adapts how many it writes at a time.

    Attributes:
        stopped: whether `stop` ended the run in the middle of a long document.
    """

    def __init__(
        self,
        calls: Calls,
        store: Store,
        cutting: Cutting,
        *,
        spending: Spending,
        aside: SettingAside,
        report: Report,
    ) -> None:
        self.embedder, self.store, self.cutting, self.spending = calls.embedder, store, cutting, spending
        self._aside, self._report = aside, report
        self.stopped = False
        self._calls = calls
        self._cut: dict[int, Document] = {}
        self._pace = Pace()

    # -- before anything is embedded ----------------------------------------------------------------------------------

    def count(self, tasks: Sequence[Compared]) -> list[Compared]:
        """The documents with their token counts. Documents that are too long are set aside."""
        short = [task for task in tasks if not self.cutting.is_long(task.item.text)]
        counts = self.embedder.count_tokens([task.item.text for task in short]) if short else []
        tokens = {task.place: count for task, count in zip(short, counts, strict=True)}
        fitting = []
        for task in tasks:
            count = tokens.get(task.place, 0)
            if (refused := self.cutting.too_long(self.embedder, task.item.id, count)) is not None:
                self._aside.put(task.place, task.item, str(refused))
            else:
                fitting.append(replace(task, tokens=count))
        return fitting

    def expect(self, tasks: Sequence[Compared]) -> None:
        """Announce the documents to an engine that wants to start on them early."""
        if not self._calls.wants_more:
            return
        units: list[Document] = []
        for task in tasks:
            if not self.cutting.is_long(task.item.text):
                with suppress(InputError):  # it is set aside when it is written
                    document = self._cut[task.place] = self.cutting.document(self.embedder, task.item.text)
                    units += entry_of(task, self.cutting, document).units()
        self._calls.expect(units)

    def slices(self, tasks: Sequence[Compared]) -> Iterator[list[Compared]]:
        """Group documents into slices that should take about `SECONDS`. A long document is its own slice."""
        start = 0
        while start < len(tasks):
            end, tokens, characters = start, 0, 0
            while end < min(len(tasks), start + MAX_DOCUMENTS):
                task = tasks[end]
                full = tokens + task.tokens > self._pace.tokens or characters >= self._calls.most_characters
                if end > start and (full or self.cutting.is_long(task.item.text)):
                    break
                tokens, characters = tokens + task.tokens, characters + len(task.item.text)
                end += 1
                if self.cutting.is_long(task.item.text):
                    break
            yield list(tasks[start:end])
            start = end

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(
        self, tasks: Sequence[Compared], stop: Callable[[], bool] | None = None
    ) -> Iterator[tuple[Compared, int]]:
        """Embed and write a slice. Yields each document written, with its number of rows.

        Raises:
            InputError: a document cannot be embedded, with on_error="stop".
            StoreError, ProviderError, BudgetExceeded: everything embedded before is stored.
        """
        if len(tasks) == 1 and self.cutting.is_long(tasks[0].item.text):
            yield from self._write_long(tasks[0], stop)
            return
        started = time.monotonic()
        count, entries = len(tasks), self._entries(tasks)
        tasks = [self._counted(task, entries[task.place]) for task in tasks if task.place in entries]
        tokens = sum(task.tokens for task in tasks)
        self.spending.take(tokens)
        self._write_entries({task.place: task for task in tasks}, entries)
        self._pace.learn(tokens, time.monotonic() - started)
        self._report(count, tokens)
        for task in tasks:
            if (entry := entries.get(task.place)) is not None and entry.document is not None:
                yield task, len(entry.document.spans)

    def _counted(self, task: Compared, entry: Entry) -> Compared:
        """The document with the tokens that the model processes: more than its own if its chunks are embedded alone."""
        return task if entry.late else replace(task, tokens=tokens_of(self.embedder, [entry]))

    def refile(self, tasks: Sequence[Compared]) -> None:
        """Write the new metadata of documents and keep their vectors."""
        owners = {row.id: task for task in tasks for row in task.before}
        ids = list(owners)
        for start in range(0, len(ids), ROWS_AT_ONCE):
            stored = self.store.get(ids[start : start + ROWS_AT_ONCE])
            if stored:
                rows = [_refiled(one.row, owners[one.row.id]) for one in stored]
                self.store.upsert(rows, np.stack([one.vector for one in stored]))

    def _write_long(self, task: Compared, stop: Callable[[], bool] | None) -> Iterator[tuple[Compared, int]]:
        document = LongDocument(self._calls, self.store, self.cutting, task, pace=self._pace, spending=self.spending)
        try:
            for tokens in document.write(stop):
                self._report(0, tokens)
        except (InputError, RequestRefused) as error:
            if not is_of_the_document(error):
                raise
            self._put(task, f"document {task.item.id!r}: {error}")
            return
        self.stopped = document.stopped
        if document.rows and not document.stopped:
            self._report(1, 0)
            yield replace(task, tokens=document.tokens), document.rows

    def _entries(self, tasks: Sequence[Compared]) -> dict[int, Entry]:
        """The entries to write, by place. A text without a chunk is set aside."""
        entries = {}
        for task in tasks:
            try:
                document = self._cut.pop(task.place, None) or self.cutting.document(self.embedder, task.item.text)
            except InputError as error:
                self._put(task, f"document {task.item.id!r}: {error}")
            else:
                entries[task.place] = entry_of(task, self.cutting, document)
        return entries

    def _write_entries(self, tasks: dict[int, Compared], entries: dict[int, Entry]) -> None:
        """Write `entries`, and remove those from it that are set aside."""
        while entries:
            places = list(entries)
            try:
                write_entries(self.store, self._calls, list(entries.values()))
            except InputError as error:
                if error.index is None:
                    raise
                place = places[error.index]
                del entries[place]
                self._put(tasks[place], str(error))
            except RequestRefused as error:
                if not is_of_the_document(error) or not (error.partial or len(places) == 1):
                    raise
                for number, reason in error.failed.items():
                    del entries[places[number]]
                    self._put(tasks[places[number]], f"document {tasks[places[number]].item.id!r}: {reason}")
                return
            else:
                return

    def _put(self, task: Compared, reason: str) -> None:
        self._aside.put(task.place, task.item, reason)


def _refiled(row: Row, task: Compared) -> Row:
    item = task.item
    return replace(row, metadata=item.metadata, digest=task.digest, source=item.source or row.source)
