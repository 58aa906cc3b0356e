"""Batches: sequences laid end to end, without padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from twofold.documents import Document
    from twofold.local.windows import TokenSequence


NEAR = 7 / 8
"""The share of a group's longest length that its shortest has at least: what is padded is little."""
GROUP_AREA = 2**17
"""The most pairs of tokens in a group, over one head: its scores stay in cache."""
LONGEST, LEAST_TOKENS = 1024, 96
"""Longer sequences, and a group of fewer tokens, are attended faster one by one. From the sweep in `benchmarks/`."""
SHORT = 32
"""Tokens up to which torch's kernel is as fast in float32 as any other way."""


FINE, COARSE = 512, 2048
"""Tokens in a batch up to which its size is a multiple of 8, and of 32."""

SLICE, SLICE_CHARACTERS = 4096, 2**22
"""Documents, and characters, that are tokenised at once."""


@dataclass(frozen=True)
class Group:
    """Sequences of nearly one length that lie side by side in a batch, for one attention call.

    Where their lengths differ they are padded to the longest for the time of the call: `rows` says which token takes
    each place, `kept` which places are taken, and `real` has 1 for those and 0 for the others.
    """

    start: int
    lengths: Sequence[int]
    device: torch.device

    @cached_property
    def tokens(self) -> int:
        """How many tokens it has."""
        return sum(self.lengths)

    @cached_property
    def longest(self) -> int:
        """The length that all are padded to, S."""
        return max(self.lengths)

    @property
    def padded(self) -> bool:
        """Whether any is shorter."""
        return min(self.lengths) < self.longest

    def pays(self, least: int) -> bool:
        """Whether one call for all of them is faster than torch's kernel for each run of one length."""
        return self.longest <= LONGEST and self.tokens >= least

    @cached_property
    def real(self) -> Tensor:
        """(B, S) bool."""
        return torch.arange(self.longest)[None, :] < torch.tensor(self.lengths)[:, None]

    @cached_property
    def rows(self) -> Tensor:
        """(B * S,): the token of the group at each place; some token of it at those that are padding."""
        lengths = torch.tensor(self.lengths)
        starts = lengths.cumsum(0) - lengths
        places = starts[:, None] + torch.arange(self.longest)[None, :]
        return places.clamp_max_(self.tokens - 1).flatten().to(self.device)

    @cached_property
    def kept(self) -> Tensor:
        """(tokens,): the place of each token."""
        return self.real.flatten().nonzero()[:, 0].to(self.device)

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Neighbours of one length: where they start in the batch, how many, how long."""
        start = self.start
        for length, group in groupby(self.lengths):
            count = len(list(group))
            yield start, count, length
            start += count * length


@dataclass(frozen=True)
class Batch:
    """Packed sequences: their ids end to end, and their lengths in the same order."""

    ids: Tensor  # (T,)
    lengths: Sequence[int]

    @classmethod
    def of(cls, sequences: Sequence[TokenSequence], device: torch.device) -> Batch:
        """Lay sequences end to end; on a CPU with a `filler` behind them."""
        lengths = [len(sequence.ids) for sequence in sequences]
        rest = filler(lengths) if device.type == "cpu" else 0
        rows = [np.asarray(sequence.ids, np.int64) for sequence in sequences]
        if rest:
            rows, lengths = [*rows, rows[-1][:1].repeat(rest)], [*lengths, *[1] * rest]  # no model is too short for one
        return cls(torch.from_numpy(np.concatenate(rows)).to(device), lengths)

    @cached_property
    def edges(self) -> Tensor:
        """Where each sequence begins, and where the last one ends, (B + 1,) int32."""
        lengths = torch.tensor([0, *self.lengths])  # on the host, so that a device gets one copy and no loop
        return lengths.cumsum(0).to(self.ids.device, torch.int32)

    @property
    def alone(self) -> bool:
        """Whether it is one sequence, as a query is: its tokens are in their places."""
        return len(self.lengths) == 1

    def placed(self, table: Tensor, first: int = 0) -> Tensor:
        """The row of a table for each token's place in its own sequence, that of the first token being `first`."""
        if self.alone:
            return table[first : first + self.lengths[0]]
        return table.index_select(0, self.positions + first)

    @cached_property
    def positions(self) -> Tensor:
        """Each token's place in its own sequence, (T,)."""
        lengths = torch.tensor(self.lengths)
        starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        return (torch.arange(len(starts)) - starts).to(self.ids.device)

    @cached_property
    def groups(self) -> list[Group]:
        """Neighbours that are attended together: see `Group`."""
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
    """Tokens that nobody reads, laid behind a batch on a CPU so that it has one of few sizes; a query has none.

    oneDNN makes a kernel for each size of each product, and keeps a thousand of them: texts of many lengths would meet
    new ones all the time, and fill memory with them.
    """
    tokens = sum(lengths)
    if tokens <= FINE and len(lengths) == 1:
        return 0
    return -tokens % (8 if tokens <= FINE else 32 if tokens <= COARSE else 128)


def slices(documents: Sequence[Document]) -> list[tuple[int, Sequence[Document]]]:
    """A long list in parts that are tokenised one after the other, each with the number of its first document.

    What a tokenizer gives takes far more memory than a text does; so a million texts cost no more than their result.
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
    """Sequences sorted by length, longest first, in groups of at most `budget` tokens; a longer one goes alone.

    Those of one length become neighbours, which one attention call serves together.
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
