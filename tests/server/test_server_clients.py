"""Clients that people have, unchanged, against a server of a tiny v3: what they get is what the local model gives."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.checkpoints import v3_original
from support.serving import http, serving
from twofold import Embedder, SpaceMismatch, SpaceRecord
from twofold.space import CANARIES

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = list(CANARIES)
NAME, KEY, SIZE = "jina-embeddings-v3", "a-key-of-this-server", 32


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    folder = tmp_path_factory.mktemp("checkpoint") / NAME
    v3_original(folder)
    return Embedder(folder, dtype="float32")


@pytest.fixture(scope="module")
def server(local: Embedder) -> Iterator[str]:
    with serving({NAME: local, "plain": local}, api_keys=[KEY]) as url:
        yield url


def close(found: Any, wanted: Any) -> None:
    assert np.shape(found) == np.shape(wanted)
    assert np.max(np.abs(np.asarray(found, np.float32) - wanted)) <= 1e-6


@pytest.fixture(scope="module")
def query(local: Embedder) -> Any:
    return local.embed_queries(TEXTS)


@pytest.fixture(scope="module")
def passage(local: Embedder) -> Any:
    return local.embed_documents(TEXTS)


@pytest.fixture(scope="module")
def bare(local: Embedder) -> Any:
    return local.embed(TEXTS, task=None)


# -- our own ----------------------------------------------------------------------------------------------------------


def test_our_own_embedder_of_jina(server: str, local: Embedder) -> None:
    hosted = Embedder(f"jina:{NAME}", base_url=f"{server}/v1", api_key=KEY, dimensions=SIZE)
    small = local.with_options(dimensions=SIZE)
    close(hosted.embed_queries(TEXTS), small.embed_queries(TEXTS))
    close(hosted.embed_documents(TEXTS), small.embed_documents(TEXTS))
    close(hosted.embed_chunks(TEXTS), small.embed_chunks(TEXTS))
    close(hosted.embed(TEXTS, task="text-matching"), small.embed(TEXTS, task="text-matching"))
    close(hosted.embed(TEXTS, task=None), small.embed(TEXTS, task=None))


def test_a_store_that_the_local_model_filled_takes_the_served_one(server: str, local: Embedder) -> None:
    small = local.with_options(dimensions=SIZE)
    # the real weights are 1024 wide, as the provider's model is; these are not
    record = SpaceRecord(replace(small.space, model=f"jinaai/{NAME}", width=1024), small.record().canaries)
    Embedder(f"jina:{NAME}", base_url=f"{server}/v1", api_key=KEY, dimensions=SIZE).check(record)
    swapped = Embedder(
        f"jina:{NAME}", base_url=f"{server}/v1", api_key=KEY, dimensions=SIZE, document_task="text-matching"
    )
    with pytest.raises(SpaceMismatch):
        swapped.check(record)


@pytest.mark.parametrize("encoding", ["float", "base64", "ubinary"])
def test_our_own_embedder_of_openai_and_cohere(server: str, query: Any, passage: Any, bare: Any, encoding: Any) -> None:
    def same(found: Any, wanted: Any) -> None:
        close(found, np.where(wanted > 0, 1, -1) / np.sqrt(wanted.shape[1]) if encoding == "ubinary" else wanted)

    if encoding != "ubinary":
        options: dict[str, Any] = {"api_key": KEY, "encoding": encoding}
        same(Embedder("openai:plain", base_url=f"{server}/v1", **options).embed_documents(TEXTS), bare)
    cohere = Embedder("cohere:plain", base_url=f"{server}/v2", api_key=KEY, encoding=encoding)
    same(cohere.embed_queries(TEXTS), query)
    same(cohere.embed_documents(TEXTS), passage)


def test_our_own_embedder_of_tei(server: str, bare: Any, query: Any) -> None:
    close(Embedder("tei:any", base_url=server, api_key=KEY).embed_documents(TEXTS), bare)
    close(Embedder("tei:any", base_url=f"{server}/query", api_key=KEY).embed_documents(TEXTS), query)


# -- others' ----------------------------------------------------------------------------------------------------------


def test_openai(server: str, query: Any, passage: Any, bare: Any) -> None:
    openai = pytest.importorskip("openai")
    for prefix, wanted in (("", bare), ("/query", query), ("/passage", passage)):
        with openai.OpenAI(base_url=f"{server}{prefix}/v1", api_key=KEY) as client:
            for encoding in ({}, {"encoding_format": "float"}):
                answer = client.embeddings.create(model=NAME, input=TEXTS, **encoding)
                close([one.embedding for one in answer.data], wanted)
                assert answer.usage.total_tokens > 0
    with openai.OpenAI(base_url=f"{server}/v1", api_key=KEY) as client:
        answer = client.embeddings.create(model=NAME, input=TEXTS, extra_body={"task": "retrieval.query"})
        close([one.embedding for one in answer.data], query)
        model = client.models.list().data[0]
        assert (model.id, model.owned_by) == (NAME, "twofold")
        assert client.models.retrieve(NAME).id == NAME
        with pytest.raises(openai.NotFoundError, match="no model 'other' here"):
            client.embeddings.create(model="other", input="a")
    with openai.OpenAI(base_url=f"{server}/v1", api_key="wrong") as client, pytest.raises(openai.AuthenticationError):
        client.embeddings.create(model=NAME, input="a")


def test_cohere(server: str, query: Any, passage: Any) -> None:
    cohere = pytest.importorskip("cohere")
    with cohere.ClientV2(api_key=KEY, base_url=server) as client:
        for word, wanted in (("search_query", query), ("search_document", passage)):
            answer = client.embed(model=NAME, texts=TEXTS, input_type=word, embedding_types=["float"])
            close(answer.embeddings.float_, wanted)
        answer = client.embed(
            model=NAME, texts=TEXTS, input_type="clustering", output_dimension=16, embedding_types=["float", "ubinary"]
        )
        assert np.shape(answer.embeddings.float_) == (len(TEXTS), 16)
        assert np.shape(answer.embeddings.ubinary) == (len(TEXTS), 2)
        with pytest.raises(cohere.UnprocessableEntityError, match="text 0 is blank"):
            client.embed(model=NAME, texts=[" "], input_type="search_query", embedding_types=["float"])


def test_langchain_openai(server: str, query: Any, passage: Any, bare: Any) -> None:
    langchain_openai = pytest.importorskip("langchain_openai")
    options: dict[str, Any] = {"model": NAME, "api_key": KEY, "check_embedding_ctx_length": False}
    plain = langchain_openai.OpenAIEmbeddings(base_url=f"{server}/v1", **options)
    close(plain.embed_documents(TEXTS), bare)
    close(langchain_openai.OpenAIEmbeddings(base_url=f"{server}/passage/v1", **options).embed_documents(TEXTS), passage)
    asking = langchain_openai.OpenAIEmbeddings(base_url=f"{server}/query/v1", **options)
    close([asking.embed_query(text) for text in TEXTS], query)


def test_langchains_own_class_for_jina(server: str, bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("langchain_community.embeddings.jina")
    monkeypatch.setattr(module, "JINA_API_URL", f"{server}/v1/embeddings")
    embeddings = module.JinaEmbeddings(jina_api_key=KEY, model_name=NAME)
    close(embeddings.embed_documents(TEXTS), bare)
    close(embeddings.embed_query(TEXTS[0]), bare[0])


def test_llama_indexs_own_class_for_jina(
    server: str, query: Any, passage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("llama_index.embeddings.jinaai.base")
    for task, wanted in (("retrieval.query", query), ("retrieval.passage", passage)):
        embedding = module.JinaEmbedding(api_key=KEY, model=NAME, task=task)
        monkeypatch.setattr(embedding._api, "api_url", f"{server}/v1/embeddings")
        close(embedding.get_text_embedding_batch(TEXTS), wanted)


def test_llama_indexs_own_class_for_openai(server: str, query: Any, bare: Any) -> None:
    module = pytest.importorskip("llama_index.embeddings.openai")
    options: dict[str, Any] = {"model_name": NAME, "api_key": KEY}
    close(module.OpenAIEmbedding(api_base=f"{server}/v1", **options).get_text_embedding_batch(TEXTS), bare)
    asking = module.OpenAIEmbedding(api_base=f"{server}/query/v1", **options)
    close(asking.get_query_embedding(TEXTS[0]), query[0])


def test_chromas_own_function_for_jina(server: str, query: Any, passage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMA_JINA_API_KEY", KEY)
    functions = pytest.importorskip("chromadb.utils.embedding_functions")
    function = functions.JinaEmbeddingFunction(
        model_name=NAME, task="retrieval.passage", query_config={"task": "retrieval.query"}
    )
    function._api_url = f"{server}/v1/embeddings"
    with closing(function._session):
        close(function(TEXTS), passage)
        close(function.embed_query(TEXTS), query)


def test_huggingface_hubs_client(server: str, query: Any, bare: Any) -> None:
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(f"{server}/embed", token=KEY)
    close(client.feature_extraction(TEXTS[0])[0], bare[0])
    close(client.feature_extraction(TEXTS[0], prompt_name="query")[0], query[0])


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on PATH")
def test_curl(server: str, query: Any) -> None:
    import json

    body = json.dumps({"model": NAME, "input": TEXTS, "task": "retrieval.query"})
    command = ["curl", "-s", f"{server}/v1/embeddings", "-H", f"Authorization: Bearer {KEY}", "-d", body]
    data = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["data"]
    close([one["embedding"] for one in data], query)


def test_a_hosted_model_can_be_served_too(server: str, local: Embedder) -> None:
    """A server in front of a server: keys and retries in one place."""
    behind = Embedder(f"jina:{NAME}", base_url=f"{server}/v1", api_key=KEY, dimensions=SIZE)
    with serving({"front": behind}) as url:
        small = local.with_options(dimensions=SIZE)
        for side, wanted in (("query", small.embed_queries(TEXTS)), ("passage", small.embed_documents(TEXTS))):
            answer = http.post(f"{url}/{side}/v1/embeddings", json={"input": TEXTS})
            assert answer.status_code == 200, answer.text
            close([one["embedding"] for one in answer.json()["data"]], wanted)
