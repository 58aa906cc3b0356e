"""Rows of documents, whole or cut: as objects, written, read again and replaced."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twofold import InputError
from twofold.extras import extra
from twofold.jobs.store import DIGEST, DOCUMENT, END, OWN_PREFIX, PIECES, START, Row
from weaviate_twofold.schema import refusals
from weaviate_twofold.writing import object_id

with extra("weaviate"):
    from weaviate.classes.config import DataType, Property, Tokenization
    from weaviate.classes.query import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twofold.jobs.store import Scalar
    from weaviate_twofold.flow import Flow
    from weaviate_twofold.layout import Layout

ID = f"{OWN_PREFIX}id"
"""The property that keeps a row's own id; the object's UUID is made of it."""

_TEXTS, _NUMBERS = (ID, DOCUMENT, DIGEST), (START, END, PIECES)


def text_property(layout: Layout, collection: Any) -> str:
    """The one property that rows are made of.

    Raises:
        InputError: the collection has several vectors, or makes them of several properties.
    """
    names = {name for own in layout.vectors.values() for name in own}
    if len(names) != 1 or len(layout.vectors) != 1:
        raise InputError(
            f"collection {collection.name!r} makes {len(layout.vectors)} vectors of {', '.join(sorted(names))}: "
            "documents need a collection that is made with vectorize='text', or another single property"
        )
    return names.pop()


def declaring(collection: Any, metadatas: Iterable[Mapping[str, Scalar]]) -> Flow[None]:
    """Declare the properties that rows need and the collection lacks.

    Weaviate would guess otherwise: ids as text that is found by any of its words, texts that look like a date as one.
    """
    with refusals(f"collection {collection.name!r} can not be read"):
        config = yield collection.config.get
    has = {one.name for one in config.properties}
    fields = {name: value for metadata in metadatas for name, value in metadata.items()}
    wanted = [_own(name) for name in (*_TEXTS, *_NUMBERS)]
    wanted += [Property(name=name, data_type=_type(value)) for name, value in fields.items()]
    for one in wanted:
        if one.name not in has:
            with refusals(f"collection {collection.name!r} takes no property {one.name!r}"):
                yield partial(collection.config.add_property, one)


def removing(collection: Any, documents: Sequence[str], digest: str) -> Flow[None]:
    """Remove the rows of these documents that are not of the version `digest`."""
    old = Filter.by_property(DOCUMENT).contains_any(list(documents)) & Filter.by_property(DIGEST).not_equal(digest)
    with refusals(f"collection {collection.name!r}: old rows were not removed"):
        yield partial(collection.data.delete_many, where=old)


def object_of(row: Row, name: str) -> dict[str, Any]:
    """The properties of a row whose text is the property `name`."""
    return {**row.fields(), ID: row.id, name: row.text}


def row_of(uuid: Any, properties: Mapping[str, Any], name: str) -> Row:
    """The row that `object_of` made an object of."""
    fields = {key: value for key, value in properties.items() if key not in (ID, name) and value is not None}
    return Row.from_fields(properties.get(ID) or str(uuid), properties.get(name) or "", fields)


def by_ids(ids: Sequence[str]) -> Any:
    """The filter that finds the rows with these ids."""
    return Filter.by_id().contains_any([object_id(key) for key in ids])


def _own(name: str) -> Property:
    """Found by its whole value, and by no word of a search."""
    if name in _NUMBERS:
        return Property(name=name, data_type=DataType.INT)
    return Property(name=name, data_type=DataType.TEXT, tokenization=Tokenization.FIELD, index_searchable=False)


def _type(value: Scalar) -> DataType:
    if isinstance(value, bool):
        return DataType.BOOL
    return DataType.TEXT if isinstance(value, str) else DataType.NUMBER
