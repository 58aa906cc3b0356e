"""Documents into pieces, each of which is one request: batches of whole texts, and the windows of a long document."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from twofold.documents import span_counts
from twofold.errors import InputError
from twofold.hosted.counting import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.documents import Document
    from twofold.hosted.counting import Counter

MAX_LATE_INPUTS = 512
MAX_LATE_TOKENS = 8192


class Item(NamedTuple):
    """One input of a request: its text, its tokens, its document, and its row in the result (None: context only)."""

    text: str
    tokens: int
    document: int
    row: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one request asks: separate texts, or with `late` the consecutive chunks of one document."""

    items: tuple[Item, ...]
    late: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that the request is counted, or estimated, to have."""
        return sum(item.tokens for item in self.items)

    def halves(self) -> tuple[Piece, Piece]:
        """The two halves of a batch."""
        middle = len(self.items) // 2
        return Piece(self.items[:middle]), Piece(self.items[middle:])


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold. `length` is the model's; `window` and `overlap` are those of late chunking."""

    items: int
    tokens: int
    length: int
    window: int
    overlap: int
    cut: bool = False


def pack(documents: Sequence[Document], counter: Counter, limits: Limits, prefix: str, *, add: bool) -> list[Piece]:
    """Every request that `documents` need, in order.

    `prefix` is the task's instruction; it counts everywhere, and `add` puts it before each whole text.

    Raises:
        InputError: a text that is surely over the model's length, or spans that are not consecutive chunks; it names
            the document.
    """
    rows = [0, *accumulate(span_counts(documents))]
    whole = [index for index, document in enumerate(documents) if document.is_whole]
    counts = dict(zip(whole, counter.count([prefix + documents[index].text for index in whole]), strict=True))
    items = [
        Item(prefix * add + documents[index].text, _fitting(index, count, counter, limits), index, rows[index])
        for index, count in counts.items()
    ]
    pieces = list(batches(items, limits))
    for index, document in enumerate(documents):
        if index not in counts:
            pieces += _windows(index, document, rows[index], counter=counter, limits=limits, prefix=prefix)
    return pieces


def batches(items: Sequence[Item], limits: Limits) -> Iterator[Piece]:
    """Consecutive items, as many together as a request takes."""
    batch: list[Item] = []
    tokens = 0
    for item in items:
        if batch and (len(batch) == limits.items or tokens + item.tokens > limits.tokens):
            yield Piece(tuple(batch))
            batch, tokens = [], 0
        batch.append(item)
        tokens += item.tokens
    if batch:
        yield Piece(tuple(batch))


def _fitting(index: int, count: int, counter: Counter, limits: Limits) -> int:
    if counter.exact and not limits.cut and count > limits.length:
        raise InputError(
            f"text {index} has {count} tokens, the limit is {limits.length}: split it, or set truncate='end'",
            index=index,
        )
    return count


def chunks_of(index: int, document: Document) -> list[str]:
    """The chunks of a document as the wire wants them: one after the other, without gap or overlap.

    White space between two spans has no token of its own; it goes with the chunk before it, and at the very start
    with the first.

    Raises:
        InputError: spans that leave out text, or overlap, or are out of order.
    """
    text, spans = document.text, document.spans
    borders = [0, *(start for start, _ in spans[1:]), len(text)]
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    for number, (end, start) in enumerate(zip(ends, starts, strict=True)):
        if end > start:
            raise InputError(
                f"document {index}: span {number} starts before span {number - 1} ends, and a hosted model takes only "
                "consecutive chunks: use the local model for overlapping spans",
                index=index,
            )
        if text[end:start].strip():
            raise InputError(
                f"document {index}: its spans leave out characters {end} to {start}, and a hosted model takes only "
                "consecutive chunks: make a chunk of them too, or use the local model",
                index=index,
            )
    return [text[start:end] for start, end in pairwise(borders)]


def _windows(
    index: int, document: Document, row: int, *, counter: Counter, limits: Limits, prefix: str
) -> Iterator[Piece]:
    """One document's chunks, in one request or in several that overlap, each vector taken where it has most context."""
    chunks = chunks_of(index, document)
    counts = counter.count(chunks, special=False)
    reserved = sum(counter.count([prefix], special=False)) + SPECIAL
    budget = min(limits.window, MAX_LATE_TOKENS) - reserved
    for number, count in enumerate(counts):
        if count > budget:
            raise InputError(
                f"chunk {number} of document {index} has {count} tokens{'' if counter.exact else ' by estimate'}, and "
                f"{budget} fit beside the instruction: use smaller chunks",
                index=index,
            )
    spans = list(_cover(counts, budget, limits.overlap, min(limits.items, MAX_LATE_INPUTS)))
    owners = _owners(counts, spans)
    for window, (start, end) in enumerate(spans):
        items = tuple(
            Item(chunks[chunk], counts[chunk], index, row + chunk if owners[chunk] == window else None)
            for chunk in range(start, end)
        )
        first = items[0]._replace(tokens=items[0].tokens + reserved)
        yield Piece((first, *items[1:]), late=True)


def _cover(counts: Sequence[int], budget: int, overlap: int, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of chunks within `budget` tokens and `most` chunks that cover all; neighbours share up to `overlap`."""
    start = 0
    while True:
        end = _reach(counts, start, budget, most)
        yield start, end
        if end == len(counts):
            return
        later = end
        while (
            later - 1 > start
            and sum(counts[later - 1 : end]) <= overlap
            and _reach(counts, later - 1, budget, most) > end
        ):
            later -= 1
        start = later


def _reach(counts: Sequence[int], start: int, budget: int, most: int) -> int:
    """The end of the longest range from `start`."""
    end, tokens = start, 0
    while end < len(counts) and end - start < most and tokens + counts[end] <= budget:
        tokens += counts[end]
        end += 1
    return end


def _owners(counts: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
    """For each chunk, the range in which the lesser of its two sides of context is greatest."""
    edges = [0, *accumulate(counts)]

    def context(chunk: int, span: tuple[int, int]) -> float:
        start, end = span
        before = edges[chunk] - edges[start] if start else float("inf")
        after = edges[end] - edges[chunk + 1] if end < len(counts) else float("inf")
        return min(before, after)

    return [
        max(
            (number for number, (start, end) in enumerate(spans) if start <= chunk < end),
            key=lambda n: context(chunk, spans[n]),
        )
        for chunk in range(len(counts))
    ]
