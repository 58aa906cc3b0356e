"""From tokens to sequences: characters of a span to its tokens, long documents to windows."""

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
    """One sequence for the encoder, and what to pool from it.

    Attributes:
        document: the index of the document that it comes from.
        ids: its token ids, special tokens and instruction included.
        targets: the rows of the result that it gives, one for each span.
        rows: for each target the indices of the tokens that are pooled into it.
    """

    document: int
    ids: Sequence[int]
    targets: Sequence[int]
    rows: Sequence[Indices]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a sequence may be, what is done with a text over that, and how long documents are cut into windows."""

    tokens: int
    truncate: Truncate
    window: int
    overlap: int


def check_late(documents: Sequence[Document], card: ModelCard) -> None:
    """Refuse spans of a model whose pooling cannot tell them apart.

    Raises:
        InputError: a document with spans, and a model that is pooled by its first or last token.
    """
    if card.pooling == "mean":
        return
    for index, document in enumerate(documents):
        if not document.is_whole:
            raise InputError(
                f"document {index} has spans, but {card.name} pools its {card.pooling} token alone, so all spans "
                "would share a vector: late chunking needs a mean-pooled model",
                index=index,
            )


def whole_sequence(index: int, target: int, encoding: Encoding, limits: Limits) -> TokenSequence:
    """One span over everything: every token is pooled, special tokens and instruction too."""
    ids = encoding.ids
    if len(ids) > limits.tokens:
        if limits.truncate == "error":
            raise too_long(f"text {index}", len(ids), limits.tokens, index=index)
        _, tail = _specials(encoding)
        ids = ids[: limits.tokens - tail] + ids[len(ids) - tail :]
    return TokenSequence(index, ids, (target,), (np.arange(len(ids)),))


def _specials(encoding: Encoding) -> tuple[int, int]:
    """How many special tokens lead and trail."""
    plain = np.flatnonzero(np.asarray(encoding.special_tokens_mask) == 0)
    if not len(plain):
        return len(encoding.ids), 0
    return int(plain[0]), len(encoding.ids) - 1 - int(plain[-1])


class SpansOverTokens:
    """The spans of one document over its tokens.

    Instruction and text were encoded together, since a tokenizer counts them otherwise when alone. A token belongs to
    the spans that hold its first character that is not white space. The special tokens and the instruction in front
    belong to the span that starts first, the special tokens at the end to the one that ends last.
    """

    def __init__(self, index: int, document: Document, encoding: Encoding, prefix: int, limits: Limits) -> None:
        self.index, self.document, self.limits = index, document, limits
        self.ids = encoding.ids
        lead, tail = _specials(encoding)
        keys = _first_characters(encoding, document.text, prefix)[lead : len(self.ids) - tail]
        lead += int(np.searchsorted(keys, 0))  # the instruction's own tokens have negative places
        self.lead, self.tail = lead, tail
        self.keys = keys[keys >= 0]
        self.first = min(start for start, _ in document.spans)
        self.last = max(end for _, end in document.spans)

    def sequences(self, target: int) -> list[TokenSequence]:
        """The document as one sequence, or as windows; span k of it gives row target + k."""
        ranges = self._ranges()
        if len(self.ids) <= self.limits.window:
            return [self._sequence(0, len(self.keys), range(len(ranges)), ranges, target)]
        chosen: dict[tuple[int, int], list[int]] = {}
        windows = self._windows()
        for number, tokens in enumerate(ranges):
            chosen.setdefault(self._best(number, tokens, windows), []).append(number)
        return [self._sequence(*window, numbers, ranges, target) for window, numbers in sorted(chosen.items())]

    def _ranges(self) -> list[tuple[int, int]]:
        """For each span the tokens of the text, from and to, that it holds."""
        ranges = np.searchsorted(self.keys, np.asarray(self.document.spans))
        empty = np.flatnonzero(ranges[:, 0] == ranges[:, 1]).tolist()
        if empty:
            span = self.document.spans[empty[0]]
            text = self.document.text[slice(*span)]
            raise InputError(
                f"span {empty[0]} of document {self.index}, {span}, has no token of its own: {text[:40]!r}. "
                "Join it with its neighbour",
                index=self.index,
                spans=empty,
            )
        return [(int(start), int(end)) for start, end in ranges]

    @property
    def _room(self) -> int:
        """Tokens of the text that fit in a window beside the special tokens and the instruction."""
        return self.limits.window - self.lead - self.tail

    def _windows(self) -> list[tuple[int, int]]:
        """Windows of equal size over the text's tokens, sharing `overlap`; the last ends with the text."""
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
        """The window that gives a span the most context on its poorer side; one around it where it crosses all."""
        start, end = tokens
        count, room = len(self.keys), self._room
        if end - start > room:
            raise InputError(
                f"span {number} of document {self.index} has {end - start} tokens; a window holds {room}: split it",
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
        """The tokens from `start` to `end` between instruction and closing tokens, pooled for the spans `numbers`."""
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
    """For each token the place in `text` of its first character that is not white space; negative for the instruction.

    Tokenizers differ in whether a token's offsets begin with the space before it, so white space is skipped; a token
    of white space alone keeps its place. Places never fall, whatever a normaliser did to them.
    """
    offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2) - prefix
    dark = np.flatnonzero([not character.isspace() for character in text])
    following = np.append(dark, len(text))[np.searchsorted(dark, np.arange(len(text) + 1))]
    starts, ends = offsets[:, 0], offsets[:, 1]
    # The space that joins instruction and text may lie before place 0, with a word of the text behind it.
    skipped = following[np.clip(starts, 0, len(text))]
    keys = np.where((ends > 0) & (skipped < ends), skipped, starts)
    return np.maximum.accumulate(np.where(ends <= 0, -1, np.maximum(keys, 0)))
