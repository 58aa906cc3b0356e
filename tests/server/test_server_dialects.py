"""Cohere's, TEI's and Weaviate's routes, byte for byte what their clients send; errors in the shape that each reads."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.serving import http, serving
from twofold.testing import FakeEmbedder
from twofold.vectors import quantize

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from twofold import Embedder

    Post = Callable[..., httpx.Response]

TEXTS = ["nine ships left the harbour", "flour, water and salt"]


def of_weaviate(text: str, task: str | None, dimensions: int | None) -> bytes:
    """What Weaviate's text2vec-transformers sends, its order and its junk included."""
    config: dict[str, Any] = {"pooling_strategy": "masked_mean"}
    config |= {} if task is None else {"task_type": task}
    config |= {} if dimensions is None else {"dimensions": dimensions}
    return json.dumps({"text": text, "dims": 0, "vector": None, "error": "", "config": config}).encode()


@pytest.mark.parametrize(
    ("path", "task", "face"),
    [
        ("/vectors", "query", "embed_queries"),
        ("/vectors", "passage", "embed_documents"),
        ("/vectors/", "passage", "embed_documents"),
        ("/query/vectors", None, "embed_queries"),
        ("/passage/vectors", None, "embed_documents"),
        ("/query/vectors", "query", "embed_queries"),
        ("/models/fake/query/vectors", None, "embed_queries"),
        ("/query//vectors", None, "embed_queries"),
    ],
)
def test_weaviate_without_a_content_type(post: Post, path: str, task: str | None, face: str) -> None:
    answer = post(path, content=of_weaviate(TEXTS[0], task, 16), headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    wanted = getattr(FakeEmbedder(dimensions=16), face)([TEXTS[0]])[0]
    assert np.array_equal(np.array(body["vector"], np.float32), wanted)
    assert (body["text"], body["dim"]) == (TEXTS[0], 16)


def test_an_old_weaviate_is_told_to_say_the_side_where_there_are_two(post: Post) -> None:
    refused = post("/vectors", content=of_weaviate(TEXTS[0], None, None))
    assert refused.status_code == 422
    assert "passage_inference_url=…/passage" in refused.json()["error"]


def test_weaviate_reads_an_error_that_is_a_string(post: Post) -> None:
    refused = post("/vectors", content=of_weaviate("b " * 600, "passage", None))
    assert "text 0 has 600 tokens, the limit is 512" in refused.json()["error"]
    assert isinstance(post("/vectors", content=b"{").json()["error"], str)


@pytest.mark.parametrize("prefix", ["", "/query", "/passage", "/models/fake/query"])
def test_weaviate_probes_what_it_needs(url: str, prefix: str) -> None:
    assert http.get(f"{url}{prefix}/.well-known/ready").status_code == 204
    assert http.get(f"{url}{prefix}/.well-known/live").status_code == 204
    assert http.get(f"{url}{prefix}/meta").json()["model"]["id"] == "fake"


@pytest.mark.parametrize(("word", "face"), [("search_query", "embed_queries"), ("search_document", "embed_documents")])
def test_cohere(post: Post, word: str, face: str) -> None:
    asked = {"texts": TEXTS, "model": "fake", "input_type": word, "embedding_types": ["float"], "truncate": "END"}
    answer = post("/v2/embed", {**asked, "output_dimension": 16}).json()
    wanted = getattr(FakeEmbedder(dimensions=16), face)(TEXTS)
    assert np.array_equal(np.array(answer["embeddings"]["float"], np.float32), wanted)
    assert answer["response_type"] == "embeddings_by_type"
    assert answer["meta"]["billed_units"]["input_tokens"] > 0


def test_cohere_sends_several_forms_of_the_same_vectors(post: Post, embedder: Embedder) -> None:
    asked = {"texts": TEXTS, "model": "fake", "input_type": "search_query"}
    forms = ["float", "int8", "ubinary", "binary", "base64"]
    sent = post("/v2/embed", {**asked, "embedding_types": forms}).json()["embeddings"]
    wanted = embedder.embed_queries(TEXTS)
    assert list(sent) == forms
    for kind in ("int8", "ubinary", "binary"):
        assert sent[kind] == quantize(wanted, kind).tolist()
    assert np.array_equal(np.frombuffer(base64.b64decode(sent["base64"][1]), "<f4"), wanted[1])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"embedding_types": ["uint4"]}, "embedding_types 'uint4'"),
        ({"truncate": "START"}, "it must be NONE or END"),
        ({"input_type": "image"}, "no task 'image'"),
    ],
)
def test_cohere_reads_a_message(post: Post, asked: Any, said: str) -> None:
    answer = post("/v2/embed", {"texts": TEXTS, "model": "fake", **asked})
    assert answer.status_code == 422
    assert said in answer.json()["message"]


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_tei(post: Post, embedder: Embedder, path: str) -> None:
    asked = {"inputs": TEXTS, "truncate": None, "truncation_direction": "right", "normalize": True}
    assert np.array_equal(np.array(post(path, asked).json(), np.float32), embedder.embed(TEXTS, task=None))
    one = post(path, {"inputs": TEXTS[0], "prompt_name": "query", "dimensions": 16}).json()
    assert np.array_equal(np.array(one, np.float32), FakeEmbedder(dimensions=16).embed_queries(TEXTS[:1]))


def test_tei_reads_an_error_and_its_type(post: Post, url: str) -> None:
    answer = post("/embed", {"inputs": ["a", ""]})
    assert answer.json() == {
        "error": "text 1 is empty: leave it out, it has no meaning to embed",
        "error_type": "Validation",
    }
    info = http.get(f"{url}/info").json()
    assert (info["model_id"], info["max_input_length"]) == ("fake", 512)


def test_openai_says_its_limits_so_that_weaviate_sends_batches(post: Post) -> None:
    headers = post("/v1/embeddings", {"model": "fake", "input": TEXTS}).headers
    for word in ("limit", "remaining"):
        for unit in ("requests", "tokens"):
            assert int(headers[f"x-ratelimit-{word}-{unit}"]) >= 1_000_000
    assert headers["x-ratelimit-reset-tokens"] == headers["x-ratelimit-reset-requests"] == "1s"


def test_a_model_without_sides_takes_every_word_alike() -> None:
    from twofold.fake import FAKE_CARD, FakeBackend
    from twofold.models import ModelCard

    embedder = FakeEmbedder()
    embedder._backend = FakeBackend()
    embedder._backend.card = ModelCard(FAKE_CARD.name, 64, 512)
    with serving(embedder) as url:
        found = [
            http.post(f"{url}/v1/embeddings", json={"input": "ships", "task": task}).json()["data"]
            for task in (None, "query", "retrieval.passage", "classification", "clustering", "text-matching")
        ]
        assert all(one == found[0] for one in found)
        assert http.post(f"{url}/v1/embeddings", json={"input": "a", "task": "other"}).status_code == 422
        assert http.post(f"{url}/vectors", content=of_weaviate("a", None, None)).status_code == 200


def test_a_body_may_come_in_gzip(post: Post, embedder: Embedder) -> None:
    body = gzip.compress(json.dumps({"inputs": TEXTS}).encode())
    answer = post("/embed", content=body, headers={"content-encoding": "gzip"})
    assert np.array_equal(np.array(answer.json(), np.float32), embedder.embed(TEXTS, task=None))


def test_the_cache_of_the_embedder_is_used_and_gives_the_same(tmp_path: Any) -> None:
    embedder = FakeEmbedder(cache=str(tmp_path / "cache"))
    with serving(embedder) as url:
        body = {"input": TEXTS, "task": "document"}
        first = http.post(f"{url}/v1/embeddings", json=body).json()
        assert http.post(f"{url}/v1/embeddings", json=body).json() == first
        assert sum(TEXTS[0] in call.texts for call in embedder.calls) == 1
        query = http.post(f"{url}/v1/embeddings", json={**body, "task": "query"}).json()["data"][0]["embedding"]
        assert np.array_equal(np.array(query, np.float32), FakeEmbedder().embed_query(TEXTS[0]))
        smaller = http.post(f"{url}/v1/embeddings", json={**body, "dimensions": 8}).json()["data"][0]["embedding"]
        wanted = FakeEmbedder(dimensions=8).embed_documents(TEXTS[:1])[0]
        assert np.array_equal(np.array(smaller, np.float32), wanted)
