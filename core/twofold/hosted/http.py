"""Carrying requests over HTTP with httpx, or its continuation httpx2: one request in, one `Answer` out, never an error.

The key is put into the header here and nowhere else, so that it stands in no frame that an exception of ours passes
through; what httpx raises is turned into words, and the exception is dropped.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import finalize

from twofold.errors import InputError
from twofold.extras import extra
from twofold.hosted.addresses import is_loopback
from twofold.hosted.exchange import CONNECT_SECONDS, READ_SECONDS, Answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable, Mapping

    from twofold.hosted.exchange import Request

IDLE_LINES = 8
HEADERS = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "identity"}


class HttpTransport:
    """Sends requests to one URL, from threads or from event loops, and owns the connections, unless a client is given.

    Connections stay open for the next call: those of threads until the transport is dropped, those of an event loop
    until that or the loop's end.
    """

    def __init__(self, url: str, key: Callable[[], str | None], redact: Callable[[str], str], client: Any) -> None:
        """Open nothing yet."""
        with extra("hosted"):
            import httpx  # noqa: PLC0415
        self._httpx, self._url, self._key, self._redact = httpx, url, key, redact
        self._theirs = client
        self._theirs_async = inspect.iscoroutinefunction(getattr(client, "send", None))
        self._process = os.getpid()
        self._idle: list[tuple[Any, Any]] = []  # clients and their connections
        self._clients: dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None, None]]] = {}
        finalize(self, _hang_up, self._idle)

    # -- threads ------------------------------------------------------------------------------------------------------

    def line(self) -> HttpLine:
        """A connection for one request at a time.

        Raises:
            InputError: the user's client is an async one.
        """
        if self._theirs is not None:
            if self._theirs_async:
                raise InputError(
                    "http_client is an async client, which only the async methods can use: give a sync one"
                )
            return HttpLine(self, self._theirs)
        self._check_process()
        try:
            return HttpLine(self, *self._idle.pop())
        except IndexError:
            return HttpLine(self, self._httpx.Client(**self._options(1)))

    def keep(self, client: Any, stream: Any) -> None:
        """Keep a connection for the next request, unless there are enough."""
        if self._theirs is None and len(self._idle) < IDLE_LINES:
            self._idle.append((client, stream))
        else:
            self.close(client)

    def close(self, client: Any) -> None:
        """Close a client, unless it is the user's."""
        if self._theirs is None:
            client.close()

    def _check_process(self) -> None:
        """A forked child must not talk on its parent's connections."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._idle.clear()
            self._clients.clear()

    # -- event loops --------------------------------------------------------------------------------------------------

    async def asend(self, request: Request, seconds: float) -> Answer:
        """Send one request from this event loop."""
        if self._theirs is not None and not self._theirs_async:
            return await asyncio.to_thread(HttpLine(self, self._theirs).send, request, seconds)
        try:
            client = self._theirs if self._theirs is not None else await self._client()
            async with client.stream("POST", self._url, **self.arguments(request, seconds)) as response:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > request.most_bytes:
                        break
                return _answer(request, response.status_code, response.headers, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes words
            return self.fault(request, error)

    async def _client(self) -> Any:
        """This loop's client. The loop closes it when it ends, as it does all async generators begun in it."""
        self._check_process()
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            for ended in [other for other in self._clients if other.is_closed()]:
                del self._clients[ended]
            client = self._httpx.AsyncClient(**self._options(None))
            lease = _closing(client)
            self._clients[loop] = client, lease
            await anext(lease)
        return self._clients[loop][0]

    # -- both ---------------------------------------------------------------------------------------------------------

    def _options(self, connections: int | None) -> dict[str, Any]:
        """Of our own clients: certificates are checked; proxies are the environment's, but for this machine itself."""
        return {
            "verify": _certificates(),
            "trust_env": not is_loopback(self._url),
            "limits": self._httpx.Limits(max_connections=connections, max_keepalive_connections=connections or 20),
        }

    def arguments(self, request: Request, seconds: float) -> dict[str, Any]:
        """Of one request."""
        key = self._key()
        return {
            "content": request.body,
            "headers": HEADERS | ({"authorization": f"Bearer {key}"} if key else {}),
            "timeout": (min(CONNECT_SECONDS, seconds), min(READ_SECONDS, seconds), READ_SECONDS, seconds),
            "follow_redirects": False,
        }

    def fault(self, request: Request, error: Exception) -> Answer:
        """An exception in words."""
        name = type(error).__name__
        words = self._redact(f"{name}: {error}" if str(error) else name)[:300]
        return Answer(request.number, fault=words, slow="Timeout" in name)

    @property
    def url(self) -> str:
        """Where requests go."""
        return self._url


class HttpLine:
    """A sync client with one connection, which another thread can cut while a request waits on it."""

    def __init__(self, transport: HttpTransport, client: Any, stream: Any = None) -> None:
        """Take a client, and its connection if it has one."""
        self._transport, self._client, self._stream = transport, client, stream
        self._cut = False

    def send(self, request: Request, seconds: float) -> Answer:
        """Send one request, and block until its answer is there."""
        arguments = self._transport.arguments(request, seconds) | {"extensions": {"trace": self._notice}}
        try:
            with self._client.stream("POST", self._transport.url, **arguments) as response:
                self._stream = response.extensions.get("network_stream", self._stream)
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > request.most_bytes:
                        break
                return _answer(request, response.status_code, response.headers, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes words
            return self._transport.fault(request, error)

    def cut(self) -> None:
        """End the request that is under way, from another thread. Closing alone would not wake a thread that reads."""
        self._cut = True
        if self._stream is not None:
            with suppress(Exception):
                socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def free(self) -> None:
        """Keep the connection for the next request."""
        self._transport.keep(self._client, self._stream)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close(self._client)

    def _notice(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the connection as soon as it is open."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]
            if self._cut:
                self.cut()


def _answer(request: Request, status: int, headers: Any, body: bytearray) -> Answer:
    wrong = ""
    if len(body) > request.most_bytes and status == 200:
        wrong = f"over {request.most_bytes} bytes came, more than what was asked for can have"
    return Answer(request.number, status, {name.lower(): value for name, value in headers.items()}, bytes(body), wrong)


async def _closing(client: Any) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.aclose()


def _hang_up(idle: list[tuple[Any, Any]]) -> None:
    while idle:
        idle.pop()[0].close()


@cache
def _certificates() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a request."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()
