"""Estimates the cost and duration of a migration. Removes everything that it writes to the store."""

from __future__ import annotations

import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import is_blank
from twofold.jobs.budget import PROBE
from twofold.jobs.long import Pace
from twofold.jobs.migration.advising import advise
from twofold.jobs.migration.plan import Plan
from twofold.jobs.migration.proving import prove
from twofold.jobs.migration.sampling import Frame
from twofold.jobs.migration.trial import seconds_a_row
from twofold.jobs.migration.units import is_chunk, late_units, read_embedded, single_unit
from twofold.space import SpaceRecord
from twofold.stores.checks import refuses_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.migration.collection import Collection
    from twofold.jobs.migration.units import Unit
    from twofold.stores.moving import Original

SAMPLE = 1000
"""Documents whose tokens are counted."""

PROVED = 64
"""Whole documents that each old embedder embeds again. It also embeds half as many chunked documents."""

TRIED = 10.0
"""Seconds to measure the rate of a local model."""

TRIAL = 2000
"""Rows written to a temporary collection to measure the time."""

FLOAT = 4


class Planning:
    """Makes one plan. `plan` is complete when `run` returns."""

    def __init__(
        self, source: Collection, target: Collection, embedder: Embedder, old: Sequence[Embedder], late: bool | None
    ) -> None:
        self.source, self.target, self.embedder, self.old = source, target, embedder, old
        self._late = late
        self.plan = Plan(source.name, target.name)

    def run(self, *, sample: int = SAMPLE, seed: int | None = None, trial: bool = True) -> None:
        """Fill in the whole plan."""
        started = time.monotonic()
        with Frame(seed) as frame:
            self._scan(frame)
            reading = time.monotonic() - started
            self.plan.late = self._proved(frame)
            drawn = self._read(frame.documents(sample))
            self.plan.sampled = len(drawn)
            units = [unit for own in drawn for unit in self._units(own)]
            units = self._count(units, *frame.totals(late=bool(self.plan.late)))
        if self.embedder.backend.provider is None and units:
            rate, writing = self._try(units, trial=trial)
            carried = self.plan.rows - self.plan.without_text
            self.plan.seconds = 2 * reading + self.plan.tokens / rate + carried * writing
        elif units:
            self.plan.price = self.embedder.estimate([PROBE]).price
        self._conclude()

    def decide(self) -> bool | None:
        """Only find out whether chunks are late-chunked; None if it must be given."""
        with Frame(None) as frame:
            self._scan(frame)
            return self._proved(frame)

    # -- the collection ------------------------------------------------------------------------------------------------

    def _scan(self, frame: Frame) -> None:
        record = self.source.rows.record()
        self.plan.space = None if record is None else SpaceRecord.from_json(record).space.tag
        for page in self.source.pages():
            for one in self.source.originals([row.id for row in page]).values():
                row, texts = read_embedded(one)
                blank = any(is_blank(text) for text in texts)
                self.plan.rows += 1
                self.plan.without_text += blank
                self.plan.chunks += row.document != row.id
                frame.add(row.id, row.document, 0 if blank else sum(map(len, texts)))
        self.plan.documents = frame.count()

    def _read(self, documents: Sequence[tuple[str, bool]]) -> list[list[Original]]:
        """The rows of documents with their vectors. Documents of one row are read together."""
        single = [key for key, chunked in documents if not chunked]
        found = [[one] for one in self.source.originals(single, vectors=True).values()]
        for key, chunked in documents:
            if chunked:
                held = [row.id for row in self.source.held([key])]
                own = self.source.originals(held, vectors=True).values()
                found.append([one for one in own if read_embedded(one)[0].document == key])
        return [own for own in found if own]

    def _proved(self, frame: Frame) -> bool | None:
        """Whether chunks are late-chunked: as given, or as one of the old embedders proves."""
        drawn = self._read([*frame.documents(PROVED // 2, chunked=True), *frame.documents(PROVED, chunked=False)])
        self.plan.sizes = dict(Counter(one.vectors[0].size if one.vectors else 0 for own in drawn for one in own))
        self.plan.proofs = [prove(old, drawn) for old in self.old]
        if self._late is not None or not self.plan.chunks:
            return bool(self._late)
        for proof in self.plan.proofs:
            if proof.chunks and proof.chunks in (proof.late, proof.alone):
                return proof.late == proof.chunks
        return None

    # -- the estimate --------------------------------------------------------------------------------------------------

    def _units(self, own: Sequence[Original]) -> list[Unit]:
        if self.plan.late and is_chunk(own[0]):
            return list(late_units(read_embedded(own[0])[0].document, own))
        return [unit for one in own if (unit := single_unit(one)) is not None]

    def _count(self, units: Sequence[Unit], count: int, characters: int) -> list[Unit]:
        """Estimate all tokens from the sample by linear regression on characters. Returns the units that fit."""
        texts = [unit.texts() for unit in units]
        counted = iter(self.embedder.count_tokens([text for own in texts for text in own]) if units else ())
        if not units:
            return []
        own_lengths = [list(islice(counted, len(own))) for own in texts]
        sizes = np.array([sum(map(len, own)) for own in texts], np.float64)
        tokens = np.array([sum(own) for own in own_lengths], np.float64)
        slope, start = np.polyfit(sizes, tokens, 1) if np.ptp(sizes) else (0.0, float(tokens.mean()))
        total = start * count + slope * characters
        spread = float(np.std(tokens - start - slope * sizes, ddof=min(2, len(tokens) - 1)))
        missing = max(0.0, 1 - len(tokens) / max(count, 1))
        margin = 1.96 * count * spread * np.sqrt(missing / len(tokens))
        self.plan.tokens = round(total)
        self.plan.low, self.plan.high = round(total - margin), round(total + margin)
        if not refuses_long(self.embedder):
            return list(units)
        limit = self.embedder.card.max_tokens
        fitting = [unit for unit, own in zip(units, own_lengths, strict=True) if unit.late or max(own) <= limit]
        self.plan.too_long = round((len(units) - len(fitting)) / len(units) * count)
        return fitting

    def _try(self, units: Sequence[Unit], *, trial: bool) -> tuple[float, float]:
        """Measure tokens a second, and the seconds to write a row."""
        self.embedder.embed_late([units[0].document])  # load the weights before measuring
        pace, spent, tokens, place = Pace(), 0.0, 0, 0
        made: list[tuple[Original, np.ndarray]] = []
        while place < len(units) and spent < TRIED:
            started = time.monotonic()
            some: list[Unit] = []
            own = 0
            while place < len(units) and (not some or own < pace.tokens):
                some.append(units[place])
                own += sum(self.embedder.count_tokens(units[place].texts()))
                place += 1
            parts = [part for unit in some for part in unit.entry().units()]
            vectors = iter(self.embedder.embed_late(parts))
            seconds = time.monotonic() - started
            spent, tokens = spent + seconds, tokens + own
            pace.learn(own, seconds)
            for unit in some:
                array = np.concatenate([next(vectors) for _ in unit.entry().units()])
                made += zip(unit.rows, unit.vectors(array), strict=True)
        writing = seconds_a_row(self.source, self.target, self.embedder, made, TRIAL) if trial else 0.0
        return tokens / max(spent, 1e-6), writing

    def _conclude(self) -> None:
        plan = self.plan
        size = max(plan.sizes, key=lambda one: plan.sizes[one], default=0)
        plan.bytes_before = plan.rows * size * FLOAT
        plan.bytes_after = (plan.rows - plan.without_text) * self.embedder.dimensions * FLOAT
        proved = next((old for old, proof in zip(self.old, plan.proofs, strict=True) if proof.proved), None)
        plan.advice = list(advise(None if proved is None else proved.card.name, size or None, self.embedder))
        if plan.without_text:
            plan.risks.append(
                f"{plan.without_text:,} rows have no text, so they cannot be embedded: add a text, or leave them out "
                "(on_error='skip')"
            )
        if plan.too_long:
            plan.risks.append(
                f"about {plan.too_long:,} rows exceed the model's maximum length: truncate them (truncate='end')"
            )
        if len(plan.sizes) > 1:
            plan.risks.append(f"vectors of several sizes are stored: {', '.join(map(str, sorted(plan.sizes)))}")
        for proof in plan.proofs:
            if 0 < proof.agreeing < proof.rows:
                plan.risks.append(f"vectors of more than one model are stored: {proof.summary()}")
        if self.old and proved is None:
            plan.risks.append("none of the given old embedders wrote these vectors")
        if plan.late is None:
            plan.risks.append("it is unknown whether chunks were late-chunked: set late_chunking=True or False")
