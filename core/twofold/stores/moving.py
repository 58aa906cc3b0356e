"""Collections that can move: into another collection beside them, which takes their name over.

A collection that has moved keeps a mark that names the one which serves in its place. Opening follows that mark; an
object that is open already stays where it is, so that its vectors are of one space as long as it lives. Between the two
stands a collection that is *closed*: it is read as ever, and takes no more writes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

from twofold.errors import InputError, StoreError
from twofold.stores.store import Catalogue, Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold.embedder import Embedder
    from twofold.stores.rows import Row
    from twofold.vectors import FloatArray

MOVED, MIGRATION = "moved", "migration"
"""The marks: of a collection that was moved, and of the one that it was moved into."""

HOPS = 16
"""Collections that are followed from one to the next before a circle is supposed."""


class Original(NamedTuple):
    """A row as its store keeps it.

    Attributes:
        row: what it says.
        texts: what each of its vectors is made of; "" where there is nothing.
        kept: all that is kept beside the vectors, in the store's own form; equal where nothing has changed.
        vectors: each of shape (dimensions,); empty where they were not asked for.
    """

    row: Row
    texts: tuple[str, ...]
    kept: Mapping[str, Any]
    vectors: tuple[FloatArray, ...] = ()


@runtime_checkable
class Movable(Store, Catalogue, Protocol):
    """A store whose collections can be moved; what it has beyond `Store` and `Catalogue`.

    After `find`, `name` is that of the collection that was found.
    """

    def beside(self, name: str) -> Self:
        """The collection of this name in the same place, by the same client; marks of moving are not followed."""

    def marks(self) -> Mapping[str, str]:
        """The marks that it has now, asked of the store each time."""

    def mark(self, changes: Mapping[str, str | None]) -> None:
        """Set marks; None removes one. All of them change at once."""

    def make_like(self, source: Self, record: str, embedder: Embedder, marks: Mapping[str, str]) -> None:
        """Make it, with the schema of `source`, for vectors of the embedder's space; at once with its marks.

        Raises:
            StoreError: something of `source` cannot be copied; it is named.
        """

    def match(self, source: Self) -> None:
        """Take over what the schema of `source` has gained."""

    def originals(self, ids: Sequence[str], *, vectors: bool = False) -> Sequence[Original]:
        """The rows with these ids that are there, in any order."""

    def put(self, rows: Sequence[Original], vectors: Sequence[FloatArray]) -> None:
        """Write rows as they were kept, with new vectors; each array has shape (texts of the row, dimensions).

        A collection that is closed takes them, too, and so it is with `take_out`.

        Raises:
            StoreError: rows that were not written, by id, in `failed`.
        """

    def take_out(self, ids: Sequence[str]) -> None:
        """Remove rows."""

    def nearest(self, vector: FloatArray, limit: int, which: int = 0) -> Sequence[tuple[str, float]]:
        """The ids of the rows nearest to `vector`, by the vector numbered `which` of each, with their cosines."""

    def repoint(self, name: str, to: str) -> None:
        """Let the store's own alias called `name`, if it is one, name the collection `to`."""

    def take_over(self, name: str) -> None:
        """Take the name of a collection that is there no more, and lose the mark of the migration."""


def movable(store: object) -> Movable:
    """The same store, if its collections can be moved.

    Raises:
        InputError: they cannot.
    """
    if not isinstance(store, Movable):
        raise InputError(f"{type(store).__name__} cannot move its collections: it has not the methods of Movable")
    return store


def moved_mark(to: str, *, serving: bool) -> str:
    """The mark of a collection that is closed for writing and, once the other is `serving`, has moved."""
    return json.dumps({"to": to, "serving": serving})


def moved_to(marks: Mapping[str, str]) -> str | None:
    """Where a collection has moved; None where it serves itself, closed or not."""
    mark = _read(marks.get(MOVED))
    return str(mark["to"]) if mark.get("serving") else None


def goal_of(marks: Mapping[str, str]) -> str | None:
    """Where a collection is being moved, or has moved; None where it stays."""
    to = _read(marks.get(MOVED)).get("to")
    return None if to is None else str(to)


def takes_over(marks: Mapping[str, str], name: str) -> bool:
    """Whether a collection serves under a name which nothing has any more: a prune was cut short."""
    mark = _read(marks.get(MIGRATION))
    return mark.get("name") == name and bool(mark.get("pruning"))


def check_marks(marks: Mapping[str, str], name: str) -> None:
    """Refuse to write to a collection that is being moved, or was.

    Raises:
        StoreError: it is closed.
    """
    mark = _read(marks.get(MOVED))
    if mark.get("serving"):
        raise StoreError(
            f"collection {name!r} has moved to {mark['to']!r} and takes no more writes: open it again, with the "
            "embedder that the new one is of"
        )
    if mark:
        raise StoreError(
            f"collection {name!r} is being cut over to {mark['to']!r} and takes no writes now: try again once that is "
            "done, or roll it back"
        )


def check_not_closed(store: Store) -> None:
    """Like `check_marks`, with the marks that the store has now. A store without `Movable` is never closed.

    Raises:
        StoreError: it is closed.
    """
    if isinstance(store, Movable):
        check_marks(store.marks(), store.name)


def _read(mark: str | None) -> dict[str, Any]:
    try:
        raw = json.loads(mark or "{}")
    except ValueError:
        raw = {}
    return raw if isinstance(raw, dict) else {}
