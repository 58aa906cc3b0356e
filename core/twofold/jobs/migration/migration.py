"""Migrates a collection to the space of another model while it is read and written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from twofold.errors import InputError
from twofold.jobs.budget import Spending
from twofold.jobs.migration.carrying import Carrier
from twofold.jobs.migration.collection import Collection
from twofold.jobs.migration.ends import find_ends, find_pair, find_writer, prepare, read_stored
from twofold.jobs.migration.moving import cut_over, find_moved_pair, remove_source, roll_back
from twofold.jobs.migration.planning import SAMPLE as DOCUMENTS
from twofold.jobs.migration.planning import Planning
from twofold.jobs.migration.verifying import SAMPLE, Verifying
from twofold.jobs.setting_aside import SettingAside
from twofold.progress import reporting
from twofold.stores.moving import movable
from twofold.stores.store import find_store

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.budget import Budget
    from twofold.jobs.migration.carried import Carried
    from twofold.jobs.migration.moving import Pair
    from twofold.jobs.migration.plan import Plan
    from twofold.jobs.migration.verdict import Verdict
    from twofold.jobs.questions import Question
    from twofold.jobs.setting_aside import OnError
    from twofold.space import SpaceRecord


class Migration:
    """The migration of one collection to another space: plan, apply, verify, cut over; then roll back or prune.

    The rows are embedded again into a second collection named "<name>_<fingerprint of the space>". The state of the
    migration is stored in the two collections. Each step can therefore run in another process, and can be repeated
    after it was killed.

    Args:
        address: where the collection is, as in `open_store`. Its store must implement `Movable`, as Chroma's and
            Weaviate's do.
        name: the name that users know: a collection, or an alias in Weaviate.
        embedder: computes the new vectors. `rollback` and `prune` do not need it.
        old: embedders that may have written the stored vectors. `plan` tests which of them did. The first one also
            answers the questions of `verify`.
        late_chunking: whether chunks are embedded in the context of their documents; None uses what `plan` proves.

    Raises:
        InputError: the address is invalid, or its store cannot move collections.
    """

    def __init__(
        self,
        address: str,
        name: str,
        embedder: Embedder | None = None,
        *,
        old: Sequence[Embedder] = (),
        late_chunking: bool | None = None,
    ) -> None:
        kind, where = find_store(address)
        self.name, self.old, self.late_chunking = name, tuple(old), late_chunking
        self._embedder = embedder
        self._store = kind.connect(where, name)
        try:
            self._place = Collection(movable(self._store))
        except InputError:
            self.close()
            raise

    @property
    def embedder(self) -> Embedder:
        """The embedder of the new space.

        Raises:
            InputError: none was given.
        """
        if self._embedder is None:
            raise InputError("this step needs the embedder of the new space")
        return self._embedder

    def stored(self) -> tuple[SpaceRecord | None, int | None]:
        """The source's record and its vector size. Either is None if unknown.

        Raises:
            StoreError: the collection does not exist.
        """
        return read_stored(self._place.sibling(self.name))

    def plan(self, *, sample: int = DOCUMENTS, seed: int | None = None, trial: bool = True) -> Plan:
        """Describe the collection, and estimate what a migration would cost and how long it would take.

        Reads every row and counts the tokens of a sample. The old embedders embed some of the sample again. A hosted
        model charges for that. A new local model embeds the sample for ten seconds to measure its rate.

        Args:
            sample: how many documents.
            seed: makes the sample repeatable.
            trial: write some rows to a temporary collection to measure the time. It is removed afterwards.

        Raises:
            InputError: `sample` is below 1.
            SpaceMismatch: the collection is already in the new space.
            StoreError: the collection does not exist, or an earlier migration of it was not pruned.
        """
        if sample < 1:
            raise InputError(f"sample={sample}: it must be at least 1")
        planning = Planning(*self._ends(), self.embedder, self.old, self.late_chunking)
        planning.run(sample=sample, seed=seed, trial=trial)
        return planning.plan

    def apply(
        self,
        *,
        budget: Budget | None = None,
        on_error: OnError = "stop",
        dead_letters: str | os.PathLike[str] | None = None,
        discard: bool = False,
        progress: bool = False,
        stop: Callable[[], bool] | None = None,
    ) -> Carried:
        """Embed and write the rows that are missing from the target or differ from the source. Can be repeated.

        Ids, texts, metadata and references stay the same. The source is only read. It keeps serving.

        Args:
            budget: the most that this run may spend on a hosted model. The run ends before it would spend more.
            on_error: "stop" at a row that cannot be embedded, or "skip" it. This also applies to the cutover.
            dead_letters: a file that receives the ids of skipped rows, with the reasons.
            discard: after a rollback, take every row from the source and lose rows written between cutover and
                rollback.
            progress: show a progress bar.
            stop: called before each slice of a second or two. Returning True ends the run cleanly.

        Raises:
            InputError: an option is invalid, or a row cannot be embedded.
            BudgetExceeded: the rest does not fit into the budget.
            SpaceMismatch: the collection is already in the new space.
            StoreError: the store failed; or, after a rollback, rows written since the cutover would be lost.
            ProviderError: a hosted model failed. In each case everything embedded before is stored, and another run
                continues from there.
        """
        spending = Spending(self.embedder, budget)
        with SettingAside(on_error, dead_letters) as aside:
            both = prepare(
                self._ends(),
                self.name,
                self.embedder,
                self.old,
                late=self.late_chunking,
                skip=aside.skips,
                discard=discard,
            )
            with reporting(both.source.rows.count(), "migrating", shown=progress) as report:
                return self._carrier(both, aside, spending=spending, report=report, stop=stop).carry()

    def verify(
        self, questions: Sequence[Question] = (), *, sample: int = SAMPLE, behind: int = 0, seed: int | None = None
    ) -> Verdict:
        """Check every row and vector, embed some rows again, and ask questions. Stores the verdict with the target.

        Args:
            questions: questions to ask both collections; see `read_questions`. If empty, the beginnings of rows are
                used to compare the target's search with exact search.
            sample: how many rows to embed again: half at random, half those that look most wrong.
            behind: how many rows may differ because somebody is writing. The cutover carries them over.
            seed: makes the sample repeatable.

        Raises:
            InputError: `sample` is below 1.
            StoreError: nothing was applied yet.
        """
        if sample < 1:
            raise InputError(f"sample={sample}: it must be at least 1")
        source, target, note = self._pair()
        verifying = Verifying(source, target, self.embedder, late=note.late, sample=sample, seed=seed)
        verifying.run(questions, self.old[0] if self.old else None)
        verdict = verifying.verdict
        verdict.decide(behind=behind, skip=note.skip)
        kept = {"go": verdict.go, "saw": verdict.saw, "at": verdict.at, "reasons": verdict.reasons}
        target.keep(replace(note, verdict=kept, cutting=False))
        return verdict

    def cutover(self, *, budget: Budget | None = None, stop: Callable[[], bool] | None = None) -> Carried:
        """Carry over the last rows while writers wait, then let the target serve under the name.

        Args:
            budget: the most that this step may spend on a hosted model. If the last rows exceed it, the source keeps
                serving.
            stop: as for `apply`.

        Raises:
            BudgetExceeded: the last rows do not fit into the budget. The source keeps serving.
            StoreError: no verification said GO, or the target has changed since. The source keeps serving.
        """
        both = self._pair()
        with SettingAside("skip" if both.note.skip else "stop") as aside:
            spending = Spending(self.embedder, budget)
            return cut_over(both, self._carrier(both, aside, spending=spending, stop=stop))

    def rollback(
        self, *, carry: bool = False, budget: Budget | None = None, stop: Callable[[], bool] | None = None
    ) -> Carried:
        """Let the source serve again. This takes a moment and is possible until `prune`.

        To cut over again, `verify` again first.

        Args:
            carry: first carry rows written since the cutover back to the source, embedded by the one of `old` that
                wrote its vectors. Writers wait as in a cutover. Otherwise these rows stay in the target until an
                `apply` with `discard`.
            budget: the most that carrying back may spend on a hosted model.
            stop: called before each slice that is carried. Returning True leaves the target serving.

        Raises:
            InputError: none of `old` wrote the source's vectors, or a row cannot be embedded. The target keeps serving.
            BudgetExceeded: the rows do not fit into the budget. The target keeps serving.
            StoreError: nothing was cut over, or it was pruned.
        """
        both = find_moved_pair(self._place.sibling(self.name), self.name)
        with SettingAside("skip" if both.note.skip else "stop") as aside:
            back = None
            if carry and both.serves():
                made = find_writer(both.source, both.target, self.old)
                back = Carrier(
                    both.target,
                    both.source,
                    made,
                    late=both.note.late,
                    aside=aside,
                    spending=Spending(made, budget),
                    stop=stop,
                    removing=not both.note.skip,
                )
            return roll_back(both, back)

    def prune(self) -> str:
        """Remove the source permanently and give its name to the target. Returns the name of the removed collection.

        Raises:
            StoreError: the target does not serve yet.
        """
        return remove_source(self._place.sibling(self.name), Collection(movable(self._store)), self.name)

    def close(self) -> None:
        """Close files and connections."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _ends(self) -> tuple[Collection, Collection]:
        return find_ends(self._place, self.name, self.embedder)

    def _pair(self) -> Pair:
        return find_pair(self._place, self.name, self.embedder)

    def _carrier(self, both: Pair, aside: SettingAside, **options: Any) -> Carrier:
        return Carrier(both.source, both.target, self.embedder, late=both.note.late, aside=aside, **options)
