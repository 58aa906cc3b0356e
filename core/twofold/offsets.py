"""Where chunks stand in their document: a splitter gives texts, late chunking needs exact character offsets.

The offsets that hosts give are guesses, and wrong on repetitive text, so they count only where they prove themselves.
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
    """The document whose spans are the pieces that a splitter made of `text`; see `locate`.

    Raises:
        InputError: a piece that cannot be found, or a blank one; it names the document, and `.index` is the document's.
    """
    try:
        return Document.from_spans(text, locate(text, pieces, hints))
    except InputError as error:
        raise InputError(f"{name}: {error}", index=index) from error


def locate(text: str, pieces: Sequence[str], hints: Sequence[int | None] | None = None) -> tuple[Span, ...]:
    """Return the span of each piece in `text`, for consecutive chunks of it that may overlap.

    White space that the splitter changed, dropped or inserted does not matter. `hints` are supposed starts. Starts that
    are exact, in order, and leave out nothing but white space are taken as they are. Otherwise the pieces are searched
    for from left to right: of several places, the one that leaves no text out wins, and of several such places, the one
    that spreads the overlap evenly; after left-out text, an exact hint, else the next place. If that search leaves text
    out or fails, exact hints in order are taken after all.

    Raises:
        InputError: a piece that is blank, or that is not in the text after the start of the piece before it; `.index`
            is its number.
    """
    text, pieces = check_text(text), check_texts(pieces, "chunk")
    starts = list(hints) if hints is not None else [None] * len(pieces)
    if len(starts) != len(pieces):
        raise InputError(f"{len(starts)} hints for {len(pieces)} chunks: give one for each, None where there is none")
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
    """The spans that exact hints claim, if there is one for each piece and they are in order."""
    spans: list[Span] = []
    for piece, start in zip(pieces, starts, strict=True):
        if start is None or (spans and start <= spans[-1][0]):
            return None
        spans.append((start, start + len(piece)))
    return tuple(spans)


def _covers(text: str, spans: Sequence[Span]) -> bool:
    """Whether the spans leave out nothing but white space.

    A guess that is too early in repetitive text overlaps too much, so that a gap follows somewhere.
    """
    end = 0
    for start, stop in (*spans, (len(text), len(text))):
        if text[end:start].strip():
            return False
        end = max(end, stop)
    return True


def _search(text: str, pieces: Sequence[str], hints: Sequence[int | None]) -> tuple[Span, ...]:
    """Find the pieces from left to right, by their characters that are not white space."""
    page = _Page(text)
    words = ["".join(piece.split()) for piece in pieces]
    _check_order(page.dense, words, pieces)
    rest = sum(map(len, words))  # of the pieces that are still to be found
    start, end = -1, 0  # of the piece before
    spans = []
    for index, (word, (first, last)) in enumerate(zip(words, _bounds(page.dense, words), strict=True)):
        overlap = (rest - (len(page.dense) - end)) / (len(words) - index)  # that is left, for each piece
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
                f"chunk {index}, {_short(pieces[index])!r}, is not in its document after the start of the chunk "
                "before it: late chunking needs chunks of the text as it is, in its order",
                index=index,
            )


def _bounds(dense: str, words: Sequence[str]) -> list[Span]:
    """The first place of each piece from which the end can be reached without a gap (0 for none), and its last."""
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
    """The place nearest to `likely` of several, of those with the same white space where there are such; or -1."""
    nearest = -1
    for place in _outward(page.dense, word, bounds, round(likely)):
        start, end = page.span(place, piece)
        if page.text[start:end] == piece:
            return place
        nearest = place if nearest < 0 else nearest
    return nearest


def _outward(dense: str, word: str, bounds: Span, middle: int) -> Iterator[int]:
    """All places of `word` within the bounds, the nearest to `middle` first."""
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
    """The place of a piece before which text is left out, or that lies inside of the piece before."""
    start, end, high = where
    hinted = -1 if hint is None else page.dense_offset(hint)
    if end < hinted <= high:
        return hinted
    place = page.dense.find(word, end, high + len(word))
    return place if place >= 0 else page.dense.find(word, start + 1)


def _short(piece: str) -> str:
    return piece if len(piece) <= 60 else f"{piece[:57]}..."


class _Page:
    """A text without its white space, and the way back."""

    def __init__(self, text: str) -> None:
        words = list(re.finditer(r"\S+", text))
        self.text = text
        self.dense = "".join(word.group() for word in words)
        self._starts = [word.start() for word in words]
        self._ends = [0, *accumulate(len(word.group()) for word in words)]  # in the dense text

    def offset(self, dense: int) -> int:
        """The place in the text of a character of the dense one."""
        word = bisect_right(self._ends, dense) - 1
        return self._starts[word] + dense - self._ends[word]

    def dense_offset(self, offset: int) -> int:
        """The place in the dense text of the first character at or after `offset`."""
        word = bisect_right(self._starts, offset) - 1
        if word < 0:
            return 0
        return min(self._ends[word] + offset - self._starts[word], self._ends[word + 1])

    def span(self, dense: int, piece: str) -> Span:
        """The span of `piece` in the text; with its outer white space, where the text has the same."""
        bare = piece.strip()
        start = self.offset(dense)
        exact = start - piece.index(bare)
        if exact >= 0 and self.text.startswith(piece, exact):
            return exact, exact + len(piece)
        return start, self.offset(dense + len("".join(bare.split())) - 1) + 1
