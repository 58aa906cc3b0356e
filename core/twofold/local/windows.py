"""Turns tokens into sequences: finds the tokens of each span, and cuts long documents into windows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twofold.documents import too_long
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding

    from twofold.documents import Document
    from twofold.models import ModelCard
    from twofold.settings import Truncate

Indices: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One sequence for the encoder, and the tokens to pool from it.

    Attributes:
        document: the index of its document.
        ids: its token ids, including special tokens and instruction.
        targets: the rows of the result that it produces, one per span.
        rows: for each target, the indices of the tokens to pool.
    """

    document: int
    ids: Sequence[int]
    targets: Sequence[int]
    rows: Sequence[Indices]


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest sequence, what to do with longer texts, and the size and overlap of windows, all in tokens."""

    tokens: int
    truncate: Truncate
    window: int
    overlap: int


def check_late(documents: Sequence[Document], card: ModelCard) -> None:
    """Reject spans for a model that pools a single token.

    Raises:
        InputError: a document has spans, and the model pools its first or last token.
    """
    if card.pooling == "mean":
        return
    for index, document in enumerate(documents):
        if not document.is_whole:
            raise InputError(
                f"document {index} has spans, but {card.name} pools only its {card.pooling} token, so all spans "
                "would get the same vector: late chunking needs a mean-pooled model",
                index=index,
            )


def whole_sequence(index: int, target: int, encoding: Encoding, limits: Limits) -> TokenSequence:
    """A document with one span over its whole text. All tokens are pooled, including special tokens and instruction."""
    ids = encoding.ids
    if len(ids) > limits.tokens:
        if limits.truncate == "error":
            raise too_long(f"text {index}", len(ids), limits.tokens, index=index)
        _, tail = _specials(encoding)
        ids = ids[: limits.tokens - tail] + ids[len(ids) - tail :]
    return TokenSequence(index, ids, (target,), (np.arange(len(ids)),))


def _specials(encoding: Encoding) -> tuple[int, int]:
    """The number of special tokens at the start and at the end."""
    plain = np.flatnonzero(np.asarray(encoding.special_tokens_mask) == 0)
    if not len(plain):
        return len(encoding.ids), 0
    return int(plain[0]), len(encoding.ids) - 1 - int(plain[-1])


class SpansOverTokens:
    """The spans of one document over its tokens.

    Instruction and text are encoded together, because a tokenizer may split them differently when they are apart. A
    token belongs to each span that contains the token's first character other than white space. The leading special
    tokens and the instruction belong to the span that starts first, the trailing special tokens to the one that ends
    last.
    """

    def __init__(self, index: int, document: Document, encoding: Encoding, prefix: int, limits: Limits) -> None:
        self.index, self.document, self.limits = index, document, limits
        self.ids = encoding.ids
        lead, tail = _specials(encoding)
        keys = _first_characters(encoding, document.text, prefix)[lead : len(self.ids) - tail]
        lead += int(np.searchsorted(keys, 0))  # the instruction's tokens have negative positions
        self.lead, self.tail = lead, tail
        self.keys = keys[keys >= 0]
        self.first = min(start for start, _ in document.spans)
        self.last = max(end for _, end in document.spans)

    def sequences(self, target: int) -> list[TokenSequence]:
        """The document as one sequence, or as windows. Span k produces row target + k."""
        ranges = self._ranges()
        if len(self.ids) <= self.limits.window:
            return [self._sequence(0, len(self.keys), range(len(ranges)), ranges, target)]
        chosen: dict[tuple[int, int], list[int]] = {}
        windows = self._windows()
        for number, tokens in enumerate(ranges):
            chosen.setdefault(self._best(number, tokens, windows), []).append(number)
        return [self._sequence(*window, numbers, ranges, target) for window, numbers in sorted(chosen.items())]

    def _ranges(self) -> list[tuple[int, int]]:
        """For each span its first token and the one after its last, counted from the text's first token."""
        ranges = np.searchsorted(self.keys, np.asarray(self.document.spans))
        empty = np.flatnonzero(ranges[:, 0] == ranges[:, 1]).tolist()
        if empty:
            span = self.document.spans[empty[0]]
            text = self.document.text[slice(*span)]
            raise InputError(
                f"span {empty[0]} of document {self.index}, {span}, contains no token: {text[:40]!r}. "
                "Join it with its neighbour",
                index=self.index,
                spans=empty,
            )
        return [(int(start), int(end)) for start, end in ranges]

    @property
    def _room(self) -> int:
        """The number of the text's tokens that fit in a window beside special tokens and instruction."""
        return self.limits.window - self.lead - self.tail

    def _windows(self) -> list[tuple[int, int]]:
        """Windows of equal size over the text's tokens, which overlap. The last one ends with the text."""
        count, room = len(self.keys), self._room
        step = room - self.limits.overlap
        if step < 1:
            raise InputError(
                f"a window of {self.limits.window} tokens has no room for an overlap of {self.limits.overlap}, "
                f"the instruction and the special tokens ({self.lead + self.tail})",
                index=self.index,
            )
        starts = [*range(0, count - room, step), count - room]
        return [(start, start + room) for start in starts]

    def _best(self, number: int, tokens: tuple[int, int], windows: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The window with the most context on the span's weaker side, or a new one around it if none contains it."""
        start, end = tokens
        count, room = len(self.keys), self._room
        if end - start > room:
            raise InputError(
                f"span {number} of document {self.index} has {end - start} tokens, but a window has room for {room}: "
                "split it",
                index=self.index,
            )

        def context(window: tuple[int, int]) -> int:
            left = count if window[0] == 0 else start - window[0]
            right = count if window[1] == count else window[1] - end
            return min(left, right)

        first, behind = bisect_left(windows, end, key=itemgetter(1)), bisect_right(windows, start, key=itemgetter(0))
        if holding := windows[first:behind]:
            return max(holding, key=context)
        left = min(max(0, (start + end - room) // 2), count - room)
        return left, left + room

    def _sequence(
        self, start: int, end: int, numbers: Sequence[int], ranges: Sequence[tuple[int, int]], target: int
    ) -> TokenSequence:
        """The tokens from `start` to `end` with instruction and special tokens, pooled for the spans `numbers`."""
        body = self.ids[self.lead + start : self.lead + end]
        ids = self.ids[: self.lead] + body + self.ids[len(self.ids) - self.tail :]
        rows = []
        for number in numbers:
            first, last = (place - start + self.lead for place in ranges[number])
            own = [np.arange(first, last)]
            if self.document.spans[number][0] == self.first:
                own.insert(0, np.arange(self.lead))
            if self.document.spans[number][1] == self.last:
                own.append(np.arange(len(ids) - self.tail, len(ids)))
            rows.append(np.concatenate(own))
        return TokenSequence(self.index, ids, [target + number for number in numbers], rows)


def _first_characters(encoding: Encoding, text: str, prefix: int) -> Indices:
    """For each token the position in `text` of its first character that is not white space; -1 in the instruction.

    In some tokenizers a token's offsets include the space before it, so white space is skipped. A token of only white
    space keeps its position. The result never decreases, even if a normaliser moved offsets.
    """
    offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2) - prefix
    dark = np.flatnonzero([not character.isspace() for character in text])
    following = np.append(dark, len(text))[np.searchsorted(dark, np.arange(len(text) + 1))]
    starts, ends = offsets[:, 0], offsets[:, 1]
    # The space between instruction and text may be at a negative position, in one token with a word of the text.
    skipped = following[np.clip(starts, 0, len(text))]
    keys = np.where((ends > 0) & (skipped < ends), skipped, starts)
    return np.maximum.accumulate(np.where(ends <= 0, -1, np.maximum(keys, 0)))
