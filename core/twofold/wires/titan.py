"""Amazon's Titan text embeddings on Bedrock: the body of an invocation, with one text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from twofold.wires.reading import decode, stack
from twofold.wires.wire import Reply

if TYPE_CHECKING:
    from twofold.wires.wire import Ask


class Request(msgspec.Struct, omit_defaults=True, rename="camel"):
    input_text: str
    dimensions: int | None = None
    normalize: bool | None = None


class Answer(msgspec.Struct, rename="camel"):
    """`{"embedding": […], "inputTextTokenCount": …}`."""

    embedding: list[float]
    input_text_token_count: Any = None


def write_request(ask: Ask) -> bytes:
    (text,) = ask.texts
    return msgspec.json.encode(Request(text, ask.dimensions, ask.normalize))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """The vector.

    Raises:
        Garbled, Violation: see `decode`.
    """
    answer = decode(body, Answer)
    count = answer.input_text_token_count
    return Reply(stack([answer.embedding], len(ask.texts), "float"), tokens=count if type(count) is int else None)
