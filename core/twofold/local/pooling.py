"""Pools hidden states into vectors: the mean of each span's tokens, or the first or last token."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from twofold.local.windows import Indices, TokenSequence
    from twofold.models import Pooling


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
