"""Jina's embeddings API, `POST /v1/embeddings`. Its answers are those of OpenAI's API.

The server reads a superset: OpenAI's fields too, and those of other servers with the same dialect (`input_type`,
`prompt_name`, `truncate` as "END"). So one route serves all their clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import Meta

from twofold.wires.openai import read_answer, write_answer, write_error
from twofold.wires.reading import decode_request
from twofold.wires.wire import Ask, Violation
from twofold.wires.writing import known_encodings

__all__ = ["Received", "Request", "read_answer", "read_request", "write_answer", "write_error", "write_request"]

if TYPE_CHECKING:
    from collections.abc import Sequence


class Request(msgspec.Struct, omit_defaults=True):
    model: str
    input: tuple[str, ...]
    task: str | None = None
    dimensions: int | None = None
    late_chunking: bool | None = None
    normalized: bool | None = None
    truncate: bool | None = None
    embedding_type: str | None = None


class TextDoc(msgspec.Struct):
    """An input in the form of an object."""

    text: str


Input: TypeAlias = str | TextDoc
Forms: TypeAlias = str | list[str] | None


class Received(msgspec.Struct):
    """A request's body, as the server reads it. Other members are ignored."""

    input: Annotated[
        Input | list[Input], Meta(description="A text, or a list of texts; each is a string or an object.")
    ]
    model: Annotated[str, Meta(description="The model's name; the server's first model if it is missing.")] = ""
    task: Annotated[str | None, Meta(description="A task of the model, query or document.")] = None
    input_type: Annotated[str | None, Meta(description="The same, as NVIDIA's clients name it.")] = None
    prompt_name: Annotated[str | None, Meta(description="The same, as sentence-transformers names it.")] = None
    dimensions: Annotated[int | None, Meta(description="The size of the vectors.")] = None
    late_chunking: Annotated[bool | None, Meta(description="Whether the inputs are the chunks of one document.")] = None
    normalized: Annotated[bool | None, Meta(description="Whether vectors have unit length.")] = None
    truncate: Annotated[
        bool | str | None, Meta(description="Whether to cut the end of a text that is too long: true or END.")
    ] = None
    embedding_type: Annotated[Forms, Meta(description="float, base64, binary or ubinary.")] = None
    encoding_format: Annotated[Forms, Meta(description="The same, as OpenAI's clients name it.")] = None
    encoding_type: Annotated[Forms, Meta(description="The same, as LlamaIndex's class for Jina names it.")] = None


FORMS = ("float", "base64", "binary", "ubinary")


def write_request(ask: Ask) -> bytes:
    return msgspec.json.encode(
        Request(
            model=ask.model,
            input=ask.texts,
            task=ask.task,
            dimensions=ask.dimensions,
            late_chunking=ask.late,
            normalized=ask.normalize,
            truncate=ask.truncate,
            embedding_type=ask.encoding,
        )
    )


def read_request(body: bytes) -> Ask:
    """The request of a body.

    Raises:
        Garbled, Violation: see `decode`; the encoding is unknown, or there are several.
    """
    asked, ignored = decode_request(body, Received)
    forms = asked.embedding_type or asked.encoding_format or asked.encoding_type or ()
    encodings = known_encodings((forms,) if isinstance(forms, str) else forms, "embedding_type", FORMS)
    if len(encodings) > 1:
        raise Violation(f"embedding_type {', '.join(encodings)}: request one encoding at a time")
    inputs = asked.input if isinstance(asked.input, list) else [asked.input]
    return Ask(
        model=asked.model,
        texts=_texts(inputs),
        task=asked.task or asked.input_type or asked.prompt_name,
        dimensions=asked.dimensions,
        late=asked.late_chunking,
        normalize=asked.normalized,
        truncate=asked.truncate if not isinstance(asked.truncate, str) else read_truncate(asked.truncate),
        encoding=encodings[0],
        ignored=ignored,
    )


def read_truncate(word: str) -> bool:
    """Whether the end of a text may be cut, from the value that Cohere's and NVIDIA's clients send.

    Raises:
        Violation: the value is unknown, or asks to cut the start.
    """
    if word.upper() not in {"NONE", "END", "RIGHT"}:
        raise Violation(f"truncate {word[:40]!r}: it must be NONE or END")
    return word.upper() != "NONE"


def _texts(inputs: Sequence[Input]) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else one.text for one in inputs)
