"""Nomic's API, `POST /v1/embedding/text`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from twofold.wires.reading import count_of, decode, stack
from twofold.wires.wire import Reply

if TYPE_CHECKING:
    from twofold.wires.wire import Ask


class Request(msgspec.Struct, omit_defaults=True):
    model: str
    texts: tuple[str, ...]
    task_type: str | None = None
    dimensionality: int | None = None
    long_text_mode: str | None = None


class Answer(msgspec.Struct):
    """`{"embeddings": [[…]], "usage": {"total_tokens": …}, "model": …}`, in the order of the inputs."""

    embeddings: list[list[float]]
    usage: Any = None
    model: Any = None


def write_request(ask: Ask) -> bytes:
    # Cut a text that is too long: by default, the API returns the mean of its parts' vectors.
    return msgspec.json.encode(Request(ask.model, ask.texts, ask.task, ask.dimensions, "truncate"))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """The vectors in the order of the inputs.

    Raises:
        Garbled, Violation: see `decode`.
    """
    answer = decode(body, Answer)
    vectors = stack(answer.embeddings, len(ask.texts), "float")
    return Reply(vectors, answer.model if isinstance(answer.model, str) else None, count_of(answer.usage))
