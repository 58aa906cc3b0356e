"""Documents into pieces, each of which is one request."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from twofold.documents import span_counts
from twofold.errors import InputError
from twofold.hosted.late import windows
from twofold.hosted.piece import Item, Piece, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.documents import Document
    from twofold.hosted.counting import Counter
    from twofold.hosted.piece import Limits


def pack(documents: Sequence[Document], counter: Counter, limits: Limits, prefix: str, *, add: bool) -> list[Piece]:
    """Every request that `documents` need, in order; equal ones are asked for once.

    `prefix` is the task's instruction; it counts everywhere, and `add` puts it before each whole text.

    Raises:
        InputError: a text that is surely over the model's length, or spans that are not consecutive chunks; it names
            the document.
    """
    rows = [0, *accumulate(span_counts(documents))]
    twins: dict[Document, list[int]] = {}
    for index, document in enumerate(documents):
        twins.setdefault(document, []).append(index)
    whole = [document for document in twins if document.is_whole]
    texts = [prefix + document.text for document in whole]
    items = []
    for document, text, count in zip(whole, texts, counter.count(texts), strict=True):
        fitting, tokens = _fitting(twins[document][0], text, count, counter, limits)
        sent = fitting if add else fitting[len(prefix) :]
        places = tuple(twins[document])
        items.append(Item(sent, tokens, size_of(sent), places, tuple(rows[index] for index in places)))
    pieces = list(batches(items, limits))
    for document, indices in twins.items():
        if not document.is_whole:
            starts = [rows[index] for index in indices]
            pieces += windows(document, tuple(indices), starts, counter=counter, limits=limits, prefix=prefix)
    return pieces


def batches(items: Sequence[Item], limits: Limits) -> Iterator[Piece]:
    """Consecutive items, as many together as a request takes."""
    batch: list[Item] = []
    tokens = size = 0
    for item in items:
        over = tokens + item.tokens > limits.tokens or size + item.size > limits.size
        if batch and (len(batch) == limits.items or over):
            yield Piece(tuple(batch))
            batch, tokens, size = [], 0, 0
        batch.append(item)
        tokens += item.tokens
        size += item.size
    if batch:
        yield Piece(tuple(batch))


def _fitting(index: int, text: str, count: int, counter: Counter, limits: Limits) -> tuple[str, int]:
    """The text, or as much of it as the model takes, and its tokens.

    Raises:
        InputError: it is too long, and is not to be cut, or nobody here knows where.
    """
    trusted = limits.long == "error" and limits.counted and not counter.exact
    if count <= limits.length or limits.long == "end" or trusted:
        return text, count
    if limits.long == "error" and not counter.exact:
        raise InputError(
            f"text {index} has up to {count} tokens by estimate, the limit is {limits.length}, and this provider cuts "
            "without saying so: split it, or set truncate='end'",
            index=index,
        )
    if limits.long == "error":
        raise InputError(
            f"text {index} has {count} tokens, the limit is {limits.length}: split it, or set truncate='end'",
            index=index,
        )
    if not counter.exact:
        raise InputError(
            f"text {index} has up to {count} tokens by estimate, the limit is {limits.length}, and this provider does "
            "not cut: split it, or set truncate='error' to let the provider count",
            index=index,
        )
    return counter.cut(text, limits.length), limits.length
