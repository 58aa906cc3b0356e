"""What a long job meets: outages, refusals of everything, sizes, slow gateways, and what no waiting mends."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from support import faultserver as fs
from support.faultserver import Exchange, FaultServer, truth
from support.simulation import Simulation
from twofold import DeadlineExceeded, Embedder, InputError, ProviderError, RequestRefused
from twofold.errors import MissingExtra, ProviderUnavailable, ResponseInvalid
from twofold.hosted import flow, limiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.faultserver import Provider

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")]
TASK = "retrieval.passage"


def make(server: Provider, **options: Any) -> Embedder:
    defaults: dict[str, Any] = {"dimensions": 8, "base_url": server.url, "api_key": "key-of-tests", "timeout": 30}
    return Embedder("jina:jina-embeddings-v3", **{**defaults, **options})


@pytest.fixture(params=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Callable[[Embedder, list[str]], Any]:
    """`embed_documents`, from a thread or from an event loop."""
    if request.param == "sync":
        return lambda embedder, texts: embedder.embed_documents(texts)
    return lambda embedder, texts: asyncio.run(embedder.aembed_documents(texts))


def texts_of(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def assert_right(vectors: Any, texts: list[str]) -> None:
    np.testing.assert_allclose(vectors, [truth(text, TASK, 8) for text in texts], atol=1e-6)


# -- away, and back ---------------------------------------------------------------------------------------------------


class Outage:
    """Answers well, but for `seconds` from the tenth request on."""

    def __init__(self, seconds: float, fault: Callable[[Exchange], None]) -> None:
        self.seconds, self.fault, self.since, self.failed = seconds, fault, 0.0, 0

    def __call__(self, exchange: Exchange) -> None:
        if exchange.number == 10:
            self.since = exchange.arrived
        if self.since and exchange.arrived - self.since < self.seconds:
            self.failed += 1
            self.fault(exchange)
        else:
            exchange.pause(0.002)
            exchange.well()


@pytest.mark.parametrize("fault", [fs.status(503), lambda exchange: exchange.reset(), fs.status(429)])
def test_an_outage_costs_time_and_hardly_a_request(fault: Any, embed: Any) -> None:
    outage = Outage(1.0, fault)
    with Simulation(outage) as server:
        texts = texts_of(1600)
        assert_right(embed(make(server, batch_items=10), texts), texts)
    assert outage.failed >= 3
    assert server.count <= 1.15 * 160


def test_a_long_outage_is_told_from_a_job_that_is_lost_by_an_option(embed: Any) -> None:
    with Simulation(Outage(1e9, fs.status(503))) as server:
        started = server.now
        said = r"503 CODE_503: no; unavailable for longer than max_outage=0.5 s"
        with pytest.raises(ProviderUnavailable, match=said) as caught:
            embed(make(server, batch_items=10, max_outage=0.5), texts_of(1600))
        assert server.now - started < 3
    assert len(caught.value.partial) >= 100
    assert caught.value.status == 503


def test_calls_that_fail_do_not_amplify_an_outage() -> None:
    """100 calls while everything fails: little more than one request a call."""
    with Simulation(fs.status(503)) as server:
        embedder = make(server, timeout=0.03)
        for _ in range(100):
            with pytest.raises(ProviderError):
                embedder.embed_query("anyone there?")
        assert server.count <= 110


def test_many_calls_share_one_pause() -> None:
    with FaultServer(Outage(0.5, fs.status(503))) as server:
        embedder = make(server, batch_items=1)
        threads = [threading.Thread(target=embedder.embed_documents, args=(texts_of(40),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert server.count <= 1.2 * 320


def test_a_provider_that_comes_back_just_before_the_end_is_asked_a_last_time(
    monkeypatch: pytest.MonkeyPatch, embed: Any
) -> None:
    monkeypatch.setattr(limiter, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(limiter, "LONGEST_PAUSE", 60.0)  # the sixth pause, of 12 to 20 seconds, ends after the timeout

    def behave(exchange: Exchange) -> None:
        (fs.status(503) if exchange.arrived - started < 20 else Exchange.well)(exchange)

    with Simulation(behave) as server:
        started = server.now
        assert_right(embed(make(server, timeout=23), ["a text"]), ["a text"])
        assert server.now - started == pytest.approx(23 - 2.3, abs=0.1)


# -- what no waiting mends --------------------------------------------------------------------------------------------


def test_no_money_left_is_said_after_one_request(embed: Any) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.answer(429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})

    with Simulation(behave) as server, pytest.raises(RequestRefused, match="insufficient_quota"):
        embed(make(server), texts_of(5))
    assert server.count == 1


def test_a_certificate_that_does_not_verify_is_said_after_one_request(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not on the path")
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    tries = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            tries.append(1)
            try:
                context.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    embedder = Embedder(
        "jina:jina-embeddings-v3", base_url=f"https://localhost:{listener.getsockname()[1]}/v1", api_key="k"
    )
    with pytest.raises(ProviderUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        embedder.embed_query("a question")
    assert len(tries) == 1


def test_a_client_that_is_none_is_said_at_once(embed: Any) -> None:
    started = time.monotonic()
    with FaultServer() as server, pytest.raises(ProviderError, match="AttributeError"):
        embed(make(server, http_client=object()), ["a text"])
    assert time.monotonic() - started < 2


def test_a_proxy_that_wants_a_password_is_said_after_one_request() -> None:
    def serve(listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            tries.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            connection.close()

    tries: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    with httpx.Client(proxy=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        embedder = Embedder("jina:jina-embeddings-v3", api_key="k", http_client=client)
        with pytest.raises(ProviderUnavailable, match="407"):
            embedder.embed_query("a question")
    assert len(tries) == 1


@pytest.mark.parametrize("wrong", [lambda: 1 / 0, lambda: 3, lambda: "a key"])
def test_a_callable_that_fails_or_returns_no_key_is_reported_at_once(wrong: Any, embed: Any) -> None:
    started = time.monotonic()
    with FaultServer() as server:
        with pytest.raises((ProviderUnavailable, InputError), match=r"ZeroDivisionError|type int|an invalid character"):
            embed(make(server, api_key=wrong), ["a text"])
        assert server.count == 0
    assert time.monotonic() - started < 2


def test_a_callable_that_hangs_holds_nobody_beyond_the_timeout(embed: Any) -> None:
    def slow() -> str:
        time.sleep(5)
        return "late"

    started = time.monotonic()
    with FaultServer() as server, pytest.raises(DeadlineExceeded):
        embed(make(server, api_key=slow, timeout=0.5), ["a text"])
    assert time.monotonic() - started < 2


def test_a_socks_proxy_without_its_package_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    with pytest.raises(MissingExtra, match="proxy"):
        Embedder("jina:jina-embeddings-v3", api_key="k").embed_query("a question")


# -- sizes and refusals -----------------------------------------------------------------------------------------------


def test_ten_inputs_at_most_are_learnt_and_remembered(embed: Any) -> None:
    texts = texts_of(2000)
    with Simulation(fs.at_most(10)) as server:
        embedder = make(server)
        assert_right(embed(embedder, texts), texts)
        assert server.count <= 260
        before = server.count
        assert_right(embed(embedder, texts), texts)
        assert server.count - before <= 205


def test_one_large_text_does_not_shrink_everyones_batches(embed: Any) -> None:
    def behave(exchange: Exchange) -> None:
        if sum(map(len, exchange.texts)) > 100_000:
            exchange.answer(413, b"too large")
        else:
            exchange.well()

    texts = texts_of(1024)
    texts[700] = "word-" * 30_000
    with Simulation(behave) as server:
        embedder = make(server, batch_tokens=1_000_000)
        with pytest.raises(RequestRefused) as caught:
            embed(embedder, texts)
        assert set(caught.value.failed) == {700}
        assert server.count <= 30
        before = server.count
        embed(embedder, texts_of(512))
        assert server.count - before <= 3


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_provider_that_refuses_everything_costs_tens_of_requests(code: int, embed: Any) -> None:
    with Simulation(fs.first(Exchange.well)) as server:
        embedder = make(server)
        embed(embedder, ["proves the key"])
        server.behave = fs.status(code)
        with pytest.raises(RequestRefused):
            embed(embedder, texts_of(4000))
        assert server.count <= 60


def test_texts_that_are_all_refused_end_a_call_though_one_word_is_taken(embed: Any) -> None:
    with Simulation(fs.poison("text")) as server:
        with pytest.raises(RequestRefused, match="texts refused, 0 accepted"):
            embed(make(server), texts_of(4000))
        assert server.count <= 150


def test_a_gateway_that_is_too_slow_for_a_batch_is_sent_half(embed: Any) -> None:
    def behave(exchange: Exchange) -> None:
        (fs.status(504, "try with smaller inputs") if len(exchange.texts) > 100 else Exchange.well)(exchange)

    texts = texts_of(400)
    with Simulation(behave) as server:
        assert_right(embed(make(server), texts), texts)
        assert server.count <= 14


def test_limits_are_options(embed: Any) -> None:
    texts = texts_of(30)
    with Simulation() as server:
        embed(make(server, batch_items=7), texts)
        assert max(len(exchange.texts) for exchange in server.exchanges) == 7
        del server.exchanges[:]
        embed(make(server, batch_bytes=50), texts)
        assert max(sum(map(len, exchange.texts)) for exchange in server.exchanges) <= 50


def test_the_same_text_is_sent_once_and_fails_everywhere(embed: Any) -> None:
    texts = ["same", "other", "same", "poison", "same", "poison"]
    with Simulation(fs.poison("poison")) as server, pytest.raises(RequestRefused) as caught:
        embed(make(server), texts)
    assert server.exchanges[0].texts == ["same", "other", "poison"]
    assert set(caught.value.failed) == {3, 5}
    for index in (0, 2, 4):
        assert_right(caught.value.partial[index], ["same"])


# -- odd answers ------------------------------------------------------------------------------------------------------


def test_an_error_in_a_200_is_said_in_the_providers_words(embed: Any) -> None:
    behave = lambda exchange: exchange.answer(200, {"error": {"message": "model is loading"}})  # noqa: E731 - one answer
    with Simulation(behave) as server, pytest.raises(ResponseInvalid, match="it says 'model is loading'"):
        embed(make(server), ["a text"])
    assert server.count == 2


def test_an_encoding_that_was_not_asked_for_is_never_decoded(embed: Any) -> None:
    zstd = bytes.fromhex("28b52ffd") + b"\0" * 100
    behave = lambda exchange: exchange.answer(200, zstd, content_encoding="zstd")  # noqa: E731 - one answer
    refused = pytest.raises(ProviderUnavailable, match="encoded as 'zstd', which was not requested")
    with Simulation(behave) as server, refused:
        embed(make(server, max_outage=0.1), ["a text"])
    assert "zstd" not in server.exchanges[0].headers["accept-encoding"]


def test_gzip_that_a_proxy_adds_is_taken(embed: Any) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.answer(200, gzip.compress(json.dumps(exchange.reply()).encode()), content_encoding="gzip")

    with Simulation(behave) as server:
        assert_right(embed(make(server), ["a text"]), ["a text"])


def test_a_gateways_name_for_the_model_is_allowed_by_an_option(embed: Any) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.answer(200, {**exchange.reply(), "model": "house/embedder-1"})

    with Simulation(behave) as server:
        with pytest.raises(ResponseInvalid, match="served_as"):
            embed(make(server), ["a text"])
        assert_right(embed(make(server, served_as="embedder-1"), ["a text"]), ["a text"])


@pytest.mark.parametrize("seconds", [float("inf"), 1e10])
def test_any_timeout_will_do(seconds: float, embed: Any) -> None:
    with Simulation() as server:
        assert_right(embed(make(server, timeout=seconds), ["a text"]), ["a text"])


# -- refused before any request ---------------------------------------------------------------------------------------


def test_binary_of_an_odd_size_is_refused_before_any_request(embed: Any) -> None:
    with Simulation() as server, pytest.raises(InputError, match="multiple of 8 dimensions, not 100"):
        embed(make(server, dimensions=100, encoding="ubinary"), ["a text"])
    assert server.count == 0


def test_a_text_that_openai_cannot_cut_is_refused_by_name() -> None:
    with Simulation() as server:
        embedder = Embedder("openai:text-embedding-3-small", base_url=server.url, truncate="end")
        with pytest.raises(InputError, match=r"text 1 has up to \d+ tokens, .* this provider does not cut"):
            embedder.embed_documents(["short", "word " * 9000])
        assert server.count == 0


def test_an_instruction_of_ones_own_is_not_put_beside_the_providers() -> None:
    with Simulation() as server:
        with pytest.raises(InputError, match="choose no task"):
            make(server, query_instruction="Find: ").embed_query("a question")
        make(server, query_instruction="Find: ", query_task=None).embed_query("a question")
    assert server.exchanges[0].texts == ["Find: a question"]
    assert "task" not in server.exchanges[0].body


async def test_planning_does_not_hold_the_event_loop() -> None:
    with Simulation() as server:
        embedder = make(server)
        await embedder.aembed_query("warm up")
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.005)
                beats += 1

        task = asyncio.create_task(beat())
        await embedder.aembed_documents(["some words of text " * 20 + str(number) for number in range(3000)])
        task.cancel()
    assert beats >= 5


def test_grace_is_given_to_what_is_under_way(monkeypatch: pytest.MonkeyPatch, embed: Any) -> None:
    monkeypatch.setattr(flow, "GRACE", 2.0)

    def behave(exchange: Exchange) -> None:
        if exchange.number == 3:
            exchange.answer(402, {"detail": "no balance"})
        else:
            exchange.pause(0.3 * (exchange.number > 0))
            exchange.well()

    with Simulation(behave) as server, pytest.raises(RequestRefused) as caught:
        embed(make(server, batch_items=1, concurrency=4), texts_of(8))
    assert len(caught.value.partial) == server.count - 1
