"""Collections that can be moved: a migration copies them into another collection, which then takes over the name.

A collection that has moved keeps a mark with the name of the collection that serves in its place. Opening follows that
mark. An object that is already open stays with the old collection, so it only ever returns vectors of one space.
During a cutover, the old collection is *closed*: it can be read, but not written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

from twofold.errors import InputError, StoreError
from twofold.stores.store import Catalogue, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from twofold.embedder import Embedder
    from twofold.stores.rows import Row
    from twofold.vectors import FloatArray

MOVED, MIGRATION = "moved", "migration"
"""The marks of a collection that was moved, and of the collection into which it was moved."""

HOPS = 16
"""Marks that are followed in a row. More must be a circle."""


class Original(NamedTuple):
    """A row as its store keeps it.

    Attributes:
        row: the row.
        texts: the text of each of its vectors; "" if there is none.
        kept: everything stored beside the vectors, in the store's own form. Equal if nothing has changed.
        vectors: each of shape (dimensions,); empty unless requested.
    """

    row: Row
    texts: tuple[str, ...]
    kept: Mapping[str, Any]
    vectors: tuple[FloatArray, ...] = ()


@runtime_checkable
class Movable(Store, Catalogue, Protocol):
    """A store whose collections can be moved: the methods beyond `Store` and `Catalogue`.

    After `find`, `name` is the name of the collection that was found.
    """

    def beside(self, name: str) -> Self:
        """Another collection in the same place, through the same client. Marks are not followed."""

    def marks(self) -> Mapping[str, str]:
        """The collection's marks, read from the store each time."""

    def mark(self, changes: Mapping[str, str | None]) -> None:
        """Set marks, all at once. None removes a mark."""

    def make_like(self, source: Self, record: str, embedder: Embedder, marks: Mapping[str, str]) -> None:
        """Create the collection with the schema of `source` and these marks, for vectors of the embedder's space.

        Raises:
            StoreError: a part of the schema of `source` cannot be copied. The message names it.
        """

    def match(self, source: Self) -> None:
        """Add what was added to the schema of `source` since `make_like`."""

    def originals(self, ids: Sequence[str], *, vectors: bool = False) -> Sequence[Original]:
        """The existing rows with these ids, in any order."""

    def put(self, rows: Sequence[Original], vectors: Sequence[FloatArray]) -> None:
        """Write rows as they were kept, with new vectors. Each array has shape (texts of the row, dimensions).

        `put` and `take_out` also work on a closed collection.

        Raises:
            StoreError: rows that were not written, by id, in `failed`.
        """

    def take_out(self, ids: Sequence[str]) -> None:
        """Remove rows."""

    def nearest(self, vector: FloatArray, limit: int, which: int = 0) -> Sequence[tuple[str, float]]:
        """The ids of the rows nearest to `vector`, with their cosines. `which` is the vector's place in each row."""

    def repoint(self, name: str, to: str) -> None:
        """If `name` is an alias of the store, make it point to the collection `to`."""

    def take_over(self, name: str) -> None:
        """Take the name of a deleted collection, and remove the mark of the migration."""


def movable(store: object) -> Movable:
    """Return `store` if its collections can be moved.

    Raises:
        InputError: they cannot.
    """
    if not isinstance(store, Movable):
        raise InputError(f"{type(store).__name__} cannot move its collections: it does not implement Movable")
    return store


def moved_mark(to: str, *, serving: bool) -> str:
    """The mark of a collection that is closed for writing, or, if the other one is `serving`, has moved."""
    return json.dumps({"to": to, "serving": serving})


def moved_to(marks: Mapping[str, str]) -> str | None:
    """The collection that serves in place of this one; None if this one serves, closed or not."""
    mark = _read(marks.get(MOVED))
    return str(mark["to"]) if mark.get("serving") else None


def goal_of(marks: Mapping[str, str]) -> str | None:
    """The collection into which this one is being moved or has moved; None if there is none."""
    to = _read(marks.get(MOVED)).get("to")
    return None if to is None else str(to)


def takes_over(marks: Mapping[str, str], name: str) -> bool:
    """Whether a collection serves under the name of a deleted one because a prune was interrupted."""
    mark = _read(marks.get(MIGRATION))
    return mark.get("name") == name and bool(mark.get("pruning"))


def follow(
    name: str,
    marks_of: Callable[[str], Mapping[str, str] | None],
    everything: Callable[[], Iterable[tuple[str, Mapping[str, str]]]],
) -> str | None:
    """The name of the collection that serves under `name`; None if there is none.

    Args:
        name: a collection that may have moved.
        marks_of: returns the marks of a collection, or None if it does not exist.
        everything: returns every collection with its marks. It is called if one is missing: an interrupted prune may
            not have given the name to the collection that serves.

    Raises:
        StoreError: the marks lead in a circle.
    """
    at = name
    for _ in range(HOPS):
        marks = marks_of(at)
        if marks is None:
            return next((other for other, own in everything() if takes_over(own, at)), None)
        if (to := moved_to(marks)) is None:
            return at
        at = to
    raise StoreError(f"collection {name!r} has moved in a circle, by way of {at!r}: roll one of these moves back")


def check_marks(marks: Mapping[str, str], name: str) -> None:
    """Check that a collection may be written.

    Raises:
        StoreError: it is being moved, or has moved.
    """
    mark = _read(marks.get(MOVED))
    if mark.get("serving"):
        raise StoreError(
            f"collection {name!r} has moved to {mark['to']!r} and cannot be written: open it again, with the embedder "
            "of the new collection"
        )
    if mark:
        raise StoreError(
            f"collection {name!r} is being cut over to {mark['to']!r} and cannot be written now: try again after the "
            "cutover, or roll it back"
        )


def check_not_closed(store: Store) -> None:
    """Like `check_marks`, with the store's current marks. A store without `Movable` is never closed.

    Raises:
        StoreError: it is being moved, or has moved.
    """
    if isinstance(store, Movable):
        check_marks(store.marks(), store.name)


def _read(mark: str | None) -> dict[str, Any]:
    try:
        raw = json.loads(mark or "{}")
    except ValueError:
        raw = {}
    return raw if isinstance(raw, dict) else {}
