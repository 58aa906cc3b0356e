"""Compares the documents of a corpus with the store and decides what each one needs."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from twofold.documents import check_text, is_blank
from twofold.errors import InputError
from twofold.jobs.corpus import Unreadable
from twofold.stores.checks import check_metadata
from twofold.stores.rows import content_of, version_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.chunking import Cutting
    from twofold.jobs.corpus import Item
    from twofold.stores.rows import Held

T = TypeVar("T")

DOCUMENTS, CHARACTERS = 1000, 4_000_000
"""The most documents and characters that are read and compared with the store at once; at least one document."""


class Work(Enum):
    """What a document needs."""

    NOTHING = "it is stored, unchanged"
    FIELDS = "its vectors stay, its metadata has changed"
    REMOVAL = "it is blank now, so its rows are removed"
    EMBEDDING = "it is new, has changed, or is only partly stored"


@dataclass(frozen=True, slots=True)
class Compared:
    """A document and what it needs.

    Attributes:
        place: its number in the corpus.
        digest: digest of this version; empty for a blank document.
        before: its rows in the store.
        tokens: its length, once counted.
    """

    place: int
    item: Item
    work: Work
    digest: str
    before: Sequence[Held]
    tokens: int = 0


def read_parts(items: Iterable[Item | Unreadable]) -> Iterator[list[tuple[int, Item | Unreadable]]]:
    """The corpus in parts that fit in memory, each document with its number."""
    some: list[tuple[int, Item | Unreadable]] = []
    characters = 0
    for place, item in enumerate(items):
        size = len(item.text) if isinstance(getattr(item, "text", None), str) else 0  # type: ignore[union-attr]
        if some and (len(some) == DOCUMENTS or characters + size > CHARACTERS):
            yield some
            some, characters = [], 0
        some.append((place, item))
        characters += size
    if some:
        yield some


def read_ahead(parts: Iterator[T], wants_more: Callable[[], bool]) -> Iterator[T]:
    """Yield `parts` in order, but keep reading ahead while `wants_more()` returns True."""
    waiting: deque[T] = deque()
    for part in parts:
        waiting.append(part)
        while waiting and not wants_more():
            yield waiting.popleft()
    yield from waiting


def check_item(item: Item | Unreadable, earlier: str | None) -> None:
    """Check that a document can be embedded and stored. A blank text is allowed.

    Args:
        item: the document.
        earlier: the source of an earlier document with the same id; None if the id is new.

    Raises:
        InputError: names the document by its id.
    """
    if earlier is not None:
        sources = f", in {earlier} and in {item.source}" if earlier and item.source else ""
        raise InputError(f"id {item.id!r} occurs twice{sources}: the second document would replace the first")
    if isinstance(item, Unreadable):
        raise InputError(f"document {item.id!r}: {item.reason}")
    try:
        check_metadata(item.metadata, keeps_lists=False)
        if not isinstance(item.text, str) or not is_blank(item.text):
            check_text(item.text)
    except InputError as error:
        raise InputError(f"document {item.id!r}: {error}") from None


def by_document(rows: Iterable[Held]) -> defaultdict[str, list[Held]]:
    """Group rows by document."""
    held: defaultdict[str, list[Held]] = defaultdict(list)
    for row in rows:
        held[row.document].append(row)
    return held


def compare(
    embedder: Embedder, cutting: Cutting, place: int, item: Item, before: Sequence[Held], *, force: bool = False
) -> Compared:
    """Decide what `item` needs, given its rows in the store (`before`)."""
    item = replace(item, metadata=check_metadata(item.metadata, keeps_lists=False))
    if is_blank(item.text):
        return Compared(place, item, Work.REMOVAL if before else Work.NOTHING, "", before)
    content = cutting.digest(embedder, item.text)
    digest = version_digest(content, dict(item.metadata))
    work = Work.EMBEDDING
    if not force and is_whole(before) and content_of(before[0].digest) == content:
        work = Work.NOTHING if all(row.digest == digest for row in before) else Work.FIELDS
    return Compared(place, item, work, digest, before)


def is_whole(rows: Sequence[Held]) -> bool:
    """Whether these are exactly the rows of one version of a document. Metadata may differ."""
    return bool(rows) and len(rows) == rows[0].rows and len({content_of(row.digest) for row in rows}) == 1


def check_source(task: Compared) -> None:
    """Check that the stored document with this id came from the same source.

    Raises:
        InputError: it came from another source; the message names both.
    """
    item = task.item
    other = next((row.source for row in task.before if row.source and row.source != item.source), None)
    if other is not None and item.source and task.work is not Work.NOTHING:
        raise InputError(
            f"document {item.id!r} in the collection came from {other} and would be overwritten from {item.source}: "
            "give one of them different ids (id_root), or, if the document has only moved, use take_over"
        )
