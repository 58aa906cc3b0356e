from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest

from chroma_twofold import TwofoldEmbeddingFunction, open_collection
from twofold import BlankWarning, Embedder, InputError, Settings, SpaceMismatch
from twofold.settings import options
from twofold.testing import FakeEmbedder, changed_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


KEY = "sk-canary-0123456789"
TEXTS = ["The keeper counts ships.", "Fog came in at nine.", "Nobody answers the radio."]


def connect(folder: Path) -> Any:
    return chromadb.PersistentClient(folder)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    opened = connect(tmp_path)
    yield opened
    opened.close()


def create(client: Any, function: TwofoldEmbeddingFunction, name: str = "docs") -> Any:
    collection = client.create_collection(name, embedding_function=function)
    collection.add(ids=["a", "b", "c"], documents=TEXTS)
    return collection


def test_documents_and_queries_go_in_by_their_own_side(client: Any) -> None:
    embedder = FakeEmbedder(dimensions=16)
    collection = create(client, TwofoldEmbeddingFunction(embedder))
    stored = collection.get(include=["embeddings"])["embeddings"]
    assert np.allclose(stored, embedder.embed_documents(TEXTS), atol=1e-7)  # Chroma normalises once more
    found = collection.query(query_texts=[TEXTS[1]], n_results=1)
    assert found["ids"] == [["b"]]
    cosine = embedder.embed_query(TEXTS[1]) @ embedder.embed_documents(TEXTS)[1]
    assert 1 - found["distances"][0][0] == pytest.approx(cosine, abs=1e-6)
    assert [call.task for call in embedder.calls][:2] == ["document", "document"]
    assert "query" in {call.task for call in embedder.calls}


def test_vectors_are_lists_of_float32_arrays_for_both_sides() -> None:
    function = TwofoldEmbeddingFunction("fake:", dimensions=8)
    for vectors in (function(input=TEXTS), function.embed_query(input=TEXTS)):
        assert isinstance(vectors, list)
        assert [str(np.shape(vector)) + str(np.asarray(vector).dtype) for vector in vectors] == ["(8,)float32"] * 3
    assert not np.array_equal(function(input=TEXTS)[0], function.embed_query(input=TEXTS)[0])


def test_a_collection_is_made_for_cosine_and_stores_how_to_build_the_function(client: Any) -> None:
    create(client, TwofoldEmbeddingFunction("fake:", dimensions=16, batch_tokens=99))
    configuration = client.get_collection("docs").configuration_json
    assert configuration["hnsw"]["space"] == "cosine"
    assert configuration["embedding_function"] == {
        "type": "known",
        "name": "twofold (import chroma_twofold)",
        "config": {"config_version": 1, "model": "fake:", "dimensions": 16, "batch_tokens": 99},
    }


OTHER_PROCESS = """
import sys, chromadb, chroma_twofold
client = chromadb.PersistentClient(sys.argv[1])
collection = client.get_collection("docs")
print(collection.query(query_texts=[sys.argv[2]], n_results=1)["ids"][0][0])
"""


def test_another_process_rebuilds_it_once_the_package_is_imported(tmp_path: Path) -> None:
    client = connect(tmp_path)
    create(client, TwofoldEmbeddingFunction("fake:", dimensions=16))
    client.close()
    command = [sys.executable, "-W", "error", "-c", OTHER_PROCESS, str(tmp_path), TEXTS[2]]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "c\n"


def test_rebuilt_functions_share_one_embedder() -> None:
    config = TwofoldEmbeddingFunction("fake:shared", dimensions=16).get_config()
    build = TwofoldEmbeddingFunction.build_from_config
    assert build(config).embedder is build(json.loads(json.dumps(config))).embedder
    assert build(config).embedder is not build({**config, "dimensions": 8}).embedder
    assert build(config).get_config() == config


@pytest.mark.parametrize(
    "settings",
    [
        Settings(model="jina:jina-embeddings-v3", api_key_env="TWOFOLD_NO_SUCH_KEY"),
        Settings(model="/no/such/folder"),
        Settings(model="jinaai/jina-embeddings-v3", device="cuda:7"),
    ],
)
def test_a_missing_key_file_or_gpu_does_not_keep_a_collection_from_opening(
    client: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWOFOLD_NO_SUCH_KEY", raising=False)
    function = TwofoldEmbeddingFunction(Embedder.from_settings(settings))
    collection = client.create_collection("docs", embedding_function=function)
    collection.add(ids=["a"], embeddings=[[1.0, 2.0]])
    opened = client.get_collection("docs")
    assert opened.configuration_json["embedding_function"]["type"] == "known"
    assert opened.query(query_embeddings=[[1.0, 2.0]])["ids"] == [["a"]]
    rebuilt = TwofoldEmbeddingFunction.build_from_config(function.get_config())
    assert rebuilt.embedder.settings == settings


def test_a_key_is_stored_nowhere(tmp_path: Path) -> None:
    client = connect(tmp_path)
    embedder = Embedder("jina:jina-embeddings-v3", api_key=KEY, dimensions=64)
    function = TwofoldEmbeddingFunction(embedder)
    collection = client.create_collection("docs", embedding_function=function)
    collection.add(ids=["a"], embeddings=[[1.0, 2.0]])
    shown = repr(function) + str(function.get_config()) + repr(embedder) + repr(vars(embedder))
    assert KEY not in shown + json.dumps(client.get_collection("docs").configuration_json)
    assert KEY.encode() not in pickle.dumps(function.embedder)
    client.close()
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes()


def test_a_url_is_neither_stored_nor_taken_from_what_is_stored(client: Any) -> None:
    embedder = Embedder("openai:some-model", base_url="http://127.0.0.1:9/v1", dimensions=2)
    function = TwofoldEmbeddingFunction(embedder)
    config = function.get_config()
    assert "127.0.0.1" not in str(config)
    collection = client.create_collection("docs", embedding_function=function)
    collection.add(ids=["a"], embeddings=[[1.0, 2.0]])
    with pytest.raises(InputError, match="has a base_url, which Chroma does not store"):
        client.get_collection("docs").query(query_texts=["x"])
    rebuilt = TwofoldEmbeddingFunction.build_from_config(config)
    assert rebuilt.get_config() == config
    with pytest.raises(InputError, match="has a base_url"):
        rebuilt(input=["x"])
    with pytest.raises(InputError, match="cannot name a base_url"):
        TwofoldEmbeddingFunction.build_from_config({**config, "base_url": "http://evil.example"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "fake:"}, "config_version=None: this Twofold reads 1"),
        ({"config_version": 2, "model": "fake:"}, "config_version=2"),
        ({"config_version": 1}, "no model is named"),
        ({"config_version": 1, "model": "fake:", "colour": 1}, "not an option of an embedder: colour"),
        ({"config_version": 1, "model": "fake:", "dimensions": 0}, "dimensions=0"),
    ],
)
def test_a_configuration_of_something_else_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TwofoldEmbeddingFunction.validate_config(config)


CHANGES: dict[str, Any] = {**changed_options(), "model": "fake:other", "dimensions": 8, "document_task": "topic"}
del CHANGES["base_url"]  # which is not stored


@pytest.mark.parametrize("name", CHANGES)
def test_how_vectors_are_computed_may_change_and_what_they_are_may_not(client: Any, name: str) -> None:
    collection = create(client, TwofoldEmbeddingFunction("fake:", dimensions=16))
    chosen = {"model": "fake:", "dimensions": 16, name: CHANGES[name]}
    other = TwofoldEmbeddingFunction(Embedder(**chosen))
    if not next(option.identity for option in options() if option.name == name):
        collection.modify(configuration={"embedding_function": other})
        stored = client.get_collection("docs").configuration_json["embedding_function"]["config"]
        assert stored[name] == CHANGES[name]
    else:
        with pytest.raises(SpaceMismatch, match=rf"cannot change in {name} \(from "):
            collection.modify(configuration={"embedding_function": other})


def test_a_blank_text_gets_the_vector_of_the_empty_text_of_its_side(client: Any) -> None:
    function = TwofoldEmbeddingFunction("fake:", dimensions=16)
    collection = client.create_collection("docs", embedding_function=function)
    with pytest.warns(BlankWarning, match=r"text 1 is blank \(2 of 3\): it gets the vector of the empty text") as told:
        collection.add(ids=["a", "b", "c"], documents=["x", " ", "\n"])
    assert len(told) == 1
    one, blank, same = collection.get(ids=["a", "b", "c"], include=["embeddings"])["embeddings"]
    assert np.array_equal(blank, same)
    assert not np.allclose(blank, one, atol=1e-2)
    with pytest.warns(BlankWarning, match="text 0 is blank"):
        assert not np.allclose(function.embed_query(input=[" "])[0], blank, atol=1e-2)


def test_bad_text_and_options_give_the_errors_of_the_embedder(client: Any) -> None:
    collection = client.create_collection("docs", embedding_function=TwofoldEmbeddingFunction("fake:"))
    with pytest.raises(InputError, match=r"text 1 .*lone surrogate"):
        collection.add(ids=["a", "b"], documents=["x", "\ud83d"])
    assert collection.count() == 0
    with pytest.raises(InputError, match="dimensions: the embedder already exists"):
        TwofoldEmbeddingFunction(FakeEmbedder(), dimensions=3)


def test_a_process_without_the_import_learns_what_to_import(tmp_path: Path) -> None:
    client = connect(tmp_path)
    create(client, TwofoldEmbeddingFunction("fake:", dimensions=16))
    client.close()
    code = OTHER_PROCESS.replace(", chroma_twofold", "")
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path), TEXTS[2]]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "import chroma_twofold" in told


def test_a_function_that_is_given_natively_works_in_the_collections_space_alone(client: Any) -> None:
    embedder = FakeEmbedder(dimensions=16)
    filled = open_collection(client, "docs", embedder)
    filled.add(ids=["a", "b", "c"], documents=TEXTS)
    same = client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction(FakeEmbedder(dimensions=16)))
    assert same.query(query_texts=[TEXTS[1]], n_results=1)["ids"] == [["b"]]
    stranger = FakeEmbedder(dimensions=16, document_task="topic", query_task=None)
    other = client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction(stranger))
    with pytest.raises(SpaceMismatch, match="collection 'docs': the stored vectors are fake-16d-"):
        other.query(query_texts=[TEXTS[1]])
    with pytest.raises(SpaceMismatch, match="document task: 'document' and 'topic'"):
        other.upsert(ids=["d"], documents=["x"])
    assert not stranger.calls
    assert filled.count() == 3


def test_a_function_that_is_built_again_is_checked_at_its_first_use(client: Any) -> None:
    open_collection(client, "docs", FakeEmbedder(dimensions=16)).add(ids=["a"], documents=["x"])
    record = FakeEmbedder(dimensions=16, document_task="topic").record().to_json()
    client.get_collection("docs", embedding_function=None).modify(metadata={"twofold_record": record})
    with pytest.raises(SpaceMismatch):
        client.get_collection("docs").query(query_texts=["x"])
