"""The server's end: vectors as clients want them sent, and what was said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from twofold.vectors import quantize
from twofold.wires.wire import ENCODINGS, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twofold.vectors import FloatArray, Quantisation


def rows_as(vectors: FloatArray, encoding: str) -> list[Any]:
    """One JSON value for each vector; bytes become base64.

    Raises:
        InputError: packed bits of a width that is not a multiple of 8.
    """
    if encoding == "float":
        return cast("list[Any]", vectors.tolist())
    if encoding == "base64":
        return [row.tobytes() for row in np.ascontiguousarray(vectors, "<f4")]
    return cast("list[Any]", quantize(vectors, cast("Quantisation", encoding)).tolist())


def known_encodings(asked: Iterable[str], field: str, known: Iterable[str] = ENCODINGS) -> tuple[str, ...]:
    """The forms that are asked for, each once and in order; "float" where none is.

    Raises:
        Violation: one that is not known.
    """
    found = tuple(dict.fromkeys(asked)) or ("float",)
    for encoding in found:
        if encoding not in known:
            raise Violation(f"{field} {encoding[:40]!r}: it must be one of {', '.join(known)}")
    return found
