"""Jina's embeddings API, `POST /v1/embeddings`; it answers as OpenAI does.

What is read is a superset: OpenAI's own fields, and the words of other servers that speak its dialect (`input_type`,
`prompt_name`, `truncate` as "END"), so that one route serves all of their clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import Meta

from twofold.wires.openai import read_answer, write_answer, write_error
from twofold.wires.reading import decode
from twofold.wires.wire import Ask, Violation
from twofold.wires.writing import known_encodings

__all__ = ["Received", "Request", "read_answer", "read_request", "write_answer", "write_error", "write_request"]

if TYPE_CHECKING:
    from collections.abc import Sequence


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body."""

    model: str
    input: tuple[str, ...]
    task: str | None = None
    dimensions: int | None = None
    late_chunking: bool | None = None
    normalized: bool | None = None
    truncate: bool | None = None
    embedding_type: str | None = None


class TextDoc(msgspec.Struct):
    """An input that is an object."""

    text: str


Input: TypeAlias = str | TextDoc
Forms: TypeAlias = str | list[str] | None


class Received(msgspec.Struct):
    """A request's body, as it is read; members that are not named here are passed over."""

    input: Annotated[
        Input | list[Input], Meta(description="A text, or a list of texts; each is a string or an object.")
    ]
    model: Annotated[str, Meta(description="The model's name; the server's first where none is said.")] = ""
    task: Annotated[str | None, Meta(description="The model's own word for how texts go in, or query or document.")] = (
        None
    )
    input_type: Annotated[str | None, Meta(description="The same, as NVIDIA's clients say it.")] = None
    prompt_name: Annotated[str | None, Meta(description="The same, as sentence-transformers says it.")] = None
    dimensions: Annotated[int | None, Meta(description="The size of the vectors.")] = None
    late_chunking: Annotated[bool | None, Meta(description="Whether the inputs are the chunks of one document.")] = None
    normalized: Annotated[bool | None, Meta(description="Whether vectors have unit length.")] = None
    truncate: Annotated[
        bool | str | None, Meta(description="Whether the end of a text that is too long is cut: true or END.")
    ] = None
    embedding_type: Annotated[Forms, Meta(description="float, base64, binary or ubinary.")] = None
    encoding_format: Annotated[Forms, Meta(description="The same, as OpenAI's clients say it.")] = None
    encoding_type: Annotated[Forms, Meta(description="The same, as LlamaIndex's class for Jina says it.")] = None


FORMS = ("float", "base64", "binary", "ubinary")


def write_request(ask: Ask) -> bytes:
    """A request's body."""
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
    """A request's body in our words.

    Raises:
        Garbled, Violation: see `decode`; a form of vectors that is not known, or several at once.
    """
    asked = decode(body, Received)
    forms = asked.embedding_type or asked.encoding_format or asked.encoding_type or ()
    encodings = known_encodings((forms,) if isinstance(forms, str) else forms, "embedding_type", FORMS)
    if len(encodings) > 1:
        raise Violation(f"embedding_type {', '.join(encodings)}: ask for one form at a time")
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
    )


def read_truncate(word: str) -> bool:
    """Whether the end may be cut, of the word that Cohere's and NVIDIA's clients have for it.

    Raises:
        Violation: another word, or that the start is to be cut.
    """
    if word.upper() not in {"NONE", "END", "RIGHT"}:
        raise Violation(f"truncate {word[:40]!r}: it must be NONE or END")
    return word.upper() != "NONE"


def _texts(inputs: Sequence[Input]) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else one.text for one in inputs)
