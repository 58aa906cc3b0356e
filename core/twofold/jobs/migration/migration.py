"""`Migration`: a collection into the space of another model, while it is read and written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from twofold.errors import InputError
from twofold.jobs.budget import Spending
from twofold.jobs.migration.carrying import Carrier
from twofold.jobs.migration.collection import Collection
from twofold.jobs.migration.ends import ends, maker, pair, prepared, stored
from twofold.jobs.migration.moving import cut_over, pair_of, remove_source, roll_back
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
    """One collection's way into another space: plan, apply, verify, cut over; roll back, or prune.

    The rows are embedded again into a collection beside it, of the name "<name>_<fingerprint of the space>". All that
    is known of the migration is kept in the two collections, so that each step can be taken by another process, and
    again after it was killed.

    Args:
        address: where the collection is, as in `open_store`; its store has to be `Movable`, as Chroma's and
            Weaviate's are.
        name: what its users call it: a collection, or an alias of Weaviate's.
        embedder: what makes the new vectors; `rollback` and `prune` do without.
        old: embedders that may have made the vectors that are there, of which `plan` proves one; the first one that
            it proves answers the questions of `verify`, too.
        late_chunking: whether chunks are embedded in their documents; None is what `plan` proves.

    Raises:
        InputError: no such address, or a store that cannot move its collections.
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
        """What makes the new vectors.

        Raises:
            InputError: none was given.
        """
        if self._embedder is None:
            raise InputError("this step embeds: give the embedder of the new space")
        return self._embedder

    def stored(self) -> tuple[SpaceRecord | None, int | None]:
        """The record of the collection that is to be moved, and the size of its first vector; None for what is not.

        Raises:
            StoreError: no such collection.
        """
        return stored(self._place.beside(self.name))

    def plan(self, *, sample: int = DOCUMENTS, seed: int | None = None, trial: bool = True) -> Plan:
        """What is there, and what a migration would cost and take.

        Every row is read. Of a sample the tokens are counted; the old embedders embed some of it again, which a hosted
        one charges for. A local model is tried on the sample for ten seconds.

        Args:
            sample: how many documents.
            seed: draws the same ones each time.
            trial: write some rows to a collection of its own, which is removed again, to see how long that takes.

        Raises:
            InputError: a sample of nothing.
            StoreError: no such collection, or one that is being migrated already.
        """
        if sample < 1:
            raise InputError(f"sample={sample}: it must be at least 1")
        planning = Planning(*self._ends(), self.embedder, self.old, self.late_chunking)
        planning.look(sample=sample, seed=seed, trial=trial)
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
        """Carry over what the target lacks, or has otherwise than the source; any number of times.

        Ids, texts, metadata and references stay as they are. The source is read, and goes on serving.

        Args:
            budget: what this run may spend on a hosted model; it ends before more is.
            on_error: "stop" at a row that cannot be embedded, or "skip" it; this holds for the cutover, too.
            dead_letters: a file for the ids of those that were skipped, with the reasons.
            discard: after a rollback, take every row as the source has it, and lose what was written since the cutover.
            progress: draw a bar.
            stop: asked before each slice of a second or two; True ends the run cleanly.

        Raises:
            InputError: an option, or a row that cannot be embedded.
            BudgetExceeded: the rest does not fit.
            SpaceMismatch: the collection is in this space already.
            StoreError, ProviderError: what was embedded is written; another run goes on after it. Or, after a
                rollback, rows would be lost that were written since the cutover.
        """
        spending = Spending(self.embedder, budget)
        with SettingAside(on_error, dead_letters) as aside:
            own: dict[str, Any] = {"late": self.late_chunking, "skip": aside.skips, "discard": discard}
            both = prepared(self._ends(), self.name, self.embedder, self.old, **own)
            with reporting(both.source.rows.count(), "migrating", shown=progress) as report:
                return self._carrier(both, aside, spending=spending, report=report, stop=stop).carry()

    def verify(
        self, questions: Sequence[Question] = (), *, sample: int = SAMPLE, behind: int = 0, seed: int | None = None
    ) -> Verdict:
        """Look at every row and every vector, embed some again, ask questions; keep the verdict with the target.

        Args:
            questions: asked of both collections; see `read_questions`. Without them, beginnings of rows are asked.
            sample: rows that are embedded again, half of them at random, half those that look wrong.
            behind: how many rows may differ, since somebody is writing; the cutover carries them over.
            seed: draws the same sample each time.

        Raises:
            InputError: a sample of nothing.
            StoreError: nothing was applied yet.
        """
        if sample < 1:
            raise InputError(f"sample={sample}: it must be at least 1")
        source, target, note = self._pair()
        looking = Verifying(source, target, self.embedder, late=note.late, sample=sample, seed=seed)
        looking.look(questions, self.old[0] if self.old else None)
        verdict = looking.verdict
        verdict.decide(behind=behind, skip=note.skip)
        kept = {"go": verdict.go, "saw": verdict.saw, "at": verdict.at, "reasons": verdict.reasons}
        target.keep(replace(note, verdict=kept, cutting=False))
        return verdict

    def cutover(self, *, budget: Budget | None = None, stop: Callable[[], bool] | None = None) -> Carried:
        """Carry over the last rows while writers wait, then let the target serve under the name.

        Args:
            budget: what this step may spend on a hosted model; where the last rows do not fit, the source serves on.
            stop: as for `apply`.

        Raises:
            BudgetExceeded: the rest does not fit.
            StoreError: no verification said GO, or the target has changed since; the source serves as before.
        """
        both = self._pair()
        with SettingAside("skip" if both.note.skip else "stop") as aside:
            spending = Spending(self.embedder, budget)
            return cut_over(both, self._carrier(both, aside, spending=spending, stop=stop))

    def rollback(
        self, *, carry: bool = False, budget: Budget | None = None, stop: Callable[[], bool] | None = None
    ) -> Carried:
        """Let the source serve again; until `prune` that takes a moment. Cut over again after another `verify`.

        Args:
            carry: first carry what was written since the cutover back to the source, embedded by that of `old` which
                made its vectors; writers wait as in a cutover. Else it stays in the target, until an `apply` that may
                `discard` it.
            budget: what carrying may spend on a hosted model.
            stop: asked before each slice of what is carried; True leaves the target serving.

        Raises:
            InputError: none of `old` made them, or a row cannot be embedded by it; the target serves as before.
            BudgetExceeded: what is to be carried does not fit; the target serves as before.
            StoreError: nothing was cut over, or it was pruned.
        """
        both = pair_of(self._place.beside(self.name), self.name)
        with SettingAside("skip" if both.note.skip else "stop") as aside:
            back = None
            if carry and both.serves():
                made = maker(both.source, both.target, self.old)
                own: dict[str, Any] = {"late": both.note.late, "aside": aside, "removing": not both.note.skip}
                back = Carrier(both.target, both.source, made, spending=Spending(made, budget), stop=stop, **own)
            return roll_back(both, back)

    def prune(self) -> str:
        """Remove the source for good, and give its name to the target; the name of what was removed.

        Raises:
            StoreError: the target does not serve yet.
        """
        return remove_source(self._place.beside(self.name), Collection(movable(self._store)), self.name)

    def close(self) -> None:
        """Let go of files and connections."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _ends(self) -> tuple[Collection, Collection]:
        return ends(self._place, self.name, self.embedder)

    def _pair(self) -> Pair:
        return pair(self._place, self.name, self.embedder)

    def _carrier(self, both: Pair, aside: SettingAside, **options: Any) -> Carrier:
        return Carrier(both.source, both.target, self.embedder, late=both.note.late, aside=aside, **options)
