"""What goes over the wire to each provider, and how its answers are read; SageMaker's through the real boto3."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import numpy as np
import pytest

from support.faultserver import FaultServer, truth
from support.jina_schema import FIELDS
from support.simulation import Simulation
from twofold import Embedder, InputError, ProviderError, ResponseInvalid
from twofold.cards import CARDS, JINA_V3
from twofold.hosted.addresses import address
from twofold.hosted.providers import PROVIDERS
from twofold.hosted.rows import JINA
from twofold.resolve import known_card, split_model
from twofold.vectors import normalize, quantize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.faultserver import Exchange

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")
TEXTS = ["one text", "another"]


def rows(texts: list[str], width: int) -> np.ndarray:
    return np.array([truth(text, None, width) for text in texts])


def listed(name: str, width: int, **more: Any) -> Callable[[Exchange], None]:
    """Answer as OpenAI and its like do, with the vectors as lists."""

    def behave(exchange: Exchange) -> None:
        data = [{"index": i, "embedding": row.tolist()} for i, row in enumerate(rows(exchange.body[name], width))]
        exchange.answer(200, {"data": data, "usage": {"total_tokens": 5}, **more})

    return behave


# -- Jina -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", JINA.models)
def test_every_model_of_jina_is_asked_within_its_schema(model: str) -> None:
    card = JINA.models[model].card
    with Simulation() as server:  # it holds every request to the schema
        embedder = Embedder(f"jina:{model}", base_url=server.url, api_key="k", truncate="end", dimensions=card.width)
        hosted = JINA.models[model]
        for side in (embedder.query_task, embedder.document_task):
            embedder.backend.embed([], side, card.width)
        if "dimensions" in hosted.accepts:
            small = Embedder(f"jina:{model}", base_url=server.url, api_key="k", dimensions=32)
            small.embed_queries(TEXTS)
            small.embed_documents(TEXTS)
            query, document = server.exchanges
            assert query.body["dimensions"] == document.body["dimensions"] == 32
            assert query.body["task"].endswith(".query")
            assert document.body["task"].endswith(".passage")
    assert set(FIELDS) == set(JINA.models)


def test_the_schema_of_the_tests_and_the_table_agree() -> None:
    words = {"task": "task", "dimensions": "dimensions", "late_chunking": "late", "normalized": "normalize"}
    for model, (fields, tasks, widest) in FIELDS.items():
        hosted = JINA.models[model]
        assert {words[field] for field in fields if field in words} | {"truncate"} == hosted.accepts
        assert {task.name for task in hosted.card.tasks} == tasks
        assert not widest or hosted.card.width <= widest


def test_hosted_v3_is_the_same_model_as_the_local_one() -> None:
    hosted, local = Embedder("jina:jina-embeddings-v3", api_key="k"), CARDS["jinaai/jina-embeddings-v3"]
    assert hosted.card is local is JINA_V3
    assert hosted.space.provider == "jina"
    assert hosted.space.weights is None
    assert hosted.space.query_prefix == "Represent the query for retrieving evidence documents: "


def test_the_instruction_is_left_to_jina() -> None:
    with Simulation() as server:
        Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=8).embed_query("a question")
    assert server.exchanges[0].body == {
        "model": "jina-embeddings-v3",
        "input": ["a question"],
        "task": "retrieval.query",
        "dimensions": 8,
        "normalized": True,
        "truncate": False,
        "embedding_type": "base64",
    }


def test_any_task_and_the_bare_model() -> None:
    with Simulation() as server:
        embedder = Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=8)
        embedder.embed(TEXTS, task="separation")
        embedder.embed(TEXTS, task=None)
    assert [exchange.body.get("task", "none") for exchange in server.exchanges] == ["separation", "none"]


def test_a_model_whose_task_can_not_be_left_out_is_not_asked_bare() -> None:
    with Simulation() as server, pytest.raises(InputError, match=r"does not serve .*v5-text-small without a task"):
        Embedder("jina:jina-embeddings-v5-text-small", base_url=server.url, api_key="k").embed(TEXTS, task=None)
    assert server.count == 0


@pytest.mark.parametrize("encoding", ["float", "base64", "binary", "ubinary"])
def test_every_encoding_is_unpacked_exactly(encoding: Any) -> None:
    with Simulation() as server:
        embedder = Embedder(
            "jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=64, encoding=encoding
        )
        vectors = embedder.embed_documents(TEXTS)
    assert server.exchanges[0].body["embedding_type"] == encoding
    right = np.array([truth(text, "retrieval.passage", 64) for text in TEXTS])
    if "binary" in encoding:
        right = normalize(np.where(right > 0, 1, -1).astype(np.float32))
        assert (quantize(vectors, "ubinary") == np.packbits(right > 0, axis=1)).all()
        assert embedder.space.quantisation == "binary"
    np.testing.assert_allclose(vectors, right, atol=1e-6)


def test_usage_is_summed_over_calls_and_threads_of_requests() -> None:
    with Simulation() as server:
        embedder = Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=8, batch_tokens=10)
        embedder.embed_documents([f"word {number}" for number in range(6)])
        embedder.embed_query("three words here")
    usage = embedder.backend.usage  # type: ignore[attr-defined]
    assert usage.tokens == 6 * 4 + 5
    assert usage.requests == server.count == usage.retries + 7


# -- the others -------------------------------------------------------------------------------------------------------


def test_openai_gets_its_own_fields_and_no_task() -> None:
    with Simulation(listed("input", 256, model="text-embedding-3-small")) as server:
        embedder = Embedder("openai:text-embedding-3-small", base_url=server.url, api_key="k", dimensions=256)
        np.testing.assert_allclose(embedder.embed_documents(TEXTS), rows(TEXTS, 256), atol=1e-6)
        body = {"model": "text-embedding-3-small", "input": TEXTS, "dimensions": 256, "encoding_format": "base64"}
        assert server.exchanges[0].body == body
    with Simulation(listed("input", 1536, model="text-embedding-ada-002-v2")) as server:
        Embedder("openai:text-embedding-ada-002", base_url=server.url).embed_query("another name for the same")


def test_a_known_model_behind_openais_api_gets_its_instruction_from_us() -> None:
    with Simulation(listed("input", 768)) as server:
        embedder = Embedder("openai:intfloat/e5-base-v2", base_url=server.url)
        embedder.embed_query("a question")
        embedder.embed_documents(["an answer"])
    assert [exchange.body["input"] for exchange in server.exchanges] == [["query: a question"], ["passage: an answer"]]
    assert "authorization" not in server.exchanges[0].headers
    assert embedder.card is CARDS["intfloat/e5-base-v2"]


async def test_the_width_of_an_unknown_model_is_learnt_from_one_word() -> None:
    with Simulation(listed("input", 24)) as server:
        embedder = Embedder("openai:house-model", base_url=server.url, dimensions=12)
        assert server.count == 0
        vectors = await embedder.aembed_documents(TEXTS)
    assert server.exchanges[0].body["input"] == ["test"]
    assert "dimensions" not in server.exchanges[1].body
    assert vectors.shape == (2, 12)
    assert (embedder.card.name, embedder.card.width, embedder.space.width) == ("house-model", 24, 24)
    np.testing.assert_allclose(vectors, normalize(rows(TEXTS, 24)[:, :12]), atol=1e-6)


async def test_the_width_of_an_unknown_model_is_learnt_with_an_async_client_too() -> None:
    with FaultServer(listed("input", 24)) as server:
        async with httpx.AsyncClient() as client:
            embedder = Embedder("openai:house-model", base_url=server.url, http_client=client)
            assert (await embedder.aembed_query("a question")).shape == (24,)
            assert (await embedder.aembed_documents(TEXTS)).shape == (2, 24)


def test_what_nobody_knows_the_length_of_is_not_cut() -> None:
    with Simulation(listed("input", 24)) as server:
        embedder = Embedder("openai:house-model", base_url=server.url, truncate="end")
        with pytest.raises(InputError, match="openai does not cut texts"):
            embedder.embed_documents(TEXTS)


@pytest.mark.parametrize("model", ["voyage-3.5", "voyage-3.5-lite", "voyage-3-large", "voyage-code-3"])
def test_voyage_at_its_defaults_is_asked_for_the_whole_width(model: str) -> None:
    def behave(exchange: Exchange) -> None:
        listed("input", exchange.body.get("output_dimension", 1024), model=model)(exchange)

    with Simulation(behave) as server:
        assert Embedder(f"voyage:{model}", base_url=server.url).embed_documents(TEXTS).shape == (2, 2048)
        embedder = Embedder(f"voyage:{model}", base_url=server.url, dimensions=1024)
        assert embedder.embed_documents(TEXTS).shape == (2, 1024)
    assert [exchange.body.get("output_dimension") for exchange in server.exchanges] == [2048, None]


@pytest.mark.usefixtures("aws")
def test_sagemakers_throttling_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def behave(exchange: Exchange) -> None:
        if exchange.number < 2:
            exchange.answer(400, {"Message": "Rate exceeded"}, x_amzn_errortype="ThrottlingException")
        else:
            sagemaker(exchange)

    with FaultServer(behave, "/endpoints/my-endpoint/invocations") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{server.port}")
        embedder = Embedder("sagemaker:jina-embeddings-v3", base_url="my-endpoint", dimensions=64)
        assert embedder.embed_documents(TEXTS).shape == (2, 64)
    assert server.count == 3


def test_no_credentials_of_aws_are_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import boto3

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of other tests
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    started = time.monotonic()
    with pytest.raises(ProviderError, match="NoCredentialsError"):
        Embedder("sagemaker:jina-embeddings-v3", base_url="my-endpoint").embed_query("a question")
    assert time.monotonic() - started < 5


def test_a_server_that_changes_its_width_is_caught() -> None:
    def behave(exchange: Exchange) -> None:
        listed("input", 24 if exchange.number < 2 else 16)(exchange)

    with Simulation(behave) as server:
        embedder = Embedder("openai:house-model", base_url=server.url)
        embedder.embed_documents(TEXTS)
        with pytest.raises(ResponseInvalid, match="vectors of 16 dimensions instead of 24"):
            embedder.embed_documents(TEXTS)


def test_v3_can_not_be_told_its_task_over_openais_api() -> None:
    with pytest.raises(InputError, match=r"must be told its task.*'jina:jina-embeddings-v3' with base_url"):
        Embedder("openai:jinaai/jina-embeddings-v3", base_url="http://127.0.0.1:1/v1")


def test_cohere_is_told_the_side_as_an_input_type() -> None:
    def behave(exchange: Exchange) -> None:
        vectors = rows(exchange.body["texts"], 512).tolist()
        exchange.answer(200, {"embeddings": {"float": vectors}, "meta": {"billed_units": {"input_tokens": 7}}})

    with Simulation(behave, "/v2/embed") as server:
        url = server.url.replace("/v1", "/v2")
        embedder = Embedder("cohere:embed-v4.0", base_url=url, api_key="k", dimensions=300)
        vectors = embedder.embed_documents(TEXTS)
        embedder.embed_query("a question")
        document, query = server.exchanges
    assert document.body == {
        "model": "embed-v4.0",
        "texts": TEXTS,
        "input_type": "search_document",
        "output_dimension": 512,  # the least size on offer that holds 300
        "truncate": "NONE",
        "embedding_types": ["float"],
    }
    assert query.body["input_type"] == "search_query"
    np.testing.assert_allclose(vectors, normalize(rows(TEXTS, 512)[:, :300]), atol=1e-6)
    assert embedder.backend.usage.tokens == 14  # type: ignore[attr-defined]


def test_cohere_takes_96_texts() -> None:
    def behave(exchange: Exchange) -> None:
        exchange.answer(200, {"embeddings": {"float": rows(exchange.body["texts"], 1024).tolist()}})

    with Simulation(behave, "/embed") as server:
        url = server.url.removesuffix("/v1")
        Embedder("cohere:embed-english-v3.0", base_url=url, api_key="k").embed_documents(
            [f"text {number}" for number in range(200)]
        )
    assert sorted(len(exchange.body["texts"]) for exchange in server.exchanges) == [8, 96, 96]


def test_voyage_is_told_the_side_and_the_size() -> None:
    with Simulation(listed("input", 256, model="voyage-3.5")) as server:
        embedder = Embedder("voyage:voyage-3.5", base_url=server.url, api_key="k", dimensions=256, truncate="end")
        embedder.embed_query("a question")
    assert server.exchanges[0].body == {
        "model": "voyage-3.5",
        "input": ["a question"],
        "input_type": "query",
        "output_dimension": 256,
        "truncation": True,
        "encoding_format": "base64",
    }


def test_text_embeddings_inference() -> None:
    def behave(exchange: Exchange) -> None:
        if exchange.number == 0:
            exchange.answer(424, {"error": "inference failed", "error_type": "backend"})
        else:
            exchange.answer(200, rows(exchange.body["inputs"], 384).tolist())

    with Simulation(behave, "/embed") as server:
        embedder = Embedder("tei:BAAI/bge-small-en-v1.5", base_url=server.url.removesuffix("/v1"))
        embedder.embed_query("a question")
        assert server.exchanges[1].body == {
            "inputs": ["Represent this sentence for searching relevant passages: a question"],
            "normalize": True,
            "truncate": False,
        }
        embedder.embed_documents([f"text {number}" for number in range(40)])
    assert sorted(len(exchange.body["inputs"]) for exchange in server.exchanges[2:]) == [8, 32]


def test_jina_on_azure_is_jinas_api_at_an_address_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_JINA_API_KEY", "azure-key")
    with pytest.raises(InputError, match="'azure-jina' needs base_url"):
        _ = Embedder("azure-jina:jina-embeddings-v3").backend
    with Simulation() as server:
        Embedder("azure-jina:jina-embeddings-v3", base_url=server.url, dimensions=8).embed_documents(TEXTS)
    assert server.exchanges[0].headers["authorization"] == "Bearer azure-key"
    assert server.exchanges[0].body["task"] == "retrieval.passage"


# -- SageMaker --------------------------------------------------------------------------------------------------------


def sagemaker(exchange: Exchange) -> None:
    texts = [item["text"] if isinstance(item, dict) else item for item in exchange.body["data"]]
    width = exchange.body.get("parameters", {}).get("dimensions", 1024)
    data = [{"id": "x", "embedding": row.tolist(), "usage": {"total_tokens": 4}} for row in rows(texts, width)]
    exchange.answer(200, {"data": data})


@pytest.mark.usefixtures("aws")
async def test_sagemaker_through_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(sagemaker, "/endpoints/my-endpoint/invocations") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{server.port}")
        embedder = Embedder("sagemaker:jina-embeddings-v3", base_url="my-endpoint", dimensions=64)
        np.testing.assert_allclose(embedder.embed_documents(TEXTS), rows(TEXTS, 64), atol=1e-6)
        np.testing.assert_allclose(await embedder.aembed_query("q"), rows(["q"], 64)[0], atol=1e-6)
        code = Embedder("sagemaker:jina-code-embeddings-0.5b", base_url="my-endpoint", dimensions=64)
        code.embed_query("sort a list")
    assert server.exchanges[0].body == {
        "data": [{"text": text} for text in TEXTS],
        "parameters": {"task": "retrieval.passage", "dimensions": 64},
    }
    assert server.exchanges[2].body["data"] == ["sort a list"]
    assert embedder.backend.usage.tokens == 12  # type: ignore[attr-defined]


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("code", "body", "status", "requests"),
    [
        (403, {"Message": "not allowed"}, 403, 1),
        (424, {"OriginalStatusCode": 422, "OriginalMessage": "bad text", "Message": "model error"}, 422, 1),
        (503, {"Message": "busy"}, 503, 3),
    ],
)
def test_sagemakers_errors_are_told_apart(
    code: int, body: Any, status: int, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(exchange: Exchange) -> None:
        name = {403: "AccessDeniedException", 424: "ModelError", 503: "ServiceUnavailable"}[code]
        exchange.answer(code, body, x_amzn_errortype=name)

    with FaultServer(behave, "/endpoints/my-endpoint/invocations") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{server.port}")
        embedder = Embedder("sagemaker:jina-embeddings-v3", base_url="my-endpoint", max_outage=0.1)
        with pytest.raises(ProviderError) as caught:
            embedder.embed_query("one")
    assert caught.value.status == status
    assert server.count == requests


# -- clients, names, cards --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_clients_of_the_users_own(library: Any) -> None:
    with FaultServer() as server:
        options: dict[str, Any] = {"base_url": server.url, "api_key": "k", "dimensions": 8}
        with library.Client(headers={"x-mine": "yes"}, follow_redirects=True) as client:
            embedder = Embedder("jina:jina-embeddings-v3", http_client=client, **options)
            embedder.embed_documents(TEXTS)
            await embedder.aembed_documents(TEXTS)
            assert not client.is_closed
        async with library.AsyncClient(headers={"x-mine": "yes"}) as client:
            embedder = Embedder("jina:jina-embeddings-v3", http_client=client, **options)
            await embedder.aembed_documents(TEXTS)
            with pytest.raises(InputError, match="async client"):
                embedder.embed_documents(TEXTS)
            assert not client.is_closed
    assert [exchange.headers["x-mine"] for exchange in server.exchanges] == ["yes"] * 3


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("form", ["json", "gzip", "read by a hook"])
def test_a_response_that_the_users_client_has_read_already(library: Any, mode: str, form: str) -> None:
    """MockTransport, caches, recorders and response hooks hand on a body that is in memory and decoded."""

    class Stream(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, body: bytes) -> None:
            self._body = body

        def __iter__(self) -> Any:
            yield self._body

        async def __aiter__(self) -> Any:
            yield self._body

    def answer(request: Any) -> Any:
        asked = json.loads(request.content)
        data = [{"embedding": truth(text, None, 8).tolist()} for text in asked["input"]]
        body = {"data": data, "model": asked["model"], "usage": {"total_tokens": 5}}
        if form == "json":
            return library.Response(200, json=body)
        packed = gzip.compress(json.dumps(body).encode())
        if form == "gzip":
            return library.Response(200, content=packed, headers={"content-encoding": "gzip"})
        return library.Response(200, stream=Stream(packed), headers={"content-encoding": "gzip"})

    async def read(response: Any) -> None:
        await response.aread()

    hook = read if mode == "async" else library.Response.read
    options = {"event_hooks": {"response": [hook]}} if form == "read by a hook" else {}
    options["transport"] = library.MockTransport(answer)
    client = library.AsyncClient(**options) if mode == "async" else library.Client(**options)
    embedder = Embedder("jina:jina-embeddings-v3", http_client=client, api_key="k", dimensions=8)
    found = embedder.embed_documents(TEXTS) if mode == "sync" else asyncio.run(embedder.aembed_documents(TEXTS))
    np.testing.assert_allclose(found, rows(TEXTS, 8), atol=1e-6)
    assert embedder.backend.usage.requests == 1  # type: ignore[attr-defined]


def test_a_body_that_was_read_already_is_held_to_its_bound() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b'{"data": "' + b"x" * 4_000_000 + b'"}'))
    embedder = Embedder("jina:jina-embeddings-v3", http_client=httpx.Client(transport=transport), api_key="k")
    with pytest.raises(ResponseInvalid, match=r"its answer is invalid, twice in a row: .* bytes"):
        embedder.embed_documents(TEXTS)


def test_cards_are_known_without_asking() -> None:
    assert known_card("jina:jina-embeddings-v3") is JINA_V3
    assert known_card("openai:text-embedding-3-large").width == 3072  # type: ignore[union-attr]
    assert known_card("openai:house-model") is None
    with pytest.raises(InputError, match=r"dimensions=2000, but .* has 1 to 1024"):
        Embedder("jina:jina-embeddings-v3", dimensions=2000)
    with pytest.raises(InputError, match="no task 'clustering'"):
        Embedder("jina:jina-embeddings-v3", query_task="clustering")
    with pytest.raises(InputError, match="write 'jina:<model>'"):
        Embedder("jina:")
    with pytest.raises(InputError, match=r"azure-jina, azure-openai, bedrock, .*, voyage"):
        split_model("azure:model")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/v1", "https://"),
        ("host/v1", "https://"),
        ("https://host/v1?key=1", "a query"),
        ("https://user:pw@host/v1", "user name"),
    ],
)
def test_addresses_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        address(PROVIDERS["jina"], "/embeddings", url)


def test_a_base_url_becomes_the_address_that_is_asked() -> None:
    assert address(PROVIDERS["jina"], "/embeddings", None) == "https://api.jina.ai/v1/embeddings"
    assert address(PROVIDERS["openai"], "/embeddings", "http://h:1/v1/") == "http://h:1/v1/embeddings"
    assert address(PROVIDERS["openai"], "/embeddings", "http://h:1/v1/embeddings") == "http://h:1/v1/embeddings"
