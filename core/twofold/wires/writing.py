"""The server's side: vectors in the requested encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from twofold.vectors import quantize
from twofold.wires.wire import ENCODINGS, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twofold.vectors import FloatArray, Quantisation


def rows_as(vectors: FloatArray, encoding: str) -> list[Any]:
    """One JSON value for each vector; msgspec writes bytes as base64.

    Raises:
        InputError: the encoding is binary, and the width is not a multiple of 8.
    """
    if encoding == "float":
        return cast("list[Any]", vectors.tolist())
    if encoding == "base64":
        return [row.tobytes() for row in np.ascontiguousarray(vectors, "<f4")]
    return cast("list[Any]", quantize(vectors, cast("Quantisation", encoding)).tolist())


def known_encodings(asked: Iterable[str], field: str, known: Iterable[str] = ENCODINGS) -> tuple[str, ...]:
    """The requested encodings in order, without duplicates; "float" by default.

    Raises:
        Violation: an encoding is unknown.
    """
    found = tuple(dict.fromkeys(asked)) or ("float",)
    for encoding in found:
        if encoding not in known:
            raise Violation(f"{field} {encoding[:40]!r}: it must be one of {', '.join(known)}")
    return found
