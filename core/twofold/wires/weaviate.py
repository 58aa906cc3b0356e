"""The API of the embedding server behind Weaviate's module text2vec-transformers, `POST /vectors`.

A request has one text. It also has the members of an answer, which are meaningless. Since Weaviate 1.31,
`config.task_type` states the side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from twofold.wires.reading import decode
from twofold.wires.wire import Ask

if TYPE_CHECKING:
    from twofold.wires.wire import Reply


class Config(msgspec.Struct):
    """The side, "query" or "passage", and the size; both are optional."""

    task_type: Annotated[str | None, Meta(description="query or passage; sent since Weaviate 1.31.")] = None
    dimensions: Annotated[int | None, Meta(description="The size of the vector.")] = None


class Request(msgspec.Struct):
    text: Annotated[str, Meta(description="The text.")]
    config: Annotated[Config | None, Meta(description="How to embed the text.")] = None


class Answer(msgspec.Struct):
    """An answer's body. Weaviate uses only the vector."""

    text: str
    vector: list[float]
    dim: int


class Refused(msgspec.Struct):
    error: str


def read_request(body: bytes) -> Ask:
    """The request of a body; `task` is the side.

    Raises:
        Garbled, Violation: see `decode`.
    """
    request = decode(body, Request)
    config = request.config or Config()
    return Ask(model="", texts=(request.text,), task=config.task_type, dimensions=config.dimensions)


def write_answer(reply: Reply, ask: Ask) -> bytes:
    (vector,) = reply.vectors.tolist()
    return msgspec.json.encode(Answer(ask.texts[0], vector, len(vector)))


def write_error(message: str, status: int) -> bytes:
    """An error's body. Weaviate shows its user the string `error`."""
    return msgspec.json.encode(Refused(message))
