"""What a Weaviate server asks of the embedding server behind its module text2vec-transformers, `POST /vectors`.

One text a request. The request has the members of an answer too, which mean nothing; its side is said by
`config.task_type`, since Weaviate 1.31.
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
    """The side, "query" or "passage", and the size, where they are said."""

    task_type: Annotated[str | None, Meta(description="query or passage, which Weaviate says since 1.31.")] = None
    dimensions: Annotated[int | None, Meta(description="The size of the vector.")] = None


class Request(msgspec.Struct):
    """A request's body."""

    text: Annotated[str, Meta(description="The text.")]
    config: Annotated[Config | None, Meta(description="How it is embedded.")] = None


class Answer(msgspec.Struct):
    """An answer's body, of which Weaviate keeps the vector."""

    text: str
    vector: list[float]
    dim: int


class Refused(msgspec.Struct):
    """An error's body."""

    error: str


def read_request(body: bytes) -> Ask:
    """A request's body in our words; `task` is the side.

    Raises:
        Garbled, Violation: see `decode`.
    """
    request = decode(body, Request)
    config = request.config or Config()
    return Ask(model="", texts=(request.text,), task=config.task_type, dimensions=config.dimensions)


def write_answer(reply: Reply, ask: Ask) -> bytes:
    """An answer's body."""
    (vector,) = reply.vectors.tolist()
    return msgspec.json.encode(Answer(ask.texts[0], vector, len(vector)))


def write_error(message: str, status: int) -> bytes:
    """An error's body, whose `error` is a string: Weaviate shows it to its user."""
    return msgspec.json.encode(Refused(message))
