"""Cutting over, back, and off: each step is one change of one mark, so that a kill leaves one state or the other.

    serving alone ─► source closed ─► source moved to the target ─► (alias moved) ─► source removed, name taken over

The way back is the same with the two exchanged, and without the closing where nothing is to be carried back.

A collection that is closed or has moved takes no writes by Twofold. Whoever has it open goes on reading it; whoever
opens it by its name gets the one that serves.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from twofold.errors import StoreError
from twofold.jobs.migration.carried import Carried
from twofold.jobs.migration.verifying import saw
from twofold.stores.moving import goal_of, moved_mark, moved_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs.migration.carrying import Carrier
    from twofold.jobs.migration.collection import Collection, Note

GRACE = 2.0
"""Seconds after the closing in which a write may still arrive that was allowed before it."""

FEW = 100
"""Rows that may be left for the time when writers wait."""

PASSES = 5
"""Passes before the closing, if there are always more rows than `FEW`."""


class Pair(NamedTuple):
    """The collection that was moved, or is to be, and the one that it is moved into."""

    source: Collection
    target: Collection
    note: Note

    def serves(self) -> bool:
        """Whether the target serves in the source's place."""
        return self.source.find() and moved_to(self.source.marks()) is not None


def pair_of(place: Collection, name: str) -> Pair:
    """The two collections of a migration of what users call `name`; `place` is the collection of that very name.

    Raises:
        StoreError: nothing of this name is being migrated.
    """
    if place.find():
        marks = place.marks()
        if (note := place.note()) is not None and note.source != place.name:  # an alias, which was moved already
            return Pair(place.beside(note.source), place, note)
        if (to := goal_of(marks)) is not None:
            target = place.beside(to)
            if target.find() and (note := target.note()) is not None:
                return Pair(place, target, note)
    raise StoreError(f"collection {name!r} is not being migrated: nothing was cut over, or it was pruned already")


def cut_over(pair: Pair, carrier: Carrier) -> Carried:
    """Catch up, close the source, catch up with what came in before that, and let the target serve.

    Raises:
        StoreError: no verification said that it may, or the target has changed since; the source serves as before.
    """
    source, target, note = pair
    if moved_to(source.marks()) == target.name:  # it serves, and may have been written to: nothing is carried any more
        source.repoint(note.name, target.name)
        if goal_of(target.marks()) is not None:  # a way back that was cut short
            target.set_moved(None)
        return Carried()
    _check_verdict(target, note)
    if note.served:
        check_returned(source, target)
    target.keep(replace(note, cutting=True, served=False))
    with _closed(source, target, carrier) as done:
        target.set_moved(None)  # it may have been rolled back from
    source.set_moved(moved_mark(target.name, serving=True))
    source.repoint(note.name, target.name)
    return done


@contextmanager
def _closed(source: Collection, target: Collection, carrier: Carrier) -> Iterator[Carried]:
    """Catch up, close the source, catch up with what came in before that; where anything fails, it is open again."""
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
    """Pass until nothing has changed in a pass that began after the last write can have arrived."""
    closed = time.monotonic()
    while True:
        started = time.monotonic()
        latest = carrier.carry()
        done.add(latest)
        if latest.stopped:
            raise StoreError("it was stopped: the collection that served serves on")
        if not latest.changed and started - closed >= GRACE:
            return
        time.sleep(max(0.0, GRACE - (time.monotonic() - closed)))


def _check_verdict(target: Collection, note: Note) -> None:
    verdict = note.verdict
    if verdict is None:
        raise StoreError(f"collection {target.name!r} was not verified: verify it, then cut over")
    if not verdict["go"]:
        raise StoreError(f"the verification of {verdict['at']} said NO-GO: {'; '.join(verdict['reasons'])}")
    if not note.cutting and saw(target) != verdict["saw"]:
        raise StoreError(f"collection {target.name!r} has changed since it was verified at {verdict['at']}: verify it")


def roll_back(pair: Pair, back: Carrier | None = None) -> Carried:
    """Let the source serve again, at once; or, by `back`, once it has what was written to the target since.

    Whatever is left of a cutover that was cut short is undone, too.

    Raises:
        InputError, StoreError: something could not be carried back; the target serves as before.
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
    """Refuse to lose what was written to a target while it served.

    Raises:
        StoreError: it has rows that the source has not, or otherwise.
    """
    others: list[str] = []
    for page in target.pages():
        here, there = (one.originals([row.id for row in page]) for one in (source, target))
        others += [key for key, one in there.items() if key not in here or here[key].kept != one.kept]
    if others:
        raise StoreError(
            f"collection {target.name!r} served until it was rolled back, and {len(others):,} of its rows are not in "
            f"{source.name!r}, or otherwise ({', '.join(others[:3])}): save those that were written then, and apply "
            "with discard, which takes every row as the source has it"
        )


def remove_source(place: Collection, named: Collection, name: str) -> str:
    """Remove the source for good, and give its name to the target; also what is left of this when it was cut short.

    Args:
        place: the collection of that very name.
        named: what opening by that name finds.
        name: what users call it.

    Raises:
        StoreError: the target does not serve.
    """
    if not place.find():
        if not named.find() or (note := named.note()) is None or not note.pruning:
            raise StoreError(f"there is no collection {name!r}")
        named.take_over(note.name)
        return note.source
    if (note := place.note()) is not None and note.pruning and not place.beside(note.source).find():
        place.take_over(note.name)
        return note.source
    source, target, note = pair_of(place, name)
    if source.find() and not note.pruning and moved_to(source.marks()) != target.name:
        raise StoreError(f"collection {source.name!r} still serves: cut over before its vectors are removed")
    removed = source.name
    target.keep(replace(note, pruning=True))
    source.drop()
    target.take_over(note.name)
    return removed
