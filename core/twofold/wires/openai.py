"""OpenAI's embeddings API, `POST /v1/embeddings`, which many servers speak. It has no word for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from twofold.wires.reading import Sent, count_of, decode, stack
from twofold.wires.wire import Reply, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.wires.wire import Ask


class Indexed(Protocol):
    """What may say its place in an answer."""

    index: int | None


T = TypeVar("T", bound=Indexed)


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body."""

    model: str
    input: tuple[str, ...]
    dimensions: int | None = None
    encoding_format: str | None = None


class Item(msgspec.Struct):
    """One vector of an answer; without an index it stands in its place."""

    embedding: Sent
    index: int | None = None
    usage: Any = None


class Answer(msgspec.Struct):
    """`{"data": [{"index": 0, "embedding": …}], "model": …, "usage": {"total_tokens": …}}`, in any order."""

    data: list[Item]
    model: Any = None
    usage: Any = None


def write_request(ask: Ask) -> bytes:
    """A request's body."""
    return msgspec.json.encode(Request(ask.model, ask.texts, ask.dimensions, ask.encoding))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """Vectors in the order of the inputs, whatever the answer's own.

    Raises:
        Garbled, Violation: see `decode` and `in_order`.
    """
    answer = decode(body, Answer)
    items = in_order(answer.data, len(ask.texts))
    vectors = stack([item.embedding for item in items], len(ask.texts), ask.encoding)
    return Reply(vectors, answer.model if isinstance(answer.model, str) else None, _tokens(answer))


def in_order(items: Sequence[T], count: int) -> list[T]:
    """The items of an answer by their indices; those without one stand in their places.

    Raises:
        Violation: an index that is missing, or comes twice.
    """
    rows: dict[int, T] = {}
    for place, item in enumerate(items):
        index = place if item.index is None else item.index
        if index in rows:
            raise Violation(f"index {index} came twice")
        rows[index] = item
    if set(rows) != set(range(count)):
        came = f"{len(rows)} vectors, with indices {min(rows)} to {max(rows)}" if rows else "no vectors"
        raise Violation(f"{count} inputs were sent, and the answer has {came}")
    return [rows[index] for index in range(count)]


def _tokens(answer: Answer) -> int | None:
    """The tokens of the whole answer, or the sum of those said for each vector, as SageMaker does."""
    each = [count_of(item.usage) for item in answer.data]
    total = count_of(answer.usage)
    return sum(each) if total is None and each and None not in each else total  # type: ignore[arg-type]
