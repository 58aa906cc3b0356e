"""A real Weaviate server for tests: the one at WEAVIATE_URL, or a `weaviate` from PATH, started and stopped here.

Ask for the fixture `weaviate_server`; where there is no server the test is skipped and says why. `weaviate_name` gives
the name of a collection that no other test uses, and deletes it afterwards. A server of your own at WEAVIATE_URL
should be one for tests; it ends in `?grpc_port=…` where that port is not 50051.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weaviate import WeaviateAsyncClient, WeaviateClient

HOST = "127.0.0.1"
SECONDS_TO_START = 90.0
MODULES = "text2vec-transformers,text2vec-jinaai,text2vec-cohere,backup-filesystem"


class NoServer(Exception):
    """Neither a server nor an executable; the message says which was looked for."""


@dataclass(frozen=True)
class WeaviateServer:
    """Where a server answers, and how to connect to it."""

    host: str
    port: int
    grpc_port: int
    version: str

    @property
    def url(self) -> str:
        """What the store's name says: `weaviate:<url>`."""
        return f"http://{self.host}:{self.port}?grpc_port={self.grpc_port}"

    def connect(self) -> WeaviateClient:
        """A connected client: `with server.connect() as client`."""
        import weaviate

        return weaviate.connect_to_local(self.host, self.port, self.grpc_port)

    def connect_async(self) -> WeaviateAsyncClient:
        """A client that connects in `async with server.connect_async() as client`."""
        import weaviate

        return weaviate.use_async_with_local(self.host, self.port, self.grpc_port)


@contextmanager
def running_weaviate(modules: str = MODULES) -> Iterator[WeaviateServer]:
    """The server at WEAVIATE_URL where it answers, else one that is started, and stopped at the end.

    Raises:
        NoServer: there is neither.
    """
    url = os.environ.get("WEAVIATE_URL")
    if url and (server := _found(url)):
        yield server
        return
    executable = shutil.which("weaviate")
    if executable is None:
        looked = f"no server answers at WEAVIATE_URL={url}" if url else "WEAVIATE_URL is not set"
        raise NoServer(f"{looked}, and there is no 'weaviate' on PATH")
    with _started(executable, modules) as server:
        yield server


_SESSION = ExitStack()


@cache
def shared_weaviate() -> WeaviateServer | str:
    """One server for the whole session, started when it is first asked for, or why there is none."""
    try:
        return _SESSION.enter_context(running_weaviate())
    except NoServer as reason:
        return str(reason)


def pytest_sessionfinish() -> None:
    """Stop the shared server; pytest calls this."""
    _SESSION.close()


def require_weaviate() -> WeaviateServer:
    """The shared server; where there is none, the test that asks is skipped."""
    server = shared_weaviate()
    if isinstance(server, str):
        pytest.skip(f"Weaviate tests were skipped: {server}")
    return server


@pytest.fixture
def weaviate_server() -> WeaviateServer:
    """The shared server."""
    return require_weaviate()


@pytest.fixture
def weaviate_name(weaviate_server: WeaviateServer) -> Iterator[str]:
    """A name for a collection; what the test makes under it, or under names that start with it, is deleted."""
    name = f"Test{uuid.uuid4().hex}"
    yield name
    with weaviate_server.connect() as client:
        client.collections.delete([one for one in client.collections.list_all() if one.startswith(name)])


def _found(url: str) -> WeaviateServer | None:
    """The server at `url`, if it answers."""
    parts = urlsplit(url)
    host, port = parts.hostname or HOST, parts.port or 8080
    grpc_port = parse_qs(parts.query).get("grpc_port", ["50051"])[-1]
    version = _version(f"{parts.scheme}://{host}:{port}")
    return WeaviateServer(host, port, int(grpc_port), version) if version else None


@contextmanager
def _started(executable: str, modules: str) -> Iterator[WeaviateServer]:
    port, grpc_port, raft, raft_rpc, gossip, data = free_ports()
    with tempfile.TemporaryDirectory(prefix="weaviate-") as folder, (Path(folder) / "log").open("wb") as log:
        environment = os.environ | {
            "PERSISTENCE_DATA_PATH": f"{folder}/data",
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_ADVERTISE_ADDR": HOST,
            "CLUSTER_GOSSIP_BIND_PORT": str(gossip),
            "CLUSTER_DATA_BIND_PORT": str(data),
            "RAFT_PORT": str(raft),
            "RAFT_INTERNAL_RPC_PORT": str(raft_rpc),
            "RAFT_BOOTSTRAP_EXPECT": "1",
            "GRPC_PORT": str(grpc_port),
            "DISABLE_TELEMETRY": "true",
            "GO_PROFILING_DISABLE": "true",
            "QUERY_DEFAULTS_LIMIT": "25",
            "ENABLE_MODULES": modules,
            "TRANSFORMERS_INFERENCE_API": f"http://{HOST}:9",  # compulsory; collections name their own
            "TRANSFORMERS_WAIT_FOR_STARTUP": "false",
            "JINAAI_APIKEY": "unused",
            "COHERE_APIKEY": "unused",
            "BACKUP_FILESYSTEM_PATH": f"{folder}/backups",
        }
        arguments = [executable, "--host", HOST, "--port", str(port), "--scheme", "http"]
        process = subprocess.Popen(arguments, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            version = _wait(process, f"http://{HOST}:{port}", Path(log.name))
            yield WeaviateServer(HOST, port, grpc_port, version)
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> str:
    """Wait until the server answers, and give its version."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        if _get(f"{url}/v1/.well-known/ready") is not None and (version := _version(url)):
            return version
        time.sleep(0.2)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
    state = f"ended with code {process.returncode}" if process.returncode is not None else "does not answer"
    raise RuntimeError(f"the Weaviate server {state}; the end of its log:\n{last}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _version(url: str) -> str | None:
    body = _get(f"{url}/v1/meta")
    return cast("str", json.loads(body)["version"]) if body else None


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return cast("bytes", answer.read())
    except (urllib.error.URLError, OSError, ValueError):
        return None


def free_ports() -> tuple[int, ...]:
    """Six free ports: two single ones and two pairs of neighbours, which the server wants for raft and for gossip."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listen(0)), stack.enter_context(_listen(0))]
        while len(listeners) < 6:
            first = stack.enter_context(_listen(0))
            try:
                second = stack.enter_context(_listen(first.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            listeners += [first, second]
        return tuple(listener.getsockname()[1] for listener in listeners)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.bind((HOST, port))
    except BaseException:
        listener.close()
        raise
    return listener
