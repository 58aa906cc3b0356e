"""`FaultServer` without sockets and without waiting: the hosted loop runs on a virtual clock, over httpx.MockTransport.

All of the client's own code runs as it is: threads hand calls to the hosted loop, which carries out flows and sends
requests with httpx. Only two things differ. The loop's clock jumps to the next timer when nothing else is left to do,
and httpx's transport calls `behave` instead of opening a connection. So a pause of a minute takes no time.

Nothing that runs on another thread may be waited for meanwhile (a callable key, a sync http_client): the clock would
jump ahead of it.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import threading
from contextlib import ExitStack
from functools import cache
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

import httpx

from support.faultserver import Exchange, FaultServer, Provider
from twofold.hosted import http, loop, planning
from twofold.hosted.flow import Flow
from twofold.hosted.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SOCKETS = {
    *("closes after the answer", "many small packets", "reset before the answer", "reset within the body"),
    *("closed before the answer", "closed within the head", "closed within the body", "chunked and cut", "not HTTP"),
    *("garbled gzip", "far too long", "a gzip bomb"),
}
"""Faults of `faultserver` that are about the connection: a simulation only approximates them."""
LATENCY = 0.002
"""Virtual seconds that every answer takes."""
_numbers = count(1)


class Recorded(Exchange):
    """An exchange that keeps the bytes it would have sent."""

    def __init__(self, number: int, body: dict[str, Any], headers: dict[str, str], arrived: float = 0.0) -> None:
        super().__init__(number, body, headers, None, arrived)  # type: ignore[arg-type]
        self.sent, self.seconds = b"", LATENCY
        self.is_closed = self.is_reset = False

    def send(self, data: bytes) -> None:
        self.sent += data

    def pause(self, seconds: float) -> None:
        self.seconds += seconds

    def hang(self) -> None:
        self.seconds = float("inf")

    def close(self) -> None:
        self.is_closed = True

    def reset(self) -> None:
        self.is_reset = True

    def response(self) -> httpx.Response:
        """What was sent, as httpx gives it to the client.

        Raises:
            httpx.TransportError: the connection ended before the head did.
        """
        head, found, body = self.sent.partition(b"\r\n\r\n")
        ended = httpx.ReadError("reset") if self.is_reset else httpx.RemoteProtocolError("closed")
        if not found or not head.startswith(b"HTTP/1.1 "):
            raise ended
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        said = httpx.Headers(headers)
        is_whole = "transfer-encoding" not in said and len(body) >= int(said.get("content-length", 0))
        stream = _Stream(body, None if is_whole else ended)
        return httpx.Response(int(status.split()[1]), headers=headers, stream=stream)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, body: bytes, error: Exception | None) -> None:
        self._body, self._error = body, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
        if self._error is not None:
            raise self._error


class Simulation(Provider):
    """Answers until the end of the `with` block.

    `now` is the time of its clock, `most_open` the most requests that it was answering at once.
    """

    def __init__(self, behave: Callable[[Exchange], None] | None = None, path: str = "/v1/embeddings") -> None:
        super().__init__(behave, path)
        self.port = next(_numbers)  # a limiter belongs to a host and port
        self.url = f"http://127.99.99.99:{self.port}/v1"
        self.open = self.most_open = 0
        self._client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self._patches = ExitStack()

    @property
    def now(self) -> float:
        return _home().loop.now

    def __enter__(self) -> Self:
        home = _home()
        original, root = HttpTransport._client, self.url.removesuffix("v1")

        def client(transport: HttpTransport) -> Any:
            return self._client if transport._url.startswith(root) else original(transport)

        ours = {_home().loop, loop._home and loop._home.loop}  # transports of other tests are still closed on theirs
        for target, name, value in (
            (loop, "_home", home),
            (http, "is_home", ours.__contains__),
            (planning, "time", SimpleNamespace(monotonic=home.loop.time)),
            (HttpTransport, "_client", client),
        ):
            self._patches.enter_context(patch.object(target, name, value))
        self._patches.enter_context(patch.dict(Flow.__init__.__kwdefaults__, clock=home.loop.time))
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()
        assert not self.wrong_requests, self.wrong_requests

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        exchange = Recorded(self.count, json.loads(request.content), dict(request.headers), self.now)
        self.record(exchange, f"{request.method} {request.url.raw_path.decode()}")
        self.behave(exchange)
        longest = request.extensions["timeout"]["read"]
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(min(exchange.seconds, longest))
        finally:
            self.open -= 1
        if exchange.seconds == float("inf"):
            raise httpx.ReadTimeout("")
        return exchange.response()


class _Selector(selectors.DefaultSelector):
    """Where the loop would sleep until its next timer, its clock jumps there."""

    loop: _Loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout:
            self.loop.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        self.now += 1e-7  # a wait too short for a float would never end
        return self.now


class _Home(loop._Home):
    loop: _Loop

    def __init__(self) -> None:
        self.loop = _Loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="simulated-hosted", daemon=True)
        self.thread.start()


def provider_for(name: str, behave: Callable[[Exchange], None]) -> FaultServer | Simulation:
    """A provider that has the fault `name`: over sockets where the fault is about the connection."""
    return FaultServer(behave) if name in SOCKETS else Simulation(behave)


@cache
def _home() -> _Home:
    return _Home()
