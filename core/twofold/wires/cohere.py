"""Cohere's embedding API, `POST /v2/embed`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import msgspec
from msgspec import Meta

from twofold.wires.jina import read_truncate
from twofold.wires.reading import Sent, count_of, decode, stack
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


class Received(msgspec.Struct):
    """A request's body, as the server reads it. Other members are ignored."""

    texts: Annotated[list[str], Meta(description="The texts.")]
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
    asked = decode(body, Received)
    encoding, *others = known_encodings(asked.embedding_types or (), "embedding_types")
    return Ask(
        model=asked.model,
        texts=tuple(asked.texts),
        task=asked.input_type,
        dimensions=asked.output_dimension,
        truncate=None if asked.truncate is None else read_truncate(asked.truncate),
        encoding=encoding,
        others=tuple(others),
    )


def write_answer(reply: Reply, ask: Ask) -> bytes:
    forms = {encoding: rows_as(reply.vectors, encoding) for encoding in (ask.encoding, *ask.others)}
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": reply.tokens or 0}}
    return msgspec.json.encode(Sending(str(uuid4()), forms, ask.texts, meta))


def write_error(message: str, status: int) -> bytes:
    return msgspec.json.encode(Refused(message))
