"""Ollama's embedding API, `POST /api/embed`, for our server. It has no tasks: the path sets the side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from twofold.wires.reading import decode_request
from twofold.wires.weaviate import write_error
from twofold.wires.wire import Ask
from twofold.wires.writing import rows_as

if TYPE_CHECKING:
    from twofold.wires.wire import Reply

__all__ = ["Received", "Sending", "read_request", "write_answer", "write_error"]


class Received(msgspec.Struct):
    """A request's body, as the server reads it. Other members are ignored."""

    input: Annotated[str | list[str], Meta(description="A text, or a list of texts.")]
    model: Annotated[str, Meta(description="The model's name; the server's first model if it is missing.")] = ""
    task: Annotated[str | None, Meta(description="A task of the model, query or document.")] = None
    dimensions: Annotated[int | None, Meta(description="The size of the vectors.")] = None
    truncate: Annotated[
        bool | None, Meta(description="Whether to cut the end of a text that is too long; true, as in Ollama.")
    ] = True
    keep_alive: Annotated[Any, Meta(description="Ignored: models stay loaded.")] = None
    options: Annotated[Any, Meta(description="Ignored.")] = None


class Sending(msgspec.Struct):
    model: str
    embeddings: list[Any]
    prompt_eval_count: int


def read_request(body: bytes) -> Ask:
    """The request of a body.

    Raises:
        Garbled, Violation: see `decode_request`.
    """
    asked, ignored = decode_request(body, Received)
    return Ask(
        model=asked.model,
        texts=(asked.input,) if isinstance(asked.input, str) else tuple(asked.input),
        task=asked.task,
        dimensions=asked.dimensions,
        truncate=asked.truncate,
        ignored=ignored,
    )


def write_answer(reply: Reply, ask: Ask) -> bytes:
    return msgspec.json.encode(Sending(reply.model or ask.model, rows_as(reply.vectors, "float"), reply.tokens or 0))
