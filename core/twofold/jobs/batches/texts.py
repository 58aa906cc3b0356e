"""The texts that an index run would embed, so that a batch can embed them first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.documents import is_blank
from twofold.errors import InputError
from twofold.jobs.chunking import Cutting, sections
from twofold.jobs.comparing import Work, by_document, check_item, compare, read_parts
from twofold.jobs.corpus import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.corpus import Item
    from twofold.stores.store import Store


def texts_to_embed(
    embedder: Embedder,
    store: Store | None,
    items: Iterable[Item | Unreadable],
    *,
    chunk_tokens: int | None = None,
    force: bool = False,
) -> Iterable[str]:
    """The texts that `index` would embed: new and changed documents, cut into the same chunks.

    Each iteration reads the corpus and queries the store again; nothing is embedded or written. Documents that `index`
    would refuse are skipped; `index` reports why.

    Args:
        embedder: see `index`.
        store: the store that `index` would write to; None if it does not exist yet.
        items: see `index`; a list or a `Corpus`.
        chunk_tokens: see `index`. Each chunk is embedded alone, since a batch API has no late chunking.
        force: see `index`.

    Raises:
        InputError: an option is invalid, or `items` is an iterator, which can be read only once.
    """
    if iter(items) is items:
        raise InputError("expected a list of items, or a Corpus: an iterator can be read only once, and index reads it")
    cutting = Cutting(chunk_tokens)
    cutting.check(embedder)
    return _Texts(embedder, store, items, cutting, force=force)


class _Texts:
    """The texts as an iterable that can be read repeatedly."""

    def __init__(
        self,
        embedder: Embedder,
        store: Store | None,
        items: Iterable[Item | Unreadable],
        cutting: Cutting,
        *,
        force: bool,
    ) -> None:
        self._embedder, self._store, self._items = embedder, store, items
        self._cutting, self._force = cutting, force

    def __iter__(self) -> Iterator[str]:
        for look in read_parts(self._items):
            for item in self._wanted(look):
                yield from self._units(item.text)

    def _wanted(self, look: Sequence[tuple[int, Item | Unreadable]]) -> list[Item]:
        """The documents of a part of the corpus that `index` would embed."""
        good = [(place, item) for place, item in look if _is_good(item)]
        ids = [item.id for _, item in good]
        held = by_document(self._store.held(ids) if self._store is not None and good else ())
        tasks = [
            compare(self._embedder, self._cutting, place, item, held[item.id], force=self._force)
            for place, item in good
            if not isinstance(item, Unreadable)
        ]
        return [task.item for task in tasks if task.work is Work.EMBEDDING]

    def _units(self, text: str) -> Iterator[str]:
        """A document's text, or the texts of its chunks."""
        if self._cutting.chunk_tokens is None:
            yield text
            return
        for start, end in sections(text):
            if not is_blank(text[start:end]):
                document = self._cutting.document(self._embedder, text[start:end])
                yield from (document.text[slice(*span)] for span in document.spans)


def _is_good(item: Item | Unreadable) -> bool:
    try:
        check_item(item, None)
    except InputError:
        return False
    return True
