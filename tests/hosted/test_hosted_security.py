"""The key, on every surface where one has ever leaked; addresses, redirects and sizes that are refused."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support import faultserver as fs
from support.command_line import exit_code
from support.faultserver import FaultServer
from support.serving import http as http_client
from support.serving import serving
from support.simulation import Simulation, provider_for
from twofold import Document, Embedder, InputError, ProviderError, TwofoldError
from twofold.doctor import examine
from twofold.hosted import http, telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.faultserver import Provider
    from twofold.hosted.backend import HostedBackend

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")
CANARY = "jina_canary5b1d9e7a4c8f2036"
MODEL = "jina:jina-embeddings-v3"
TEXT = "a text that nobody logs"


def make(server: Provider, **options: Any) -> Embedder:
    defaults: dict[str, Any] = {
        "dimensions": 8,
        "base_url": server.url,
        "api_key": CANARY,
        "timeout": 5,
        "max_outage": 0.1,
    }
    return Embedder("jina:jina-embeddings-v3", **{**defaults, **options})


def backend_of(embedder: Embedder) -> HostedBackend:
    return embedder.backend  # type: ignore[return-value]


def surfaces(embedder: Embedder) -> Iterator[str]:
    """Everything that could be shown or stored of an embedder."""
    yield repr(embedder)
    yield str(embedder)
    yield f"{embedder.backend!r} {embedder.settings!r} {embedder._key!r}"
    yield pickle.dumps(embedder).decode("latin-1")
    yield pickle.dumps(embedder._key).decode("latin-1")
    yield repr(copy.copy(embedder))
    yield repr(copy.deepcopy(embedder._key))
    yield json.dumps(embedder.settings.to_dict())
    yield embedder.space.to_json()
    yield repr(vars(embedder))
    yield repr(vars(embedder.backend))
    yield repr(vars(backend_of(embedder)._endpoint.transport))


def test_the_key_is_sent_and_shown_nowhere() -> None:
    with Simulation() as server:
        embedder = make(server)
        embedder.embed_query(TEXT)
        assert server.exchanges[0].headers["authorization"] == f"Bearer {CANARY}"
        for surface in surfaces(embedder):
            assert CANARY not in surface


def sync_call(embedder: Embedder) -> None:
    embedder.embed_queries([TEXT, "another"])


def async_call(embedder: Embedder) -> None:
    asyncio.run(embedder.aembed_queries([TEXT, "another"]))


@pytest.mark.parametrize("name", [*fs.PASSING, *fs.WRONG, *fs.FATAL, "echo", "slow"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_no_error_and_no_traceback_has_the_key_or_the_text(
    name: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Even with the local variables of every frame, and where the provider's answer quotes the key."""
    echo = fs.status(400, f"the key {CANARY} (Bearer {CANARY}) is bad")
    faults = {**fs.PASSING, **fs.WRONG, **fs.FATAL, "echo": echo, "slow": fs.slowly(head=True)}
    caplog.set_level(logging.DEBUG)
    with provider_for(name, faults[name]) as server:
        embedder = make(server, timeout=0.7 if name == "slow" else 5)
        call = sync_call if mode == "sync" else async_call
        with pytest.raises(ProviderError) as caught:
            call(embedder)
    error = caught.value
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert shown.count("core/twofold/hosted/flow.py") >= 1
    assert CANARY not in shown
    assert CANARY not in pickle.dumps(error).decode("latin-1")
    assert CANARY not in repr(vars(error))
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in caplog.text
    assert TEXT not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("twofold"))


def at(place: int, margin: int) -> str:
    """A text in which the key starts `margin` characters before this place."""
    return "x " * ((place - margin) // 2) + "x" * ((place - margin) % 2) + CANARY + " and more"


def _name_the_model(name: str, _: fs.Exchange, reply: dict[str, Any]) -> None:
    reply["model"] = name


ESCAPED = "".join(f"\\u{ord(character):04x}" for character in CANARY)
BOUNDARIES: dict[str, Any] = {
    **{f"message, {margin}": fs.status(400, at(300 - 10, margin)) for margin in (2, 12, 22)},
    **{
        f"{code} that is no JSON, {margin}": partial(fs.Exchange.answer, status=code, body=at(60, margin).encode())
        for code in (200, 500)
        for margin in (2, 12, 22)
    },
    **{
        f"blanks, then the key, {margin}": partial(
            fs.Exchange.answer, status=500, body=b" " * (4096 - margin) + CANARY.encode()
        )
        for margin in (3, 13, 23)
    },
    "escaped in JSON": partial(fs.Exchange.answer, status=400, body=f'{{"detail": "{ESCAPED}"}}'.encode()),
    "request id": fs.status(403, x_request_id=CANARY),
    "long request id": fs.status(403, x_request_id=at(200, 9).replace(" ", "-")),
    "any header": fs.status(503, retry_after=CANARY, x_debug=f"Bearer {CANARY}"),
    **{f"model, {margin}": fs.spoilt(partial(_name_the_model, at(80, margin))) for margin in (2, 12, 22)},
    "message in a 200": partial(fs.Exchange.answer, status=200, body={"error": {"message": at(300, 9)}}),
}


FURTHER = {"message, 12", "500 that is no JSON, 12", "request id", "any header", "model, 12"}
"""For these, the doctor and a server are asked too."""


def shown_elsewhere(embedder: Embedder, server: FaultServer) -> str:
    """What the doctor finds, and what a server answers; the command prints, and the server logs."""
    findings = repr(list(examine(embedder)))
    exit_code(["doctor", MODEL, "--base-url", server.url, "--max-outage", "0.1", "--json", "--api-key-env", "CANARY"])
    with serving(embedder) as url:
        served = http_client.post(f"{url}/v1/embeddings", json={"input": [TEXT]})
    return f"{findings} {served.text} {served.headers}"


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_no_part_of_a_quoted_key_is_shown_anywhere(
    boundary: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever an answer quotes it: in errors, pickles, logs of all levels and libraries, the doctor and the server."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CANARY", CANARY)
    with FaultServer(BOUNDARIES[boundary]) as server:
        embedder = make(server, timeout=2)
        with pytest.raises(ProviderError) as caught:
            embedder.embed_queries([TEXT, "another"])
        elsewhere = shown_elsewhere(embedder, server) if boundary in FURTHER else ""
    logged = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "httpcore.http11" in logged
    printed = "".join(capsys.readouterr())
    error = caught.value
    frames = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    shown = (str(error), repr(vars(error)), pickle.dumps(error).decode("latin-1"), logged, elsewhere, printed, frames)
    for surface in shown:
        for start in range(len(CANARY) - 8):
            assert CANARY[start : start + 9] not in surface


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_no_frame_of_ours_has_the_key_when_planning_or_the_options_fail(mode: str) -> None:
    def overlapping(embedder: Embedder) -> None:
        documents = [Document.from_spans("one two three", [(0, 7), (4, 13)])]
        if mode == "sync":
            embedder.embed_late(documents)
        else:
            asyncio.run(embedder.aembed_late(documents))

    calls: list[Any] = [
        lambda: overlapping(make_quietly()),
        lambda: make_quietly("openai:text-embedding-3-small").embed_chunks(["a ", "b"]),
        lambda: make_quietly(dimensions=10**6),
        lambda: make_quietly(no_such_option=1),
        lambda: make_quietly("jina:"),
    ]
    for call in calls:
        with pytest.raises(InputError) as caught:
            call()
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
        ours = [frame for frame in frames if "core/twofold" in frame.filename]
        assert ours
        assert not [frame for frame in ours if CANARY in str(frame.locals)]


def make_quietly(model: str = "jina:jina-embeddings-v3", **options: Any) -> Embedder:
    return Embedder(model, api_key=CANARY, base_url="https://embeddings.example/v1", **options)


@pytest.mark.parametrize("key", [CANARY, "k7"])
def test_a_rotated_or_short_key_is_redacted_too(key: str) -> None:
    turns = iter(range(9))
    with FaultServer(lambda exchange: exchange.answer(401, {"detail": exchange.headers["authorization"]})) as server:
        embedder = make(server, api_key=lambda: f"{key}{next(turns)}")
        with pytest.raises(ProviderError) as caught:
            embedder.embed_query(TEXT)
    assert key not in str(caught.value)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_an_embedder_keeps_key_and_client(duplicate: Any) -> None:
    with Simulation() as server:
        duplicate(make(server)).embed_query(TEXT)
    assert server.exchanges[0].headers["authorization"] == f"Bearer {CANARY}"


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it() -> None:
    for key in (f"{CANARY}\nx", f"{CANARY} x", f"{CANARY}é"):
        with Simulation() as server, pytest.raises(InputError) as caught:
            make(server, api_key=key).embed_query(TEXT)
        assert CANARY not in str(caught.value)
        assert server.count == 0


def test_keys_come_from_an_argument_a_callable_or_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "from-a-variable")
    calls: list[int] = []

    def rotating() -> str:
        calls.append(1)
        return f"turn-{len(calls)}"

    with FaultServer() as server:
        make(server, api_key=None, api_key_env="MY_KEY").embed_query(TEXT)
        embedder = make(server, api_key=rotating)
        embedder.embed_query(TEXT)
        embedder.embed_query(TEXT)
        monkeypatch.setenv("MY_KEY", "another")
        pickle.loads(pickle.dumps(make(server, api_key="gone", api_key_env="MY_KEY"))).embed_query(TEXT)
    sent = [exchange.headers["authorization"].removeprefix("Bearer ") for exchange in server.exchanges]
    assert sent[0] == "from-a-variable"
    assert sent[1] != sent[2]
    assert sent[3] == "another"


def test_no_key_is_said_before_anything_is_sent() -> None:
    with pytest.raises(InputError, match="set the environment variable JINA_API_KEY, or pass api_key"):
        Embedder("jina:jina-embeddings-v3").embed_query(TEXT)
    with pytest.raises(InputError, match="set the environment variable MY_KEY"):
        Embedder("jina:jina-embeddings-v3", api_key_env="MY_KEY").embed_query(TEXT)


def test_the_usual_variable_is_only_for_the_providers_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base_url out of some stored configuration must not be sent the user's Jina key."""
    monkeypatch.setenv("JINA_API_KEY", CANARY)
    with Simulation() as server:
        make(server, api_key=None).embed_query(TEXT)
        make(server, api_key=None, api_key_env="JINA_API_KEY").embed_query(TEXT)
    assert ["authorization" in exchange.headers for exchange in server.exchanges] == [False, True]


def test_no_key_over_plain_http_except_to_this_machine() -> None:
    options: dict[str, Any] = {"base_url": "http://embeddings.example/v1"}
    with pytest.raises(InputError, match=r"the key would be sent to embeddings\.example unencrypted: use https"):
        _ = Embedder("jina:jina-embeddings-v3", api_key=CANARY, **options).backend
    assert (
        Embedder("jina:jina-embeddings-v3", **options).backend.provider == "jina"
    )  # without a key there is none to lose
    for host in ("127.0.0.1.evil.example", "localhost.evil.example", "127.evil.example"):
        with pytest.raises(InputError, match="unencrypted"):
            _ = Embedder("jina:jina-embeddings-v3", api_key=CANARY, base_url=f"http://{host}/v1").backend


def test_a_redirect_is_not_followed_by_any_client() -> None:
    import httpx

    with FaultServer() as elsewhere:
        behave = fs.status(307, location=elsewhere.url + "/embeddings")
        with FaultServer(behave) as server, httpx.Client(follow_redirects=True) as client:
            for embedder in (make(server), make(server, http_client=client)):
                with pytest.raises(ProviderError, match=r"307 .*redirects are not followed"):
                    embedder.embed_query(TEXT)
        assert elsewhere.count == 0


def test_our_own_clients_check_certificates_and_go_to_this_machine_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with FaultServer() as server:
        embedder = make(server)
        embedder.embed_query(TEXT)
    context = http._certificates()
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.check_hostname


# -- what observers see -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def observed() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    """OpenTelemetry's real SDK, for the rest of this module."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader]))
    telemetry._histograms.cache_clear()
    return exporter, reader


def test_one_span_covers_a_call_and_has_neither_key_nor_text(
    observed: tuple[InMemorySpanExporter, InMemoryMetricReader],
) -> None:
    exporter, reader = observed
    exporter.clear()
    with Simulation(fs.first(fs.status(503))) as server:
        make(server, batch_tokens=10).embed_documents([TEXT, TEXT + "1", TEXT + "2"])
    with Simulation(fs.status(401)) as refusing, pytest.raises(ProviderError):
        make(refusing).embed_query(TEXT)
    done, failed = exporter.get_finished_spans()
    assert done.name == "embeddings jina-embeddings-v3"
    assert done.kind is trace.SpanKind.CLIENT
    assert dict(done.attributes or {}) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "jina",
        "gen_ai.request.model": "jina-embeddings-v3",
        "gen_ai.embeddings.dimension.count": 8,
        "gen_ai.request.encoding_formats": ("base64",),
        "gen_ai.usage.input_tokens": 21,
        "server.address": "127.99.99.99",
        "server.port": server.port,
    }
    assert (failed.attributes or {})["error.type"] == "RequestRefused"
    data = reader.get_metrics_data()
    assert data is not None
    shown = data.to_json() + "".join(span.to_json() for span in (done, failed))
    assert "gen_ai.client.operation.duration" in shown
    assert "gen_ai.client.token.usage" in shown
    assert CANARY not in shown
    assert TEXT not in shown


def test_nothing_is_logged_above_debug_when_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="twofold")
    with Simulation(fs.first(fs.status(503, "busy now"))) as server:
        embedder = make(server)
        embedder.embed_query(TEXT)
        (record,) = [record for record in caplog.records if record.name.startswith("twofold")]
        assert "503 CODE_503: busy now; trying again" in record.getMessage()
        caplog.clear()
        embedder.embed_query(TEXT)
        assert not [record for record in caplog.records if record.name.startswith("twofold")]


def test_a_dropped_embedder_closes_its_connections() -> None:
    with FaultServer() as server:
        embedder = make(server)
        embedder.embed_query(TEXT)
        assert len(server.open_connections) == 1
        del embedder
        gc.collect()
        _wait_until(lambda: not server.open_connections)


def _wait_until(condition: Any) -> None:
    import time

    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_error_of_this_module_is_ours() -> None:
    assert issubclass(ProviderError, TwofoldError)
