"""Stored vectors: whether they can be of a space, are what is wanted, and which are nearest to a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.jobs.metrics import DEPTH
from twofold.space import CANARY_COSINE, lowest_cosine
from twofold.vectors import normalize

if TYPE_CHECKING:
    from twofold.stores.moving import Original
    from twofold.vectors import FloatArray

NEAR = 1e-4
"""Scores that differ by less are the same: any of equal rows may come first."""

UNIT = 1e-2
"""How far from 1 the length of a normalised vector may be."""


class Exact:
    """The scores of the rows nearest to some questions, by looking at all; `queries` has shape (n, dimensions)."""

    def __init__(self, queries: FloatArray) -> None:
        self.queries, self.rows = queries, 0
        self._unit = normalize(queries)
        self._best = np.full((len(queries), DEPTH), -np.inf, np.float32)
        self._waiting: list[FloatArray] = []

    def add(self, _key: str, vector: FloatArray) -> None:
        """Take a row's vector."""
        self._waiting.append(vector)
        if len(self._waiting) == 1000:
            self.flush()

    def flush(self) -> None:
        """Score those that wait."""
        if self._waiting:
            scores = self._unit @ normalize(np.stack(self._waiting)).T
            together = np.concatenate([self._best, scores], axis=1)
            self._best = np.partition(together, -DEPTH, axis=1)[:, -DEPTH:]
            self.rows += len(self._waiting)
            self._waiting = []

    def least(self) -> FloatArray:
        """The score of the tenth of each question, or of the last where there are fewer rows; shape (n,)."""
        return np.sort(self._best, axis=1)[:, -min(DEPTH, max(self.rows, 1))]


def fits(one: Original, dimensions: int, *, unit: bool = False) -> bool:
    """Whether all vectors of a row can be of the space."""
    return bool(one.vectors) and all(
        vector.shape == (dimensions,)
        and bool(np.isfinite(vector).all())
        and bool(vector.any())
        and (not unit or abs(float(np.linalg.norm(vector)) - 1) <= UNIT)
        for vector in one.vectors
    )


def agrees(one: Original, wanted: FloatArray) -> bool:
    """Whether the vectors of a row are those that are `wanted`, shape (texts of the row, dimensions)."""
    stored = [vector.shape for vector in one.vectors]
    return stored == [own.shape for own in wanted] and lowest_cosine(np.stack(one.vectors), wanted) >= CANARY_COSINE
