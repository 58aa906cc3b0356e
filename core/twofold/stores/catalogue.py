"""The collections of a place: which there are, and how one is removed. What a store can do beyond `Store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from twofold.errors import InputError
from twofold.stores.drivers import done, run
from twofold.stores.store import find_store

if TYPE_CHECKING:
    from twofold.stores.drivers import MaybeAwaitable
    from twofold.stores.store import Store


@runtime_checkable
class Catalogue(Protocol):
    """A store whose place can be looked over."""

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """See `Store.connect`."""

    def names(self) -> MaybeAwaitable[list[str]]:
        """The names of all collections where this one is, sorted."""

    def drop(self) -> MaybeAwaitable[None]:
        """Remove this collection with everything in it.

        Raises:
            StoreError: the store refuses.
        """

    def close(self) -> MaybeAwaitable[None]:
        """See `Store.close`."""


def collection_names(address: str) -> list[str]:
    """The names of the collections at "<scheme>:<where>", sorted.

    Raises:
        InputError: no such scheme, or a store that cannot list its collections.
        StoreError: no store answers there.
    """
    kind, where = find_store(address)
    store = catalogue(kind.connect(where, ""))
    try:
        return run(done(store.names()))
    finally:
        run(done(store.close()))


def drop_collection(store: Store) -> None:
    """Remove a collection with everything in it.

    Raises:
        InputError: a store that cannot.
        StoreError: it refuses.
    """
    run(done(catalogue(store).drop()))


def catalogue(store: object) -> Catalogue:
    """The same store, if it can list and remove its collections.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(store, Catalogue):
        raise InputError(
            f"{type(store).__name__} cannot list or remove collections: it has no methods names() and drop()"
        )
    return store
