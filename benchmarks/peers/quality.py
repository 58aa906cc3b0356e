"""The quality of an engine's vectors: their cosines to float32's, and their ranking of the demo's answers."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twofold.demo.metrics import first_rank, recall

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from twofold.demo.questions import DemoQuestion

DEPTH = 10


class Cosines(NamedTuple):
    """The lowest and the mean cosine between two engines' vectors of the same texts."""

    lowest: float
    mean: float


class Ranking(NamedTuple):
    """nDCG and recall within the first `DEPTH` documents, over all questions."""

    ndcg: float
    recall: float


def cosines(found: NDArray[np.float32], reference: NDArray[np.float32]) -> Cosines:
    """The cosines of vectors (n, width), row by row. NaN counts as 0."""
    a, b = (np.asarray(array, np.float64) for array in (found, reference))
    values = np.nan_to_num((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)))
    return Cosines(float(values.min()), float(values.mean()))


def ranking(
    asked: NDArray[np.float32],
    documents: NDArray[np.float32],
    names: Sequence[str],
    questions: Sequence[DemoQuestion],
) -> Ranking:
    """Rank documents (n, width) for each question (q, width) by inner product."""
    best = np.argsort(-(asked @ documents.T), axis=1, kind="stable")[:, :DEPTH]
    found = [[names[place] for place in row] for row in best]
    there = set(names)
    gains = [ndcg(row, question.answers & there) for row, question in zip(found, questions, strict=True)]
    ranks = [first_rank(row, question.answers) for row, question in zip(found, questions, strict=True)]
    return Ranking(sum(gains) / len(gains), recall(ranks, DEPTH))


def ndcg(found: Sequence[str], answers: Collection[str]) -> float:
    """Normalised discounted cumulative gain of `found`, best first. Each answer gains 1 (Järvelin, Kekäläinen 2002)."""
    gained = sum(1 / log2(rank + 1) for rank, name in enumerate(found, 1) if name in answers)
    most = sum(1 / log2(rank + 1) for rank in range(1, min(len(answers), len(found)) + 1))
    return gained / most if most else 0.0
