"""How embeddings are asked for and given over HTTP: one dialect of JSON a file. No network here.

A dialect is a module with up to four functions, two for each end of the line:

    write_request(ask) -> bytes         our words into a request's body: a client of that API
    read_answer(body, ask) -> Reply     an answer's body into vectors
    read_request(body) -> Ask           a request's body into our words: a server that speaks that API
    write_answer(reply, ask) -> bytes   vectors into an answer's body
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from twofold.extras import extra

if TYPE_CHECKING:
    from twofold.wires.wire import Ask, Reply


class Wire(Protocol):
    """The client's end of a dialect."""

    def write_request(self, ask: Ask) -> bytes:
        """A request's body."""

    def read_answer(self, body: bytes, ask: Ask) -> Reply:
        """What an answer's body says.

        Raises:
            Garbled: it is not JSON.
            Violation: it is not what was asked for.
        """


def find_wire(dialect: str) -> Wire:
    """The client's end of a dialect, by its module's name.

    Raises:
        MissingExtra: msgspec, which reads and writes the JSON, is not installed.
    """
    with extra("hosted"):
        return cast("Wire", import_module(f"twofold.wires.{dialect}"))
