"""Finds the character offsets of chunks in their document. Splitters return texts, late chunking needs offsets.

Offsets from hosts are often guesses, and wrong in repetitive text. They are used only after they were checked.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from twofold.documents import Document, check_text, check_texts
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.documents import Span


def cut(
    text: str, pieces: Sequence[str], hints: Sequence[int | None] | None = None, *, name: str, index: int | None = None
) -> Document:
    """The document whose spans are the pieces into which a splitter cut `text`; see `locate`.

    Raises:
        InputError: a piece is blank or cannot be found. The message names the document, and `.index` is its index.
    """
    try:
        return Document.from_spans(text, locate(text, pieces, hints))
    except InputError as error:
        raise InputError(f"{name}: {error}", index=index) from error


def locate(text: str, pieces: Sequence[str], hints: Sequence[int | None] | None = None) -> tuple[Span, ...]:
    """Return the span of each piece in `text`. The pieces are consecutive chunks, which may overlap.

    Differences in white space are ignored. `hints` are the starts that the splitter gave. They are used as they are if
    each is exact, they are in order, and they leave out only white space. Otherwise each piece is searched for from
    left to right. Of several places, the one that leaves no text out is used, and of several such places, the one that
    spreads the overlap evenly. After left-out text, an exact hint is used, or else the next place. If this search fails
    or leaves text out, exact hints in order are used after all.

    Raises:
        InputError: a piece is blank, or is not in the text after the start of the previous piece. `.index` is its
            number.
    """
    text, pieces = check_text(text), check_texts(pieces, "chunk")
    starts = list(hints) if hints is not None else [None] * len(pieces)
    if len(starts) != len(pieces):
        raise InputError(f"{len(starts)} hints for {len(pieces)} chunks: give one for each chunk, None if unknown")
    exact = [
        start if start is not None and start >= 0 and text.startswith(piece, start) else None
        for piece, start in zip(pieces, starts, strict=True)
    ]
    hinted = _hinted(pieces, exact)
    if hinted is not None and _covers(text, hinted):
        return hinted
    try:
        spans = _search(text, pieces, exact)
    except InputError:
        if hinted is None:
            raise
        return hinted
    return spans if hinted is None or _covers(text, spans) else hinted


def _hinted(pieces: Sequence[str], starts: Sequence[int | None]) -> tuple[Span, ...] | None:
    """The spans from exact hints; None if a piece has no exact hint or they are out of order."""
    spans: list[Span] = []
    for piece, start in zip(pieces, starts, strict=True):
        if start is None or (spans and start <= spans[-1][0]):
            return None
        spans.append((start, start + len(piece)))
    return tuple(spans)


def _covers(text: str, spans: Sequence[Span]) -> bool:
    """Whether the spans leave out only white space.

    A start that is too early, in repetitive text, overlaps too much, so a gap follows later.
    """
    end = 0
    for start, stop in (*spans, (len(text), len(text))):
        if text[end:start].strip():
            return False
        end = max(end, stop)
    return True


def _search(text: str, pieces: Sequence[str], hints: Sequence[int | None]) -> tuple[Span, ...]:
    """Find the pieces from left to right, without regard to white space."""
    page = _Page(text)
    words = ["".join(piece.split()) for piece in pieces]
    _check_order(page.dense, words, pieces)
    rest = sum(map(len, words))  # characters of the remaining pieces
    start, end = -1, 0  # of the previous piece
    spans = []
    for index, (word, (first, last)) in enumerate(zip(words, _bounds(page.dense, words), strict=True)):
        overlap = (rest - (len(page.dense) - end)) / (len(words) - index)  # the remaining overlap of each piece
        low, high = max(first, start + 1, end + 1 - len(word)), min(end, last)
        place = _nearest(page, pieces[index], word, (low, high), end - overlap)
        if place < 0:
            place = _after_gap(page, word, (start, end, last), hints[index])
        start, end = place, max(end, place + len(word))
        rest -= len(word)
        spans.append(page.span(place, pieces[index]))
    return tuple(spans)


def _check_order(dense: str, words: Sequence[str], pieces: Sequence[str]) -> None:
    start = -1
    for index, word in enumerate(words):
        start = dense.find(word, start + 1)
        if start < 0:
            raise InputError(
                f"chunk {index}, {_short(pieces[index])!r}, is not in its document after the start of the previous "
                "chunk: late chunking needs unchanged chunks, in the order of the text",
                index=index,
            )


def _bounds(dense: str, words: Sequence[str]) -> list[Span]:
    """For each piece, the first place from which the end can be reached without a gap (or 0), and the last place."""
    bounds: list[Span] = []
    low = high = len(dense)
    for word in reversed(words):
        high = dense.rfind(word, 0, high - 1 + len(word)) if bounds else dense.rfind(word)
        if low:
            low = dense.find(word, max(low - len(word), 0))
            low = low if 0 <= low <= high else 0
        bounds.append((low, high))
    return bounds[::-1]


def _nearest(page: _Page, piece: str, word: str, bounds: Span, likely: float) -> int:
    """The place nearest to `likely`, preferably one with the same white space; -1 if there is none."""
    nearest = -1
    for place in _outward(page.dense, word, bounds, round(likely)):
        start, end = page.span(place, piece)
        if page.text[start:end] == piece:
            return place
        nearest = place if nearest < 0 else nearest
    return nearest


def _outward(dense: str, word: str, bounds: Span, middle: int) -> Iterator[int]:
    """All places of `word` within the bounds, nearest to `middle` first."""
    low, high = bounds
    middle = min(max(middle, low), high)
    before = dense.rfind(word, low, middle + len(word))
    after = dense.find(word, middle + 1, high + len(word))
    while before >= 0 or after >= 0:
        if after < 0 or (before >= 0 and middle - before <= after - middle):
            yield before
            before = dense.rfind(word, low, before - 1 + len(word)) if before > low else -1
        else:
            yield after
            after = dense.find(word, after + 1, high + len(word))


def _after_gap(page: _Page, word: str, where: tuple[int, int, int], hint: int | None) -> int:
    """The place of a piece after left-out text, or inside the previous piece."""
    start, end, high = where
    hinted = -1 if hint is None else page.dense_offset(hint)
    if end < hinted <= high:
        return hinted
    place = page.dense.find(word, end, high + len(word))
    return place if place >= 0 else page.dense.find(word, start + 1)


def _short(piece: str) -> str:
    return piece if len(piece) <= 60 else f"{piece[:57]}..."


class _Page:
    """A text without its white space, and the way back to its offsets."""

    def __init__(self, text: str) -> None:
        words = list(re.finditer(r"\S+", text))
        self.text = text
        self.dense = "".join(word.group() for word in words)
        self._starts = [word.start() for word in words]
        self._ends = [0, *accumulate(len(word.group()) for word in words)]  # in the dense text

    def offset(self, dense: int) -> int:
        """The offset in the text of a character of the dense text."""
        word = bisect_right(self._ends, dense) - 1
        return self._starts[word] + dense - self._ends[word]

    def dense_offset(self, offset: int) -> int:
        """The offset in the dense text of the first character at or after `offset`."""
        word = bisect_right(self._starts, offset) - 1
        if word < 0:
            return 0
        return min(self._ends[word] + offset - self._starts[word], self._ends[word + 1])

    def span(self, dense: int, piece: str) -> Span:
        """The span of `piece` in the text, including its outer white space if the text has the same."""
        bare = piece.strip()
        start = self.offset(dense)
        exact = start - piece.index(bare)
        if exact >= 0 and self.text.startswith(piece, exact):
            return exact, exact + len(piece)
        return start, self.offset(dense + len("".join(bare.split())) - 1) + 1
