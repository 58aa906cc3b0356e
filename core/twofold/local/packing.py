"""Packs sequences end to end into batches, without padding, and pools the hidden states of a batch into vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from twofold.documents import Document
    from twofold.local.windows import Indices, TokenSequence
    from twofold.models import Pooling


NEAR = 7 / 8
"""The smallest ratio of the shortest to the longest length in a group, so that little is padded."""
GROUP_AREA = 2**17
"""The most pairs of tokens in a group, for one head, so that its scores stay in cache."""
LONGEST, LEAST_TOKENS = 1024, 96
"""Longer sequences, and groups of fewer tokens, are faster one by one. Found by `benchmarks/attention.py`."""
SHORT = 32
"""The most tokens for which torch's kernel in float32 is as fast as any alternative."""

FINE, COARSE = 512, 2048
"""The most tokens for which the size of a batch is a multiple of 8, and of 32."""
SLICE, SLICE_CHARACTERS = 4096, 2**22
"""The most documents and characters that are tokenised at once."""


@dataclass(frozen=True)
class Group:
    """Neighbouring sequences of nearly equal length in a batch, which one attention call serves.

    If their lengths differ, they are padded to the longest for that call. `rows` is the token for each padded place,
    `kept` lists the places that hold a token, and `real` is 1 at those places and 0 at padding.
    """

    start: int
    lengths: Sequence[int]
    device: torch.device

    @cached_property
    def tokens(self) -> int:
        return sum(self.lengths)

    @cached_property
    def longest(self) -> int:
        """S, the length to which all are padded."""
        return max(self.lengths)

    @property
    def padded(self) -> bool:
        return min(self.lengths) < self.longest

    def pays(self, least: int) -> bool:
        """Whether one call for the group is faster than torch's kernel for each run of equal lengths."""
        return self.longest <= LONGEST and self.tokens >= least

    @cached_property
    def real(self) -> Tensor:
        """(B, S) bool."""
        return torch.arange(self.longest)[None, :] < torch.tensor(self.lengths)[:, None]

    @cached_property
    def rows(self) -> Tensor:
        """(B * S,): the group's token at each place, and any of its tokens at padding."""
        lengths = torch.tensor(self.lengths)
        starts = lengths.cumsum(0) - lengths
        places = starts[:, None] + torch.arange(self.longest)[None, :]
        return places.clamp_max_(self.tokens - 1).flatten().to(self.device)

    @cached_property
    def kept(self) -> Tensor:
        """(tokens,): the place of each token."""
        return self.real.flatten().nonzero()[:, 0].to(self.device)

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Neighbours of equal length: their start in the batch, their number and their length."""
        start = self.start
        for length, group in groupby(self.lengths):
            count = len(list(group))
            yield start, count, length
            start += count * length


@dataclass(frozen=True)
class Batch:
    """Packed sequences: their token ids end to end, and their lengths in the same order."""

    ids: Tensor  # (T,)
    lengths: Sequence[int]

    @classmethod
    def of(cls, sequences: Sequence[TokenSequence], device: torch.device) -> Batch:
        """Lay sequences end to end, followed on a CPU by `filler` tokens."""
        lengths = [len(sequence.ids) for sequence in sequences]
        rest = filler(lengths) if device.type == "cpu" else 0
        rows = [np.asarray(sequence.ids, np.int64) for sequence in sequences]
        if rest:
            # as sequences of one token, which every model accepts
            rows, lengths = [*rows, rows[-1][:1].repeat(rest)], [*lengths, *[1] * rest]
        return cls(torch.from_numpy(np.concatenate(rows)).to(device), lengths)

    @cached_property
    def edges(self) -> Tensor:
        """The start of each sequence and the end of the last one, (B + 1,) int32."""
        lengths = torch.tensor([0, *self.lengths])  # computed on the host, then copied once
        return lengths.cumsum(0).to(self.ids.device, torch.int32)

    def placed(self, table: Tensor, first: int = 0) -> Tensor:
        """The row of a table for each token's position in its sequence. `first` is the row of position 0."""
        if len(self.lengths) == 1:  # as for a query
            return table[first : first + self.lengths[0]]
        return table.index_select(0, self.positions + first)

    @cached_property
    def positions(self) -> Tensor:
        """Each token's position in its sequence, (T,)."""
        lengths = torch.tensor(self.lengths)
        starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        return (torch.arange(len(starts)) - starts).to(self.ids.device)

    @cached_property
    def groups(self) -> list[Group]:
        groups: list[Group] = []
        start = first = 0
        for number, length in enumerate([*self.lengths, 0]):
            group = self.lengths[first:number]
            longest, area = max(group, default=0), (number - first + 1) * max(length, *group, 1) ** 2
            apart = min(length, *group) < NEAR * max(length, longest) if group else False
            if group and (apart or area > GROUP_AREA or any(length <= edge < longest for edge in (SHORT, LONGEST))):
                groups.append(Group(start, group, self.ids.device))
                start, first = start + sum(group), number
        return groups


def filler(lengths: Sequence[int]) -> int:
    """The number of unused tokens to append to a batch on a CPU, so that batches have few sizes. A query gets none.

    oneDNN compiles a kernel for each size of each product and caches a thousand of them. Without filler, texts of many
    lengths would keep compiling kernels and fill the memory with them.
    """
    tokens = sum(lengths)
    if tokens <= FINE and len(lengths) == 1:
        return 0
    return -tokens % (8 if tokens <= FINE else 32 if tokens <= COARSE else 128)


def slices(documents: Sequence[Document]) -> list[tuple[int, Sequence[Document]]]:
    """Split a long list into parts to tokenise one after the other, each with the index of its first document.

    The tokenizer's output takes far more memory than the texts. Split, a million texts need little beside the result.
    """
    found: list[tuple[int, Sequence[Document]]] = []
    start = characters = 0
    for number, document in enumerate(documents):
        if number > start and (number - start >= SLICE or characters + len(document.text) > SLICE_CHARACTERS):
            found.append((start, documents[start:number]))
            start, characters = number, 0
        characters += len(document.text)
    if documents:
        found.append((start, documents[start:]))
    return found


def batches(sequences: Sequence[TokenSequence], budget: int) -> Iterator[list[TokenSequence]]:
    """Sequences sorted by length, longest first, in batches of at most `budget` tokens. A longer one is alone.

    Sorting puts sequences of equal length side by side, so that one attention call serves them.
    """
    group: list[TokenSequence] = []
    tokens = 0
    for sequence in sorted(sequences, key=lambda sequence: -len(sequence.ids)):
        if group and tokens + len(sequence.ids) > budget:
            yield group
            group, tokens = [], 0
        group.append(sequence)
        tokens += len(sequence.ids)
    if group:
        yield group


def pool(hidden: Tensor, sequences: Sequence[TokenSequence], pooling: Pooling) -> Tensor:
    """Hidden states (T, H) of packed sequences -> (n_targets, H) float32."""
    if pooling == "mean":
        if len(sequences) == len(sequences[0].rows) == 1 and len(sequences[0].rows[0]) == len(hidden):
            return hidden.float().mean(0, keepdim=True)  # the fast path for a query
        rows, offsets = (torch.from_numpy(array).to(hidden.device) for array in _offsets(sequences))
        return torch.nn.functional.embedding_bag(rows, hidden.float(), offsets, mode="mean")
    ends = np.cumsum([len(sequence.ids) for sequence in sequences])
    places = ends - 1 if pooling == "last" else np.concatenate([[0], ends[:-1]])
    return hidden[torch.from_numpy(places).to(hidden.device)].float()


def _offsets(sequences: Sequence[TokenSequence]) -> tuple[Indices, Indices]:
    """The input of an embedding bag: the pooled tokens of a packed batch, flat, and the start of each target's."""
    starts = np.cumsum([0, *(len(sequence.ids) for sequence in sequences)])
    rows = [row + start for one, (start, _) in zip(sequences, pairwise(starts), strict=True) for row in one.rows]
    return np.concatenate(rows), np.cumsum([0, *(len(row) for row in rows[:-1])])
