"""Mistral's embeddings API, `POST /v1/embeddings`. It has no tasks. Its answers are those of OpenAI's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from twofold.wires.openai import read_answer

if TYPE_CHECKING:
    from twofold.wires.wire import Ask

__all__ = ["Request", "read_answer", "write_request"]


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body. By default, vectors are lists of floats."""

    model: str
    input: tuple[str, ...]
    output_dimension: int | None = None


def write_request(ask: Ask) -> bytes:
    return msgspec.json.encode(Request(ask.model, ask.texts, ask.dimensions))
