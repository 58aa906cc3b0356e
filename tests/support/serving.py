"""A Twofold server in this process, on a real socket: `with serving(embedder) as url`."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from twofold.server import create_app
from twofold.server.running import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator


http = httpx.Client(timeout=30, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
"""A client that all tests share, because creating one reads certificates. It keeps no connections open."""


@contextmanager
def serving(embedders: Any, **options: Any) -> Iterator[str]:
    """The URL of `create_app`'s application, which runs on uvicorn in a thread until the end of the block."""
    server = make_server(create_app(embedders, **options))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server does not end"
