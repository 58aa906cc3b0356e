"""A server that speaks Jina's embeddings API over raw sockets, and misbehaves as it is told to.

Vectors are a hash of the text, the task and, when late-chunked, of the whole document, so that a test knows the right
one for every input. Every request is checked against Jina's own schema (`jina_schema.py`).

`simulation.Simulation` has the same interface without sockets, on a virtual clock. Tests use it unless sockets are
their subject.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from support.jina_schema import violations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

WIDTH = 1024
"""What jina-embeddings-v3 gives when no dimensions are said."""


def truth(text: str, task: str | None, width: int, context: str = "") -> NDArray[np.float32]:
    """The right vector, of unit length."""
    seed = hashlib.sha256(f"{task}|{width}|{context}|{text}".encode()).digest()
    vector = np.random.default_rng(int.from_bytes(seed[:8], "little")).standard_normal(width)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class Exchange:
    """One request, and the means to answer it, well or badly."""

    number: int
    body: dict[str, Any]
    headers: dict[str, str]
    connection: socket.socket
    arrived: float = field(default_factory=time.monotonic)

    @property
    def texts(self) -> list[str]:
        return list(self.body["input"])

    def vectors(self) -> list[NDArray[np.float32]]:
        width, task = self.body.get("dimensions") or WIDTH, self.body.get("task")
        context = "".join(self.texts) if self.body.get("late_chunking") else ""
        return [truth(text, task, width, context) for text in self.texts]

    def reply(self) -> dict[str, Any]:
        """The right answer, as JSON, to be spoilt."""
        tokens = sum(len(text.split()) + 2 for text in self.texts)
        return {
            "model": self.body["model"],
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": self.said(vector)}
                for index, vector in enumerate(self.vectors())
            ],
            "usage": {"total_tokens": tokens, "prompt_tokens": tokens},
        }

    def said(self, vector: NDArray[np.float32]) -> Any:
        """A vector as it was asked for."""
        kind = self.body.get("embedding_type") or "float"
        if kind == "base64":
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
        if kind == "float":
            return vector.tolist()
        bits = np.packbits(vector > 0)
        return (bits if kind == "ubinary" else bits.astype(np.int16) - 128).tolist()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, status: int, body: bytes | dict[str, Any] | list[Any], **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {"content-type": "application/json", "content-length": str(len(data)), **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in said.items())
        self.send(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data)

    def well(self, **headers: str) -> None:
        self.answer(200, self.reply(), **headers)

    def pause(self, seconds: float) -> None:
        """Take so long for the answer."""
        time.sleep(seconds)

    def hang(self) -> None:
        """Never answer; end when the client goes away."""
        with suppress(OSError):
            self.connection.recv(1)

    def close(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break the connection off with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Provider:
    """What a server and a simulation share. `behave(exchange)` answers; by default it answers well."""

    url: str

    def __init__(self, behave: Callable[[Exchange], None] | None = None, path: str = "/v1/embeddings") -> None:
        self.behave, self.path = behave or Exchange.well, path
        self.exchanges: list[Exchange] = []
        self.wrong_requests: list[str] = []

    @property
    def count(self) -> int:
        return len(self.exchanges)

    def record(self, exchange: Exchange, request_line: str) -> Exchange:
        """Keep a request, and what is wrong with it."""
        self.exchanges.append(exchange)
        if request_line != f"POST {self.path}":
            self.wrong_requests.append(request_line)
        self.wrong_requests += violations(exchange.body)
        return exchange


class FaultServer(Provider):
    """Serves over sockets until the end of the `with` block."""

    def __init__(self, behave: Callable[[Exchange], None] | None = None, path: str = "/v1/embeddings") -> None:
        super().__init__(behave, path)
        self.open_connections: set[socket.socket] = set()
        self.most_open = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in list(self.open_connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        assert not self.wrong_requests, self.wrong_requests

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.open_connections.add(connection)
                self.most_open = max(self.most_open, len(self.open_connections))
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection:
                while not self._stopping.is_set() and connection.fileno() >= 0:
                    exchange = self._read(connection)
                    if exchange is None:
                        return
                    self.behave(exchange)
        except OSError:
            return  # the client went away, or the fault was to break off
        finally:
            with self._lock:
                self.open_connections.discard(connection)

    def _read(self, connection: socket.socket) -> Exchange | None:
        data = b""
        while b"\r\n\r\n" not in data:
            received = connection.recv(65_536)
            if not received:
                return None
            data += received
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        if lines[0].startswith("GET "):  # whoever looks at what it is: no server of ours
            connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return self._read(connection)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            received = connection.recv(65_536)
            if not received:
                return None
            body += received
        said = json.loads(body)
        with self._lock:
            exchange = Exchange(self.count, said, headers, connection)
            return self.record(exchange, lines[0].removesuffix(" HTTP/1.1"))


def first(fault: Callable[[Exchange], None], times: int = 1) -> Callable[[Exchange], None]:
    """Misbehave for the first `times` requests, then answer well."""
    return lambda exchange: fault(exchange) if exchange.number < times else exchange.well()


def status(code: int, detail: str = "no", **headers: str) -> Callable[[Exchange], None]:
    """Answer with an error as Jina says it."""
    return lambda exchange: exchange.answer(code, {"detail": detail, "code": f"CODE_{code}"}, **headers)


def busy_until_date(seconds: float) -> Callable[[Exchange], None]:
    """429 with Retry-After as a date."""

    def fault(exchange: Exchange) -> None:
        now = time.time()
        dates = {"date": formatdate(now, usegmt=True), "retry_after": formatdate(now + seconds, usegmt=True)}
        exchange.answer(429, {"detail": "slow down"}, **dates)

    return fault


def raw(data: bytes, *, reset: bool = False) -> Callable[[Exchange], None]:
    """Send these bytes, then end the connection."""

    def fault(exchange: Exchange) -> None:
        exchange.send(data)
        if reset:
            exchange.reset()
        else:
            exchange.close()

    return fault


def cut_body(part: float, *, length: bool = True, reset: bool = False) -> Callable[[Exchange], None]:
    """Send a part of the right body: with the whole's length, or as if it were all of it."""

    def fault(exchange: Exchange) -> None:
        body = json.dumps(exchange.reply()).encode()
        sent = body[: int(len(body) * part)]
        promised = len(body) if length else len(sent)
        exchange.send(f"HTTP/1.1 200 OK\r\ncontent-length: {promised}\r\n\r\n".encode() + sent)
        if reset:
            exchange.reset()
        elif length:
            exchange.close()

    return fault


def spoilt(change: Callable[[Exchange, dict[str, Any]], Any]) -> Callable[[Exchange], None]:
    """200 with the right answer changed; `change` edits it in place, or returns another."""

    def fault(exchange: Exchange) -> None:
        reply = exchange.reply()
        other = change(exchange, reply)
        exchange.answer(200, reply if other is None else other)

    return fault


def vector(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Callable[[Exchange], None]:
    """200 with the last vector changed."""

    def spoil(exchange: Exchange, reply: dict[str, Any]) -> None:
        reply["data"][-1]["embedding"] = exchange.said(change(exchange.vectors()[-1]))

    return spoilt(spoil)


def slowly(head: bool) -> Callable[[Exchange], None]:
    """A byte every fifth of a second, from the head on or from the body on."""

    def fault(exchange: Exchange) -> None:
        body = json.dumps(exchange.reply()).encode()
        start = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        drip = start + body if head else body
        if not head:
            exchange.send(start)
        for byte in drip:
            exchange.send(bytes([byte]))
            exchange.pause(0.2)

    return fault


def silent(exchange: Exchange) -> None:
    exchange.hang()


def poison(
    word: str,
    code: int = 422,
    otherwise: Callable[[Exchange], None] = Exchange.well,
    said: str = "a text cannot be embedded",
) -> Callable[[Exchange], None]:
    """Refuse every request that has `word` in one of its texts."""

    def behave(exchange: Exchange) -> None:
        if any(word in text for text in exchange.texts):
            exchange.answer(code, {"detail": said, "code": "INPUT_INVALID"})
        else:
            otherwise(exchange)

    return behave


def at_most(items: int) -> Callable[[Exchange], None]:
    """413 for more than `items` texts."""
    return lambda exchange: exchange.well() if len(exchange.texts) <= items else exchange.answer(413, b"too large")


def schedule(faults: Iterable[Callable[[Exchange], None] | None]) -> Callable[[Exchange], None]:
    """The faults in turn, None being none; then answer well."""
    left, lock = list(faults), threading.Lock()

    def behave(exchange: Exchange) -> None:
        with lock:
            fault = left.pop(0) if left else None
        (fault or Exchange.well)(exchange)

    return behave


def _item(place: int, **changes: Any) -> Callable[[Exchange], None]:
    return spoilt(lambda _, reply: reply["data"][place % len(reply["data"])].update(changes))


def _infinite(exchange: Exchange, reply: dict[str, Any]) -> None:
    reply["data"][0]["embedding"] = [1e300] * len(exchange.vectors()[0])


def _narrower(exchange: Exchange, reply: dict[str, Any]) -> None:
    for item, row in zip(reply["data"], exchange.vectors(), strict=True):
        item["embedding"] = exchange.said(row[:-8])


def _twice(_: Exchange, reply: dict[str, Any]) -> None:
    """The first index again: in the second place, which an answer for one text has to be given."""
    data = reply["data"]
    data[1:2] = [{**data[min(1, len(data) - 1)], "index": 0}]


def _shuffled(_: Exchange, reply: dict[str, Any]) -> None:
    random.Random(5).shuffle(reply["data"])


def _floats(exchange: Exchange, reply: dict[str, Any]) -> None:
    for item, row in zip(reply["data"], exchange.vectors(), strict=True):
        item["embedding"] = row.tolist()


def _without(name: str) -> Callable[[Exchange], None]:
    return spoilt(lambda _, reply: {key: value for key, value in reply.items() if key != name})


def _closing(exchange: Exchange) -> None:
    exchange.well(connection="close")
    exchange.close()


def _packets(exchange: Exchange) -> None:
    body = json.dumps(exchange.reply()).encode()
    data = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    for start in range(0, len(data), 70):
        exchange.send(data[start : start + 70])


HARMLESS: dict[str, Callable[[Exchange], None]] = {
    "shuffled index": spoilt(_shuffled),
    "floats instead of base64": spoilt(_floats),
    "unknown fields": spoilt(lambda _, reply: {**reply, "extra": {"nested": [1]}}),
    "no usage": _without("usage"),
    "no model": _without("model"),
    "closes after the answer": _closing,
    "many small packets": _packets,
}
"""Odd but right: taken at the first request."""

BOMB = gzip.compress(b"[" + b"0," * 8_000_000 + b"0]", compresslevel=1)


PASSING: dict[str, Callable[[Exchange], None]] = {
    **{f"{code}": status(code) for code in (408, 409, 425, 500, 502, 503, 504, 529)},
    "500 html": lambda exchange: exchange.answer(500, b"<html>oops</html>", content_type="text/html"),
    "reset before the answer": lambda exchange: exchange.reset(),
    "reset within the body": cut_body(0.5, reset=True),
    "closed before the answer": lambda exchange: exchange.close(),
    "closed within the head": raw(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "closed within the body": cut_body(0.5),
    "chunked and cut": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{"),
    "not HTTP": raw(b"\x15\x03\x01\x00\x02\x02\x16"),
    "garbled gzip": raw(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope"),
    "truncated JSON": cut_body(0.7, length=False),
    "empty body": lambda exchange: exchange.answer(200, b""),
    "NaN as JSON": spoilt(
        lambda exchange, reply: reply["data"][0].update(embedding=[float("nan")] * len(exchange.vectors()[0]))
    ),
    "captive proxy's html": lambda exchange: exchange.answer(200, b"<html>log in</html>", content_type="text/html"),
}
"""Gone at another try."""

WRONG: dict[str, Callable[[Exchange], None]] = {
    "too few": spoilt(lambda _, reply: reply["data"].pop() and None),
    "too many": spoilt(lambda _, reply: reply["data"].append({**reply["data"][0], "index": len(reply["data"])})),
    "none": spoilt(lambda _, reply: reply["data"].clear()),
    "no data": _without("data"),
    "not an object": spoilt(lambda _, reply: [reply]),
    "an index twice": spoilt(_twice),
    "an index too high": _item(0, index=99),
    "a negative index": _item(0, index=-1),
    "an index that is true": _item(1, index=True),
    "NaN": vector(lambda row: row * np.float32("nan")),
    "beyond float32": spoilt(_infinite),
    "zeros": vector(lambda row: row * 0),
    "one dimension less": vector(lambda row: row[:-1]),
    "all of another width": spoilt(_narrower),
    "another length than 1": vector(lambda row: row * 2),
    "strings": _item(0, embedding=["0.1"] * 16),
    "booleans": _item(0, embedding=[True] * 16),
    "nested": _item(0, embedding=[[0.1] * 16]),
    "base64 with a stray character": _item(0, embedding="AAA*"),
    "base64 of half a number": _item(0, embedding=base64.b64encode(b"abcdef").decode()),
    "no vector": _item(0, embedding=None),
    "JSON too deep": lambda exchange: exchange.answer(200, b"[" * 60_000),
    "far too long": lambda exchange: exchange.answer(200, b'{"data": "' + b"x" * 4_000_000 + b'"}'),
    "a gzip bomb": lambda exchange: exchange.answer(200, BOMB, content_encoding="gzip"),
}
"""200, and not to be believed: asked for once more, then an error."""

OTHER_MODEL = spoilt(lambda _, reply: reply.update(model="jina-embeddings-v2-base-en"))
"""200 from another model: asked for once."""

FATAL: dict[str, Callable[[Exchange], None]] = {
    **{f"{code}": status(code) for code in (401, 402, 403, 404, 405, 410, 451)},
    "redirect": status(307, location="http://127.0.0.1:9/v1/embeddings"),
}
"""Of no use to repeat."""
