"""Measures of ranking quality over many questions. Ranks start at 1; None is an answer that was not found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def first_rank(found: Sequence[str], answers: Collection[str]) -> int | None:
    """The rank of the first item of `found` that is in `answers`, or None."""
    return next((rank for rank, name in enumerate(found, 1) if name in answers), None)


def recall(ranks: Sequence[int | None], depth: int) -> float:
    """The share of questions with an answer in the first `depth` results."""
    return sum(rank is not None and rank <= depth for rank in ranks) / len(ranks)


def mean_reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """The mean of 1 / rank, where an answer that was not found counts as 0."""
    return sum(1 / rank for rank in ranks if rank) / len(ranks)
