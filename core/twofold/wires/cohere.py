"""Cohere's embedding API, `POST /v2/embed`. The server reads version 1 with it, too: see `cohere_v1`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import msgspec
from msgspec import Meta

from twofold.wires.jina import read_truncate
from twofold.wires.reading import Sent, count_of, decode, decode_request, stack
from twofold.wires.wire import Ask, Reply, Violation
from twofold.wires.writing import known_encodings, rows_as


class Request(msgspec.Struct, omit_defaults=True):
    model: str
    texts: tuple[str, ...]
    embedding_types: tuple[str, ...]
    input_type: str | None = None
    output_dimension: int | None = None
    truncate: str | None = None


class Answer(msgspec.Struct):
    """`{"embeddings": {"float": [[…]]}, "meta": {"billed_units": {"input_tokens": …}}}`, in the order of the inputs."""

    embeddings: dict[str, list[Sent]]
    meta: Any = None


class Content(msgspec.Struct):
    """A part of an input. Only texts can be embedded."""

    type: str
    text: str | None = None


class Input(msgspec.Struct):
    content: list[Content]


class Received(msgspec.Struct):
    """A request's body, as the server reads it. Other members are ignored."""

    texts: Annotated[list[str] | None, Meta(description="The texts.")] = None
    inputs: Annotated[list[Input] | None, Meta(description="The texts as lists of parts, in place of texts.")] = None
    model: Annotated[str, Meta(description="The model's name; the server's first model if it is missing.")] = ""
    input_type: Annotated[str | None, Meta(description="search_query, search_document, or a task of the model.")] = None
    embedding_types: Annotated[
        list[str] | None, Meta(description="Any of float, base64, int8, binary and ubinary; float if it is missing.")
    ] = None
    output_dimension: Annotated[int | None, Meta(description="The size of the vectors.")] = None
    truncate: Annotated[str | None, Meta(description="NONE, or END to cut the end of a text that is too long.")] = None


class Sending(msgspec.Struct):
    id: str
    embeddings: dict[str, list[Any]]
    texts: tuple[str, ...]
    meta: dict[str, Any]
    response_type: str = "embeddings_by_type"


class Refused(msgspec.Struct):
    message: str


def write_request(ask: Ask) -> bytes:
    return msgspec.json.encode(
        Request(
            model=ask.model,
            texts=ask.texts,
            embedding_types=(ask.encoding,),
            input_type=ask.task,
            output_dimension=ask.dimensions,
            truncate=None if ask.truncate is None else "END" if ask.truncate else "NONE",
        )
    )


def read_answer(body: bytes, ask: Ask) -> Reply:
    """The vectors in the order of the inputs.

    Raises:
        Garbled, Violation: see `decode`; vectors of the requested encoding are missing.
    """
    answer = decode(body, Answer)
    if ask.encoding not in answer.embeddings:
        raise Violation(f"it has no embeddings of type {ask.encoding!r}")
    billed = answer.meta.get("billed_units") if isinstance(answer.meta, dict) else None
    vectors = stack(answer.embeddings[ask.encoding], len(ask.texts), ask.encoding)
    return Reply(vectors, tokens=count_of(billed, "input_tokens"))


def read_request(body: bytes) -> Ask:
    """The request of a body; `task` is its input type.

    Raises:
        Garbled, Violation: see `decode`; an encoding is unknown.
    """
    asked, ignored = decode_request(body, Received)
    encoding, *others = known_encodings(asked.embedding_types or (), "embedding_types")
    return Ask(
        model=asked.model,
        texts=_texts(asked),
        task=asked.input_type,
        dimensions=asked.output_dimension,
        truncate=None if asked.truncate is None else read_truncate(asked.truncate),
        encoding=encoding,
        others=tuple(others),
        ignored=ignored,
    )


def _texts(asked: Received) -> tuple[str, ...]:
    if (asked.texts is None) == (asked.inputs is None):
        raise Violation("a request needs either texts or inputs")
    if asked.inputs is None:
        return tuple(asked.texts or ())
    for place, each in enumerate(asked.inputs):
        if any(part.type != "text" or part.text is None for part in each.content):
            raise Violation(f"input {place} has a part that is not a text: this server embeds texts only")
    return tuple("".join(part.text or "" for part in each.content) for each in asked.inputs)


def write_answer(reply: Reply, ask: Ask) -> bytes:
    forms = {encoding: rows_as(reply.vectors, encoding) for encoding in (ask.encoding, *ask.others)}
    return msgspec.json.encode(Sending(str(uuid4()), forms, ask.texts, meta_of(reply, "2")))


def meta_of(reply: Reply, api: str) -> dict[str, Any]:
    """The member `meta` of an answer, for a version of the API."""
    return {"api_version": {"version": api}, "billed_units": {"input_tokens": reply.tokens or 0}}


def write_error(message: str, status: int) -> bytes:
    return msgspec.json.encode(Refused(message))
