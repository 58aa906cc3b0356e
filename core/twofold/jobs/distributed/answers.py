"""The answers for the rows of a batch, each its vectors or its error, and their form between processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from twofold import errors
from twofold.errors import InputError, ProviderError, RequestRefused, TwofoldError
from twofold.jobs.long import OF_THE_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from twofold.vectors import FloatArray

T = TypeVar("T")

Answer: TypeAlias = "FloatArray | TwofoldError"
"""The vectors of a row, shape (spans, dimensions), or the error that prevented them."""

VECTORS, FAILURE = "vectors", "failure"
LITTLE_FLOAT = np.dtype("<f4")


def embed_each(embed: Callable[[Sequence[T]], Sequence[FloatArray]], items: Sequence[T]) -> list[Answer]:
    """Embed `items` at once. An error about some items is returned for these only; the others get their vectors.

    An error about no particular item, such as a rejected key, is returned for every item without a vector.
    """
    answers: dict[int, Answer] = {}
    left = list(range(len(items)))
    while left:
        try:
            answers.update(zip(left, embed([items[place] for place in left]), strict=True))
        except InputError as error:
            if error.index is not None:  # raised before any work, so another call costs almost nothing
                answers[left.pop(error.index)] = error
                continue
            answers.update(dict.fromkeys(left, error))
        except ProviderError as error:
            for number, place in enumerate(left):
                answers[place] = error.partial[number] if number in error.partial else _alone(error, number)
        except TwofoldError as error:
            answers.update(dict.fromkeys(left, error))
        break
    return [answers[place] for place in range(len(items))]


def is_of_a_row(error: TwofoldError) -> bool:
    """Whether an error concerns one row, so that other rows may succeed."""
    if isinstance(error, InputError):
        return error.index is not None
    return isinstance(error, RequestRefused) and error.status in OF_THE_DOCUMENT


def pack(answers: Sequence[Answer]) -> pa.StructArray:
    """Answers as an Arrow column: the bytes of the vectors, or the fields of the error as JSON."""
    import pyarrow as pa  # noqa: PLC0415 - an extra brings it

    failures = [_written(one) if isinstance(one, TwofoldError) else None for one in answers]
    vectors = [None if isinstance(one, TwofoldError) else one.astype(LITTLE_FLOAT).tobytes() for one in answers]
    columns = [pa.array(vectors, pa.large_binary()), pa.array(failures, pa.large_string())]
    return pa.StructArray.from_arrays(columns, [VECTORS, FAILURE])


def unpack(column: Any, dimensions: int) -> list[Answer]:
    """The inverse of `pack`."""
    found: list[Answer] = []
    for one in column:
        failure, vectors = one[FAILURE].as_py(), one[VECTORS].as_py()
        if failure is not None:
            found.append(_read(failure))
        else:
            found.append(np.frombuffer(vectors, LITTLE_FLOAT).astype(np.float32).reshape(-1, dimensions))
    return found


def _alone(error: ProviderError, number: int) -> ProviderError:
    """The part of a call's error that concerns input `number`."""
    return type(error)(error.failed.get(number, str(error)), status=error.status, request_id=error.request_id)


def _written(error: TwofoldError) -> str:
    fields = {name: getattr(error, name, None) for name in ("index", "status", "request_id")}
    return json.dumps({"error": type(error).__name__, "says": str(error), **fields})


def _read(written: str) -> TwofoldError:
    said = json.loads(written)
    kind: type[Any] = getattr(errors, said["error"], TwofoldError)
    if issubclass(kind, InputError):
        return InputError(said["says"], index=said["index"])
    if issubclass(kind, ProviderError):
        refused: ProviderError = kind(said["says"], status=said["status"], request_id=said["request_id"])
        return refused
    other: TwofoldError = kind(said["says"])
    return other
