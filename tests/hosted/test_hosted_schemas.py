"""Providers beside Jina, each held to its own published schema by a server on this machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import schemas
from support.schemas import SchemaServer, SchemaSocketServer, right
from twofold import Document, Embedder, InputError
from twofold.hosted.providers import PROVIDERS

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")
TEXTS = ["one text", "another"]
MANY = [f"text {number}" for number in range(120)]


def same(vectors: Any, expected: Any) -> None:
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


# -- Gemini -----------------------------------------------------------------------------------------------------------


def gemini(model: str = "gemini-embedding-001") -> SchemaServer:
    path = f"/v1/models/{model}:batchEmbedContents"
    return SchemaServer(schemas.GEMINI, schemas.gemini, path, needs="x-goog-api-key: k")


def test_gemini_is_told_the_side_and_the_size() -> None:
    with gemini() as server:
        embedder = Embedder("gemini:gemini-embedding-001", base_url=server.url, api_key="k", dimensions=768)
        same(embedder.embed_documents(TEXTS), right(TEXTS, 768, "RETRIEVAL_DOCUMENT"))
        same(embedder.embed_query("a question"), right(["a question"], 768, "RETRIEVAL_QUERY")[0])
        same(embedder.embed(TEXTS, task="CLUSTERING"), right(TEXTS, 768, "CLUSTERING"))
        first = server.exchanges[0]
    assert first.body["requests"][0] == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "one text"}]},
        "taskType": "RETRIEVAL_DOCUMENT",
        "outputDimensionality": 768,
    }
    assert "authorization" not in first.headers


def test_gemini_takes_100_texts_and_cuts_in_silence() -> None:
    with gemini() as server:
        embedder = Embedder("gemini:gemini-embedding-001", base_url=server.url, api_key="k")
        embedder.embed_documents(MANY)
        assert sorted(len(exchange.body["requests"]) for exchange in server.exchanges) == [20, 100]
        with pytest.raises(InputError, match=r"text 1 has at least 3000 tokens, the limit is 2048.*truncate='end'"):
            embedder.embed_documents(["short", "a " * 3000])
        assert server.count == 2
        cut = Embedder("gemini:gemini-embedding-001", base_url=server.url, api_key="k", truncate="end")
        cut.embed_documents(["a " * 3000])
    assert "truncate" not in str(server.exchanges[-1].body)


def test_the_second_gemini_reads_its_task_in_the_text() -> None:
    with gemini("gemini-embedding-2") as server:
        embedder = Embedder("gemini:gemini-embedding-2", base_url=server.url, api_key="k")
        embedder.embed_query("why?")
        embedder.embed_documents(["because"])
        query, document = (exchange.body["requests"][0] for exchange in server.exchanges)
    assert query["content"]["parts"] == [{"text": "task: search result | query: why?"}]
    assert document["content"]["parts"] == [{"text": "title: none | text: because"}]
    assert "taskType" not in query


# -- Mistral, Nomic ---------------------------------------------------------------------------------------------------


def test_requests_to_mistral_keep_its_schema() -> None:
    with SchemaServer(schemas.MISTRAL, schemas.mistral, "/v1/embeddings", needs="authorization: Bearer k") as server:
        embedder = Embedder("mistral:mistral-embed", base_url=server.url, api_key="k")
        same(embedder.embed_documents(TEXTS), right(TEXTS, 1024))
        small = Embedder("mistral:codestral-embed", base_url=server.url, api_key="k", dimensions=512)
        same(small.embed_query("sort a list"), right(["sort a list"], 512)[0])
        usual = Embedder("mistral:codestral-embed", base_url=server.url, api_key="k", dimensions=1536)
        same(usual.embed_query("sort a list"), right(["sort a list"], 1536)[0])
        embedder.embed_documents([f"text {number}" for number in range(300)])
        bodies = [exchange.body for exchange in server.exchanges]
    assert bodies[0] == {"model": "mistral-embed", "input": TEXTS}
    assert bodies[1]["output_dimension"] == 512
    assert "output_dimension" not in bodies[2]
    assert sorted(len(body["input"]) for body in bodies[3:]) == [44, 256]


def test_requests_to_nomic_keep_its_schema() -> None:
    with SchemaServer(schemas.NOMIC, schemas.nomic, "/v1/embedding/text") as server:
        embedder = Embedder("nomic:nomic-embed-text-v1.5", base_url=server.url, api_key="k", dimensions=200)
        same(embedder.embed_query("a question"), _cut(right(["a question"], 256), 200)[0])
        embedder.embed_documents(MANY)
        bodies = [exchange.body for exchange in server.exchanges]
        with pytest.raises(InputError, match="at least 9001 tokens"):
            embedder.embed_documents(["a " * 9000])
    assert bodies[0] == {
        "model": "nomic-embed-text-v1.5",
        "texts": ["a question"],
        "task_type": "search_query",
        "dimensionality": 256,
        "long_text_mode": "truncate",  # never the mean of pieces, which is its default
    }
    assert {body["task_type"] for body in bodies[1:]} == {"search_document"}
    assert sorted(len(body["texts"]) for body in bodies[1:]) == [20, 50, 50]
    assert embedder.backend.usage.tokens == 36  # type: ignore[attr-defined]


def _cut(vectors: np.ndarray, size: int) -> np.ndarray:
    short = vectors[:, :size]
    return np.asarray(short / np.linalg.norm(short, axis=1, keepdims=True))


# -- Azure OpenAI -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deployment", ["text-embedding-3-large", "prod/embed 1"])
def test_azure_openai_has_the_deployment_in_its_path(deployment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    place = "/openai/deployments/" + deployment.replace("/", "%2F").replace(" ", "%20")
    path = f"{place}/embeddings?api-version=2024-10-21"
    with SchemaServer(schemas.AZURE_OPENAI, schemas.azure, path, needs="api-key: azure-key") as server:
        url = server.url.removesuffix("/v1")
        own = deployment != "text-embedding-3-large"
        embedder = Embedder(
            "azure-openai:text-embedding-3-large", base_url=f"{url}{place}" if own else url, dimensions=256
        )
        same(embedder.embed_documents(TEXTS), right(TEXTS, 256))
    assert "authorization" not in server.exchanges[0].headers
    assert server.exchanges[0].body["dimensions"] == 256
    assert (embedder.card.width, embedder.space.provider) == (3072, "azure-openai")


def test_azure_openai_wants_an_address() -> None:
    with pytest.raises(InputError, match="'azure-openai' needs base_url"):
        _ = Embedder("azure-openai:text-embedding-3-small", api_key="k").backend


# -- Bedrock ----------------------------------------------------------------------------------------------------------


async def test_titan_on_bedrock_takes_one_text_a_request(aws: pytest.MonkeyPatch) -> None:
    with SchemaSocketServer(schemas.TITAN, schemas.titan, "/model/amazon.titan-embed-text-v2%3A0/invoke") as server:
        aws.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"http://127.0.0.1:{server.port}")
        embedder = Embedder("bedrock:amazon.titan-embed-text-v2:0", dimensions=512)
        same(embedder.embed_documents(TEXTS), right(TEXTS, 512))
        same(await embedder.aembed_query("q"), right(["q"], 512)[0])
    assert server.exchanges[0].body == {"inputText": "one text", "dimensions": 512, "normalize": True}
    assert embedder.backend.usage.tokens == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("model", "base_url", "invoked", "end"),
    [
        ("cohere.embed-multilingual-v3", None, "cohere.embed-multilingual-v3", "END"),
        ("eu.cohere.embed-v4:0", None, "eu.cohere.embed-v4%3A0", "RIGHT"),
        ("cohere.embed-v4:0", "my-profile", "my-profile", "RIGHT"),
    ],
)
def test_cohere_on_bedrock(model: str, base_url: str | None, invoked: str, end: str, aws: pytest.MonkeyPatch) -> None:
    schema = schemas.BEDROCK_COHERE_4 if "v4" in model else schemas.BEDROCK_COHERE_3
    with SchemaSocketServer(schema, schemas.bedrock_cohere, f"/model/{invoked}/invoke") as server:
        aws.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"http://127.0.0.1:{server.port}")
        embedder = Embedder(f"bedrock:{model}", base_url=base_url, dimensions=1024, truncate="end")
        same(embedder.embed_documents(MANY), right(MANY, 1024))
        embedder.embed_query("q")
    assert sorted(len(exchange.body["texts"]) for exchange in server.exchanges) == [1, 24, 96]
    assert server.exchanges[0].body["input_type"] == "search_document"
    assert server.exchanges[-1].body["input_type"] == "search_query"
    assert server.exchanges[0].body["truncate"] == end
    assert embedder.card.name == ("embed-v4.0" if "v4" in model else "embed-multilingual-v3.0")


# -- Voyage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["voyage-4-large", "voyage-4", "voyage-4-lite"])
def test_requests_to_voyage_4_keep_its_schema(model: str) -> None:
    with SchemaServer(schemas.VOYAGE, schemas.voyage, "/v1/embeddings") as server:
        embedder = Embedder(f"voyage:{model}", base_url=server.url, api_key="k", dimensions=1024)
        same(embedder.embed_documents(TEXTS), right(TEXTS, 1024))
        wide = Embedder(f"voyage:{model}", base_url=server.url, api_key="k")
        same(wide.embed_query("q"), right(["q"], 2048)[0])
    assert [exchange.body.get("output_dimension") for exchange in server.exchanges] == [None, 2048]


def test_each_voyage_model_has_a_token_limit_of_its_own() -> None:
    limits = {model: PROVIDERS["voyage"].row_of(model).max_tokens for model in PROVIDERS["voyage"].models}
    assert limits["voyage-4-lite"] == limits["voyage-3.5-lite"] == 1_000_000
    assert limits["voyage-4"] == limits["voyage-3.5"] == 320_000
    assert limits["voyage-4-large"] == limits["voyage-code-3"] == limits["voyage-law-2"] == 120_000


@pytest.mark.parametrize("model", ["voyage-context-3", "voyage-context-4"])
def test_voyages_contextualized_chunks_are_late_chunking(model: str) -> None:
    with SchemaServer(schemas.VOYAGE_CONTEXT, schemas.voyage_context, "/v1/contextualizedembeddings") as server:
        embedder = Embedder(f"voyage:{model}", base_url=server.url, api_key="k", dimensions=256)
        chunks = ["First chunk. ", "Second chunk.", " Third."]
        same(embedder.embed_chunks(chunks), right(chunks, 256, context="".join(chunks)))
        same(embedder.embed_documents(TEXTS), [right([text], 256, context=text)[0] for text in TEXTS])
        same(embedder.embed_query("q"), right(["q"], 256, context="q")[0])
        two = [Document.from_chunks(["a b ", "c"]), Document.from_chunks(["d ", "e", " f"])]
        for document, vectors in zip(two, embedder.embed_late(two), strict=True):
            pieces = [document.text[start:end] for start, end in document.spans]
            same(vectors, right(pieces, 256, context=document.text))
        bodies = [exchange.body for exchange in server.exchanges]
    assert bodies[0] == {
        "model": model,
        "inputs": [chunks],
        "input_type": "document",
        "output_dimension": 256,
        "encoding_format": "base64",
    }
    assert bodies[1]["inputs"] == [["one text"], ["another"]]
    assert (bodies[2]["inputs"], bodies[2]["input_type"]) == ([["q"]], "query")


def test_other_voyage_models_refuse_late_chunking() -> None:
    with pytest.raises(InputError, match="voyage-4 at voyage has no late chunking"):
        Embedder("voyage:voyage-4", api_key="k").embed_chunks(["a ", "b"])
