"""Reads JSON bodies, and vectors in the encodings of the APIs: base64 or lists, floats or packed bits."""

from __future__ import annotations

import re
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
S = TypeVar("S", bound=msgspec.Struct)
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


SYNONYMS = {
    **dict.fromkeys(("dimension", "output_dimension", "truncate_dim", "output_dimensionality"), ("dimensions",)),
    **dict.fromkeys(("dimensions",), ("output_dimension",)),
    **dict.fromkeys(("normalize", "normalize_embeddings"), ("normalized", "normalize")),
    **dict.fromkeys(("normalized",), ("normalize",)),
    **dict.fromkeys(
        ("output_dtype", "encoding_format", "embedding_type", "encoding_type"), ("embedding_type", "embedding_types")
    ),
    **dict.fromkeys(("embedding_types",), ("embedding_type",)),
    **dict.fromkeys(("task", "input_type", "prompt_name", "task_type"), ("task", "input_type", "prompt_name")),
    **dict.fromkeys(("input", "inputs", "texts"), ("input", "inputs", "texts")),
    **dict.fromkeys(("truncation",), ("truncate",)),
}
"""Members of other APIs, and the names that a dialect may have for them, the first that it has counts."""

CHANGING = {
    "prompt": "this server cannot use a free instruction: name a task of the model instead",
    "instruction": "this server cannot use a free instruction: name a task of the model instead",
    "images": "this server embeds texts only",
}
"""Members that change the vectors, but cannot be obeyed."""


def decode_request(body: bytes, kind: type[S]) -> tuple[S, tuple[str, ...]]:
    """A request's JSON as `kind`, and the members that are ignored.

    Members under the names of other APIs are obeyed.

    Raises:
        Garbled, Violation: see `decode`; a member changes the vectors, but cannot be obeyed.
    """
    members = decode(body, dict[str, msgspec.Raw])
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    unknown = members.keys() - known
    if not unknown:
        return decode(body, kind), ()
    ignored = []
    for name in sorted(unknown):
        value = bytes(members.pop(name))
        if value == b"null":
            continue
        place = next((one for one in SYNONYMS.get(name, ()) if one in known), None)
        if place is not None and place not in members:
            members[place] = msgspec.Raw(value)
        elif name in CHANGING and value != b'""':
            raise Violation(f"{name}: {CHANGING[name]}")
        elif name == "truncation_direction" and value.lower() != b'"right"':
            raise Violation("truncation_direction: this server cuts only the end of a text ('Right')")
        elif name != "truncation_direction":
            ignored.append(name)
    return decode(msgspec.json.encode(members), kind), tuple(name for name in ignored if _SHOWN.fullmatch(name))


_SHOWN = re.compile(r"[\w.-]{1,64}", re.ASCII)
"""Names that a header can carry."""


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
