"""What a server does not take, and who may ask: bounds before parsing, slow clients, keys, what is never shown."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from support.serving import http, serving
from twofold.errors import InputError, OutputError
from twofold.fake import FakeBackend
from twofold.server import Limits
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    Post = Callable[..., httpx.Response]

SMALL = Limits(body_bytes=2000, texts=4, read_seconds=0.5, write_seconds=0.5)
SECRET = "a-text-that-nobody-else-may-read"


@pytest.fixture(scope="module")
def small() -> Iterator[str]:
    with serving(FakeEmbedder(), limits=SMALL) as url:
        yield url


def test_a_body_over_the_limit_is_refused_before_it_is_read(small: str) -> None:
    answer = http.post(f"{small}/v1/embeddings", content=b"x" * 2001)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert "over 2000 bytes" in answer.json()["detail"]


def test_so_is_one_that_does_not_say_its_length(small: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * 500

    assert http.post(f"{small}/embed", content=pieces()).status_code == 413


def test_so_is_one_that_grows_when_it_is_decompressed(small: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)[:2000]
    answer = http.post(f"{small}/vectors", content=bomb, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413
    broken = http.post(f"{small}/vectors", content=b"no gzip", headers={"content-encoding": "gzip"})
    assert broken.status_code == 400
    other = http.post(f"{small}/vectors", content=b"{}", headers={"content-encoding": "br"})
    said = "unsupported Content-Encoding: send the body uncompressed or as gzip"
    assert (other.status_code, other.json()["error"]) == (415, said)


def test_texts_and_depth_are_bounded(small: str) -> None:
    answer = http.post(f"{small}/v1/embeddings", json={"input": list("abcde")})
    assert (answer.status_code, answer.json()["detail"][:39]) == (413, "the request has 5 texts, the limit is 4")
    deep = b'{"input": "a", "x": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert http.post(f"{small}/v1/embeddings", content=deep).status_code in (200, 400)
    deep = b'{"input": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert http.post(f"{small}/v1/embeddings", content=deep).status_code == 422


def test_bodies_that_are_held_together_are_bounded() -> None:
    limits = Limits(body_bytes=1000, bytes_in_flight=1000, read_seconds=5)
    with serving(FakeEmbedder(), limits=limits) as url, open_to(url) as slow:
        slow.sendall(b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n{")
        deadline = time.monotonic() + 10
        while (answer := http.post(f"{url}/embed", json={"inputs": "b" * 200})).status_code == 200:
            assert time.monotonic() < deadline
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def open_to(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


def rest(client: socket.socket) -> bytes:
    found = b""
    try:
        while more := client.recv(65536):
            found += more
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize("head", [b"", b"POST /embed HTTP/1.1\r\nhost: x\r\nx-slow: "])
def test_a_client_that_does_not_send_its_head_is_cut(small: str, head: bytes) -> None:
    with open_to(small) as client:
        client.sendall(head)
        assert rest(client) == b""


def test_a_head_without_end_is_cut() -> None:
    with serving(FakeEmbedder()) as url, open_to(url) as client:
        client.sendall(b"POST /embed HTTP/1.1\r\n")
        with pytest.raises(OSError, match=r"."):  # noqa: PT012 - whichever of them finds the connection closed
            for _ in range(200):
                client.sendall(b"x-more: " + b"y" * 4096 + b"\r\n")
            client.settimeout(0.01)
            client.recv(1)


def test_a_client_that_does_not_send_its_body_is_told_and_cut(small: str) -> None:
    with open_to(small) as client:
        client.sendall(b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body took longer than 0.5 s" in answer


def test_a_client_that_does_not_take_its_answer_is_cut() -> None:
    texts = [f"text {number}" for number in range(2000)]
    body = json.dumps({"inputs": texts}).encode()
    with serving(FakeEmbedder(), limits=Limits(write_seconds=0.5)) as url, open_to(url) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        for _ in range(4):  # more than the system's own buffers hold
            client.sendall(head + body)
        deadline = time.monotonic() + 20
        with pytest.raises(OSError, match=r"."):  # noqa: PT012 - whichever of them finds the connection closed
            while time.monotonic() < deadline:
                client.sendall(b" ")
                time.sleep(0.1)


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with serving(FakeEmbedder(), api_keys=["key-one", "key-two"]) as url:
        yield url


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer key-three", "key-one", "Basic key-one", "Bearer key-on"])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/v2/embed", "/embed", "/vectors", "/query/vectors"])
def test_without_a_right_key_nothing_is_embedded(guarded: str, path: str, shown: str) -> None:
    answer = http.post(guarded + path, json={"input": "a"}, headers={"authorization": shown} if shown else {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "key-one" not in answer.text


@pytest.mark.parametrize("key", ["key-one", "key-two"])
def test_each_key_opens(guarded: str, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    assert http.post(f"{guarded}/v1/embeddings", json={"input": "a"}, headers=headers).status_code == 200
    assert http.get(f"{guarded}/v1/models", headers=headers).status_code == 200
    assert http.get(f"{guarded}/metrics", headers=headers).status_code == 200


def test_models_and_metrics_need_a_key_and_health_does_not(guarded: str) -> None:
    assert http.get(f"{guarded}/v1/models").status_code == 401
    assert http.get(f"{guarded}/metrics").status_code == 401
    assert http.get(f"{guarded}/health").status_code == 200
    assert http.get(f"{guarded}/.well-known/ready").status_code == 204


def test_a_page_of_another_site_may_not_ask(small: str) -> None:
    answer = http.post(f"{small}/embed", json={"inputs": "a"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


# -- what is never shown ----------------------------------------------------------------------------------------------


class Broken(FakeBackend):
    """Fails with the text in its message, as a library of somebody else might."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__()
        self.error = error

    def embed(self, documents: Any, *arguments: Any, **named: Any) -> Any:
        if SECRET in documents[0].text:
            raise self.error(f"cannot read {documents[0].text}")
        return super().embed(documents, *arguments, **named)


@pytest.mark.parametrize("error", [RuntimeError, KeyError])
def test_no_text_is_in_a_log_a_metric_or_an_error(error: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    embedder = FakeEmbedder()
    embedder._backend = Broken(error)
    with caplog.at_level(logging.DEBUG), serving(embedder, api_keys=["key-one"]) as url:
        headers = {"authorization": "Bearer key-one"}
        answer = http.post(f"{url}/v1/embeddings", json={"input": SECRET}, headers=headers)
        assert answer.status_code == 500
        assert http.post(f"{url}/v1/embeddings", json={"input": f"{SECRET} " * 600}, headers=headers).status_code == 422
        assert http.post(f"{url}/v1/embeddings", content=SECRET.encode(), headers=headers).status_code == 400
        metrics = http.get(f"{url}/metrics", headers=headers).text
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(("twofold", "uvicorn"))]
    assert any(error.__name__ in line for line in logged)
    for said in (answer.text, metrics, *logged):
        assert SECRET not in said
        assert "key-one" not in said


def test_a_model_that_gives_nonsense_is_a_fault_of_the_server() -> None:
    embedder = FakeEmbedder()
    embedder._backend = Broken(OutputError)
    with serving(embedder) as url:
        answer = http.post(f"{url}/vectors", json={"text": SECRET, "config": {"task_type": "query"}})
        assert answer.status_code == 500
        assert answer.json()["error"].startswith("the model cannot be used")
        assert http.post(f"{url}/query/vectors", json={"text": "other"}).status_code == 200


def test_limits_are_checked() -> None:
    with pytest.raises(InputError, match="queue_seconds=0"):
        Limits(queue_seconds=0)


def test_a_text_far_beyond_the_limit_is_not_counted_whole() -> None:
    embedder = FakeEmbedder()
    seen: list[int] = []
    count = embedder.backend.count_tokens

    def counting(texts: Any, task: Any) -> list[int]:
        seen.extend(map(len, texts))
        return count(texts, task)

    embedder.backend.count_tokens = counting  # type: ignore[method-assign]
    with serving(embedder) as url:
        seen.clear()
        long = http.post(f"{url}/v1/embeddings", json={"input": ["a", "words " * 200_000]})
        assert (long.status_code, "text 1 has more than" in long.json()["detail"]) == (422, True), long.text
        assert max(seen) <= 16 * 512
        cut = http.post(f"{url}/v1/embeddings", json={"input": "words " * 200_000, "truncate": True})
        assert cut.json()["usage"]["total_tokens"] == 512
        few = http.post(f"{url}/v1/embeddings", json={"input": "w" * 50_000})  # one long word
        assert few.json()["usage"]["total_tokens"] == 1
