"""Finds and prepares the two collections of a migration: the source and the target."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from twofold.errors import InputError, SpaceMismatch, StoreError
from twofold.jobs.migration.collection import Note
from twofold.jobs.migration.moving import Pair, check_returned
from twofold.jobs.migration.planning import Planning
from twofold.space import SpaceRecord
from twofold.stores.moving import goal_of
from twofold.stores.opening import check_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.migration.collection import Collection


def find_ends(place: Collection, name: str, embedder: Embedder) -> tuple[Collection, Collection]:
    """The source and the target. The target may not exist yet.

    Args:
        place: any collection in the same store.
        name: the source's name, as its users know it.
        embedder: the embedder of the new space.

    Raises:
        SpaceMismatch: the source is already in the new space.
        StoreError: the source does not exist, or an earlier migration of it was not pruned.
    """
    source = place.sibling(name)
    if not source.find():
        raise StoreError(f"there is no collection {name!r} to migrate")
    target = source.sibling(f"{name}_{embedder.space.fingerprint}")
    record = source.rows.record()
    if target.name == source.name or (record and not SpaceRecord.from_json(record).space.differences(embedder.space)):
        raise SpaceMismatch(f"collection {name!r} is already in this space: {embedder.space.tag}")
    note = source.note()
    if note is not None or goal_of(source.marks()) not in (None, target.name):
        raise StoreError(
            f"collection {name!r} was moved before, and its old vectors still exist ({source.name!r}): prune that "
            "migration or roll it back"
        )
    return source, target


def find_pair(place: Collection, name: str, embedder: Embedder) -> Pair:
    """The source, the target and the state of the migration.

    Raises:
        SpaceMismatch: see `ends`.
        StoreError: see `ends`; or nothing was applied yet.
    """
    source, target = find_ends(place, name, embedder)
    if not target.find() or (note := target.note()) is None:
        raise StoreError(f"collection {name!r} has no migration to {target.name!r} yet: apply first")
    return Pair(source, target, note)


def prepare(
    both: tuple[Collection, Collection],
    name: str,
    embedder: Embedder,
    old: Sequence[Embedder],
    *,
    late: bool | None,
    skip: bool,
    discard: bool,
) -> Pair:
    """The source, the target and the state of the migration. Creates the target if it does not exist.

    Args:
        both: the result of `ends`.
        name: the source's name, as its users know it.
        embedder: the embedder of the new space.
        old: embedders that may have written the old vectors.
        late: whether chunks are embedded in the context of their documents; None uses what `old` proves.
        skip: whether rows that cannot be embedded are left out.
        discard: whether rows written to the target before a rollback may be lost.

    Raises:
        InputError: `late` must be given because `old` proves nothing.
        StoreError: the source is being cut over, another collection has the target's name, or rows would be lost.
    """
    source, target = both
    if goal_of(source.marks()) is not None:
        raise StoreError(
            f"the cutover of collection {name!r} has started or is complete: cut over again, or roll it back"
        )
    if not target.find():
        note = Note(name, source.name, late=_decide_late(source, target, embedder, old, late), skip=skip)
        target.make_like(source, embedder.record().to_json(), embedder, note)
        target.find()
        return Pair(source, target, note)
    before = target.note()
    if before is None or before.source != source.name:
        raise StoreError(f"collection {target.name!r} exists but was not created by this migration: remove it first")
    check_record(target.rows, embedder)
    if before.served and not discard:
        check_returned(source, target)
    note = replace(before, late=before.late if late is None else late, skip=skip, cutting=False, served=False)
    target.keep(note)
    return Pair(source, target, note)


def _decide_late(
    source: Collection, target: Collection, embedder: Embedder, old: Sequence[Embedder], late: bool | None
) -> bool:
    if late is None:
        late = Planning(source, target, embedder, old, None).decide()
    if late is None:
        raise InputError(
            f"collection {source.name!r} has chunks, and it is unknown whether they were late-chunked: pass the "
            "embedder that wrote them as old= to find out, or set late_chunking=True or False"
        )
    return late


def find_writer(source: Collection, target: Collection, old: Sequence[Embedder]) -> Embedder:
    """The one of the old embedders that wrote the source, according to its record or, without one, its vectors.

    Raises:
        InputError: none of them did.
    """
    if source.rows.record() is not None:
        for embedder in old:
            with suppress(SpaceMismatch):
                check_record(source.rows, embedder)
                return embedder
    elif old:
        planning = Planning(source, target, old[0], old, late=True)
        planning.decide()
        for embedder, proof in zip(old, planning.plan.proofs, strict=True):
            if proof.proved:
                return embedder
    raise InputError(
        f"rows written since the cutover must be embedded in the space of {source.name!r}, and none of the given "
        "embedders has that space: pass the one that wrote its vectors as old="
    )


def read_stored(place: Collection) -> tuple[SpaceRecord | None, int | None]:
    """The source's record and its vector size. Either is None if unknown.

    Args:
        place: the collection of the name that users know.

    Raises:
        StoreError: the collection does not exist.
    """
    if not place.find():
        raise StoreError(f"there is no collection {place.name!r} to migrate")
    if (note := place.note()) is not None:  # an alias that was already moved
        place = place.sibling(note.source)
        place.find()
    record = place.rows.record()
    held = next(place.pages(), ())[:1]
    vectors = [one.vectors for one in place.originals([row.id for row in held], vectors=True).values()]
    size = vectors[0][0].size if vectors and vectors[0] else None
    return (None if record is None else SpaceRecord.from_json(record)), size
