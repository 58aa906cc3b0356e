"""Voyage's embeddings API, `POST /v1/embeddings`. Its answers are those of OpenAI's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from twofold.wires.openai import read_answer
from twofold.wires.wire import BINARY

if TYPE_CHECKING:
    from twofold.wires.wire import Ask

__all__ = ["Request", "read_answer", "write_request"]


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body. Without the last two members, vectors are lists of floats."""

    model: str
    input: tuple[str, ...]
    input_type: str | None = None
    output_dimension: int | None = None
    truncation: bool | None = None
    encoding_format: str | None = None
    output_dtype: str | None = None


def write_request(ask: Ask) -> bytes:
    return msgspec.json.encode(
        Request(
            model=ask.model,
            input=ask.texts,
            input_type=ask.task,
            output_dimension=ask.dimensions,
            truncation=ask.truncate,
            encoding_format="base64" if ask.encoding == "base64" else None,
            output_dtype=ask.encoding if ask.encoding in BINARY else None,
        )
    )
