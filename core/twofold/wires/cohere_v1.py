"""Version 1 of Cohere's embedding API, `POST /v1/embed`, for our server. Its requests are those of version 2.

Without `embedding_types`, an answer has a plain list of vectors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from twofold.wires.cohere import Received, meta_of, write_error
from twofold.wires.cohere import read_request as read_version_2
from twofold.wires.writing import rows_as

if TYPE_CHECKING:
    from twofold.wires.wire import Ask, Reply

__all__ = ["Received", "Sending", "read_request", "write_answer", "write_error"]


class Sending(msgspec.Struct):
    id: str
    embeddings: list[Any] | dict[str, list[Any]]
    texts: tuple[str, ...]
    meta: dict[str, Any]
    response_type: str


class _Types(msgspec.Struct):
    embedding_types: list[str] | None = None


def read_request(body: bytes) -> Ask:
    """The request of a body.

    Raises:
        Garbled, Violation: see `cohere.read_request`.
    """
    ask = read_version_2(body)
    return replace(ask, plain=not msgspec.json.decode(body, type=_Types).embedding_types)


def write_answer(reply: Reply, ask: Ask) -> bytes:
    forms = {encoding: rows_as(reply.vectors, encoding) for encoding in (ask.encoding, *ask.others)}
    found, kind = (forms["float"], "embeddings_floats") if ask.plain else (forms, "embeddings_by_type")
    return msgspec.json.encode(Sending(str(uuid4()), found, ask.texts, meta_of(reply, "1"), kind))
