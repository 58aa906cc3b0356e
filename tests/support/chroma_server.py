"""A real Chroma server for tests: `chroma run` on a free loopback port, over a folder, stopped at the end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chroma_twofold import TwofoldEmbeddingFunction

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
SECONDS_TO_START = 60.0


@contextmanager
def chroma_server(folder: Path) -> Iterator[int]:
    """Run a server over `folder` and give its port."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder), "--host", HOST]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log)
    try:
        _wait(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/api/v2/heartbeat", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("the Chroma server did not start")


@pytest.fixture(scope="session")
def chroma_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that tests share; each uses collections of its own."""
    with chroma_server(tmp_path_factory.mktemp("chroma")) as port:
        yield port


def forget_record(client: Any, name: str, **options: Any) -> None:
    """Leave the collection as its users make one natively with our function of `options`: it has no record."""
    own = client.get_collection(name, embedding_function=None)
    own._client._modify(
        id=own.id,
        new_metadata={"owner": "us"},
        new_configuration={"embedding_function": TwofoldEmbeddingFunction("fake:", **options)},
        tenant=own.tenant,
        database=own.database,
    )
