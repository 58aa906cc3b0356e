"""How good rankings are: nDCG@10 and recall@10 by ir-measures (trec_eval's own code), and how sure a difference is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.extras import extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

DEPTH = 10
DRAWS = 2000
"""Resamplings of the questions, for an interval that holds in 95 of 100 cases."""


def measure(
    answers: Sequence[Mapping[str, int]], found: Sequence[Sequence[str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The nDCG@10 and the recall@10 of each question, each of shape (n,).

    Args:
        answers: of each question, the ids that answer it, with their grades.
        found: of each question, the ids that were found, best first.

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
    """Between what their mean lies in 95 of 100 resamplings (Efron's percentile bootstrap)."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
