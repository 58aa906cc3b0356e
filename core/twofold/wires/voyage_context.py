"""Voyage's contextualized chunks, `POST /v1/contextualizedembeddings`: late chunking of a document's chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from twofold.wires.openai import Item, in_order
from twofold.wires.reading import count_of, decode, stack
from twofold.wires.wire import BINARY, Reply

if TYPE_CHECKING:
    from twofold.wires.wire import Ask


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body. Each inner list is a query, a whole text, or the chunks of one document."""

    model: str
    inputs: tuple[tuple[str, ...], ...]
    input_type: str | None = None
    output_dimension: int | None = None
    encoding_format: str | None = None
    output_dtype: str | None = None


class Group(msgspec.Struct):
    """The vectors of one inner list."""

    data: list[Item]
    index: int | None = None


class Answer(msgspec.Struct):
    """`{"data": [{"index": 0, "data": [{"index": 0, "embedding": …}]}], "model": …, "usage": …}`, in any order."""

    data: list[Group]
    model: Any = None
    usage: Any = None


def write_request(ask: Ask) -> bytes:
    return msgspec.json.encode(
        Request(
            model=ask.model,
            inputs=(ask.texts,) if ask.late else tuple((text,) for text in ask.texts),
            input_type=ask.task,
            output_dimension=ask.dimensions,
            encoding_format="base64" if ask.encoding == "base64" else None,
            output_dtype=ask.encoding if ask.encoding in BINARY else None,
        )
    )


def read_answer(body: bytes, ask: Ask) -> Reply:
    """The vectors in the order of the inputs; the answer's order may differ.

    Raises:
        Garbled, Violation: see `decode` and `in_order`.
    """
    answer = decode(body, Answer)
    lists, chunks = (1, len(ask.texts)) if ask.late else (len(ask.texts), 1)
    items = [item for group in in_order(answer.data, lists) for item in in_order(group.data, chunks)]
    vectors = stack([item.embedding for item in items], len(ask.texts), ask.encoding)
    return Reply(vectors, answer.model if isinstance(answer.model, str) else None, count_of(answer.usage))
