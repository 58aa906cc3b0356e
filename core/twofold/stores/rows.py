"""Rows: what a store keeps beside each vector, under the same names in every store.

A *document* is what a user indexes, a *row* is one vector. A document that is embedded whole is one row. A document
that is cut into chunks has a row for each chunk, with the chunk's span in the document's text. Every row names the
version of its document and the number of rows of that version. That tells a finished run from one that was killed
halfway.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from twofold.documents import Span
    from twofold.vectors import FloatArray

OWN_PREFIX = "twofold_"
"""The prefix of Twofold's own metadata fields. Users' fields must not start with it."""

DOCUMENT, START, END = "twofold_document", "twofold_start", "twofold_end"
DIGEST, ROWS, SOURCE, SECTION = "twofold_digest", "twofold_rows", "twofold_source", "twofold_section"

FIELDS: dict[str, type] = {
    DOCUMENT: str,
    DIGEST: str,
    SOURCE: str,
    START: int,
    END: int,
    ROWS: int,
    SECTION: int,
}
"""The names of Twofold's own fields and their types, for stores that declare them. See `Row.fields`."""

HELD_FIELDS = (DOCUMENT, DIGEST, ROWS, SOURCE)
"""The fields that `Held.from_fields` needs."""

ROWS_AT_ONCE = 1000
"""Rows in one call of the store. A document with no more rows than this is written by one call."""

HASHED = 1 << 20
"""Characters that are hashed at once."""

WIDER = 4
"""`search_filtered` asks for this many times as many rows as before, until enough of them match."""

Scalar: TypeAlias = "str | int | float | bool"
Value: TypeAlias = "Scalar | list[str] | list[int] | list[float] | list[bool]"
"""What a metadata field may hold; a list only if the store keeps lists."""

Metadata: TypeAlias = "Mapping[str, Value]"

Where: TypeAlias = "Mapping[str, Sequence[Scalar]]"
"""A filter: field names, each with the accepted values (at least one). A list field matches by one of its items.

Values are compared exactly and by type: 3 equals 3.0, but neither "3" nor True.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is stored beside one vector.

    Attributes:
        id: any string. A store that needs another form derives it from this one and keeps this one as a field.
        document: the id of the document; equal to `id` if the document is one row.
        text: the text of the document or the chunk.
        span: the position of `text` in the document, in characters.
        metadata: the user's fields; none starts with `twofold_`.
        digest: the version of the document; empty if unknown.
        rows: the number of rows of that version.
        source: where the document came from; empty if unknown.
        section: the start, in characters, of the part of a long document in which this row was late-chunked.
    """

    id: str
    document: str
    text: str
    span: Span
    metadata: Metadata
    digest: str = ""
    rows: int = 1
    source: str = ""
    section: int = 0

    def fields(self) -> dict[str, Value]:
        """Return everything except id and text as one flat mapping: what a store keeps as metadata."""
        start, end = self.span
        own: dict[str, Value] = {
            DOCUMENT: self.document,
            START: start,
            END: end,
            DIGEST: self.digest,
            ROWS: self.rows,
        }
        if self.source:
            own[SOURCE] = self.source
        if self.section:
            own[SECTION] = self.section
        return {**self.metadata, **own}

    @classmethod
    def from_fields(cls, id: str, text: str, fields: Mapping[str, Any]) -> Row:  # noqa: A002 - the stores' word
        """Read what `fields` returned. A row that Twofold did not write becomes its own document."""
        held = Held.from_fields(id, fields)
        return cls(
            id=id,
            document=held.document,
            text=text,
            span=(int(fields.get(START) or 0), int(fields.get(END) or len(text))),
            metadata={name: value for name, value in fields.items() if not name.startswith(OWN_PREFIX)},
            digest=held.digest,
            rows=held.rows,
            source=held.source,
            section=int(fields.get(SECTION) or 0),
        )


class Held(NamedTuple):
    """An existing row without its vector and text."""

    id: str
    document: str
    digest: str
    rows: int
    source: str = ""

    @classmethod
    def from_fields(cls, id: str, fields: Mapping[str, Any]) -> Held:  # noqa: A002 - the stores' word
        """Read what `Row.fields` returned; only `HELD_FIELDS` are needed."""
        document, digest = str(fields.get(DOCUMENT) or id), str(fields.get(DIGEST) or "")
        return cls(id, document, digest, int(fields.get(ROWS) or 1), str(fields.get(SOURCE) or ""))


class Hit(NamedTuple):
    """A search result: a row, and its cosine with the query."""

    row: Row
    score: float


class Stored(NamedTuple):
    """An existing row and its vector, shape (dimensions,)."""

    row: Row
    vector: FloatArray


def digest_of(*parts: object) -> str:
    """Return 32 hexadecimal digits of any values. Values that JSON does not know count as their `str`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def text_digest(text: str) -> str:
    """Return 32 hexadecimal digits of a text of any length, without copying it whole."""
    digest = hashlib.sha256()
    for start in range(0, len(text), HASHED):
        digest.update(text[start : start + HASHED].encode())
    return digest.hexdigest()[:32]


def version_digest(content: str, fields: object) -> str:
    """Return a version's digest: that of the embedded content, a point, then that of the metadata."""
    return f"{content}.{digest_of(fields)[:16]}"


def content_of(digest: str) -> str:
    """Return the part of a version's digest that covers the embedded content."""
    return digest.partition(".")[0]


def by_documents(rows: Sequence[Row]) -> Iterator[slice]:
    """Return slices of up to `ROWS_AT_ONCE` rows. Only a document with more rows than that is split.

    The rows of each document must be adjacent.
    """
    start = end = 0
    for number in range(1, len(rows) + 1):
        if number == len(rows) or rows[number].document != rows[number - 1].document:
            if number - start > ROWS_AT_ONCE and end > start:
                yield slice(start, end)
                start = end
            end = number
    if end > start:
        yield slice(start, end)


def matches(row: Row, where: Where) -> bool:
    """Return whether a row passes a filter."""
    return all(_has(row.metadata.get(name), values) for name, values in where.items())


def search_filtered(
    search: Callable[[int], list[Hit]],
    count: Callable[[], int],
    limit: int,
    where: Where | None,
    *,
    most: int | None = None,
) -> list[Hit]:
    """Return the `limit` nearest rows that pass a filter, for stores that cannot filter.

    Args:
        search: returns as many of the nearest rows as it is asked for.
        count: returns the number of rows.
        limit: see `Store.search`.
        where: see `Store.search`.
        most: the largest number that `search` accepts.
    """
    if not where:
        return search(limit)
    rows, asked = count(), limit
    rows = rows if most is None else min(rows, most)
    while True:
        hits = [hit for hit in search(asked) if matches(hit.row, where)]
        if len(hits) >= limit or asked >= rows:
            return hits[:limit]
        asked = min(asked * WIDER, rows)


def _has(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(_has(one, wanted) for one in value)
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted)
