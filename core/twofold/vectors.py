"""What is done to vectors after the model: check, cut, normalise, quantise, pack.

Everything here is numpy on arrays of shape (n, width), one row a vector.
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
"""Rows that are looked at, or normalised, at once."""


def check(vectors: FloatArray, count: int, dimensions: int) -> None:
    """Refuse vectors that cannot be right, before they leave.

    Raises:
        OutputError: not `count` rows of at least `dimensions` columns, or a row that is not finite or all zeros.
    """
    if vectors.ndim != 2 or len(vectors) != count or (count and vectors.shape[1] < dimensions):
        raise OutputError(f"the model gave vectors of shape {vectors.shape}; wanted ({count}, at least {dimensions})")
    finite = [np.isfinite(vectors[start : start + BLOCK]).all(axis=1) for start in range(0, max(count, 1), BLOCK)]
    bad = np.flatnonzero(~np.concatenate(finite))
    if len(bad):
        raise OutputError(f"the model gave a vector with NaN or infinity for item {bad[0]} ({len(bad)} of {count})")
    zero = np.flatnonzero(~vectors[:, :dimensions].any(axis=1))
    if len(zero):
        raise OutputError(f"the model gave a vector of zeros for item {zero[0]} ({len(zero)} of {count})")


def cut(vectors: FloatArray, dimensions: int) -> FloatArray:
    """Keep the first `dimensions` columns (Matryoshka). Normalise after this, never before."""
    return vectors[:, :dimensions]


def normalize(vectors: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Scale each row to unit length (L2); a row of zeros stays one. `out` may be `vectors` themselves."""
    unit = np.empty(vectors.shape, np.float32) if out is None else out
    for start in range(0, len(vectors), BLOCK):  # a million rows need no second million beside them on the way
        rows = vectors[start : start + BLOCK]
        peaks = np.abs(rows).max(axis=1, keepdims=True, initial=0)
        scaled = rows / np.where(peaks > 0, peaks, 1)  # so that no square over- or underflows
        norms = np.linalg.norm(scaled, axis=1, keepdims=True)
        unit[start : start + BLOCK] = scaled / np.maximum(norms, 1)
    return unit


def finish(vectors: FloatArray, count: int, dimensions: int, *, unit: bool) -> FloatArray:
    """Check, cut, then normalise: the one way from a backend's output to the user. It is written to where that fits.

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
    """Quantise finished vectors for a store that takes them; embedders themselves always return float32.

    `int8` maps [-limit, limit] to [-127, 127], one scale for all columns, so that dot products keep their order;
    unit vectors fit in the default limit of 1. `ubinary` keeps one bit a dimension (1 where the value is positive),
    packed first dimension first into the highest bit; `binary` is `ubinary` minus 128, the offset form of the
    Jina, Cohere and Mistral APIs. Shapes: (..., d) int8, (..., d / 8) int8 or uint8.

    Raises:
        InputError: an unknown kind, or a binary one and a width that is not a multiple of 8.
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
    """Turn `binary` (int8) or `ubinary` (uint8) rows back into -1.0 and 1.0, shape (..., 8 x columns)."""
    offset = 128 if packed.dtype == np.int8 else 0
    raw = (packed.astype(np.int16) + offset).astype(np.uint8)
    return np.unpackbits(raw, axis=-1).astype(np.float32) * 2 - 1


def to_base64(vectors: FloatArray, dtype: str = "<f4") -> str:
    """Rows as base64 of little-endian numbers: how APIs send vectors, and how canaries are stored."""
    return base64.b64encode(np.ascontiguousarray(vectors, dtype=dtype).tobytes()).decode()


def from_base64(text: str, dtype: str = "<f4") -> FloatArray:
    """The numbers of `to_base64`, flat, as float32.

    Raises:
        ValueError: not base64, or not a whole number of values.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype).astype(np.float32)
