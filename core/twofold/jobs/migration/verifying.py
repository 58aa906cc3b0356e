"""Verifies a migration: compares every row, checks every vector, embeds a sample again, and tests the search."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import is_blank
from twofold.errors import ProviderError
from twofold.jobs.metrics import DEPTH
from twofold.jobs.migration.judging import judge
from twofold.jobs.migration.suspicion import Suspicion
from twofold.jobs.migration.units import is_chunk, late_units, read_embedded, single_unit
from twofold.jobs.migration.vectors import NEAR, Exact, agrees, fits
from twofold.jobs.migration.verdict import Digest, Verdict
from twofold.jobs.seen import Seen
from twofold.stores.checks import refuses_long

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.migration.collection import Collection
    from twofold.jobs.questions import Question
    from twofold.stores.moving import Original

SAMPLE = 256
"""Rows embedded again: half at random, half those whose vectors are most suspicious."""

ASKED = 100
"""The most questions for the comparison with exact search. By default, these are the beginnings of rows."""

BEGINNING = 200
"""Characters of such a beginning."""


class Verifying:
    """Runs one verification. `verdict` is complete when `run` returns."""

    def __init__(
        self,
        source: Collection,
        target: Collection,
        embedder: Embedder,
        *,
        late: bool,
        sample: int = SAMPLE,
        seed: int | None = None,
    ) -> None:
        self.source, self.target, self.embedder, self.late = source, target, embedder, late
        self.verdict = Verdict()
        self._sample = sample
        self._random = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._suspicion = Suspicion(max(1, sample // 2))
        self._drawn: list[str] = []
        self._seen = 0

    def run(self, questions: Sequence[Question] = (), old: Embedder | None = None) -> None:
        """Run all checks."""
        with Seen() as rows:
            self._compare(rows)
            asked = self._questions(questions)
            exact = Exact(self.embedder.embed_queries(asked)) if asked else None
            self._scan(rows, exact)
        self._embed_again()
        if exact is not None and exact.rows:
            self._search(exact)
        if questions:
            self._judge(questions, old)

    # -- every row ----------------------------------------------------------------------------------------------------

    def _compare(self, rows: Seen) -> None:
        """Compare the rows of the source with those of the target."""
        for page in self.source.pages():
            ids = [one.id for one in page]
            for key in ids:
                rows.add(key, "")
            originals, there = self.source.originals(ids, vectors=True), self.target.originals(ids, vectors=True)
            self._leave_out([one for key, one in originals.items() if key not in there])
            for key, one in originals.items():
                if key in there:
                    if there[key].kept != one.kept:
                        self.verdict.differing.note(key)
                    self._draw(key)
            self._suspect(originals, there)

    def _leave_out(self, missing: Sequence[Original]) -> None:
        """Sort missing rows into those that cannot be embedded and those that were not carried."""
        limit = self.embedder.card.max_tokens
        for one in missing:
            unit = single_unit(one)
            limited = unit is not None and refuses_long(self.embedder) and not self._late(one)
            long = limited and unit is not None and max(self.embedder.count_tokens(unit.texts())) > limit
            (self.verdict.left_out if unit is None or long else self.verdict.missing).note(one.row.id)

    def _draw(self, key: str) -> None:
        """Keep each row with the same probability (Vitter's algorithm R)."""
        self._seen += 1
        if len(self._drawn) < self._sample:
            self._drawn.append(key)
        elif (place := self._random.randrange(self._seen)) < self._sample:
            self._drawn[place] = key

    def _suspect(self, originals: Mapping[str, Original], there: Mapping[str, Original]) -> None:
        size = self.embedder.dimensions
        pairs = [
            (key, one.vectors[0], there[key].vectors[0])
            for key, one in originals.items()
            if key in there and one.vectors and one.vectors[0].size and fits(there[key], size)
        ]
        widths = {len(old) for _, old, _ in pairs}
        if len(widths) == 1:
            keys, old, new = zip(*pairs, strict=True)
            self._suspicion.add(keys, np.stack(old), np.stack(new))

    def _scan(self, rows: Seen, exact: Exact | None) -> None:
        """Check each row of the target."""
        digest, unit = Digest(), self.embedder.settings.normalize
        for page in self.target.pages():
            for key, one in self.target.originals([held.id for held in page], vectors=True).items():
                self.verdict.rows += 1
                digest.add(one)
                if key not in rows and not self.source.originals([key]):
                    self.verdict.extra.note(key)
                if not fits(one, self.embedder.dimensions, unit=unit):
                    self.verdict.unfit.note(key)
                elif exact is not None:
                    exact.add(key, one.vectors[0])
        self.verdict.saw = str(digest)
        if exact is not None:
            exact.flush()

    # -- some rows ----------------------------------------------------------------------------------------------------

    def _embed_again(self) -> None:
        half = self._sample // 2
        ids = list(dict.fromkeys([*self._suspicion.worst()[:half], *self._drawn]))[: self._sample]
        there = self.target.originals(ids, vectors=True)
        singles = [unit for one in there.values() if not self._late(one) and (unit := single_unit(one)) is not None]
        documents = sorted({read_embedded(one)[0].document for one in there.values() if self._late(one)})
        units = singles
        for document in documents:
            own = self.target.originals([row.id for row in self.target.held([document])], vectors=True)
            units += late_units(document, (one for one in own.values() if self._late(one)))
        try:
            made = self.embedder.embed_late([part for unit in units for part in unit.entry().units()])
        except ProviderError as error:
            raise type(error)(f"the sample of rows cannot be embedded again: {error}") from error
        place = 0
        for unit in units:
            parts = len(unit.entry().units())
            vectors = unit.vectors(np.concatenate(made[place : place + parts]))
            place += parts
            for row, wanted in zip(unit.rows, vectors, strict=True):
                self.verdict.sampled += 1
                if not agrees(row, wanted):
                    self.verdict.changed.note(row.row.id)

    def _late(self, one: Original) -> bool:
        return self.late and is_chunk(one)

    # -- the search ---------------------------------------------------------------------------------------------------

    def _questions(self, given: Sequence[Question]) -> list[str]:
        if given:
            return [question.text for question in given][:ASKED]
        ids = self._random.sample(self._drawn, min(ASKED, len(self._drawn)))
        texts = (read_embedded(one)[1][0] for one in self.source.originals(ids).values())
        return [text[:BEGINNING] for text in texts if not is_blank(text[:BEGINNING])]

    def _search(self, exact: Exact) -> None:
        found = wanted = 0
        for vector, least in zip(exact.queries, exact.least(), strict=True):
            hits = self.target.nearest(vector, DEPTH)
            depth = min(DEPTH, exact.rows)
            found += min(depth, sum(score >= least - NEAR for _, score in hits))
            wanted += depth
        self.verdict.searched = len(exact.queries)
        self.verdict.recall = found / wanted if wanted else 1.0

    def _judge(self, questions: Sequence[Question], old: Embedder | None) -> None:
        new = self._answers(self.target, self.embedder, questions)
        before = None if old is None else self._answers(self.source, old, questions)
        self.verdict.judged = judge(questions, before, new)

    @staticmethod
    def _answers(collection: Collection, embedder: Embedder, questions: Sequence[Question]) -> list[list[str]]:
        """Ids of documents, best first; ids of rows if the judged answers name rows."""
        named = {key for question in questions for key in question.answers or ()}
        answers = []
        for vector in embedder.embed_queries([question.text for question in questions]):
            ids = [key for key, _ in collection.nearest(vector, 2 * DEPTH)]
            documents = {key: one.row.document for key, one in collection.originals(ids).items()}
            answers.append([*dict.fromkeys(key if key in named else documents.get(key, key) for key in ids)][:DEPTH])
        return answers


def compute_digest(target: Collection) -> str:
    """Compute the digest of a collection's current rows and vectors."""
    digest = Digest()
    for page in target.pages():
        for one in target.originals([held.id for held in page], vectors=True).values():
            digest.add(one)
    return str(digest)
