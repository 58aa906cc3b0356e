"""The JSON of embedding APIs: one dialect per file. Nothing here uses the network.

A dialect is a module with up to five functions, two for a client of the API and three for a server:

    write_request(ask) -> bytes         an `Ask` as a request's body
    read_answer(body, ask) -> Reply     the vectors of an answer's body
    read_request(body) -> Ask           a request's body as an `Ask`
    write_answer(reply, ask) -> bytes   vectors as an answer's body
    write_error(message, status)        an error's body, as the dialect's clients read it
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from twofold.extras import extra

if TYPE_CHECKING:
    from twofold.wires.wire import Ask, Reply


class Wire(Protocol):
    """The client's side of a dialect."""

    def write_request(self, ask: Ask) -> bytes:
        """A request's body."""

    def read_answer(self, body: bytes, ask: Ask) -> Reply:
        """The vectors of an answer's body.

        Raises:
            Garbled: the body is not JSON.
            Violation: the answer does not match the request.
        """


class Served(Protocol):
    """The server's side of a dialect."""

    def read_request(self, body: bytes) -> Ask:
        """The request of a body.

        Raises:
            Garbled: the body is not JSON.
            Violation: it is not a request of this dialect.
        """

    def write_answer(self, reply: Reply, ask: Ask) -> bytes:
        """An answer's body."""

    def write_error(self, message: str, status: int) -> bytes:
        """An error's body."""


def find_wire(dialect: str) -> Wire:
    """The client's side of a dialect, by its module's name.

    Raises:
        MissingExtra: msgspec, which reads and writes the JSON, is not installed.
    """
    with extra("hosted"):
        return cast("Wire", import_module(f"twofold.wires.{dialect}"))


def find_served(dialect: str) -> Served:
    """The server's side of a dialect, by its module's name.

    Raises:
        MissingExtra: msgspec, which reads and writes the JSON, is not installed.
    """
    with extra("server"):
        return cast("Served", import_module(f"twofold.wires.{dialect}"))
