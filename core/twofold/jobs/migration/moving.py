"""Cutting over, back, and off: each step is one change of one mark, so that a kill leaves one state or the other.

    serving alone ─► source closed ─► source moved to the target ─► (alias moved) ─► source removed, name taken over

A collection that is closed or has moved takes no writes by Twofold. Whoever has it open goes on reading it; whoever
opens it by its name gets the one that serves. Never are both marked at once.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from twofold.errors import StoreError
from twofold.jobs.migration.carried import Carried
from twofold.jobs.migration.verifying import saw
from twofold.stores.moving import goal_of, moved_mark, moved_to

if TYPE_CHECKING:
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
        return Carried()
    _check_verdict(target, note)
    target.keep(replace(note, cutting=True))
    done = Carried()
    for _ in range(PASSES):
        latest = carrier.carry()
        done.add(latest)
        if latest.changed <= FEW:
            break
    source.set_moved(moved_mark(target.name, serving=False))
    try:
        _settle(carrier, done)
        target.set_moved(None)  # it may have been rolled back from
    except BaseException:
        source.set_moved(None)
        raise
    source.set_moved(moved_mark(target.name, serving=True))
    source.repoint(note.name, target.name)
    return done


def _settle(carrier: Carrier, done: Carried) -> None:
    """Pass until nothing has changed in a pass that began after the last write can have arrived."""
    closed = time.monotonic()
    while True:
        started = time.monotonic()
        latest = carrier.carry()
        done.add(latest)
        if latest.stopped:
            raise StoreError("the cutover was stopped: the source serves as before")
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


def roll_back(pair: Pair) -> None:
    """Let the source serve again; what was written to the target since the cutover stays there.

    Whatever is left of a cutover that was cut short is undone, too.
    """
    source, target, note = pair
    source.find()
    was_serving = moved_to(source.marks()) is not None
    source.repoint(note.name, source.name)
    source.set_moved(None)
    if was_serving:
        target.set_moved(moved_mark(source.name, serving=True))
    target.keep(replace(note, cutting=False, verdict=None))


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
