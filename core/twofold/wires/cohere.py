"""Cohere's embedding API, `POST /v2/embed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from twofold.wires.reading import Sent, count_of, decode, stack
from twofold.wires.wire import Reply, Violation

if TYPE_CHECKING:
    from twofold.wires.wire import Ask


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body."""

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


def write_request(ask: Ask) -> bytes:
    """A request's body."""
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
    """Vectors in the order of the inputs.

    Raises:
        Garbled, Violation: see `decode`; no vectors in the encoding that was asked for.
    """
    answer = decode(body, Answer)
    if ask.encoding not in answer.embeddings:
        raise Violation(f"no embeddings of type {ask.encoding!r} came")
    billed = answer.meta.get("billed_units") if isinstance(answer.meta, dict) else None
    vectors = stack(answer.embeddings[ask.encoding], len(ask.texts), ask.encoding)
    return Reply(vectors, tokens=count_of(billed, "input_tokens"))
