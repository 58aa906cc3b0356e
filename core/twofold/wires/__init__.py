"""How embeddings are asked for and given over HTTP: one dialect of JSON a file. No network here.

A dialect is a module with up to five functions, two for the client's end of the line and three for the server's:

    write_request(ask) -> bytes         our words into a request's body: a client of that API
    read_answer(body, ask) -> Reply     an answer's body into vectors
    read_request(body) -> Ask           a request's body into our words: a server that speaks that API
    write_answer(reply, ask) -> bytes   vectors into an answer's body
    write_error(message, status)        what went wrong, in the shape that the dialect's clients read
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


class Served(Protocol):
    """The server's end of a dialect."""

    def read_request(self, body: bytes) -> Ask:
        """What a request's body asks for.

        Raises:
            Garbled: it is not JSON.
            Violation: it is not a request of this dialect.
        """

    def write_answer(self, reply: Reply, ask: Ask) -> bytes:
        """An answer's body."""

    def write_error(self, message: str, status: int) -> bytes:
        """The body of an answer that says what went wrong."""


def find_wire(dialect: str) -> Wire:
    """The client's end of a dialect, by its module's name.

    Raises:
        MissingExtra: msgspec, which reads and writes the JSON, is not installed.
    """
    with extra("hosted"):
        return cast("Wire", import_module(f"twofold.wires.{dialect}"))


def find_served(dialect: str) -> Served:
    """The server's end of a dialect, by its module's name.

    Raises:
        MissingExtra: msgspec, which reads and writes the JSON, is not installed.
    """
    with extra("server"):
        return cast("Served", import_module(f"twofold.wires.{dialect}"))
