"""Checks stored vectors, and finds the nearest ones exactly."""

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
"""Scores that differ by less count as equal. Equal rows may be returned in any order."""

UNIT = 1e-2
"""How far from 1 the length of a normalised vector may be."""


class Exact:
    """Exact search: the best scores of all rows for some questions. `queries` has shape (n, dimensions)."""

    def __init__(self, queries: FloatArray) -> None:
        self.queries, self.rows = queries, 0
        self._unit = normalize(queries)
        self._best = np.full((len(queries), DEPTH), -np.inf, np.float32)
        self._waiting: list[FloatArray] = []

    def add(self, _key: str, vector: FloatArray) -> None:
        self._waiting.append(vector)
        if len(self._waiting) == 1000:
            self.flush()

    def flush(self) -> None:
        """Score the vectors added since the last call."""
        if self._waiting:
            scores = self._unit @ normalize(np.stack(self._waiting)).T
            together = np.concatenate([self._best, scores], axis=1)
            self._best = np.partition(together, -DEPTH, axis=1)[:, -DEPTH:]
            self.rows += len(self._waiting)
            self._waiting = []

    def least(self) -> FloatArray:
        """For each question the tenth best score, or the last if there are fewer rows; shape (n,)."""
        return np.sort(self._best, axis=1)[:, -min(DEPTH, max(self.rows, 1))]


def fits(one: Original, dimensions: int, *, unit: bool = False) -> bool:
    """Whether all vectors of a row have this size, are finite and not zero, and, with `unit`, have length 1."""
    return bool(one.vectors) and all(
        vector.shape == (dimensions,)
        and bool(np.isfinite(vector).all())
        and bool(vector.any())
        and (not unit or abs(float(np.linalg.norm(vector)) - 1) <= UNIT)
        for vector in one.vectors
    )


def agrees(one: Original, wanted: FloatArray) -> bool:
    """Whether the vectors of a row equal `wanted`, shape (texts of the row, dimensions)."""
    stored = [vector.shape for vector in one.vectors]
    return stored == [own.shape for own in wanted] and lowest_cosine(np.stack(one.vectors), wanted) >= CANARY_COSINE
