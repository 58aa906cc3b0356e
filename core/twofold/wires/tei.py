"""The native API of text-embeddings-inference, `POST /embed`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from twofold.wires.reading import decode, decode_request, stack
from twofold.wires.wire import Ask, Reply
from twofold.wires.writing import rows_as


class Request(msgspec.Struct, omit_defaults=True):
    inputs: tuple[str, ...]
    normalize: bool | None = None
    truncate: bool | None = None


class Received(msgspec.Struct):
    """A request's body, as the server reads it. Other members are ignored."""

    inputs: Annotated[str | list[str], Meta(description="A text, or a list of texts.")]
    prompt_name: Annotated[str | None, Meta(description="query, document, or a task of the model.")] = None
    dimensions: Annotated[int | None, Meta(description="The size of the vectors.")] = None
    normalize: Annotated[bool | None, Meta(description="Whether vectors have unit length.")] = None
    truncate: Annotated[bool | None, Meta(description="Whether to cut the end of a text that is too long.")] = None


class Refused(msgspec.Struct):
    error: str
    error_type: str


TYPES = {401: "Unauthorized", 413: "Validation", 422: "Validation", 429: "Overloaded", 503: "Unhealthy"}


def write_request(ask: Ask) -> bytes:
    return msgspec.json.encode(Request(ask.texts, ask.normalize, ask.truncate))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """`[[…], […]]`, in the order of the inputs.

    Raises:
        Garbled, Violation: see `decode`.
    """
    return Reply(stack(decode(body, list[list[float]]), len(ask.texts), "float"))


def read_request(body: bytes) -> Ask:
    """The request of a body; `task` is the name of its prompt.

    Raises:
        Garbled, Violation: see `decode`.
    """
    asked, ignored = decode_request(body, Received)
    return Ask(
        model="",
        texts=(asked.inputs,) if isinstance(asked.inputs, str) else tuple(asked.inputs),
        task=asked.prompt_name,
        dimensions=asked.dimensions,
        normalize=asked.normalize,
        truncate=asked.truncate,
        ignored=ignored,
    )


def write_answer(reply: Reply, ask: Ask) -> bytes:
    return msgspec.json.encode(rows_as(reply.vectors, "float"))


def write_error(message: str, status: int) -> bytes:
    return msgspec.json.encode(Refused(message, TYPES.get(status, "Backend")))
