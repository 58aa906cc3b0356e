"""Jina's embeddings API, `POST /v1/embeddings`; it answers as OpenAI does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from twofold.wires.openai import read_answer

if TYPE_CHECKING:
    from twofold.wires.wire import Ask

__all__ = ["Request", "read_answer", "write_request"]


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
