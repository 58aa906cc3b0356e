"""Rows: what a store keeps beside each vector, under the same names in every store.

A *document* is what a user indexes, a *row* is one vector. A document that is embedded whole is one row; one that is
cut into chunks is many, each with its span of the document's text. Every row says which version of its document it
belongs to and how many rows that version has, so that a run that was killed half-way can be told from a finished one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twofold.documents import Span
    from twofold.vectors import FloatArray

OWN_PREFIX = "twofold_"
"""Metadata fields that start with this are Twofold's own; users' fields may not."""

DOCUMENT, START, END = "twofold_document", "twofold_start", "twofold_end"
DIGEST, ROWS, SOURCE, SECTION = "twofold_digest", "twofold_rows", "twofold_source", "twofold_section"

ROWS_AT_ONCE = 1000
"""Rows in one call of the store; those of a document are in one wherever they fit, so that it changes all at once."""

HASHED = 1 << 20
"""Characters of a text that are hashed at once."""

Scalar: TypeAlias = "str | int | float | bool"
Value: TypeAlias = "Scalar | list[str] | list[int] | list[float] | list[bool]"
"""What a field of metadata may hold; lists only where the store keeps them."""

Metadata: TypeAlias = "Mapping[str, Value]"

Where: TypeAlias = "Mapping[str, Sequence[Scalar]]"
"""Fields that a row must have, each with the values that it may have there, one at least; of a list, one of them.

They are compared exactly and by kind: 3 is 3.0, and neither "3" nor True.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is stored beside one vector.

    Attributes:
        id: of this row, any string; a store that wants another form derives it, and keeps this one beside it.
        document: the id of the document; the same as `id` where the document is one row.
        text: what this row says: the document's text, or the chunk's.
        span: where `text` stands in the document, in characters.
        metadata: the user's fields, none of them starting with `twofold_`.
        digest: the version of the document; empty where nobody keeps count of versions.
        rows: how many rows that version has.
        source: where the document came from; empty where nobody said.
        section: where the part of a long document begins, in characters, in which this row was late-chunked.
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
        """Everything but the id and the text, flat: what a store keeps as metadata."""
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
        """The row that `fields` were of; one that something else than Twofold wrote is a document of its own."""
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
    """A row that is in a store, without its vector and text: enough to see what has to be done."""

    id: str
    document: str
    digest: str
    rows: int
    source: str = ""

    @classmethod
    def from_fields(cls, id: str, fields: Mapping[str, Any]) -> Held:  # noqa: A002 - the stores' word
        """Read the fields that `Row.fields` gave; `DOCUMENT`, `DIGEST`, `ROWS` and `SOURCE` are all that is needed."""
        document, digest = str(fields.get(DOCUMENT) or id), str(fields.get(DIGEST) or "")
        return cls(id, document, digest, int(fields.get(ROWS) or 1), str(fields.get(SOURCE) or ""))


class Hit(NamedTuple):
    """A row that was found, and its cosine with the query (higher is nearer)."""

    row: Row
    score: float


class Stored(NamedTuple):
    """A row that is in a store, and its vector of shape (dimensions,)."""

    row: Row
    vector: FloatArray


def digest_of(*parts: object) -> str:
    """Thirty-two hexadecimal digits of anything; what JSON cannot say counts as its string."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def text_digest(text: str) -> str:
    """Thirty-two hexadecimal digits of a text of any length, which is never copied whole."""
    digest = hashlib.sha256()
    for start in range(0, len(text), HASHED):
        digest.update(text[start : start + HASHED].encode())
    return digest.hexdigest()[:32]


def version_digest(content: str, fields: object) -> str:
    """The digest of a version: of what is embedded and how it is cut, then, after a point, of the fields beside it."""
    return f"{content}.{digest_of(fields)[:16]}"


def content_of(digest: str) -> str:
    """The part of a version's digest by which its vectors stay as they are."""
    return digest.partition(".")[0]


def by_documents(rows: Sequence[Row]) -> Iterator[slice]:
    """Slices of up to `ROWS_AT_ONCE` rows that part a document only where it has more; its rows stand together."""
    start = end = 0
    for number in range(1, len(rows) + 1):
        if number == len(rows) or rows[number].document != rows[number - 1].document:
            if number - start > ROWS_AT_ONCE and end > start:
                yield slice(start, end)
                start = end
            end = number
    if end > start:
        yield slice(start, end)
