"""Jina's and OpenAI's `/v1/embeddings`, and what a server says of itself."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.serving import http, serving
from twofold import Document
from twofold.errors import InputError
from twofold.server import create_app
from twofold.testing import FakeEmbedder
from twofold.vectors import quantize

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Post = Callable[..., httpx.Response]

TEXTS = ["nine ships left the harbour", "flour, water and salt"]


def vectors(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert [one["index"] for one in data] == list(range(len(data)))
    return np.array([one["embedding"] for one in data], np.float32)


@pytest.mark.parametrize(("word", "face"), [("query", "embed_queries"), ("document", "embed_documents")])
@pytest.mark.parametrize("field", ["task", "input_type", "prompt_name"])
def test_each_side_is_what_the_embedder_gives(
    post: Post, embedder: FakeEmbedder, word: str, face: str, field: str
) -> None:
    answer = post("/v1/embeddings", {"model": "fake", "input": TEXTS, field: word})
    assert np.array_equal(vectors(answer), getattr(embedder, face)(TEXTS))
    assert answer.json()["model"] == "fake"


def test_without_a_task_it_is_the_bare_model_and_below_a_side_that_side(post: Post, embedder: FakeEmbedder) -> None:
    body = {"model": "fake", "input": TEXTS}
    assert np.array_equal(vectors(post("/v1/embeddings", body)), embedder.embed(TEXTS, task=None))
    assert np.array_equal(vectors(post("/query/v1/embeddings", body)), embedder.embed_queries(TEXTS))
    assert np.array_equal(vectors(post("/passage/v1/embeddings", body)), embedder.embed_documents(TEXTS))


def test_any_task_of_the_model_and_no_other(post: Post, embedder: FakeEmbedder) -> None:
    answer = post("/v1/embeddings", {"model": "fake", "input": TEXTS, "task": "topic"})
    assert np.array_equal(vectors(answer), embedder.embed(TEXTS, task="topic"))
    refused = post("/v1/embeddings", {"model": "fake", "input": TEXTS, "task": "nonsense"})
    assert refused.status_code == 422
    assert "no task 'nonsense'; it has 'document', 'query', 'topic'" in refused.json()["detail"]


def test_dimensions_and_late_chunks(post: Post) -> None:
    small = FakeEmbedder(dimensions=16)
    body: dict[str, Any] = {"model": "fake", "task": "document", "dimensions": 16}
    assert np.array_equal(vectors(post("/v1/embeddings", {**body, "input": TEXTS})), small.embed_documents(TEXTS))
    late = vectors(post("/v1/embeddings", {**body, "input": TEXTS, "late_chunking": True}))
    assert np.array_equal(late, small.embed_late([Document.from_chunks(TEXTS)])[0])


def test_one_string_and_objects_with_text(post: Post, embedder: FakeEmbedder) -> None:
    one = post("/v1/embeddings", {"model": "fake", "input": TEXTS[0], "task": "query"})
    other = post("/v1/embeddings", {"model": "fake", "input": [{"text": TEXTS[0]}], "task": "query"})
    assert np.array_equal(vectors(one)[0], embedder.embed_query(TEXTS[0]))
    assert np.array_equal(vectors(one), vectors(other))


def test_not_normalised_where_that_is_asked_for(post: Post) -> None:
    raw = FakeEmbedder(normalize=False, dimensions=32)
    body = {"model": "fake", "input": TEXTS, "task": "query", "normalized": False, "dimensions": 32}
    assert np.array_equal(vectors(post("/v1/embeddings", body)), raw.embed_queries(TEXTS))


@pytest.mark.parametrize("field", ["embedding_type", "encoding_format"])
def test_base64_and_bits(post: Post, embedder: FakeEmbedder, field: str) -> None:
    body = {"model": "fake", "input": TEXTS, "task": "query"}
    wanted = embedder.embed_queries(TEXTS)
    sent = post("/v1/embeddings", {**body, field: "base64"}).json()["data"]
    rows = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in sent]
    assert np.array_equal(np.stack(rows), wanted)
    for kind in ("binary", "ubinary"):
        sent = post("/v1/embeddings", {**body, field: kind}).json()["data"]
        assert [one["embedding"] for one in sent] == quantize(wanted, kind).tolist()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "other", "input": "a"}, 404, "no model 'other' here; the models are: fake"),
        ({"model": "fake", "input": []}, 422, "there is no text"),
        ({"model": "fake", "input": ["a", " "]}, 422, "text 1 is blank"),
        ({"model": "fake", "input": [[1, 2]]}, 422, "got `array` - at `$.input[0]`"),
        ({"model": "fake"}, 422, "missing required field `input`"),
        ({"model": "fake", "input": "a", "dimensions": 65}, 422, "dimensions=65"),
        ({"model": "fake", "input": "a", "dimensions": 0}, 422, "dimensions=0"),
        ({"model": "fake", "input": "a", "dimensions": 9, "embedding_type": "binary"}, 422, "a multiple of 8"),
        ({"model": "fake", "input": "a", "embedding_type": "sparse"}, 422, "embedding_type 'sparse'"),
        ({"model": "fake", "input": ["a", "b " * 600]}, 422, "text 1 has 600 tokens, the limit is 512"),
    ],
)
def test_what_cannot_be_embedded_is_named_in_both_shapes(post: Post, body: Any, status: int, said: str) -> None:
    answer = post("/v1/embeddings", body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert answer.json()["error"]["message"] == answer.json()["detail"]


def test_the_end_is_cut_where_that_is_asked_for(post: Post) -> None:
    long = "b " * 600
    answer = post("/v1/embeddings", {"model": "fake", "input": long, "truncate": True, "task": "document"})
    assert np.array_equal(vectors(answer), FakeEmbedder(truncate="end").embed_documents([long]))
    assert answer.json()["usage"] == {"prompt_tokens": 512, "total_tokens": 512}


def test_what_is_not_json(post: Post) -> None:
    answer = post("/v1/embeddings", content=b'{"input": ')
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is not JSON")


def test_models_health_and_the_missing_page(url: str) -> None:
    (model,) = http.get(f"{url}/v1/models").json()["data"]
    assert model["id"] == "fake"
    assert (model["dimensions"], model["context_length"]) == (64, 512)
    assert model["tasks"] == ["query", "document", "topic"]
    assert (model["query_task"], model["document_task"]) == ("query", "document")
    assert model["two_sided"] is model["late_chunking"] is True
    assert http.get(f"{url}/v1/models/twofold/fake").json() == model
    assert http.get(f"{url}/v1/models/other").status_code == 404
    assert http.get(f"{url}/health").json() == {"status": "ready", "models": {"fake": "ready"}}
    nothing = http.get(f"{url}/nothing.js")
    assert nothing.status_code == 404
    assert "default-src 'none'" in nothing.headers["content-security-policy"]


def test_several_models_under_their_names() -> None:
    small, large = FakeEmbedder(dimensions=8), FakeEmbedder(dimensions=32)
    with serving({"small": small, "large": large}) as url:
        for name, one in (("small", small), ("large", large), ("", small)):
            answer = http.post(f"{url}/v1/embeddings", json={"model": name, "input": TEXTS, "task": "query"})
            assert np.array_equal(vectors(answer), one.embed_queries(TEXTS))
        answer = http.post(f"{url}/models/large/query/v1/embeddings", json={"input": TEXTS})
        assert np.array_equal(vectors(answer), large.embed_queries(TEXTS))


def test_what_cannot_be_served_is_said_at_once() -> None:
    with pytest.raises(InputError, match="nothing to serve"):
        create_app([])
    with pytest.raises(InputError, match="two models are called 'fake'"):
        create_app([FakeEmbedder(), FakeEmbedder()])
    with pytest.raises(InputError, match="a key of the server"):
        create_app(FakeEmbedder(), api_keys=["a b"])
