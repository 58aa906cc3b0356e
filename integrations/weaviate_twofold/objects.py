"""Objects on their way into a collection: their ids, their batches, and which of them were rejected.

Weaviate rejects single objects of a batch and goes on; its client reports that in a result that is easily overlooked.
Here every rejection is collected, and raised in one `StoreError` after everything else has been written.

Rows of documents are objects too; `object_of` and `row_of` translate them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from twofold import Document, InputError, StoreError
from twofold.adapters import check_cancelled, extra, reporting, resolve
from twofold.stores import FIELDS, HELD_FIELDS, OWN_PREFIX, SLICE, Entry, Held, Row, check_lengths, embed_entries
from weaviate_twofold.connect import weaviate_errors

with extra("weaviate"):
    from weaviate.classes.config import DataType, Property, Tokenization
    from weaviate.exceptions import (
        UnexpectedStatusCodeError,
        WeaviateBaseError,
        WeaviateInsertInvalidPropertyError,
        WeaviateInsertManyAllFailedError,
        WeaviateInvalidInputError,
    )

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from weaviate.classes.data import DataObject

    from twofold import Embedder
    from twofold.stores import Metadata
    from weaviate_twofold.record import Layout

PIECE = 128
"""Objects sent at a time: some megabytes at most, a tenth of what a server accepts."""

INVALID = (WeaviateInsertInvalidPropertyError, WeaviateInvalidInputError, TypeError, ValueError)
"""Raised by the client, before it sends anything, because of one value in one object of a batch."""

REJECTED = (*INVALID, WeaviateInsertManyAllFailedError, UnexpectedStatusCodeError)
"""The batch is at fault. After any other error the server is considered gone."""

NAMESPACE = uuid5(NAMESPACE_URL, "twofold")

ID = f"{OWN_PREFIX}id"
"""The property with a row's own id, from which the object's UUID is made."""

MORE = f"{OWN_PREFIX}more"
"""The property with the metadata, as JSON, that Weaviate does not accept or would change."""

EXACT = 2**53
"""Whole numbers up to this survive as floats."""

HELD = (ID, *HELD_FIELDS)
"""The properties to read to learn which rows exist."""

_OWN = {ID: str, MORE: str, **FIELDS}
_NAME = re.compile(r"[a-z_][A-Za-z0-9_]{0,230}")
_RESERVED = ("id", "vector", "_id", "_additional")


def pieces(ids: Sequence[str]) -> Iterator[list[str]]:
    """Split ids into those asked for at a time."""
    return (list(ids[start : start + PIECE]) for start in range(0, len(ids), PIECE))


def object_id(name: str) -> UUID:
    """Return the UUID of an object: `name` itself if it is one, or else one made from it."""
    try:
        return UUID(name)
    except ValueError:
        return uuid5(NAMESPACE, name)


def check_objects(objects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the objects with Python numbers in place of numpy scalars, which Weaviate's client rejects.

    Raises:
        InputError: a single object instead of a list.
    """
    if isinstance(objects, str) or hasattr(objects, "keys"):
        raise InputError("expected a list of objects, each with its properties, got one: pass [object]")
    return [_plain(one) for one in objects]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def check_ids(ids: Sequence[str | UUID] | None, objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return an id for each object: the given ones, or ids made from the objects' properties.

    Raises:
        InputError: another number of ids, or an id that is empty or repeated.
    """
    if ids is None:
        return [str(uuid5(NAMESPACE, json.dumps(one, sort_keys=True, default=str))) for one in objects]
    if isinstance(ids, str) or len(ids) != len(objects):
        raise InputError(f"{len(ids)} ids for {len(objects)} objects: expected one for each")
    texts = [str(one) for one in ids]
    seen: set[UUID] = set()
    for index, text in enumerate(texts):
        if not text or (key := object_id(text)) in seen:
            raise InputError(f"id {index}, {text!r}, {'occurs twice' if text else 'is empty'}", index=index)
        seen.add(key)
    return texts


@dataclass
class Sending:
    """A call's objects, in the order of their `ids`, and those that were rejected.

    Attributes:
        allow: called before each piece, if given; raises if the collection accepts no more writes.
        failed: the reason for each id that was not written.
        lost: the server did not answer, or the collection accepts no more. Nothing more is sent then.
    """

    collection: Any
    ids: Sequence[str]
    allow: Callable[[], None] | None = None
    failed: dict[str, str] = field(default_factory=dict)
    lost: bool = False

    def insert(self, places: Sequence[int], objects: Sequence[DataObject[Any, Any]]) -> None:
        """Write the objects at `places`, replacing others with the same ids."""
        for start in range(0, len(places), PIECE):
            self._insert(places[start : start + PIECE], objects)

    def _insert(self, places: Sequence[int], objects: Sequence[DataObject[Any, Any]]) -> None:
        write = partial(self.collection.data.insert_many, [objects[index] for index in places])
        if not self._try(places, write, alone=len(places) == 1):
            half = len(places) // 2
            self._insert(places[:half], objects)
            self._insert(places[half:], objects)

    def update(self, places: Sequence[int], objects: Sequence[DataObject[Any, Any]]) -> None:
        """Change the existing objects at `places`, one by one. Properties that an object does not name stay."""
        for index in places:
            one = objects[index]
            change = partial(self.collection.data.update, one.uuid, one.properties, one.references, one.vector)
            self._try([index], change)

    def _try(self, places: Sequence[int], write: Callable[[], Any], *, alone: bool = True) -> bool:
        """Write, and note what was rejected. Returns False if one of several objects is invalid, unknown which."""
        if self.lost:
            return True
        errors: Mapping[int, str] = {}
        try:
            if self.allow is not None:
                self.allow()
            result = resolve(write())
            errors = {index: error.message for index, error in result.errors.items()} if result is not None else {}
        except REJECTED as error:
            if isinstance(error, INVALID) and not alone:
                return False
            errors = dict.fromkeys(range(len(places)), str(error))
        except (WeaviateBaseError, StoreError) as error:
            self.lost = True
            self.failed.update(dict.fromkeys(self.ids[places[0] :], str(error)))
        self.failed.update((self.ids[places[number]], reason) for number, reason in errors.items())
        return True

    def finish(self) -> None:
        """Raise the failures, if any, as one `StoreError` with each id and its reason."""
        if self.failed:
            key, reason = next(iter(self.failed.items()))
            raise StoreError(
                f"{len(self.failed)} of {len(self.ids)} objects were not written to {self.collection.name!r}; "
                f"the first, {key!r}: {reason}",
                failed=self.failed,
            )


def read_properties(collection: Any, uuids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Return the properties of the existing objects among `uuids`."""
    found: dict[UUID, Mapping[str, Any]] = {}
    for start in range(0, len(uuids), PIECE):
        some = uuids[start : start + PIECE]
        with weaviate_errors(f"collection {collection.name!r} cannot be read"):
            answer = resolve(collection.query.fetch_objects_by_ids(some, limit=len(some)))
        found.update((one.uuid, one.properties) for one in answer.objects)
    return found


def entries_of(
    embedder: Embedder, layout: Layout, ids: Sequence[str], objects: Mapping[int, Mapping[str, Any]]
) -> dict[int, Entry]:
    """Return what to embed of each object, by its number: one text for each vector.

    Raises:
        InputError: no text, one that cannot be embedded, or one too long; the message names the object.
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
    """Embed `entries` slice by slice, give the objects of these numbers their vectors, write all; return the UUIDs.

    Raises:
        StoreError: rejected objects; all others are written.
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


# -- rows of documents as objects -------------------------------------------------------------------------------------


def properties_for(metadatas: Iterable[Metadata], text: str) -> list[Property]:
    """Return the properties to declare for rows with these fields; `text` is the property with the rows' text.

    Otherwise Weaviate guesses: ids become text that is found by any of its words, texts that look like dates dates.
    """
    fields = {name: value for metadata in metadatas for name, value in metadata.items() if _native(name, value, text)}
    own = [
        Property(
            name=name,
            data_type=DataType.TEXT,
            tokenization=Tokenization.FIELD,
            index_searchable=False,
            skip_vectorization=True,
        )
        for name, kind in _OWN.items()
        if kind is str
    ]
    own += [Property(name=name, data_type=DataType.INT) for name, kind in _OWN.items() if kind is int]
    return own + [Property(name=name, data_type=_type(value)) for name, value in fields.items()]


def object_of(row: Row, text: str) -> dict[str, Any]:
    """Return the properties of a row; `text` is the property with the rows' text."""
    more = {name: value for name, value in row.metadata.items() if not _native(name, value, text)}
    fields = {name: value for name, value in row.fields().items() if name not in more}
    return {**fields, ID: row.id, text: row.text, **({MORE: json.dumps(more)} if more else {})}


def row_of(uuid: Any, properties: Mapping[str, Any], layout: Layout, vector: str) -> Row:
    """Return the row that `object_of` stored. Any other object is a row with the text that `vector` is made from."""
    fields = {name: value for name, value in properties.items() if value is not None}
    names = layout.vectors[vector]
    text = layout.joined(names, fields)
    if len(names) == 1:
        fields.pop(names[0], None)
    return Row.from_fields(str(fields.pop(ID, uuid)), text, {**json.loads(fields.pop(MORE, "{}")), **fields})


def held_of(one: Any) -> Held:
    """Return which document an object belongs to."""
    fields = {name: value for name, value in one.properties.items() if value is not None}
    return Held.from_fields(str(fields.get(ID, one.uuid)), fields)


def _type(value: object) -> DataType:
    several = isinstance(value, list | tuple)
    one = value[0] if isinstance(value, list | tuple) else value
    if isinstance(one, bool):
        return DataType.BOOL_ARRAY if several else DataType.BOOL
    if isinstance(one, str):
        return DataType.TEXT_ARRAY if several else DataType.TEXT
    return DataType.NUMBER_ARRAY if several else DataType.NUMBER


def _native(name: str, value: object, text: str) -> bool:
    """Return whether Weaviate accepts the property and keeps the value. Its numbers are floats."""
    values = value if isinstance(value, list | tuple) else [value]
    exact = all(not isinstance(one, int) or abs(one) <= EXACT for one in values)
    return exact and bool(_NAME.fullmatch(name)) and name not in (*_RESERVED, text)
