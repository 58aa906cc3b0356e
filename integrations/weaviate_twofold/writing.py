"""Objects on their way into a collection: their ids, the pieces they go in, and what became of each.

Weaviate refuses single objects of a batch and carries on; its client says so in a result that is easily overlooked.
Here every refusal is collected, and raised as one `StoreError` once all that could be written is.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from twofold import InputError, StoreError
from twofold.extras import extra

with extra("weaviate"):
    from weaviate.classes.data import DataObject
    from weaviate.exceptions import (
        WeaviateBaseError,
        WeaviateInsertInvalidPropertyError,
        WeaviateInsertManyAllFailedError,
    )

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from weaviate.collections.classes.batch import BatchObjectReturn

    from twofold.vectors import FloatArray
    from weaviate_twofold.flow import Flow
    from weaviate_twofold.layout import Layout

PIECE = 128
"""Objects that are embedded, then sent, at a time: some megabytes at most, a tenth of what a server takes."""

REFUSED = (WeaviateInsertManyAllFailedError, WeaviateInsertInvalidPropertyError)
"""What is wrong with a piece alone; after anything else the server itself is in doubt."""

NAMESPACE = uuid5(NAMESPACE_URL, "twofold")


def object_id(name: str) -> UUID:
    """The UUID of an object: `name` itself where it is one, else always the same one for the same name."""
    try:
        return UUID(name)
    except ValueError:
        return uuid5(NAMESPACE, name)


def content_id(properties: Mapping[str, Any]) -> str:
    """An id made of what an object says: the same object, written again, replaces itself."""
    return str(uuid5(NAMESPACE, json.dumps(properties, sort_keys=True, default=str)))


def checked_ids(ids: Sequence[str | UUID] | None, objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """One id for each object: those given, or made of the objects' content.

    Raises:
        InputError: not one id an object, an id twice, or one that is empty.
    """
    if ids is None:
        return [content_id(properties) for properties in objects]
    if isinstance(ids, str) or len(ids) != len(objects):
        raise InputError(f"{len(ids)} ids for {len(objects)} objects: one for each is wanted")
    texts = [str(one) for one in ids]
    seen: set[UUID] = set()
    for index, text in enumerate(texts):
        if not text or (key := object_id(text)) in seen:
            raise InputError(f"id {index}, {text!r}, is {'there twice' if text else 'empty'}", index=index)
        seen.add(key)
    return texts


def sending(layout: Layout, collection: Any, writing: Writing, rows: slice, vectors: FloatArray) -> Flow[None]:
    """Write some of the objects, in pieces; `vectors` has shape (objects, vectors of each, dimensions)."""
    for some in writing.pieces(rows):
        own = vectors[some.start - rows.start : some.stop - rows.start]
        data = writing.data(some, [layout.named(group) for group in own])
        with writing.trying(some):
            writing.note(some, (yield partial(collection.data.insert_many, data)))


@dataclass
class Writing:
    """The state of one write: what is still to do, and what has failed."""

    collection: str
    ids: Sequence[str]
    objects: Sequence[Mapping[str, Any]]
    failed: dict[str, str] = field(default_factory=dict)

    def pieces(self, within: slice | None = None) -> Iterator[slice]:
        """Slices of the objects, or of some of them, to be sent one after the other."""
        start, stop = (within.start, within.stop) if within else (0, len(self.ids))
        for first in range(start, stop, PIECE):
            yield slice(first, min(first + PIECE, stop))

    def data(self, some: slice, vectors: Sequence[FloatArray | Mapping[str, FloatArray]]) -> list[DataObject[Any, Any]]:
        """The piece, as Weaviate's client takes it."""
        return [
            DataObject(properties=dict(properties), uuid=object_id(key), vector=vector)  # type: ignore[arg-type]
            for key, properties, vector in zip(self.ids[some], self.objects[some], vectors, strict=True)
        ]

    @contextmanager
    def trying(self, some: slice) -> Iterator[None]:
        """Keep the refusal of a whole piece; give up where the server does not answer rightly.

        Raises:
            StoreError: it can not go on; `failed` has this piece and all that come after it.
        """
        try:
            yield
        except (*REFUSED, TypeError, ValueError) as error:  # the last two: a value that the client can not send
            self.failed.update(dict.fromkeys(self.ids[some], str(error)))
        except WeaviateBaseError as error:
            self.failed.update(dict.fromkeys(self.ids[some.start :], str(error)))
            self.finish()

    def note(self, some: slice, result: BatchObjectReturn) -> None:
        """Keep the refusals of single objects."""
        self.failed.update({self.ids[some][index]: error.message for index, error in result.errors.items()})

    def finish(self) -> None:
        """Say what failed.

        Raises:
            StoreError: something did; `failed` has each id and the server's reason.
        """
        if self.failed:
            key, reason = next(iter(self.failed.items()))
            raise StoreError(
                f"{len(self.failed)} of {len(self.ids)} objects were not written to {self.collection!r}; "
                f"the first, {key!r}: {reason}",
                failed=self.failed,
            )
