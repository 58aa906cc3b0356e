"""Runs the application on uvicorn: disconnects slow clients, and finishes accepted requests before it exits."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

    from twofold.server.limits import Limits

HEAD_BYTES = 64 * 1024
LINGER_SECONDS = 1.0
"""Seconds that idle connections stay open at shutdown, so that requests on their way are still answered."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection with time limits for receiving headers and for sending an answer."""

    _waiting: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _ending = False

    @cached_property
    def _limits(self) -> Limits:
        limits: Limits = self.config.app.state.service.limits  # type: ignore[union-attr] # it is our own application
        return limits

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data, or close the connection if the headers grow too large."""
        self._received = data
        if self.cycle is None or self.cycle.response_complete:
            self._head_bytes += len(data)
            if self._waiting is None:
                self._wait()
        super().data_received(data)
        if self._waiting is not None and self._head_bytes > HEAD_BYTES:
            self.transport.abort()

    # A client may offer to upgrade the connection, as Java's does to HTTP/2. The parser then stops after the headers
    # and does not read the body. We ignore the offer: a second parser gets the length of the body, and reads it.

    _resuming = False

    def on_message_begin(self) -> None:
        if not self._resuming:
            super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._resuming:
            super().on_header(name, value)

    def on_url(self, url: bytes) -> None:
        if not self._resuming:
            super().on_url(url)

    def on_headers_complete(self) -> None:
        if self._resuming:
            self._resuming = False
            return
        self._stop_waiting()
        self._head_bytes = 0
        super().on_headers_complete()
        if self._ending:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Read the rest of a request whose client offered an upgrade."""
        offset = sys.exception().args[0]  # type: ignore[union-attr] # called while it is handled
        framing = (b"content-length", b"transfer-encoding")
        lines = [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name in framing]
        self.parser = httptools.HttpRequestParser(self)
        self._resuming = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(lines) + b"\r\n")
        if rest := self._received[offset:]:
            self.data_received(rest)

    def pause_writing(self) -> None:
        """Start the time limit: the client is not reading its answer."""
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self._limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_writing()
        super().resume_writing()

    def shutdown(self) -> None:
        """Close after the current request, or after `LINGER_SECONDS` if there is none."""
        self._ending = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LINGER_SECONDS, self._end_if_idle)
        else:
            self.cycle.keep_alive = False

    def _end_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self._limits.read_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


class Server(uvicorn.Server):
    """uvicorn's server. SIGTERM and SIGINT shut it down gracefully and are not raised again; a second one exits."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self._asked_to_end) for one in (signal.SIGTERM, signal.SIGINT)}
        if self.on_hangup is not None and hasattr(signal, "SIGHUP"):
            call = self.on_hangup
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: call())
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def _asked_to_end(self, *_: Any) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    on_listening: Callable[[int], None] | None = None
    """Called with the port once the server listens."""
    on_hangup: Callable[[], None] | None = None
    """Called at SIGHUP."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and keep duplicates of the listening sockets for `shutdown`."""
        await super().startup(sockets)
        if self.started and self.on_listening is not None:
            self.on_listening(self.servers[0].sockets[0].getsockname()[1])
        found = [one.fileno() for server in self.servers for one in server.sockets] if self.started else []
        self._listeners = [socket.socket(fileno=os.dup(number)) for number in found]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, accept the clients that have already connected, and finish all accepted requests."""
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        waiting = [client for listener in self._listeners for client in _waiting_at(listener)]
        for client in waiting:
            await loop.connect_accepted_socket(self._connection, client)
        await super().shutdown(sockets)

    def _connection(self) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state, asyncio.get_running_loop())

    async def on_tick(self, counter: int) -> bool:
        """Also exit if a model cannot be loaded."""
        service = self.config.app.state.service  # type: ignore[union-attr] # it is our own application
        return await super().on_tick(counter) or service.failure is not None


def _waiting_at(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept the clients that have connected already, then close the listener."""
    with listener, suppress(OSError):
        listener.settimeout(0)
        while True:
            yield listener.accept()[0]


def make_server(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Return a uvicorn server for an application made by `create_app`."""
    limits: Limits = app.state.service.limits
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.keep_alive_seconds,
        log_level="warning",
        backlog=2048,
    )
    return Server(config)


def run(
    app: Starlette,
    host: str,
    port: int,
    *,
    on_listening: Callable[[int], None] | None = None,
    on_hangup: Callable[[], None] | None = None,
) -> None:
    """Serve until a signal arrives. `on_listening` gets the port once clients can connect.

    Raises:
        TwofoldError: a model cannot be loaded.
    """
    server = make_server(app, host, port)
    server.on_listening, server.on_hangup = on_listening, on_hangup
    server.run()
    failure = app.state.service.failure
    if failure is not None:
        raise failure
