"""`Store`: what Twofold asks of a vector store. Whoever writes one gets opening, identity, writing, jobs and search.

A method may be a plain one or a coroutine, so that one class can serve a host's synchronous and its asynchronous
client; see `twofold.stores.drivers`. `twofold.testing.StoreContract` holds a store to what is said here.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.stores.drivers import MaybeAwaitable
    from twofold.stores.rows import Held, Hit, Row, Stored, Where
    from twofold.vectors import FloatArray

ENTRY_POINTS = "twofold.stores"


@runtime_checkable
class Store(Protocol):
    """One collection of a vector store, for cosine; it need not be there yet.

    Others join by an entry point in the group `twofold.stores`: the scheme of their addresses, and the class.

    Attributes:
        name: the collection's name, for messages.
        keeps_lists: whether a field of metadata may be a list of scalars.
    """

    name: str
    keeps_lists: bool

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """The collection called `name` at `address`, which is what follows the scheme: `./folder`, `http://…`.

        Raises:
            InputError: an address that cannot be one.
            StoreError: no store answers there.
        """

    @classmethod
    def over(cls, native: Any, name: str | None = None, **options: Any) -> Self | None:
        """The store of a host's own collection object, synchronous or not; None where it is not this host's.

        With a `name`, `native` is the host's client, and `options` are the host's own for a collection that is new.
        """

    def find(self) -> MaybeAwaitable[bool]:
        """Whether the collection is there."""

    def make(self, record: str, embedder: Embedder) -> MaybeAwaitable[None]:
        """Make it for `embedder`, with its record; where it has appeared in the meantime, leave it as it is.

        Raises:
            StoreError: the store refuses, the name for example.
        """

    def record(self) -> MaybeAwaitable[str | None]:
        """The record that is stored with it now, asked of the store each time; None where there is none."""

    def stamp(self, record: str) -> MaybeAwaitable[None]:
        """Store a record with a collection that is there."""

    def held(self, documents: Sequence[str]) -> MaybeAwaitable[Sequence[Held]]:
        """Every row of these documents, in any order; a row that names no document is one of its own id's."""

    def page(self, cursor: Any, limit: int) -> MaybeAwaitable[tuple[Sequence[Held], Any]]:
        """Up to `limit` rows from `cursor` on, and the cursor of the next page; None is the first one, and the end."""

    def get(self, ids: Sequence[str]) -> MaybeAwaitable[Sequence[Stored]]:
        """The rows with these ids that are there, with their vectors, in any order."""

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> MaybeAwaitable[None]:
        """Write rows, replacing those with the same ids; `vectors` has shape (len(rows), dimensions).

        Any number of rows: the store splits them to what it takes at once.

        Raises:
            StoreError: rows that were not written, by id, in `failed`.
        """

    def delete(self, ids: Sequence[str]) -> MaybeAwaitable[None]:
        """Remove the rows with these ids; those that are not there are no error."""

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> MaybeAwaitable[list[Hit]]:
        """The `limit` rows nearest to `vector`, shape (dimensions,), best first; with `where`, of those that pass it.

        A store that cannot filter by itself takes `twofold.adapters.among`.
        """

    def count(self) -> MaybeAwaitable[int]:
        """How many rows there are."""

    def close(self) -> MaybeAwaitable[None]:
        """Let go of files and connections."""


def store_over(native: Any, name: str | None = None, **options: Any) -> Store | None:
    """The store of a host's own collection object, or of the collection called `name` at its client; see `Store.over`.

    None where no installed integration knows it. One is asked only where the object's module starts with the scheme of
    its addresses (`chroma`).
    """
    root = type(native).__module__.partition(".")[0]
    for entry in entry_points(group=ENTRY_POINTS):
        if root.startswith(entry.name) and (store := entry.load().over(native, name, **options)) is not None:
            found: Store = store
            return found
    return None


def find_store(address: str) -> tuple[type[Store], str]:
    """The class that serves "<scheme>:<where>" (`chroma:./folder`), found by its entry point, and the rest of it.

    Raises:
        InputError: no such scheme; the message lists those that are installed.
        MissingExtra: the scheme is known, its library is not installed.
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
