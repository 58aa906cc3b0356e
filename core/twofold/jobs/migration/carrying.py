"""Carries rows over: embeds and writes the rows that are missing from the target or differ from the source.

A pass compares the two collections row by row, so it needs no state from an earlier pass. It continues where a killed
pass ended, and includes everything that was written to the source since.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import too_long
from twofold.errors import InputError, RequestRefused, StoreError
from twofold.jobs.corpus import Unreadable
from twofold.jobs.long import Pace, is_of_the_document
from twofold.jobs.migration.carried import Carried
from twofold.jobs.migration.collection import PAGE
from twofold.jobs.migration.units import is_chunk, late_units, read_embedded, same_texts, single_unit
from twofold.jobs.seen import Seen
from twofold.stores.checks import refuses_long
from twofold.stores.moving import moved_to
from twofold.stores.writing import embed_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from twofold.backend import Report
    from twofold.embedder import Embedder
    from twofold.jobs.budget import Spending
    from twofold.jobs.migration.collection import Collection
    from twofold.jobs.migration.units import Unit
    from twofold.jobs.setting_aside import SettingAside
    from twofold.stores.moving import Original
    from twofold.vectors import FloatArray

MOST_UNITS = 2000
"""The most units embedded at once."""


class Carrier:
    """Carries rows from one collection to another.

    Args:
        source, target: two existing collections; `find` was called on both.
        embedder: computes the new vectors.
        late: whether chunks are embedded in the context of their documents.
        aside: handles rows that cannot be embedded.
        spending: limits what all passes together spend on a hosted model.
        report: receives the numbers of rows and tokens.
        stop: called before each slice of a second or two. Returning True ends the pass.
        removing: whether to remove rows from the target that are not in the source.
    """

    def __init__(
        self,
        source: Collection,
        target: Collection,
        embedder: Embedder,
        *,
        late: bool,
        aside: SettingAside,
        spending: Spending | None = None,
        report: Report = lambda _documents, _tokens: None,
        stop: Callable[[], bool] | None = None,
        removing: bool = True,
    ) -> None:
        self.source, self.target, self.embedder, self.late = source, target, embedder, late
        self._aside, self._spending, self._report, self._stop = aside, spending, report, stop
        self._removing, self._pace = removing, Pace()
        self._done = Carried()

    def carry(self) -> Carried:
        """One pass over all rows.

        Raises:
            InputError: a row cannot be embedded and is not set aside. The message names it.
            BudgetExceeded: the next slice exceeds the budget.
            StoreError, ProviderError: everything embedded before is stored. Another run continues from there.
        """
        self._done, aside = Carried(), self._aside.count
        self.target.match(self.source)
        with Seen() as rows, Seen() as documents:
            for page in self.source.pages():
                for one in page:
                    rows.add(one.id, "")
                self._take([one.id for one in page], documents)
                if self._done.stopped:
                    return self._done
            if self._removing:
                self._remove(rows, documents)
        self._done.set_aside = self._aside.count - aside
        return self._done

    # -- comparing -----------------------------------------------------------------------------------------------------

    def _take(self, ids: Sequence[str], documents: Seen) -> None:
        """Carry one page of rows."""
        self._check_still_serving()
        originals, there = self.source.originals(ids), self.target.originals(ids)
        changed = [one for key, one in originals.items() if key not in there or there[key].kept != one.kept]
        chunks = {read_embedded(one)[0].document for one in changed if self.late and is_chunk(one)}
        singles = [one for one in changed if not (self.late and is_chunk(one))]
        units = [*self._singles(singles, there)]
        for document in sorted(chunks):
            if documents.add(document, "") is None:
                units += self._chunks(document)
        self._done.unchanged += len(originals) - len(changed)
        self._report(len(originals) - len(changed), 0)
        self._embed(units)

    def _embed(self, units: Sequence[Unit]) -> None:
        """Embed and write units slice by slice, until `stop` or the budget ends it."""
        for some, tokens in self._slices(units):
            if self._stop is not None and self._stop():
                self._done.stopped = True
                return
            if self._spending is not None:
                self._spending.take(tokens)
            self._write(some, tokens)

    def _singles(self, changed: Sequence[Original], there: Mapping[str, Original]) -> Iterator[Unit]:
        refiled = [one for one in changed if one.row.id in there and same_texts(one, there[one.row.id])]
        self._refile(refiled)
        done = {one.row.id for one in refiled}
        for one in changed:
            if one.row.id not in done:
                if (unit := single_unit(one)) is None:
                    self._set_aside([one], f"row {one.row.id!r} has no text, so it cannot be embedded")
                else:
                    yield unit

    def _chunks(self, document: str, *, again: bool = False) -> list[Unit]:
        """The sections of a document to embed. Unless `again`, none if only fields have changed."""
        originals = [*self.source.originals([row.id for row in self.source.held([document])]).values()]
        own = {one.row.id: one for one in originals if is_chunk(one) and read_embedded(one)[0].document == document}
        before = {row.id for row in self.target.held([document])}
        there = self.target.originals(sorted(before & own.keys()))
        if not again and before == own.keys() and all(same_texts(one, there[key]) for key, one in own.items()):
            self._refile([one for key, one in own.items() if there[key].kept != one.kept])
            return []
        self.target.delete(sorted(before))  # the context of unchanged rows has changed, too
        units = list(late_units(document, own.values()))
        written = {one.row.id for unit in units for one in unit.rows}
        if blank := [one for key, one in own.items() if key not in written]:
            self._set_aside(blank, f"row {blank[0].row.id!r} of document {document!r} has no text")
        return units

    def _refile(self, rows: Sequence[Original]) -> None:
        """Write rows with their existing vectors in the target."""
        ids = [one.row.id for one in rows]
        there = self.target.originals(ids, vectors=True)
        self.target.put(rows, [np.stack(there[key].vectors) for key in ids])
        self._done.refiled += len(rows)
        self._report(len(rows), 0)

    def _remove(self, rows: Seen, documents: Seen) -> None:
        """Remove rows that left the source. Each is looked up again, because pages shift while others write.

        If a late-chunked document lost a chunk, the context of its other chunks has changed: they are embedded again.
        """
        for page in self.target.pages():
            self._check_still_serving()
            gone = [one.id for one in page if one.id not in rows]
            still = self.source.originals(gone)
            there = self.target.originals([key for key in gone if key not in still])
            chunked = {read_embedded(one)[0].document for one in there.values() if self.late and is_chunk(one)}
            for document in sorted(chunked):
                if documents.add(document, "") is None:
                    self._embed(self._chunks(document, again=True))
            self.target.delete(list(there))
            self._done.removed += len(there)

    def _set_aside(self, rows: Sequence[Original], reason: str) -> None:
        """Set rows aside and remove any earlier version of them from the target."""
        self.target.delete([one.row.id for one in rows])
        for one in rows:
            self._aside.put(self._done.unchanged, Unreadable(one.row.id, reason, one.row.source), reason)

    def _check_still_serving(self) -> None:
        """Check that nobody has cut over meanwhile, so that a serving collection is never overwritten."""
        if moved_to(self.source.marks()) == self.target.name:
            raise StoreError(f"collection {self.target.name!r} is serving now: no more rows are carried into it")

    # -- embedding and writing -----------------------------------------------------------------------------------------

    def _slices(self, units: Sequence[Unit]) -> Iterator[tuple[list[Unit], int]]:
        """Group units into slices of a second or two, with their tokens. Units that are too long are set aside."""
        texts = [unit.texts() for unit in units]
        counts = self.embedder.count_tokens([text for own in texts for text in own]) if units else []
        some: list[Unit] = []
        tokens = place = 0
        for unit, own in zip(units, texts, strict=True):
            lengths = counts[place : place + len(own)]
            place += len(own)
            limit = self.embedder.card.max_tokens
            if not unit.late and refuses_long(self.embedder) and max(lengths) > limit:
                error = too_long(f"row {unit.key!r}", max(lengths), limit, way_out="set truncate='end'")
                self._set_aside(unit.rows, str(error))
                continue
            if some and (tokens + sum(lengths) > self._pace.tokens or len(some) == MOST_UNITS):
                yield some, tokens
                some, tokens = [], 0
            some.append(unit)
            tokens += sum(lengths)
        if some:
            yield some, tokens

    def _write(self, units: list[Unit], tokens: int) -> None:
        """Embed and write a slice. If a unit cannot be embedded, it is set aside and the others are tried again."""
        started = time.monotonic()
        self._check_still_serving()
        while units:
            try:
                vectors, failure = embed_entries(self.embedder, [unit.entry() for unit in units])
            except InputError as error:
                if error.index is None:
                    raise
                self._set_aside(units.pop(error.index).rows, str(error))
                continue
            self._put([(units[place], made) for place, made in sorted(vectors.items())])
            if failure is not None:
                if not isinstance(failure, RequestRefused) or not is_of_the_document(failure):
                    raise failure
                if not (failure.partial or len(units) == 1):
                    raise failure
                for place, reason in failure.failed.items():
                    self._set_aside(units[place].rows, reason)
            break
        self._done.tokens += tokens
        self._pace.learn(tokens, time.monotonic() - started)
        self._report(0, tokens)

    def _put(self, made: Sequence[tuple[Unit, FloatArray]]) -> None:
        rows = [row for unit, _ in made for row in unit.rows]
        vectors = [own for unit, array in made for own in unit.vectors(array)]
        for start in range(0, len(rows), PAGE):
            self.target.put(rows[start : start + PAGE], vectors[start : start + PAGE])
        self._done.embedded += len(rows)
        self._report(len(rows), 0)
