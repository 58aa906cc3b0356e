"""OpenAI's embeddings API, `POST /v1/embeddings`, which many servers offer too. It has no tasks.

Our server reads its requests with `jina.read_request`, which knows these fields and more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from twofold.wires.reading import Sent, count_of, decode, stack
from twofold.wires.wire import Reply, Violation
from twofold.wires.writing import rows_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.wires.wire import Ask


class Indexed(Protocol):
    """A part of an answer that may state its position."""

    index: int | None


T = TypeVar("T", bound=Indexed)


class Request(msgspec.Struct, omit_defaults=True):
    model: str
    input: tuple[str, ...]
    dimensions: int | None = None
    encoding_format: str | None = None


class Item(msgspec.Struct):
    """One vector of an answer. Without an index, its position counts."""

    embedding: Sent
    index: int | None = None
    usage: Any = None


class Answer(msgspec.Struct):
    """`{"data": [{"index": 0, "embedding": …}], "model": …, "usage": {"total_tokens": …}}`, in any order."""

    data: list[Item]
    model: Any = None
    usage: Any = None


def write_request(ask: Ask) -> bytes:
    return msgspec.json.encode(Request(ask.model, ask.texts, ask.dimensions, ask.encoding))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """The vectors in the order of the inputs; the answer's order may differ.

    Raises:
        Garbled, Violation: see `decode` and `in_order`.
    """
    answer = decode(body, Answer)
    items = in_order(answer.data, len(ask.texts))
    vectors = stack([item.embedding for item in items], len(ask.texts), ask.encoding)
    return Reply(vectors, answer.model if isinstance(answer.model, str) else None, _tokens(answer))


class Given(msgspec.Struct):
    index: int
    embedding: Any
    object: str = "embedding"


class Used(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class Sending(msgspec.Struct):
    model: str
    data: list[Given]
    usage: Used
    object: str = "list"


class Fault(msgspec.Struct):
    """The error, as OpenAI's clients read it."""

    message: str
    type: str
    code: str | None = None
    param: str | None = None


class Refused(msgspec.Struct):
    """An error's body: Jina's clients read `detail`, OpenAI's read `error`."""

    detail: str
    error: Fault


CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def write_answer(reply: Reply, ask: Ask) -> bytes:
    tokens = reply.tokens or 0
    data = [Given(index, row) for index, row in enumerate(rows_as(reply.vectors, ask.encoding))]
    return msgspec.json.encode(Sending(reply.model or ask.model, data, Used(tokens, tokens)))


def write_error(message: str, status: int) -> bytes:
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    return msgspec.json.encode(Refused(message, Fault(message, kind, CODES.get(status))))


def in_order(items: Sequence[T], count: int) -> list[T]:
    """The items of an answer in the order of their indices. An item without an index keeps its position.

    Raises:
        Violation: an index is missing, or occurs twice.
    """
    rows: dict[int, T] = {}
    for place, item in enumerate(items):
        index = place if item.index is None else item.index
        if index in rows:
            raise Violation(f"index {index} occurs twice")
        rows[index] = item
    if set(rows) != set(range(count)):
        found = f"{len(rows)} vectors, with indices {min(rows)} to {max(rows)}" if rows else "no vectors"
        raise Violation(f"{count} inputs were sent, but the answer has {found}")
    return [rows[index] for index in range(count)]


def _tokens(answer: Answer) -> int | None:
    """The tokens of the answer, or the sum of its vectors' tokens, which SageMaker reports instead."""
    each = [count_of(item.usage) for item in answer.data]
    total = count_of(answer.usage)
    return sum(each) if total is None and each and None not in each else total  # type: ignore[arg-type]
