"""`Store`: what a job asks of a vector store, and how one is found by its address.

A *document* is what a user indexes, a *row* is one vector. A document that is embedded whole is one row; one that is
cut into chunks is many, each with its span of the document's text. Every row says which version of its document it
belongs to and how many rows that version has, so that a run that was killed half-way can be told from a finished one.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeAlias, runtime_checkable

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twofold.documents import Span
    from twofold.embedder import Embedder
    from twofold.vectors import FloatArray

ENTRY_POINTS = "twofold.stores"
OWN_PREFIX = "twofold_"
"""Metadata fields that start with this are Twofold's own; users' fields may not."""

DOCUMENT, DIGEST, PIECES = "twofold_document", "twofold_digest", "twofold_pieces"
START, END = "twofold_start", "twofold_end"

Scalar: TypeAlias = "str | int | float | bool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is stored beside one vector.

    Attributes:
        id: of this row, any string; a store that wants another form derives it, and keeps this one beside it.
        document: the id of the document; the same as `id` where the document is one row.
        text: what this row says: the document's text, or the chunk's.
        span: where `text` stands in the document, in characters.
        metadata: the document's fields, none of them starting with `twofold_`.
        digest: the version of the document, see `twofold.jobs.indexing`.
        pieces: how many rows that version has.
    """

    id: str
    document: str
    text: str
    span: Span
    metadata: Mapping[str, Scalar]
    digest: str = ""
    pieces: int = 1

    def fields(self) -> dict[str, Scalar]:
        """Everything but the id and the text, flat: what a store keeps as metadata."""
        start, end = self.span
        own: dict[str, Scalar] = {
            DOCUMENT: self.document,
            START: start,
            END: end,
            DIGEST: self.digest,
            PIECES: self.pieces,
        }
        return {**self.metadata, **own}

    @classmethod
    def from_fields(cls, id: str, text: str, fields: Mapping[str, Any]) -> Row:  # noqa: A002 - the stores' word
        """The row that `fields` were of; one that something else than Twofold wrote is a document of its own."""
        return cls(
            id=id,
            document=str(fields.get(DOCUMENT, id)),
            text=text,
            span=(int(fields.get(START, 0)), int(fields.get(END, len(text)))),
            metadata={name: value for name, value in fields.items() if not name.startswith(OWN_PREFIX)},
            digest=str(fields.get(DIGEST, "")),
            pieces=int(fields.get(PIECES, 1)),
        )


class Held(NamedTuple):
    """A row that is in a store, without its vector and text: enough to see what has to be done."""

    id: str
    document: str
    digest: str
    pieces: int

    @classmethod
    def from_fields(cls, id: str, fields: Mapping[str, Any]) -> Held:  # noqa: A002 - the stores' word
        """Read the fields that `Row.fields` gave; `DOCUMENT`, `DIGEST` and `PIECES` are all that is needed."""
        return cls(id, str(fields.get(DOCUMENT, id)), str(fields.get(DIGEST, "")), int(fields.get(PIECES, 1)))


class Hit(NamedTuple):
    """A row that was found, and its cosine with the query (higher is nearer)."""

    row: Row
    score: float


@runtime_checkable
class Store(Protocol):
    """One collection of a vector store, opened for one embedder.

    Others join by an entry point in the group `twofold.stores`: the scheme of their addresses, and the class.
    """

    @classmethod
    def open(cls, address: str, collection: str, embedder: Embedder, *, create: bool = True) -> Self:
        """Open `collection`, or make it for cosine and store `embedder.record()` with it where it is not there.

        `address` is what follows the scheme: `./folder`, `http://localhost:8000`.

        Raises:
            SpaceMismatch: its vectors are of another space than the embedder's.
            StoreError: no store at `address`; or no such collection and not `create`; or it holds vectors without a
                record of their space.
        """

    def held(self) -> Iterator[Held]:
        """Every row that is there, in any order."""

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows, replacing those with the same ids; `vectors` has shape (len(rows), dimensions).

        Any number of rows: the store splits them to what it takes at once.

        Raises:
            StoreError: rows that were not written, by id, in `failed`.
        """

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the rows with these ids; those that are not there are no error."""

    def search(self, vector: FloatArray, limit: int) -> list[Hit]:
        """The `limit` rows nearest to `vector`, shape (dimensions,), best first."""

    def count(self) -> int:
        """How many rows there are."""

    def close(self) -> None:
        """Let go of files and connections."""


@contextmanager
def open_store(address: str, collection: str, embedder: Embedder, *, create: bool = True) -> Iterator[Store]:
    """Open the store at `address`, "<scheme>:<where>" (`chroma:./folder`, `weaviate:http://localhost:8080`).

    Raises:
        InputError: no such scheme; the message lists those that are installed.
        MissingExtra: the scheme is known, its library is not installed.
        SpaceMismatch, StoreError: see `Store.open`.
    """
    scheme, _, where = address.partition(":")
    store = find_store(scheme).open(where, collection, embedder, create=create)
    try:
        yield store
    finally:
        store.close()


def find_store(scheme: str) -> type[Store]:
    """The class that serves the addresses of `scheme`, found by its entry point.

    Raises:
        InputError, MissingExtra: see `open_store`.
    """
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if scheme not in found:
        listed = ", ".join(f"{name}:…" for name in sorted(found)) or "none"
        raise InputError(
            f"no store is called {scheme!r}: an address starts with one of those installed, {listed} "
            f"(others join by the entry point {ENTRY_POINTS!r})"
        )
    store: type[Store] = found[scheme].load()
    return store
