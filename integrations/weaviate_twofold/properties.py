"""Rows of documents as Weaviate's objects, and back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from twofold.adapters import DIGEST, DOCUMENT, END, OWN_PREFIX, ROWS, SECTION, SOURCE, START, Held, Row, extra

with extra("weaviate"):
    from weaviate.classes.config import DataType, Property, Tokenization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from twofold.adapters import Metadata
    from weaviate_twofold.record import Layout

ID = f"{OWN_PREFIX}id"
"""The property that keeps a row's own id; the object's UUID is made of it."""

MORE = f"{OWN_PREFIX}more"
"""The property that keeps, as JSON, metadata that Weaviate does not take, or not as it is."""

EXACT = 2**53
"""Whole numbers up to this are kept by a float."""

HELD = (ID, DOCUMENT, DIGEST, ROWS, SOURCE)
"""What is read to see which rows are there."""

_TEXTS, _NUMBERS = (ID, DOCUMENT, DIGEST, MORE, SOURCE), (START, END, ROWS, SECTION)
_NAME = re.compile(r"[a-z_][A-Za-z0-9_]{0,230}")
_RESERVED = ("id", "vector", "_id", "_additional")


def properties_for(metadatas: Iterable[Metadata], text: str) -> list[Property]:
    """What a collection has to declare for rows with these fields; `text` is the property that holds their text.

    Weaviate would guess otherwise: ids as text that is found by any of its words, texts that look like a date as one.
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
        for name in _TEXTS
    ]
    own += [Property(name=name, data_type=DataType.INT) for name in _NUMBERS]
    return own + [Property(name=name, data_type=_type(value)) for name, value in fields.items()]


def object_of(row: Row, text: str) -> dict[str, Any]:
    """The properties of a row; `text` is the one that holds its text."""
    more = {name: value for name, value in row.metadata.items() if not _native(name, value, text)}
    fields = {name: value for name, value in row.fields().items() if name not in more}
    return {**fields, ID: row.id, text: row.text, **({MORE: json.dumps(more)} if more else {})}


def row_of(uuid: Any, properties: Mapping[str, Any], layout: Layout, vector: str) -> Row:
    """The row that `object_of` made properties of; any other object is a row that says what `vector` is made of."""
    fields = {name: value for name, value in properties.items() if value is not None}
    names = layout.vectors[vector]
    said = layout.joined(names, fields)
    if len(names) == 1:
        fields.pop(names[0], None)
    return Row.from_fields(str(fields.pop(ID, uuid)), said, {**json.loads(fields.pop(MORE, "{}")), **fields})


def held_of(one: Any) -> Held:
    """What of an object is enough to see which document it belongs to."""
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
    """Whether Weaviate has a property of this name for metadata, and keeps the value: its numbers are floats."""
    values = value if isinstance(value, list | tuple) else [value]
    exact = all(not isinstance(one, int) or abs(one) <= EXACT for one in values)
    return exact and bool(_NAME.fullmatch(name)) and name not in (*_RESERVED, text)
