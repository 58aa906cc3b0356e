"""What is to be done with each document of a look at a corpus, going by what the store holds of it."""

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
"""How much of a corpus is looked at, and asked of the store, at once; one document at least."""


class Work(Enum):
    """What a document needs."""

    NOTHING = "it is there, unchanged"
    FIELDS = "its vectors stay, its metadata has changed"
    REMOVAL = "it is blank, and has rows no more"
    EMBEDDING = "it is new, has changed, or is there in part"


@dataclass(frozen=True, slots=True)
class Task:
    """A document and what is to be done with it.

    Attributes:
        place: its number in the corpus.
        digest: of its version.
        before: the rows that the store holds of it.
        tokens: its length, once that is counted.
    """

    place: int
    item: Item
    work: Work
    digest: str
    before: Sequence[Held]
    tokens: int = 0


def looks(items: Iterable[Item | Unreadable]) -> Iterator[list[tuple[int, Item | Unreadable]]]:
    """The corpus in parts that memory holds, each document with its number."""
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


def ahead(parts: Iterator[T], hungry: Callable[[], bool]) -> Iterator[T]:
    """`parts`, which are read ahead of as long as `hungry`."""
    waiting: deque[T] = deque()
    for part in parts:
        waiting.append(part)
        while waiting and not hungry():
            yield waiting.popleft()
    yield from waiting


def check_item(item: Item | Unreadable, earlier: str | None) -> None:
    """Refuse what cannot be embedded or stored; a blank text is no error.

    Args:
        item: what the corpus gives.
        earlier: the source of an item that had its id before; None where there was none.

    Raises:
        InputError: it is named by its id.
    """
    if earlier is not None:
        sources = f", in {earlier} and in {item.source}" if earlier and item.source else ""
        raise InputError(f"id {item.id!r} is there twice{sources}: the last would win")
    if isinstance(item, Unreadable):
        raise InputError(f"document {item.id!r}: {item.reason}")
    try:
        check_metadata(item.metadata, keeps_lists=False)
        if not isinstance(item.text, str) or not is_blank(item.text):
            check_text(item.text)
    except InputError as error:
        raise InputError(f"document {item.id!r}: {error}") from None


def by_document(rows: Iterable[Held]) -> defaultdict[str, list[Held]]:
    """Rows by the document that they belong to."""
    held: defaultdict[str, list[Held]] = defaultdict(list)
    for row in rows:
        held[row.document].append(row)
    return held


def compare(
    embedder: Embedder, cutting: Cutting, place: int, item: Item, before: Sequence[Held], *, force: bool = False
) -> Task:
    """What `item` needs, where the store holds `before` of it."""
    item = replace(item, metadata=check_metadata(item.metadata, keeps_lists=False))
    if is_blank(item.text):
        return Task(place, item, Work.REMOVAL if before else Work.NOTHING, "", before)
    content = cutting.digest(embedder, item.text)
    digest = version_digest(content, dict(item.metadata))
    work = Work.EMBEDDING
    if not force and is_whole(before) and content_of(before[0].digest) == content:
        work = Work.NOTHING if all(row.digest == digest for row in before) else Work.FIELDS
    return Task(place, item, work, digest, before)


def is_whole(rows: Sequence[Held]) -> bool:
    """Whether these are all rows of one version of a document, whatever its metadata, and none of another."""
    return bool(rows) and len(rows) == rows[0].rows and len({content_of(row.digest) for row in rows}) == 1


def check_source(task: Task) -> None:
    """Refuse to write over what came from elsewhere.

    Raises:
        InputError: the rows of its id are of another source; both are named.
    """
    item = task.item
    other = next((row.source for row in task.before if row.source and row.source != item.source), None)
    if other is not None and item.source and task.work is not Work.NOTHING:
        raise InputError(
            f"document {item.id!r} is in the collection from {other}, and would be overwritten from {item.source}: "
            "give one of them other ids (id_root), or, if it has only moved, let it be taken over (take_over)"
        )
