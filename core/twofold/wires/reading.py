"""Reads JSON bodies, and vectors in the encodings of the APIs: base64 or lists, floats or packed bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import numpy as np

from twofold.vectors import unpack
from twofold.wires.wire import BINARY, Garbled, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from twofold.vectors import FloatArray

T = TypeVar("T")
Sent: TypeAlias = bytes | list[float]
"""One vector in an answer's JSON: decoded base64, or a list of numbers."""


def decode(body: bytes, kind: type[T]) -> T:
    """A body's JSON as `kind`. Members that `kind` does not have are ignored.

    Raises:
        Garbled: the body is not JSON.
        Violation: the JSON is not a valid `kind`.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Violation(str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Garbled from None


def stack(rows: Sequence[Sent], count: int, encoding: str) -> FloatArray:
    """The vectors of `count` inputs as one float32 array of shape (count, width).

    Raises:
        Violation: the number of rows is wrong, a row is not a vector, or the widths differ.
    """
    if len(rows) != count:
        raise Violation(f"{count} inputs were sent, but the answer has {len(rows)} vectors")
    vectors = [_vector(row, index, encoding) for index, row in enumerate(rows)]
    widths = sorted({len(vector) for vector in vectors})
    if len(widths) != 1 or not widths[0]:
        raise Violation(f"it has vectors of {' and '.join(map(str, widths)) or 'no'} dimensions")
    return np.stack(vectors)


def count_of(usage: Any, name: str = "total_tokens") -> int | None:
    """The number of tokens that an answer states; None if it is missing or not an integer."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _vector(row: Sent, index: int, encoding: str) -> FloatArray:
    try:
        if encoding in BINARY:
            return unpack(_packed(row, np.int8 if encoding == "binary" else np.uint8))
        if isinstance(row, bytes):
            return np.frombuffer(row, "<f4").astype(np.float32)
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which a later check rejects
            return np.array(row, np.float32)
    except ValueError:
        raise Violation(f"vector {index} cannot be read as {encoding}") from None


def _packed(row: Sent, kind: type[np.int8 | np.uint8]) -> NDArray[Any]:
    """A row in which each number holds eight dimensions. A number out of range raises ValueError."""
    if isinstance(row, bytes):
        return np.frombuffer(row, kind)
    numbers, limits = np.array(row), np.iinfo(kind)
    if not ((numbers == np.rint(numbers)) & (limits.min <= numbers) & (numbers <= limits.max)).all():
        raise ValueError(row)
    return numbers.astype(kind)
