"""Searches across a cutover: each search uses the serving collection and the embedder of its space."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

from twofold.errors import InputError, SpaceMismatch, StoreError
from twofold.stores.moving import Movable, moved_to
from twofold.stores.opening import check_record
from twofold.stores.store import connect_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.stores.rows import Hit
    from twofold.stores.store import Store


class Following:
    """A collection for readers while it moves to another space, or back.

    Before each search, one request checks whether the collection has moved. If it has moved or is gone, it is opened
    again by its name. A question is always embedded for the collection that is then searched.

    Args:
        address, name: see `twofold.jobs.open_store`.
        embedders: one for each space that the collection may be in, old and new.

    Raises:
        InputError: `embedders` is empty.
        SpaceMismatch: the collection is in none of their spaces.
        StoreError: the collection does not exist.
    """

    def __init__(self, address: str, name: str, embedders: Sequence[Embedder]) -> None:
        if not embedders:
            raise InputError("expected an embedder for each space that the collection may be in, got none")
        self.address, self.name, self.embedders = address, name, tuple(embedders)
        self._store, self.embedder = self._open()

    def search(self, text: str, limit: int = 10) -> list[Hit]:
        """See `twofold.jobs.search`."""
        if limit < 1:
            raise InputError(f"limit={limit}: it must be at least 1")
        if self._has_moved():
            self._again()
        try:
            return self._store.search(self.embedder.embed_query(text), limit)
        except StoreError:  # the collection was removed just now
            self._again()
            return self._store.search(self.embedder.embed_query(text), limit)

    def close(self) -> None:
        """Close files and connections."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _has_moved(self) -> bool:
        store = self._store
        if not isinstance(store, Movable):
            return False
        try:
            return moved_to(store.marks()) is not None
        except StoreError:
            return True

    def _again(self) -> None:
        """Open the collection again by its name, then close the old connection."""
        before = self._store
        self._store, self.embedder = self._open()
        before.close()

    def _open(self) -> tuple[Store, Embedder]:
        store = connect_store(self.address, self.name)
        try:
            return store, self._fitting(store)
        except BaseException:
            store.close()
            raise

    def _fitting(self, store: Store) -> Embedder:
        """The embedder of the space that a collection is in."""
        if not store.find():
            raise StoreError(f"there is no collection {self.name!r} at {self.address}")
        for embedder in self.embedders:
            with suppress(SpaceMismatch):
                check_record(store, embedder)
                return embedder
        tags = ", ".join(embedder.space.tag for embedder in self.embedders)
        raise SpaceMismatch(f"collection {self.name!r} is in none of the spaces {tags}")
