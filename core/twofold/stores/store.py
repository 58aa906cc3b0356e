"""`Store`: the methods that Twofold needs from a vector store.

A class with these methods gets opening, identity checks, writing, jobs and search. `twofold.testing.StoreContract`
tests them.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.embedder import Embedder
    from twofold.stores.rows import Held, Hit, Row, Stored, Where
    from twofold.vectors import FloatArray

ENTRY_POINTS = "twofold.stores"
PAGE = 1000
"""Rows that `scan_rows` reads at a time."""


@runtime_checkable
class Store(Protocol):
    """One collection of a vector store, compared by cosine. The collection need not exist yet.

    All methods are plain ones. A store over an asynchronous client passes what the client returns through
    `twofold.adapters.resolve`, which waits for it; such a store works with the async twins alone (`aopen_collection`,
    `aadd_documents`).

    Your class joins the command line by an entry point in the group `twofold.stores`: the scheme of its addresses, and
    the class.

    Attributes:
        name: the collection's name, for messages.
        keeps_lists: whether a metadata field may hold a list of scalars.
        reserved_fields: optional; the names of metadata fields that the store uses itself.
    """

    name: str
    keeps_lists: bool

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """Return the collection `name` at `address`, the part after the scheme: `./folder`, `http://…`.

        Raises:
            InputError: an invalid address.
            StoreError: no store answers at the address.
        """

    @classmethod
    def over(cls, native: Any, name: str | None = None, **options: Any) -> Self | None:
        """Return the store of a host's own collection object, or None if it belongs to another host.

        With a `name`, `native` is the host's client. `options` are the host's options for a new collection.
        """

    def find(self) -> bool:
        """Return whether the collection exists."""

    def make(self, record: str, embedder: Embedder) -> None:
        """Create the collection for `embedder`, with its record. Does nothing if it exists by now.

        Raises:
            StoreError: the store refuses, for example the name.
        """

    def record(self) -> str | None:
        """Return the collection's record, read from the store at each call; None if it has none."""

    def stamp(self, record: str, embedder: Embedder) -> None:
        """Store the record of `embedder` with the existing collection.

        Raises:
            SpaceMismatch: the collection names another embedder in some other way.
        """

    def held(self, documents: Sequence[str]) -> Sequence[Held]:
        """Return all rows of these documents, in any order. A row that names no document belongs to its own id."""

    def page(self, cursor: Any, limit: int) -> tuple[Sequence[Held], Any]:
        """Return up to `limit` rows from `cursor` on, and the cursor of the next page.

        None as a cursor is the first page when given, and the end when returned.
        """

    def get(self, ids: Sequence[str]) -> Sequence[Stored]:
        """Return the existing rows with these ids, with their vectors, in any order."""

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows, replacing those with the same ids; `vectors` has shape (len(rows), dimensions).

        Takes any number of rows and splits them into requests.

        Raises:
            StoreError: rows were not written. `failed` has them by id; if it is empty, none is known to be written.
        """

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the rows with these ids. Ignores unknown ids."""

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """Return the `limit` rows nearest to `vector`, shape (dimensions,), best first, among those that match `where`.

        A store that cannot filter uses `twofold.stores.search_filtered`.
        """

    def count(self) -> int:
        """Return the number of rows."""

    def close(self) -> None:
        """Close files and connections that `connect` opened."""


@runtime_checkable
class Catalogue(Protocol):
    """What a store may have beyond `Store`: it can list and remove collections."""

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """See `Store.connect`."""

    def names(self) -> list[str]:
        """Return the names of all collections in the same place, sorted."""

    def drop(self) -> None:
        """Remove this collection with all its rows.

        Raises:
            StoreError: the store refuses.
        """

    def close(self) -> None:
        """See `Store.close`."""


def scan_rows(store: Store) -> Iterator[Held]:
    """Iterate over all rows, page by page."""
    cursor = None
    while True:
        rows, cursor = store.page(cursor, PAGE)
        yield from rows
        if cursor is None:
            return


def store_over(native: Any, name: str | None = None, **options: Any) -> Store | None:
    """Return the store of a host's own collection object, or of the collection `name` at a host's client.

    Returns None if no installed integration knows the object. An integration is asked only if the object's module
    starts with the scheme of the integration's addresses (`chroma`).
    """
    root = type(native).__module__.partition(".")[0]
    for entry in entry_points(group=ENTRY_POINTS):
        if root.startswith(entry.name) and (store := entry.load().over(native, name, **options)) is not None:
            found: Store = store
            return found
    return None


def find_store(address: str) -> tuple[type[Store], str]:
    """Return the class that serves "<scheme>:<where>" (`chroma:./folder`), and the part after the scheme.

    Raises:
        InputError: an unknown scheme; the message lists the installed ones.
        MissingExtra: the scheme is known, but its library is not installed.
    """
    scheme, _, where = address.partition(":")
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if scheme not in found:
        listed = ", ".join(f"{name}:…" for name in sorted(found)) or "none"
        raise InputError(
            f"unknown store {scheme!r}: an address starts with one of those installed, {listed} "
            f"(others join by the entry point {ENTRY_POINTS!r})"
        )
    store: type[Store] = found[scheme].load()
    return store, where


def connect_store(address: str, name: str) -> Store:
    """Return the collection `name` at "<scheme>:<where>", unchecked; it need not exist. Close it after use.

    Raises:
        InputError, MissingExtra: see `find_store`.
        StoreError: no store answers at the address.
    """
    kind, where = find_store(address)
    return kind.connect(where, name)


def collection_names(address: str) -> list[str]:
    """Return the names of the collections at "<scheme>:<where>", sorted.

    Raises:
        InputError: an unknown scheme, or a store that cannot list its collections.
        StoreError: no store answers at the address.
    """
    kind, where = find_store(address)
    store = as_catalogue(kind.connect(where, ""))
    try:
        return store.names()
    finally:
        store.close()


def as_catalogue(store: object) -> Catalogue:
    """Return `store`, if it can list and remove its collections.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(store, Catalogue):
        raise InputError(
            f"{type(store).__name__} cannot list or remove collections: it has no methods names() and drop()"
        )
    return store
