"""Turns tokens into sequences: finds the tokens of each span, and cuts long documents into windows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twofold.documents import too_long
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding

    from twofold.documents import Document, Span
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
                f"document {index} has spans, but {card.label} pools only its {card.pooling} token, so all spans "
                "would get the same vector: late chunking needs a mean-pooled model",
                index=index,
            )


def whole_sequence(
    index: int, target: int, encoding: Encoding, limits: Limits, *, cuts_start: bool = False, is_part: bool = False
) -> TokenSequence:
    """A document with one span over its whole text. All tokens are pooled, including special tokens and instruction.

    A long text loses its end, or with `cuts_start` its start. With `is_part`, `encoding` lacks what is cut anyway.
    """
    ids = encoding.ids
    if len(ids) > limits.tokens:
        if limits.truncate == "error":
            raise too_long(f"text {index}", len(ids), limits.tokens, index=index, is_least=is_part)
        lead, tail = _specials(encoding)
        kept = lead if cuts_start else limits.tokens - tail
        ids = ids[:kept] + ids[len(ids) - (limits.tokens - kept) :]
    return TokenSequence(index, ids, (target,), (np.arange(len(ids)),))


def _specials(encoding: Encoding) -> tuple[int, int]:
    """The number of special tokens at the start and at the end."""
    plain = np.flatnonzero(np.asarray(encoding.special_tokens_mask) == 0)
    if not len(plain):
        return len(encoding.ids), 0
    return int(plain[0]), len(encoding.ids) - 1 - int(plain[-1])


class Share(NamedTuple):
    """The tokens that a span pools.

    Attributes:
        start, end: a range of the text's tokens.
        lead: whether the leading special tokens and the instruction belong to it.
        tail: whether the trailing special tokens belong to it.
    """

    start: int
    end: int
    lead: bool
    tail: bool


class SpansOverTokens:
    """The spans of one document over its tokens.

    Instruction and text are encoded together, because a tokenizer may split them differently when they are apart. A
    token belongs to each span that contains the token's first character other than white space. The leading special
    tokens and the instruction belong to the span that starts first, the trailing special tokens to the one that ends
    last.

    A tokenizer may join or drop characters, so no token may begin in a span: a part of an emoji, a part of a Thai text
    that is one unknown token, a lone accent. Such a span pools the token that covers it, or if there is none, the
    tokens of its nearest neighbour. The other spans pool the same tokens as without it.
    """

    def __init__(self, index: int, document: Document, encoding: Encoding, prefix: int, limits: Limits) -> None:
        self.index, self.document, self.limits = index, document, limits
        self.ids = encoding.ids
        lead, tail = _specials(encoding)
        offsets = (np.asarray(encoding.offsets, np.int64).reshape(-1, 2) - prefix)[lead : len(self.ids) - tail]
        keys = _first_characters(offsets, document.text)
        instruction = int(np.searchsorted(keys, 0))  # its tokens have negative positions
        self.lead, self.tail = lead + instruction, tail
        self.keys, self.ends = keys[instruction:], offsets[instruction:, 1]

    def sequences(self, target: int) -> list[TokenSequence]:
        """The document as one sequence, or as windows. Span k produces row target + k."""
        shares = self._shares()
        if len(self.ids) <= self.limits.window:
            return [self._sequence(0, len(self.keys), range(len(shares)), shares, target)]
        chosen: dict[tuple[int, int], list[int]] = {}
        windows = self._windows()
        for number, share in enumerate(shares):
            chosen.setdefault(self._best(number, share, windows), []).append(number)
        return [self._sequence(*window, numbers, shares, target) for window, numbers in sorted(chosen.items())]

    def _shares(self) -> list[Share]:
        spans = self.document.spans
        ranges = np.searchsorted(self.keys, np.asarray(spans)).tolist()
        own = [number for number, (start, end) in enumerate(ranges) if start < end]
        first = min((spans[number][0] for number in own), default=None)
        last = max((spans[number][1] for number in own), default=None)
        shares = {
            number: Share(ranges[number][0], ranges[number][1], spans[number][0] == first, spans[number][1] == last)
            for number in own
        }
        edges = np.asarray([ranges[number] for number in own]).reshape(-1, 2)
        for number, (place, end) in enumerate(ranges):
            if place == end:
                near = shares[own[_nearest(place, edges)]] if own else None
                shares[number] = self._borrowed(spans[number], place, near)
        return [shares[number] for number in range(len(spans))]

    def _borrowed(self, span: Span, place: int, near: Share | None) -> Share:
        """What a span pools in which no token begins. `place` is the number of tokens that begin before it.

        `near` is the nearest neighbour's share. It is None if no token begins in any span: then the span pools a token
        beside it and all special tokens, or in a text without tokens the special tokens alone, like the empty text.
        """
        if near is not None and not (place and self.ends[place - 1] > span[0]):
            return near
        start, end = 0, min(1, len(self.keys))
        if place:  # more than one token if a tokenizer of bytes makes several of one character
            start, end = int(np.searchsorted(self.keys, self.keys[place - 1])), place
            while start < place - 1 and self.ends[start] <= span[0]:  # a mark of a word's start, which covers nothing
                start += 1
        return Share(start, end, lead=near is None, tail=near is None)

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

    def _best(self, number: int, share: Share, windows: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The window with the most context on the span's weaker side, or a new one around it if none contains it."""
        start, end = share.start, share.end
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
        self, start: int, end: int, numbers: Sequence[int], shares: Sequence[Share], target: int
    ) -> TokenSequence:
        """The tokens from `start` to `end` with instruction and special tokens, pooled for the spans `numbers`."""
        body = self.ids[self.lead + start : self.lead + end]
        ids = self.ids[: self.lead] + body + self.ids[len(self.ids) - self.tail :]
        rows = []
        for share in (shares[number] for number in numbers):
            own = [np.arange(share.start, share.end) - start + self.lead]
            if share.lead:
                own.insert(0, np.arange(self.lead))
            if share.tail:
                own.append(np.arange(len(ids) - self.tail, len(ids)))
            rows.append(np.concatenate(own))
        return TokenSequence(self.index, ids, [target + number for number in numbers], rows)


def _nearest(place: int, ranges: Indices) -> int:
    """The number of the range of tokens that is nearest to `place`: of several, one before it, the shortest."""
    starts, ends = ranges.T
    far = 2 * np.maximum(np.maximum(starts - place, place - ends), 0) + (starts >= place)
    near = np.flatnonzero(far == far.min())
    return int(near[np.argmin((ends - starts)[near])])


def _first_characters(offsets: Indices, text: str) -> Indices:
    """For each token the position in `text` of its first character that is not white space; -1 in the instruction.

    In some tokenizers a token's offsets include the space before it, so white space is skipped. A token of only white
    space keeps its position. The result never decreases, even if a normaliser moved offsets.
    """
    dark = np.flatnonzero([not character.isspace() for character in text])
    following = np.append(dark, len(text))[np.searchsorted(dark, np.arange(len(text) + 1))]
    starts, ends = offsets[:, 0], offsets[:, 1]
    # The space between instruction and text may be at a negative position, in one token with a word of the text.
    skipped = following[np.clip(starts, 0, len(text))]
    keys = np.where((ends > 0) & (skipped < ends), skipped, starts)
    return np.maximum.accumulate(np.where(ends <= 0, -1, np.maximum(keys, 0)))
