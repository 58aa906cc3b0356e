"""The steps after the model: check, cut, normalise, quantise and encode vectors.

All arrays are numpy arrays of shape (n, width), one vector per row.
"""

from __future__ import annotations

import base64
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from twofold.errors import InputError, OutputError

FloatArray: TypeAlias = NDArray[np.float32]
Quantisation: TypeAlias = Literal["int8", "binary", "ubinary"]

INT8_LIMIT = 127
BLOCK = 4096
"""Rows that are checked or normalised at once."""


def check(vectors: FloatArray, count: int, dimensions: int) -> None:
    """Reject invalid vectors.

    Raises:
        OutputError: there are not `count` rows of at least `dimensions` columns, or a row is not finite or all zeros.
    """
    if vectors.ndim != 2 or len(vectors) != count or (count and vectors.shape[1] < dimensions):
        raise OutputError(f"the model returned vectors of shape {vectors.shape}, not ({count}, at least {dimensions})")
    finite = [np.isfinite(vectors[start : start + BLOCK]).all(axis=1) for start in range(0, max(count, 1), BLOCK)]
    bad = np.flatnonzero(~np.concatenate(finite))
    if len(bad):
        raise OutputError(f"the model returned NaN or infinity for item {bad[0]} ({len(bad)} of {count} items)")
    zero = np.flatnonzero(~vectors[:, :dimensions].any(axis=1))
    if len(zero):
        raise OutputError(f"the model returned a vector of zeros for item {zero[0]} ({len(zero)} of {count} items)")


def cut(vectors: FloatArray, dimensions: int) -> FloatArray:
    """Keep the first `dimensions` columns (Matryoshka). Normalise only after this."""
    return vectors[:, :dimensions]


def normalize(vectors: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Scale each row to unit length (L2). A row of zeros is kept. `out` may be `vectors`."""
    unit = np.empty(vectors.shape, np.float32) if out is None else out
    for start in range(0, len(vectors), BLOCK):  # by blocks, since temporary copies of a million rows are large
        rows = vectors[start : start + BLOCK]
        peaks = np.abs(rows).max(axis=1, keepdims=True, initial=0)
        scaled = rows / np.where(peaks > 0, peaks, 1)  # squares must not over- or underflow
        norms = np.linalg.norm(scaled, axis=1, keepdims=True)
        unit[start : start + BLOCK] = scaled / np.maximum(norms, 1)
    return unit


def finish(vectors: FloatArray, count: int, dimensions: int, *, unit: bool) -> FloatArray:
    """Check, cut and normalise a backend's output, in place if possible.

    Raises:
        OutputError: see `check`.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    check(vectors, count, dimensions)
    short = cut(vectors, dimensions)
    if not unit:
        return np.ascontiguousarray(short)
    fits = short.shape == vectors.shape and vectors.flags.writeable
    return normalize(short, out=short if fits else None)


def quantize(vectors: FloatArray, kind: Quantisation, limit: float = 1.0) -> NDArray[np.int8] | NDArray[np.uint8]:
    """Quantise finished vectors for a store that accepts them. Embedders always return float32.

    `int8` maps [-limit, limit] to [-127, 127] with one scale for all columns, so dot products keep their order. Unit
    vectors fit the default limit of 1. `ubinary` keeps one bit per dimension (1 for a positive value), the first
    dimension in the highest bit. `binary` is `ubinary` minus 128, as in the APIs of Jina, Cohere and Mistral. Shapes:
    (..., d) int8, (..., d / 8) int8 or uint8.

    Raises:
        InputError: an unknown kind, or a binary kind and a width that is not a multiple of 8.
    """
    if kind not in get_args(Quantisation):
        raise InputError(f"quantisation {kind!r}: it must be one of {', '.join(map(repr, get_args(Quantisation)))}")
    if kind == "int8":
        return np.asarray(np.clip(np.rint(vectors * (INT8_LIMIT / limit)), -INT8_LIMIT, INT8_LIMIT), np.int8)
    if vectors.shape[-1] % 8:
        raise InputError(f"binary vectors need a multiple of 8 dimensions, not {vectors.shape[-1]}")
    packed: NDArray[np.uint8] = np.packbits(vectors > 0, axis=-1)
    return packed if kind == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)


def unpack(packed: NDArray[np.int8] | NDArray[np.uint8]) -> FloatArray:
    """Turn `binary` (int8) or `ubinary` (uint8) rows into -1.0 and 1.0. Returns shape (..., 8 x columns)."""
    offset = 128 if packed.dtype == np.int8 else 0
    raw = (packed.astype(np.int16) + offset).astype(np.uint8)
    return np.unpackbits(raw, axis=-1).astype(np.float32) * 2 - 1


def to_base64(vectors: FloatArray, dtype: str = "<f4") -> str:
    """Rows as base64 of little-endian numbers, as in APIs and in stored records."""
    return base64.b64encode(np.ascontiguousarray(vectors, dtype=dtype).tobytes()).decode()


def from_base64(text: str, dtype: str = "<f4") -> FloatArray:
    """The numbers that `to_base64` wrote, as a flat float32 array.

    Raises:
        ValueError: not base64, or not a whole number of values.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype).astype(np.float32)
