"""Splits documents into requests: batches of texts, and windows over late-chunked documents."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from twofold.documents import span_counts
from twofold.errors import InputError
from twofold.hosted.counting import SPECIAL, least_tokens
from twofold.hosted.piece import Item, Piece, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.documents import Document
    from twofold.hosted.counting import Counter
    from twofold.hosted.piece import Limits

TOKENIZER = "With the model's tokenizer on this machine, Twofold counts exactly: see the page on hosted models"


def pack(documents: Sequence[Document], counter: Counter, limits: Limits, prefix: str, *, add: bool) -> list[Piece]:
    """All requests that `documents` need, in order. Equal documents are sent once.

    `prefix` is the task's instruction. Its tokens always count; `add` puts it before each whole text.

    Raises:
        InputError: a text is longer than the model allows, or spans are not consecutive chunks. The message names the
            document.
    """
    rows = [0, *accumulate(span_counts(documents))]
    twins: dict[Document, list[int]] = {}
    for index, document in enumerate(documents):
        twins.setdefault(document, []).append(index)
    whole = [document for document in twins if document.is_whole]
    texts = [prefix + document.text for document in whole]
    sure: list[Item] = []
    doubtful: list[Item] = []
    counts, weights = counter.count(texts), counter.weigh(texts)
    for document, text, count, weight in zip(whole, texts, counts, weights, strict=True):
        fitting = _fitting(twins[document][0], text, count, counter, limits)
        places = tuple(twins[document])
        if fitting != text:
            count = weight = limits.length  # noqa: PLW2901 - it was cut
        sent = fitting if add else fitting[len(prefix) :]
        item = Item(sent, weight, size_of(sent), places, tuple(rows[index] for index in places), count)
        is_doubtful = count > limits.length and limits.long == "error" and not limits.counted
        (doubtful if is_doubtful else sure).append(item)
    pieces = [*batches(sure, limits)]
    narrow = replace(limits, tokens=min(limits.tokens, limits.length - 1))
    pieces += (replace(piece, below=limits.length) for piece in batches(doubtful, narrow))
    for document, indices in twins.items():
        if not document.is_whole:
            starts = [rows[index] for index in indices]
            pieces += _windows(document, tuple(indices), starts, counter=counter, limits=limits, prefix=prefix)
    return pieces


def batches(items: Sequence[Item], limits: Limits) -> Iterator[Piece]:
    """Batches of consecutive items, each as large as the limits allow."""
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


def _fitting(index: int, text: str, count: int, counter: Counter, limits: Limits) -> str:
    """The text, or the start of it that fits the model. `count` is exact, or a bound.

    Raises:
        InputError: the text is too long, and must not be cut or cannot be cut here.
    """
    if count <= limits.length or limits.long == "end":
        return text
    if limits.long == "cut" and counter.exact:
        return counter.cut(text, limits.length)
    if limits.long == "cut":
        raise InputError(
            f"text {index} has up to {count} tokens, the limit is {limits.length}, and this provider does not cut "
            f"texts: split it, or set truncate='error' to let the provider count. {TOKENIZER}",
            index=index,
        )
    if counter.exact:
        raise InputError(
            f"text {index} has {count} tokens, the limit is {limits.length}: split it, or set truncate='end'",
            index=index,
        )
    if limits.counted:
        return text  # the provider decides
    if (least := least_tokens(text)) > limits.length:
        raise InputError(
            f"text {index} has at least {least} tokens, the limit is {limits.length}: split it, or set truncate='end'",
            index=index,
        )
    if not limits.says_tokens:
        raise InputError(
            f"text {index} has up to {count} tokens, the limit is {limits.length}, and this provider neither refuses "
            f"longer texts nor says how many tokens it counts: split it, or set truncate='end'. {TOKENIZER}",
            index=index,
        )
    return text  # the answer's tokens decide


# -- late chunking ----------------------------------------------------------------------------------------------------


def _chunks_of(index: int, document: Document) -> list[str]:
    """The chunks of a document as a request holds them: in order, without gaps or overlaps.

    White space between two spans belongs to the chunk before it; white space at the start belongs to the first chunk.

    Raises:
        InputError: the spans leave out text, overlap, or are out of order.
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
                "consecutive chunks: cover them with a span too, or use the local model",
                index=index,
            )
    return [text[start:end] for start, end in pairwise(borders)]


def _windows(
    document: Document, places: tuple[int, ...], rows: Sequence[int], *, counter: Counter, limits: Limits, prefix: str
) -> Iterator[Piece]:
    """A document's chunks in one or several overlapping requests. Each vector is taken where it has most context."""
    index = places[0]
    chunks = _chunks_of(index, document)
    counts, most = counter.weigh(chunks, special=False), counter.count(chunks, special=False)
    reserved = sum(counter.weigh([prefix], special=False)) + SPECIAL
    budget = min(limits.window, limits.late_tokens) - reserved
    for number, count in enumerate(counts):
        if count > budget:
            raise InputError(
                f"chunk {number} of document {index} has {count} tokens{'' if counter.exact else ' by estimate'}; "
                f"{budget} fit in a request with the instruction: use smaller chunks",
                index=index,
            )
    spans = list(_cover(counts, budget, limits.overlap, min(limits.items, limits.late_items)))
    owners = _owners(counts, spans)
    for window, (start, end) in enumerate(spans):
        items = tuple(
            Item(
                chunks[chunk],
                counts[chunk],
                size_of(chunks[chunk]),
                places,
                tuple(row + chunk for row in rows) if owners[chunk] == window else (),
                most[chunk],
            )
            for chunk in range(start, end)
        )
        first = items[0]._replace(tokens=items[0].tokens + reserved, most=items[0].most + reserved)
        yield Piece((first, *items[1:]), late=True)


def _cover(counts: Sequence[int], budget: int, overlap: int, most: int) -> Iterator[tuple[int, int]]:
    """Ranges that cover all chunks, of up to `budget` tokens and `most` chunks, with overlaps of up to `overlap`."""
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
    """For each chunk, the range where the smaller of its left and right contexts is largest."""
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
