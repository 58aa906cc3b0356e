"""Rows of documents, whole or cut: as objects, written, read again and replaced."""

from __future__ import annotations

import json
import re
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

MORE = f"{OWN_PREFIX}more"
"""The property that keeps, as JSON, metadata whose names Weaviate does not take, or not as they are."""

_TEXTS, _NUMBERS = (ID, DOCUMENT, DIGEST, MORE), (START, END, PIECES)
_NAME = re.compile(r"[a-z_][A-Za-z0-9_]{0,230}")
_RESERVED = ("id", "vector", "_id", "_additional")


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


def declaring(collection: Any, metadatas: Iterable[Mapping[str, Scalar]], text: str, known: set[str]) -> Flow[None]:
    """Declare the properties that rows need and the collection lacks; `known` are those that it is known to have.

    Weaviate would guess otherwise: ids as text that is found by any of its words, texts that look like a date as one.
    """
    fields = {name: value for metadata in metadatas for name, value in metadata.items() if _native(name, text)}
    wanted = [_own(name) for name in (*_TEXTS, *_NUMBERS)]
    wanted += [Property(name=name, data_type=_type(value)) for name, value in fields.items()]
    if known.issuperset(one.name for one in wanted):
        return
    with refusals(f"collection {collection.name!r} can not be read"):
        config = yield collection.config.get
    known.update(one.name for one in config.properties)
    for one in wanted:
        if one.name not in known:
            with refusals(f"collection {collection.name!r} takes no property {one.name!r}"):
                yield partial(collection.config.add_property, one)
            known.add(one.name)


def removing(collection: Any, documents: Sequence[str], digest: str) -> Flow[None]:
    """Remove the rows of these documents that are not of the version `digest`."""
    old = Filter.by_property(DOCUMENT).contains_any(list(documents)) & Filter.by_property(DIGEST).not_equal(digest)
    with refusals(f"collection {collection.name!r}: old rows were not removed"):
        yield partial(collection.data.delete_many, where=old)


def object_of(row: Row, text: str) -> dict[str, Any]:
    """The properties of a row; `text` is the one that holds its text."""
    more = {name: value for name, value in row.metadata.items() if not _native(name, text)}
    fields = {name: value for name, value in row.fields().items() if name not in more}
    return {**fields, ID: row.id, text: row.text, **({MORE: json.dumps(more)} if more else {})}


def row_of(uuid: Any, properties: Mapping[str, Any], text: str) -> Row:
    """The row that `object_of` made properties of."""
    fields = {name: value for name, value in properties.items() if value is not None}
    key, said = fields.pop(ID, str(uuid)), fields.pop(text, "")
    return Row.from_fields(key, said, {**json.loads(fields.pop(MORE, "{}")), **fields})


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


def _native(name: str, text: str) -> bool:
    """Whether Weaviate has a property of this name for metadata."""
    return bool(_NAME.fullmatch(name)) and name not in (*_RESERVED, text)
