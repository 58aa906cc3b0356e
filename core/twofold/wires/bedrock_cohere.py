"""Cohere's models on Bedrock: the body of an invocation, without the model's name. Answers are Cohere's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from twofold.wires.cohere import read_answer

if TYPE_CHECKING:
    from twofold.wires.wire import Ask

__all__ = ["Request", "read_answer", "write_request"]


class Request(msgspec.Struct, omit_defaults=True):
    texts: tuple[str, ...]
    embedding_types: tuple[str, ...]
    input_type: str | None = None
    output_dimension: int | None = None
    truncate: str | None = None


def write_request(ask: Ask) -> bytes:
    # Since Embed v4, the end of a text is called RIGHT.
    end = "RIGHT" if "embed-v4" in ask.model else "END"
    truncate = None if ask.truncate is None else end if ask.truncate else "NONE"
    return msgspec.json.encode(Request(ask.texts, (ask.encoding,), ask.task, ask.dimensions, truncate))
