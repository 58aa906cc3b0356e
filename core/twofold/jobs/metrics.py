"""Retrieval quality: nDCG@10 and recall@10 from ir-measures (trec_eval's code), and a confidence interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.extras import extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

DEPTH = 10
DRAWS = 2000
"""Bootstrap samples for a 95 % confidence interval."""


def measure(
    answers: Sequence[Mapping[str, int]], found: Sequence[Sequence[str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The nDCG@10 and the recall@10 of each question, each of shape (n,).

    Args:
        answers: for each question, the ids that answer it, with their grades.
        found: for each question, the ids that the search returned, best first.

    Raises:
        MissingExtra: the extra `tune` is not installed.
    """
    with extra("tune"):
        from ir_measures import R, iter_calc, nDCG  # noqa: PLC0415 - optional
    wanted = {str(place): dict(own) for place, own in enumerate(answers)}
    ranked = {
        str(place): {key: float(len(own) - rank) for rank, key in enumerate(dict.fromkeys(own))}
        for place, own in enumerate(found)
    }
    measures = (nDCG @ DEPTH, R @ DEPTH)
    values = {one: np.zeros(len(answers)) for one in measures}
    for one in iter_calc(measures, wanted, ranked):
        values[one.measure][int(one.query_id)] = one.value
    return values[measures[0]], values[measures[1]]


def interval(differences: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """The 95 % confidence interval of the mean (Efron's percentile bootstrap)."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
