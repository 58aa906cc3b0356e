"""How good a ranking is, over many questions. A rank counts from 1; None is an answer that was not found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def first_rank(found: Sequence[str], answers: Collection[str]) -> int | None:
    """The rank of the first of `found` that is among `answers`."""
    return next((rank for rank, name in enumerate(found, 1) if name in answers), None)


def recall(ranks: Sequence[int | None], depth: int) -> float:
    """The share of questions with an answer among the first `depth`."""
    return sum(rank is not None and rank <= depth for rank in ranks) / len(ranks)


def mean_reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """The mean of 1 / rank, 0 for what was not found."""
    return sum(1 / rank for rank in ranks if rank) / len(ranks)
