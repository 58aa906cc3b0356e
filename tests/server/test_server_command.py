"""`twofold serve` in a process of its own: what it refuses, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from support.command_line import exit_code
from twofold.cli.serve import is_loopback, read_keys
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def served(*arguments: str, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its URL, once it is ready."""
    port = free_port()
    command = [sys.executable, "-m", "twofold", "serve", "--port", str(port), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx.get(f"{url}/.well-known/ready").status_code == 204:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield process, url
    finally:
        process.kill()
        process.communicate()


def test_it_serves_several_models_and_asks_for_keys() -> None:
    arguments = ("--model", "small=fake:", "--model", "fake:", "--dimensions", "16")
    environment = {"ONE": "key-one", "TWO": "key-two"}
    with served(*arguments, "--api-key-env", "ONE", "--api-key-env", "TWO", env=environment) as (process, url):
        for key in ("key-one", "key-two"):
            headers = {"authorization": f"Bearer {key}"}
            models = httpx.get(f"{url}/v1/models", headers=headers).json()["data"]
            assert [(one["id"], one["dimensions"]) for one in models] == [("small", 16), ("fake", 16)]
        assert httpx.get(f"{url}/v1/models").status_code == 401
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    assert f"serving small, fake at {url}" in said
    assert "key-one" not in said


def test_every_option_may_come_from_a_variable_as_the_dockerfile_sets_them() -> None:
    environment = {"TWOFOLD_MODEL": "fake:", "TWOFOLD_HOST": "0.0.0.0", "TWOFOLD_API_KEY_ENV": "KEY", "KEY": "key-one"}
    with served(env=environment) as (process, url):
        assert process.poll() is None, process.communicate()[1]
        assert httpx.get(f"{url}/v1/models", headers={"authorization": "Bearer key-one"}).status_code == 200


class Load:
    """Clients that post one request after the other on connections of their own, until they are told to close."""

    def __init__(self, url: str, clients: int) -> None:
        self.url, self.answered, self.lost = url, 0, 0
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _post(self, number: int) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            for turn in range(100_000):
                try:
                    answer = client.post("/v1/embeddings", json={"input": [f"text {number} {turn}"] * 4})
                except httpx.ConnectError:  # nothing was accepted
                    return
                except httpx.TransportError:
                    self.lost += 1
                    return
                assert answer.status_code == 200
                self.answered += 1

    def run_until(self, answered: int) -> None:
        """Wait until so many requests were answered."""
        deadline = time.monotonic() + 60
        while self.answered < answered and time.monotonic() < deadline:
            time.sleep(0.005)

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(60)


@pytest.mark.parametrize("answered", [1, 200])
def test_sigterm_under_load_loses_no_request(answered: int) -> None:
    with served("--model", "fake:") as (process, url):
        load = Load(url, 6)
        load.run_until(answered)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        load.wait()
    assert load.answered >= answered
    assert load.lost == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "fake:", "--host", "0.0.0.0"), "other machines can reach host 0.0.0.0"),
        (("--model", "fake:", "--api-key-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set or empty"),
        (("--model", "fake:", "--model", "fake:"), "two models are called 'fake'"),
        (("--model", "fake:", "--queue-seconds", "0"), "queue_seconds=0"),
        ((), "--model"),
    ],
)
def test_what_it_refuses(arguments: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["serve", "--port", str(free_port()), *arguments]) in (1, 2)
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--model", "fake:", "--dimensions", "1000"), 2, "dimensions=1000"),
        (("--model", "./no/such/folder"), 1, "no/such/folder"),
    ],
)
def test_it_ends_where_a_model_cannot_be_loaded(arguments: tuple[str, ...], code: int, said: str) -> None:
    command = [sys.executable, "-m", "twofold", "serve", "--port", str(free_port()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_itself_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError) as refused:
        read_keys(["jina_0123456789abcdef-secret"])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("here.example", False),
    ],
)
def test_which_addresses_are_this_machine_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone
