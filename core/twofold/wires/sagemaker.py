"""Jina's models on Amazon SageMaker: the body of an invocation. Answers are OpenAI's, with tokens for each vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from twofold.wires.openai import read_answer

if TYPE_CHECKING:
    from twofold.wires.wire import Ask

__all__ = ["Parameters", "Request", "read_answer", "write_request"]


class Parameters(msgspec.Struct, omit_defaults=True):
    """The options for all inputs."""

    task: str | None = None
    dimensions: int | None = None
    late_chunking: bool | None = None


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body. The code models accept plain texts."""

    data: list[str] | list[dict[str, str]]
    parameters: Parameters | None = None


def write_request(ask: Ask) -> bytes:
    data = list(ask.texts) if ask.model.startswith("jina-code-") else [{"text": text} for text in ask.texts]
    parameters = Parameters(ask.task, ask.dimensions, ask.late)
    return msgspec.json.encode(Request(data, parameters if parameters != Parameters() else None))
