"""Objects on their way into a collection: their ids, the pieces they go in, and what became of each.

Weaviate refuses single objects of a batch and carries on; its client says so in a result that is easily overlooked.
Here every refusal is collected, and raised as one `StoreError` once all that could be written is.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from twofold import Document, InputError, StoreError
from twofold.adapters import SLICE, Entry, check_cancelled, check_lengths, embed_entries, extra, reporting, resolve

with extra("weaviate"):
    from weaviate.exceptions import (
        UnexpectedStatusCodeError,
        WeaviateBaseError,
        WeaviateInsertInvalidPropertyError,
        WeaviateInsertManyAllFailedError,
    )

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from weaviate.classes.data import DataObject

    from twofold import Embedder
    from weaviate_twofold.record import Layout

PIECE = 128
"""Objects that are sent at a time: some megabytes at most, a tenth of what a server takes."""


def pieces(ids: Sequence[str]) -> Iterator[list[str]]:
    """Ids that are asked for at a time."""
    return (list(ids[start : start + PIECE]) for start in range(0, len(ids), PIECE))


REFUSED = (
    WeaviateInsertManyAllFailedError,
    WeaviateInsertInvalidPropertyError,
    UnexpectedStatusCodeError,
    TypeError,
    ValueError,
)
"""What is wrong with a piece alone, the last two with a value in it; after anything else the server is in doubt."""

NAMESPACE = uuid5(NAMESPACE_URL, "twofold")


def object_id(name: str) -> UUID:
    """The UUID of an object: `name` itself where it is one, else always the same one for the same name."""
    try:
        return UUID(name)
    except ValueError:
        return uuid5(NAMESPACE, name)


def checked_ids(ids: Sequence[str | UUID] | None, objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """One id for each object: those given, or made of what the objects say, so that the same one replaces itself."""
    if isinstance(objects, str) or hasattr(objects, "keys"):
        raise InputError("expected a list of objects, each with its properties, got one: pass [object]")
    if ids is None:
        return [str(uuid5(NAMESPACE, json.dumps(one, sort_keys=True, default=str))) for one in objects]
    if isinstance(ids, str) or len(ids) != len(objects):
        raise InputError(f"{len(ids)} ids for {len(objects)} objects: expected one for each")
    texts = [str(one) for one in ids]
    seen: set[UUID] = set()
    for index, text in enumerate(texts):
        if not text or (key := object_id(text)) in seen:
            raise InputError(f"id {index}, {text!r}, is {'there twice' if text else 'empty'}", index=index)
        seen.add(key)
    return texts


@contextmanager
def refusals(doing: str) -> Iterator[None]:
    """Turn what Weaviate raises into a `StoreError` that says what was being resolve."""
    try:
        yield
    except WeaviateBaseError as error:
        missing = isinstance(error, UnexpectedStatusCodeError) and error.status_code == 404
        raise StoreError(f"{doing}: {'there is none of that name' if missing else error}") from error


@dataclass
class Sending:
    """Objects that go into a collection, in the order of their `ids`, and those that it refused.

    Attributes:
        allow: asked before each piece, if given; it raises where nothing may be written any more.
        lost: whether the server did not answer, or allows no more; nothing is sent then.
    """

    collection: Any
    ids: Sequence[str]
    allow: Callable[[], None] | None = None
    failed: dict[str, str] = field(default_factory=dict)
    lost: bool = False

    def insert(self, places: Sequence[int], objects: Sequence[DataObject[Any, Any]]) -> None:
        """Write those at `places`, in place of others with the same ids, in pieces."""
        for start in range(0, len(places), PIECE):
            some = places[start : start + PIECE]
            self._trying(some, partial(self.collection.data.insert_many, [objects[index] for index in some]))

    def update(self, places: Sequence[int], objects: Sequence[DataObject[Any, Any]]) -> None:
        """Change those at `places`, which are there, one by one; what an object does not say stays as it is."""
        for index in places:
            one = objects[index]
            change = partial(self.collection.data.update, one.uuid, one.properties, one.references, one.vector)
            self._trying([index], change)

    def _trying(self, places: Sequence[int], write: Callable[[], Any]) -> None:
        if self.lost:
            return
        errors: Mapping[int, str] = {}
        try:
            if self.allow is not None:
                self.allow()
            result = resolve(write())
            errors = {index: error.message for index, error in result.errors.items()} if result is not None else {}
        except REFUSED as error:
            errors = dict.fromkeys(range(len(places)), str(error))
        except (WeaviateBaseError, StoreError) as error:
            self.lost = True
            self.failed.update(dict.fromkeys(self.ids[places[0] :], str(error)))
        self.failed.update((self.ids[places[number]], reason) for number, reason in errors.items())

    def finish(self) -> None:
        """Raise what failed as one `StoreError`, which has each id and the server's reason."""
        if self.failed:
            key, reason = next(iter(self.failed.items()))
            raise StoreError(
                f"{len(self.failed)} of {len(self.ids)} objects were not written to {self.collection.name!r}; "
                f"the first, {key!r}: {reason}",
                failed=self.failed,
            )


def properties_of(collection: Any, uuids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """The properties of those objects that are there."""
    found: dict[UUID, Mapping[str, Any]] = {}
    for start in range(0, len(uuids), PIECE):
        some = uuids[start : start + PIECE]
        with refusals(f"collection {collection.name!r} cannot be read"):
            answer = resolve(collection.query.fetch_objects_by_ids(some, limit=len(some)))
        found.update((one.uuid, one.properties) for one in answer.objects)
    return found


def entries_of(
    embedder: Embedder, layout: Layout, ids: Sequence[str], objects: Mapping[int, Mapping[str, Any]]
) -> dict[int, Entry]:
    """What is to be embedded of each object, by its number: one text for each vector.

    Raises:
        InputError: nothing to embed, or a text that cannot be embedded, or one too long; the object is named.
    """
    texts = {index: layout.texts(properties, index) for index, properties in objects.items()}
    places = [index for index, own in texts.items() for _ in own]
    try:
        whole = [Document.whole(text) for own in texts.values() for text in own]
        check_lengths(embedder, [ids[index] for index in places], whole)
    except InputError as error:
        error.index = None if error.index is None else places[error.index]
        raise
    entries = {}
    for index, own in texts.items():
        ends = list(accumulate(map(len, own)))
        document = Document.from_spans("".join(own), pairwise([0, *ends]))
        entries[index] = Entry(ids[index], document, late=False)
    return entries


def write_objects(
    embedder: Embedder,
    layout: Layout,
    sending: Sending,
    objects: Sequence[DataObject[Any, Any]],
    *,
    entries: Mapping[int, Entry],
    update: bool = False,
    progress: bool = False,
) -> list[str]:
    """Embed `entries` slice by slice, give the objects of these numbers their vectors, and write all; their UUIDs.

    Raises:
        StoreError: objects that the server refused; all others are written.
        ProviderError: a hosted model failed; objects that have their vectors are written.
    """
    write = sending.update if update else sending.insert
    with reporting(len(objects), "adding", shown=progress) as report:
        for start in range(0, len(objects), SLICE):
            check_cancelled()
            some = range(start, min(start + SLICE, len(objects)))
            asked = [index for index in some if index in entries]
            try:
                made, failure = embed_entries(embedder, [entries[index] for index in asked])
            except InputError as error:
                error.index = None if error.index is None else asked[error.index]
                raise
            for number, rows in made.items():
                objects[asked[number]].vector = layout.named(rows)
            lacking = {index for number, index in enumerate(asked) if number not in made}
            write([index for index in some if index not in lacking], objects)
            if failure is not None:
                failure.renumber(asked)
                failure.failed.update((sending.ids.index(key), reason) for key, reason in sending.failed.items())
                raise failure
            report(len(some), 0)
            if sending.lost:
                break
    sending.finish()
    return [str(one.uuid) for one in objects]
