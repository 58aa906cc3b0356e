"""The own API of text-embeddings-inference, `POST /embed`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from twofold.wires.reading import decode, stack
from twofold.wires.wire import Reply

if TYPE_CHECKING:
    from twofold.wires.wire import Ask


class Request(msgspec.Struct, omit_defaults=True):
    """A request's body."""

    inputs: tuple[str, ...]
    normalize: bool | None = None
    truncate: bool | None = None


def write_request(ask: Ask) -> bytes:
    """A request's body."""
    return msgspec.json.encode(Request(ask.texts, ask.normalize, ask.truncate))


def read_answer(body: bytes, ask: Ask) -> Reply:
    """`[[…], […]]`, in the order of the inputs.

    Raises:
        Garbled, Violation: see `decode`.
    """
    return Reply(stack(decode(body, list[list[float]]), len(ask.texts), "float"))
