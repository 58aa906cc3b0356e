"""Google's Gemini API, `POST /v1beta/models/{model}:batchEmbedContents`: a body that holds one request per text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from twofold.wires.reading import count_of, decode, stack
from twofold.wires.wire import Reply

if TYPE_CHECKING:
    from twofold.wires.wire import Ask


class Part(msgspec.Struct):
    text: str


class Content(msgspec.Struct):
    parts: tuple[Part, ...]


class Single(msgspec.Struct, omit_defaults=True, rename="camel"):
    """The request for one text."""

    model: str
    content: Content
    task_type: str | None = None
    output_dimensionality: int | None = None


class Request(msgspec.Struct):
    requests: tuple[Single, ...]


class Embedding(msgspec.Struct):
    values: list[float]


class Answer(msgspec.Struct, rename="camel"):
    """`{"embeddings": [{"values": […]}], "usageMetadata": {"promptTokenCount": …}}`, in the order of the inputs."""

    embeddings: list[Embedding]
    usage_metadata: Any = None


def write_request(ask: Ask) -> bytes:
    singles = (Single(f"models/{ask.model}", Content((Part(text),)), ask.task, ask.dimensions) for text in ask.texts)
    return msgspec.json.encode(Request(tuple(singles)))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """The vectors in the order of the inputs.

    Raises:
        Garbled, Violation: see `decode`.
    """
    answer = decode(body, Answer)
    vectors = stack([embedding.values for embedding in answer.embeddings], len(ask.texts), "float")
    return Reply(vectors, tokens=count_of(answer.usage_metadata, "promptTokenCount"))
