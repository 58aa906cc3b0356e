"""Tokens: text to ids, characters of a span to its tokens, long documents to windows, sequences to batches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import BertWordPieceTokenizer
from tokenizers import Tokenizer as Rust

from twofold.errors import InputError, ModelError
from twofold.local.weights import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tokenizers import Encoding

    from twofold.documents import Document
    from twofold.models import Task
    from twofold.settings import Truncate

Indices: TypeAlias = NDArray[np.int64]
BERT_VOCABULARY = "vocab.txt"


@dataclass(frozen=True, slots=True)
class Piece:
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


class Tokenizer:
    """A checkpoint's own tokenizer, without its padding and truncation."""

    def __init__(self, folder: Path) -> None:
        """Read `tokenizer.json`, or build BERT's from a bare vocabulary.

        Raises:
            ModelError: neither is there, or it can not be read.
        """
        file = tokenizer_file(folder)
        try:
            self._rust = _wordpiece(file) if file.name == BERT_VOCABULARY else Rust.from_file(str(file))
        except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
            raise ModelError(f"{folder} has a tokenizer that can not be read: {error}") from None
        self._rust.no_padding()
        self._rust.no_truncation()

    def count(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text, instruction and special tokens included."""
        return [len(encoding.ids) for encoding in self._rust.encode_batch_fast([task.prefix + text for text in texts])]

    def pieces(self, documents: Sequence[Document], task: Task, limits: Limits) -> list[Piece]:
        """Each document as one sequence, or as several windows where its spans allow; in order.

        Raises:
            InputError: a text over the limit, with its count, or a span that no token falls into; by index.
        """
        texts = [task.prefix + document.text for document in documents]
        if all(document.is_whole for document in documents):
            encodings = self._rust.encode_batch_fast(texts)  # computes no offsets
        else:
            encodings = self._rust.encode_batch(texts)
        found: list[Piece] = []
        target = 0
        for index, (document, encoding) in enumerate(zip(documents, encodings, strict=True)):
            if document.is_whole:
                found.append(_whole(index, target, encoding, limits))
            else:
                found += _Spans(index, document, encoding, len(task.prefix), limits).pieces(target)
            target += len(document.spans)
        return found


def tokenizer_file(folder: Path) -> Path:
    """Where a checkpoint's tokenizer is: in the fast format, or as BERT's bare vocabulary.

    Raises:
        ModelError: neither is there.
    """
    for name in ("tokenizer.json", BERT_VOCABULARY):
        if (folder / name).exists():
            return folder / name
    raise ModelError(f"{folder} has no tokenizer.json: save its tokenizer there in the fast format")


def _wordpiece(vocabulary: Path) -> Rust:
    """BERT's tokenizer from its vocabulary."""
    lower = read_json(vocabulary.with_name("tokenizer_config.json")).get("do_lower_case", True)
    built: Rust = BertWordPieceTokenizer(str(vocabulary), lowercase=lower)._tokenizer  # noqa: SLF001 - what it wraps
    return built


def _whole(index: int, target: int, encoding: Encoding, limits: Limits) -> Piece:
    """One span over everything: every token is pooled, special tokens and instruction too."""
    ids = encoding.ids
    if len(ids) > limits.tokens:
        if limits.truncate == "error":
            raise InputError(
                f"text {index} has {len(ids)} tokens, instruction and special tokens included; the model takes "
                f"{limits.tokens}. Split it (embed_chunks keeps the context), or cut it with truncate='end'",
                index=index,
            )
        _, tail = _specials(encoding)
        ids = ids[: limits.tokens - tail] + ids[len(ids) - tail :]
    return Piece(index, ids, (target,), (np.arange(len(ids)),))


def _specials(encoding: Encoding) -> tuple[int, int]:
    """How many special tokens lead and trail."""
    plain = np.flatnonzero(np.asarray(encoding.special_tokens_mask) == 0)
    if not len(plain):
        return len(encoding.ids), 0
    return int(plain[0]), len(encoding.ids) - 1 - int(plain[-1])


class _Spans:
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

    def pieces(self, target: int) -> list[Piece]:
        """The document as one sequence, or as windows; span k of it gives row target + k."""
        ranges = [self._range(number, span) for number, span in enumerate(self.document.spans)]
        if len(self.ids) <= self.limits.window:
            return [self._piece(0, len(self.keys), range(len(ranges)), ranges, target)]
        chosen: dict[tuple[int, int], list[int]] = {}
        windows = self._windows()
        for number, tokens in enumerate(ranges):
            chosen.setdefault(self._best(number, tokens, windows), []).append(number)
        return [self._piece(*window, numbers, ranges, target) for window, numbers in sorted(chosen.items())]

    def _range(self, number: int, span: tuple[int, int]) -> tuple[int, int]:
        """The tokens of the text, from and to, that the span holds."""
        start, end = np.searchsorted(self.keys, span)
        if start == end:
            text = self.document.text[slice(*span)]
            raise InputError(
                f"span {number} of document {self.index}, {span}, has no token of its own: {text[:40]!r}. "
                "Join it with its neighbour",
                index=self.index,
            )
        return int(start), int(end)

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

        holding = [window for window in windows if window[0] <= start and end <= window[1]]
        if holding:
            return max(holding, key=context)
        left = min(max(0, (start + end - room) // 2), count - room)
        return left, left + room

    def _piece(
        self, start: int, end: int, numbers: Sequence[int], ranges: Sequence[tuple[int, int]], target: int
    ) -> Piece:
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
        return Piece(self.index, ids, [target + number for number in numbers], rows)


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


def batches(pieces: Sequence[Piece], budget: int) -> Iterator[list[Piece]]:
    """Pieces sorted by length, longest first, in groups of at most `budget` tokens; a longer one goes alone.

    Pieces of one length become neighbours, which one attention call serves together.
    """
    group: list[Piece] = []
    tokens = 0
    for piece in sorted(pieces, key=lambda piece: -len(piece.ids)):
        if group and tokens + len(piece.ids) > budget:
            yield group
            group, tokens = [], 0
        group.append(piece)
        tokens += len(piece.ids)
    if group:
        yield group


def pool_offsets(pieces: Sequence[Piece]) -> tuple[Indices, Indices]:
    """Which tokens of a packed batch are pooled, flat, and where each target's begin: the input of an embedding bag."""
    starts = np.cumsum([0, *(len(piece.ids) for piece in pieces)])
    rows = [row + start for piece, (start, _) in zip(pieces, pairwise(starts), strict=True) for row in piece.rows]
    return np.concatenate(rows), np.cumsum([0, *(len(row) for row in rows[:-1])])
