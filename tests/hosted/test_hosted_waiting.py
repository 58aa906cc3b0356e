"""Waiting is visible, and what no waiting mends is said within seconds: an address, a name, a model."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from support import faultserver as fs
from support.faultserver import FaultServer
from support.simulation import Simulation
from twofold import Embedder, InputError, ProviderError
from twofold.errors import ProviderUnavailable
from twofold.hosted import flow, loop
from twofold.hosted.providers import PROVIDERS

if TYPE_CHECKING:
    from support.faultserver import Provider

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")


def make(server: Provider, **options: Any) -> Embedder:
    defaults: dict[str, Any] = {"dimensions": 8, "base_url": server.url, "api_key": "k", "timeout": 600}
    return Embedder("jina:jina-embeddings-v3", **{**defaults, **options})


@pytest.fixture(autouse=True)
def _real_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of every client: the clock is virtual, or the test sets another bound."""
    monkeypatch.undo()
    monkeypatch.delenv("JINA_API_KEY", raising=False)


def notices(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_wait_is_shown_within_seconds_and_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with Simulation(fs.status(503, "down for repairs")) as server:
        started = server.now
        with pytest.raises(ProviderUnavailable):
            make(server, timeout=300).embed_query("a question")
        assert server.now - started > 290
    shown = notices(caplog)
    assert 4 <= len(shown) <= 6
    assert "jina:jina-embeddings-v3: waiting until " in shown[0]
    assert f"for 127.99.99.99:{server.port}: 503 CODE_503: down for repairs" in shown[0]


def test_many_calls_give_one_notice(caplog: pytest.LogCaptureFixture) -> None:
    async def calls(embedder: Embedder) -> None:
        await asyncio.gather(*(embedder.aembed_query(f"question {n}") for n in range(20)), return_exceptions=True)

    with Simulation(fs.status(503)) as server:
        loop.call(calls(make(server, timeout=50)))
    assert len(notices(caplog)) == 1


def test_a_long_wait_that_the_provider_asks_for_is_shown_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with Simulation(fs.first(fs.status(429, "slow down", retry_after="150"))) as server:
        make(server).embed_query("a question")
    assert len(notices(caplog)) == 3
    assert "429 CODE_429: slow down" in notices(caplog)[0]


def test_a_short_fault_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with Simulation(fs.first(fs.status(503))) as server:
        make(server).embed_query("a question")
    assert notices(caplog) == []


def test_the_progress_line_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Simulation(fs.first(fs.status(429, "slow down", retry_after="50"))) as server:
        make(server, timeout=float("inf")).embed_documents(["a text"], progress=True)
    assert (
        f"embedding: 0 done, waiting for 127.99.99.99:{server.port}: 429 CODE_429: slow down\n"
        in capsys.readouterr().err
    )


# -- the first contact ------------------------------------------------------------------------------------------------


def test_a_host_that_cannot_be_reached_at_first_is_said_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert flow.FIRST_CONTACT <= 5
    monkeypatch.setattr(flow, "FIRST_CONTACT", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for host in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        started = time.monotonic()
        embedder = Embedder("jina:jina-embeddings-v3", base_url=f"{host}/v1", timeout=600)
        with pytest.raises(ProviderUnavailable, match=r"ConnectError.* has never answered\. Check the address"):
            embedder.embed_query("a question")
        assert time.monotonic() - started < 5


def test_max_outage_waits_for_a_server_that_starts_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    embedder = Embedder("jina:jina-embeddings-v3", base_url=f"http://127.0.0.1:{port}/v1", timeout=9, max_outage=1.2)
    with pytest.raises(ProviderUnavailable, match=r"unavailable for longer than max_outage=1.2 s"):
        embedder.embed_query("a question")


def test_a_host_that_has_answered_before_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "FIRST_CONTACT", 0.1)
    with FaultServer(fs.status(401)) as server:
        embedder = make(server, timeout=2)
        with pytest.raises(ProviderError, match="401"):
            embedder.embed_query("a question")
    with pytest.raises(ProviderUnavailable, match="the timeout of 2 s ran out"):
        embedder.embed_query("a question")


# -- the model's name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("openai:text-embeding-3-small", "text-embedding-3-small"),
        ("openai:text_embedding_3_small", "text-embedding-3-small"),
        ("openai:Text-Embedding-3-Small", "text-embedding-3-small"),
        ("voyage:voyage4", "voyage-4"),
        ("cohere:embed-multilngual-v3.0", "embed-multilingual-v3.0"),
        ("jina:jina-embedding-v3", "jina-embeddings-v3"),
        ("gemini:gemini-embeddings-001", "gemini-embedding-001"),
        ("mistral:mistral-embd", "mistral-embed"),
        ("voyage:voyage-contxt-4", "voyage-context-4"),
    ],
)
def test_a_misspelt_model_is_said_before_anything_is_sent(model: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"did you mean '{meant}'"):
        _ = Embedder(model, api_key="k").space
    with pytest.raises(InputError, match=f"did you mean '{meant}'"):
        Embedder(model, api_key="k").embed_query("a question")


@pytest.mark.parametrize(
    "model",
    [
        *(
            "openai:text-embedding-4-small",
            "voyage:voyage-5",
            "voyage:voyage-large-2",
            "voyage:voyage-multilingual-2",
        ),
        *("cohere:embed-v5.0-pro", "cohere:embed-v5.0-fast", "mistral:mistral-embed-2312", "voyage:voyage-code-4"),
        *("gemini:gemini-embedding-003", "jina:jina-embeddings-v6-text-small", "jina:jina-embeddings-v5-omni-small"),
    ],
)
def test_a_new_model_is_not_taken_for_a_misspelt_one(model: str) -> None:
    provider, _, name = model.partition(":")
    PROVIDERS[provider].check_spelling(name)


def test_no_known_model_is_a_misspelling_of_another() -> None:
    for row in PROVIDERS.values():
        for part in (row, *row.apart):
            for name in part.models:
                if name not in PROVIDERS[row.name].row_of(name).models:
                    row.check_spelling(name)


def test_ones_own_server_may_name_its_models_as_it_likes() -> None:
    with Simulation() as server:
        embedder = Embedder("openai:text-embeding-3-small", base_url=server.url, api_key="k")
        assert embedder.backend.provider == "openai"
