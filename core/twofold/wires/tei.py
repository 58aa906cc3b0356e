"""The own API of text-embeddings-inference, `POST /embed`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from twofold.wires.reading import decode, stack
from twofold.wires.wire import Ask, Reply
from twofold.wires.writing import rows_as


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body."""

    inputs: tuple[str, ...]
    normalize: bool | None = None
    truncate: bool | None = None


class Received(msgspec.Struct):
    """A request's body, as it is read; members that are not named here are passed over."""

    inputs: Annotated[str | list[str], Meta(description="A text, or a list of texts.")]
    prompt_name: Annotated[str | None, Meta(description="query or document, or a task of the model.")] = None
    dimensions: Annotated[int | None, Meta(description="The size of the vectors.")] = None
    normalize: Annotated[bool | None, Meta(description="Whether vectors have unit length.")] = None
    truncate: Annotated[bool | None, Meta(description="Whether the end of a text that is too long is cut.")] = None


class Refused(msgspec.Struct):
    """An error's body."""

    error: str
    error_type: str


TYPES = {401: "Unauthorized", 413: "Validation", 422: "Validation", 429: "Overloaded", 503: "Unhealthy"}


def write_request(ask: Ask) -> bytes:
    """A request's body."""
    return msgspec.json.encode(Request(ask.texts, ask.normalize, ask.truncate))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """`[[…], […]]`, in the order of the inputs.

    Raises:
        Garbled, Violation: see `decode`.
    """
    return Reply(stack(decode(body, list[list[float]]), len(ask.texts), "float"))


def read_request(body: bytes) -> Ask:
    """A request's body in our words; `task` is the name of its prompt.

    Raises:
        Garbled, Violation: see `decode`.
    """
    asked = decode(body, Received)
    return Ask(
        model="",
        texts=(asked.inputs,) if isinstance(asked.inputs, str) else tuple(asked.inputs),
        task=asked.prompt_name,
        dimensions=asked.dimensions,
        normalize=asked.normalize,
        truncate=asked.truncate,
    )


def write_answer(reply: Reply, ask: Ask) -> bytes:
    """An answer's body."""
    return msgspec.json.encode(rows_as(reply.vectors, "float"))


def write_error(message: str, status: int) -> bytes:
    """An error's body."""
    return msgspec.json.encode(Refused(message, TYPES.get(status, "Backend")))
