"""The forms in which vectors can be stored, and exact search for each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from twofold.errors import InputError
from twofold.vectors import normalize, quantize, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from twofold.vectors import FloatArray

Form: TypeAlias = Literal["float", "int8", "binary"]
FORMS = get_args(Form)

RESCORED = 4
"""A binary search rescores this many times more rows than it returns."""

QUERIES = 64
"""Questions searched at once."""

ONES = np.array([value.bit_count() for value in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Results:
    """A search result.

    Attributes:
        places: the row numbers found for each question, best first, shape (questions, k).
        bytes: the size of one stored vector.
        milliseconds: time for each question.
    """

    places: NDArray[np.intp]
    bytes: int
    milliseconds: float


def check_forms(forms: Sequence[str], sizes: Sequence[int]) -> None:
    """Check the names of the forms.

    Raises:
        InputError: a form is unknown, or "binary" is used with a size that is not a multiple of 8.
    """
    for form in forms:
        if form not in FORMS:
            raise InputError(f"unknown form {form!r}; choose from {', '.join(FORMS)}")
    if "binary" in forms and (odd := [size for size in sizes if size % 8]):
        raise InputError(f"dimensions={odd[0]}: binary vectors need a multiple of 8")


def find(form: Form, rows: FloatArray, queries: FloatArray, limit: int) -> Results:
    """The `limit` rows nearest to each question, with rows stored in this form. Questions stay floats.

    `int8` uses one scale for all rows, set by their largest value. `binary` first finds `RESCORED` times as many rows
    by Hamming distance, then orders them by the dot product of the question with the row's signs.
    """
    limit = min(limit, len(rows))
    kept, size = _kept(form, rows)
    started = time.perf_counter()
    places = [
        _nearest(form, kept, queries[start : start + QUERIES], limit) for start in range(0, len(queries), QUERIES)
    ]
    spent = time.perf_counter() - started
    return Results(np.concatenate(places), size, 1000 * spent / max(len(queries), 1))


def _kept(form: Form, rows: FloatArray) -> tuple[NDArray[np.generic], int]:
    if form == "float":
        return normalize(rows), 4 * rows.shape[1]
    if form == "int8":
        unit = normalize(rows)
        return quantize(unit, "int8", float(np.abs(unit).max())), rows.shape[1]
    return quantize(rows, "ubinary"), rows.shape[1] // 8


def _nearest(form: Form, kept: NDArray[np.generic], queries: FloatArray, limit: int) -> NDArray[np.intp]:
    if form != "binary":
        return _best(queries @ kept.astype(np.float32, copy=False).T, limit)
    bits = kept.astype(np.uint8, copy=False)
    wanted = quantize(queries, "ubinary")
    differing = np.stack([ONES[np.bitwise_xor(bits, one)].sum(axis=1, dtype=np.int32) for one in wanted])
    candidates = _best(-differing, min(RESCORED * limit, len(bits)))
    scores = np.einsum("qd,qkd->qk", queries, unpack(bits[candidates]))
    return np.take_along_axis(candidates, _best(scores, limit), axis=1)


def _best(scores: NDArray[np.generic], limit: int) -> NDArray[np.intp]:
    """The positions of the largest values in each row, largest first."""
    numbers = scores.astype(np.float32, copy=False)
    some = np.argpartition(-numbers, limit - 1, axis=1)[:, :limit]
    order = np.argsort(-np.take_along_axis(numbers, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)
