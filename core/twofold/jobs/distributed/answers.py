"""What each row of a batch gets, a vector or an error of its own, and how that travels between processes."""

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
"""The vectors of a row, shape (spans, dimensions), or why it has none."""

VECTORS, FAILURE = "vectors", "failure"
LITTLE_FLOAT = np.dtype("<f4")


def embed_each(embed: Callable[[Sequence[T]], Sequence[FloatArray]], items: Sequence[T]) -> list[Answer]:
    """Embed `items` at once; an error that is of some of them is theirs alone, and the others have their vectors.

    An error that is of none, such as a refused key, is each one's that has no vector yet.
    """
    answers: dict[int, Answer] = {}
    left = list(range(len(items)))
    while left:
        try:
            answers.update(zip(left, embed([items[place] for place in left]), strict=True))
        except InputError as error:
            if error.index is not None:  # it is said before any work, so that another call costs next to nothing
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
    """Whether an error is one row's own, so that others may do better."""
    if isinstance(error, InputError):
        return error.index is not None
    return isinstance(error, RequestRefused) and error.status in OF_THE_DOCUMENT


def pack(answers: Sequence[Answer]) -> pa.StructArray:
    """Answers as a column of Arrow: the vectors' bytes, or the error's fields in JSON."""
    import pyarrow as pa  # noqa: PLC0415 - an extra brings it

    failures = [_written(one) if isinstance(one, TwofoldError) else None for one in answers]
    vectors = [None if isinstance(one, TwofoldError) else one.astype(LITTLE_FLOAT).tobytes() for one in answers]
    columns = [pa.array(vectors, pa.large_binary()), pa.array(failures, pa.large_string())]
    return pa.StructArray.from_arrays(columns, [VECTORS, FAILURE])


def unpack(column: Any, dimensions: int) -> list[Answer]:
    """The answers that `pack` wrote."""
    found: list[Answer] = []
    for one in column:
        failure, vectors = one[FAILURE].as_py(), one[VECTORS].as_py()
        if failure is not None:
            found.append(_read(failure))
        else:
            found.append(np.frombuffer(vectors, LITTLE_FLOAT).astype(np.float32).reshape(-1, dimensions))
    return found


def _alone(error: ProviderError, number: int) -> ProviderError:
    """The part of a call's error that is of one of its inputs."""
    return type(error)(error.failed.get(number, str(error)), status=error.status, request_id=error.request_id)


def _written(error: TwofoldError) -> str:
    fields = {name: getattr(error, name, None) for name in ("index", "spans", "status", "request_id")}
    return json.dumps({"error": type(error).__name__, "says": str(error), **fields})


def _read(written: str) -> TwofoldError:
    said = json.loads(written)
    kind: type[Any] = getattr(errors, said["error"], TwofoldError)
    if issubclass(kind, InputError):
        return InputError(said["says"], index=said["index"], spans=said["spans"] or ())
    if issubclass(kind, ProviderError):
        refused: ProviderError = kind(said["says"], status=said["status"], request_id=said["request_id"])
        return refused
    other: TwofoldError = kind(said["says"])
    return other
