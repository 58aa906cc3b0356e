"""Cuts over, rolls back and prunes. Each step changes one mark, so a kill leaves either the old or the new state.

    serving alone ─► source closed ─► source moved to the target ─► (alias moved) ─► source removed, target renamed

A rollback is the same with the two collections exchanged, and without closing if no rows are carried back.

Twofold does not write to a collection that is closed or has moved. Readers that have it open can continue to read it.
Opening it by its name opens the serving collection.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from twofold.errors import StoreError
from twofold.jobs.migration.carried import Carried
from twofold.jobs.migration.verifying import compute_digest
from twofold.stores.moving import goal_of, moved_mark, moved_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs.migration.carrying import Carrier
    from twofold.jobs.migration.collection import Collection, Note

GRACE = 2.0
"""Seconds after closing in which a write that was allowed before may still arrive."""

FEW = 100
"""The most changed rows that may be left to carry while writers wait."""

PASSES = 5
"""The most passes before closing, even if more than `FEW` rows change in each."""


class Pair(NamedTuple):
    """The source, the target and the state of a migration."""

    source: Collection
    target: Collection
    note: Note

    def serves(self) -> bool:
        """Whether the target serves instead of the source."""
        return self.source.find() and moved_to(self.source.marks()) is not None


def find_moved_pair(place: Collection, name: str) -> Pair:
    """The collections of the migration of `name`, the name that users know. `place` is the collection of that name.

    Raises:
        StoreError: there is no migration of this name.
    """
    if place.find():
        marks = place.marks()
        if (note := place.note()) is not None and note.source != place.name:  # an alias that was already moved
            return Pair(place.sibling(note.source), place, note)
        if (to := goal_of(marks)) is not None:
            target = place.sibling(to)
            if target.find() and (note := target.note()) is not None:
                return Pair(place, target, note)
    raise StoreError(f"collection {name!r} is not being migrated: nothing was cut over, or it was pruned already")


def cut_over(pair: Pair, carrier: Carrier) -> Carried:
    """Catch up, close the source, catch up with the last writes, and let the target serve.

    Raises:
        StoreError: no verification said GO, or the target has changed since. The source keeps serving.
    """
    source, target, note = pair
    if moved_to(source.marks()) == target.name:  # the target serves and may have new rows: carry nothing
        source.repoint(note.name, target.name)
        if goal_of(target.marks()) is not None:  # left by an interrupted rollback
            target.set_moved(None)
        return Carried()
    _check_verdict(target, note)
    if note.served:
        check_returned(source, target)
    target.keep(replace(note, cutting=True, served=False))
    with _closed(source, target, carrier) as done:
        target.set_moved(None)  # left by an earlier rollback
    source.set_moved(moved_mark(target.name, serving=True))
    source.repoint(note.name, target.name)
    return done


@contextmanager
def _closed(source: Collection, target: Collection, carrier: Carrier) -> Iterator[Carried]:
    """Catch up, close the source, and catch up with the last writes. Opens the source again if anything fails."""
    done = Carried()
    for _ in range(PASSES):
        latest = carrier.carry()
        done.add(latest)
        if latest.changed <= FEW:
            break
    source.set_moved(moved_mark(target.name, serving=False))
    try:
        _settle(carrier, done)
        yield done
    except BaseException:
        source.set_moved(None)
        raise


def _settle(carrier: Carrier, done: Carried) -> None:
    """Repeat passes until one that started after the last possible write finds no change."""
    closed = time.monotonic()
    while True:
        started = time.monotonic()
        latest = carrier.carry()
        done.add(latest)
        if latest.stopped:
            raise StoreError("stopped: the collection that served before keeps serving")
        if not latest.changed and started - closed >= GRACE:
            return
        time.sleep(max(0.0, GRACE - (time.monotonic() - closed)))


def _check_verdict(target: Collection, note: Note) -> None:
    verdict = note.verdict
    if verdict is None:
        raise StoreError(f"collection {target.name!r} was not verified: verify it, then cut over")
    if not verdict["go"]:
        raise StoreError(f"the verification of {verdict['at']} said NO-GO: {'; '.join(verdict['reasons'])}")
    if not note.cutting and compute_digest(target) != verdict["saw"]:
        raise StoreError(f"collection {target.name!r} has changed since it was verified at {verdict['at']}: verify it")


def roll_back(pair: Pair, back: Carrier | None = None) -> Carried:
    """Let the source serve again: at once, or, with `back`, after carrying back the rows written to the target.

    Also undoes an interrupted cutover.

    Raises:
        InputError, StoreError: a row could not be carried back. The target keeps serving.
    """
    source, target, note = pair
    serving, done = pair.serves(), Carried()
    if serving and back is not None:
        with _closed(target, source, back) as done:
            pass
    served = note.served or (serving and back is None)
    target.keep(replace(note, cutting=False, verdict=None, served=served))
    source.repoint(note.name, source.name)
    source.set_moved(None)
    if serving:
        target.set_moved(moved_mark(source.name, serving=True))
    return done


def check_returned(source: Collection, target: Collection) -> None:
    """Check that no rows written to the target while it served would be lost.

    Raises:
        StoreError: the target has rows that are not in the source or differ from it.
    """
    others: list[str] = []
    for page in target.pages():
        here, there = (one.originals([row.id for row in page]) for one in (source, target))
        others += [key for key, one in there.items() if key not in here or here[key].kept != one.kept]
    if others:
        raise StoreError(
            f"collection {target.name!r} served until it was rolled back, and {len(others):,} of its rows are missing "
            f"from {source.name!r} or differ there ({', '.join(others[:3])}): save the rows that you need, then apply "
            "with discard, which takes every row from the source"
        )


def remove_source(place: Collection, named: Collection, name: str) -> str:
    """Remove the source permanently and give its name to the target. Also completes an interrupted prune.

    Args:
        place: the collection of this name.
        named: the collection that opening this name finds.
        name: the name that users know.

    Raises:
        StoreError: the collection does not exist, or the target does not serve.
    """
    if not place.find():
        if not named.find() or (note := named.note()) is None or not note.pruning:
            raise StoreError(f"there is no collection {name!r}")
        named.take_over(note.name)
        return note.source
    if (note := place.note()) is not None and note.pruning and not place.sibling(note.source).find():
        place.take_over(note.name)
        return note.source
    source, target, note = find_moved_pair(place, name)
    if source.find() and not note.pruning and moved_to(source.marks()) != target.name:
        raise StoreError(f"collection {source.name!r} still serves: cut over before you prune it")
    removed = source.name
    target.keep(replace(note, pruning=True))
    source.drop()
    target.take_over(note.name)
    return removed
