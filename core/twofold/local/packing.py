"""Batches: sequences laid end to end, without padding."""

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

    from twofold.local.windows import Indices, TokenSequence


@dataclass(frozen=True)
class Batch:
    """Packed sequences: their ids end to end, and their lengths in the same order."""

    ids: Tensor  # (T,)
    lengths: Sequence[int]

    @cached_property
    def edges(self) -> Tensor:
        """Where each sequence begins, and where the last one ends, (B + 1,) int32."""
        lengths = torch.tensor([0, *self.lengths])  # on the host, so that a device gets one copy and no loop
        return lengths.cumsum(0).to(self.ids.device, torch.int32)

    @cached_property
    def positions(self) -> Tensor:
        """Each token's place in its own sequence, (T,)."""
        lengths = torch.tensor(self.lengths)
        starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        return (torch.arange(len(starts)) - starts).to(self.ids.device)

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Neighbours of one length: where they start, how many, how long. One attention call serves each run."""
        start = 0
        for length, group in groupby(self.lengths):
            count = len(list(group))
            yield start, count, length
            start += count * length


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


def pool_offsets(sequences: Sequence[TokenSequence]) -> tuple[Indices, Indices]:
    """Which tokens of a packed batch are pooled, flat, and where each target's begin: the input of an embedding bag."""
    starts = np.cumsum([0, *(len(sequence.ids) for sequence in sequences)])
    rows = [row + start for one, (start, _) in zip(sequences, pairwise(starts), strict=True) for row in one.rows]
    return np.concatenate(rows), np.cumsum([0, *(len(row) for row in rows[:-1])])
