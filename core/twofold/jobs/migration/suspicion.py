"""Selects rows to embed again: those whose new vector is not what their old vector predicts.

A linear map predicts much of one model's vectors from another model's vectors of the same texts. It is fitted on some
rows by ridge regression and predicts the new vector of every other row. The rows farthest from their prediction are
embedded again. They include vectors of another row, of another model or of no text, however large the collection is.
Each row that the map was fitted on is predicted as if it had been left out (the leave-one-out residual, e / (1 - h)).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from twofold.vectors import FloatArray

FITTED = 2000
"""Rows on which the map is fitted."""

RIDGE = 0.01
"""Added to each eigenvalue of the Gram matrix of the old vectors, as a share of their mean."""


class Suspicion:
    """Receives pairs of vectors, page by page, and keeps the keys of the `most` rows farthest from their prediction."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: list[str] = []
        self._pairs: list[tuple[FloatArray, FloatArray]] = []
        self._fitted = 0
        self._map: NDArray[np.float64] | None = None
        self._worst: list[tuple[float, str]] = []

    def add(self, keys: Sequence[str], old: FloatArray, new: FloatArray) -> None:
        """Add rows with their vectors, shapes (n, old dimensions) and (n, new dimensions)."""
        if not len(old) or (self._pairs and self._pairs[0][0].shape[1] != old.shape[1]):
            return
        if self._map is not None:
            self._note(keys, normalize(old) @ self._map, normalize(new))
            return
        self._keys += keys
        self._pairs.append((normalize(old), normalize(new)))
        self._fitted += len(old)
        if self._fitted >= FITTED:
            self._fit()

    def worst(self) -> list[str]:
        """The keys of the rows farthest from their prediction, farthest first."""
        if self._map is None and self._fitted > 1:
            self._fit()
        return [key for _, key in sorted(self._worst, reverse=True)]

    def _fit(self) -> None:
        old = np.concatenate([one for one, _ in self._pairs]).astype(np.float64)
        new = np.concatenate([other for _, other in self._pairs]).astype(np.float64)
        products = old.T @ old
        products += np.eye(len(products)) * RIDGE * np.trace(products) / len(products)
        solved = np.linalg.solve(products, old.T)
        self._map = solved @ new
        leverage = np.einsum("ij,ji->i", old, solved)
        expected = new - (new - old @ self._map) / np.maximum(1 - leverage, 1e-3)[:, None]
        self._note(self._keys, expected, new)
        self._keys, self._pairs = [], self._pairs[:1]

    def _note(self, keys: Sequence[str], expected: NDArray[np.floating], new: NDArray[np.floating]) -> None:
        lengths = np.maximum(np.linalg.norm(expected, axis=1), 1e-12)
        far = 1 - np.sum(expected * new, axis=1) / lengths
        for key, distance in zip(keys, far.tolist(), strict=True):
            heapq.heappush(self._worst, (distance, key))
            if len(self._worst) > self._most:
                heapq.heappop(self._worst)
