from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from chromadb.api.types import Schema

from chroma_twofold import TwofoldEmbeddingFunction, aadd_documents, add_documents, aopen_collection, open_collection
from chroma_twofold.connect import close
from chroma_twofold.embedding import RECORD
from support.chroma_server import HOST, chroma_server, forget_record
from twofold import Document, Embedder, InputError, SpaceMismatch, StoreError
from twofold.stores import DOCUMENT, END, START
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


class Alien(chromadb.EmbeddingFunction):  # type: ignore[type-arg]
    """Someone else's."""

    def __init__(self) -> None:
        pass

    def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return [np.ones(3, np.float32) for _ in input]

    @staticmethod
    def name() -> str:
        return "alien"

    def get_config(self) -> dict[str, Any]:
        return {}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> Any:  # noqa: ARG004
        return Alien()


def own(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not name.startswith("twofold_")}


TEXTS = ["The keeper counts ships.", "Fog came in at nine.", "Nobody answers the radio."]
IDS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server for this file alone: Chroma 1.5.9 leaves the lists of a deleted collection to later rows."""
    with chroma_server(tmp_path_factory.mktemp("chroma")) as port:
        yield port


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[dict[str, Any]]:
    opened: dict[str, Any] = {
        "folder": chromadb.PersistentClient(tmp_path_factory.mktemp("folder")),
        "server": chromadb.HttpClient(HOST, port),
    }
    yield opened
    for client in opened.values():
        close(client)


@pytest.fixture(params=["folder", "server"])
def client(request: pytest.FixtureRequest, clients: dict[str, Any]) -> Any:
    """A client without collections."""
    opened = clients[request.param]
    for collection in opened.list_collections():
        opened.delete_collection(collection.name)
    return opened


@pytest.fixture
async def async_client(port: int) -> AsyncIterator[Any]:
    opened: Any = await chromadb.AsyncHttpClient(HOST, port)
    yield opened
    await opened._server._cleanup()


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder(dimensions=32)


@pytest.fixture
def filled(client: Any, embedder: FakeEmbedder) -> Any:
    collection = open_collection(client, "docs", embedder, metadata={"owner": "us"})
    add_documents(collection, ids=IDS, documents=TEXTS, metadatas=[{"n": 0}, {}, {"n": 2}])
    return collection


# -- open_collection --------------------------------------------------------------------------------------------------


def test_a_collection_is_made_once_and_opened_by_the_same_space(client: Any, filled: Any) -> None:
    collection = open_collection(client, "docs", FakeEmbedder(dimensions=32, batch_tokens=7), create=False)
    assert (collection.id, collection.count()) == (filled.id, 3)
    assert collection.configuration_json["hnsw"]["space"] == "cosine"
    assert collection.metadata["owner"] == "us"
    assert collection.query(query_texts=[TEXTS[1]], n_results=1)["ids"] == [["b"]]
    collection.add(ids=["d"], documents=["A fourth."])
    assert collection.count() == 4


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"dimensions": 16}, "dimensions: 32 and 16"),
        ({"dimensions": 32, "document_task": "topic"}, "document task: 'document' and 'topic'"),
        ({"dimensions": 32, "query_task": None}, "query task: 'query' and None"),
        ({"dimensions": 32, "normalize": False}, "normalized: True and False"),
    ],
)
def test_another_space_is_refused_before_anything_is_embedded(
    client: Any, filled: Any, other: dict[str, Any], field: str
) -> None:
    stranger = FakeEmbedder(**other)
    with pytest.raises(SpaceMismatch, match="collection 'docs': the stored vectors are fake-32d-") as error:
        open_collection(client, "docs", stranger)
    assert field in str(error.value)
    with pytest.raises(SpaceMismatch):
        add_documents(filled, ids=["d"], documents=["x"], embedder=stranger)
    assert not stranger.calls
    assert filled.count() == 3


def test_a_collection_that_is_not_there_is_not_made_by_a_search(client: Any, embedder: FakeEmbedder) -> None:
    with pytest.raises(StoreError, match="there is no collection 'nowhere'"):
        open_collection(client, "nowhere", embedder, create=False)
    assert client.count_collections() == 0


def test_an_empty_collection_of_someone_else_is_taken_in(client: Any, embedder: FakeEmbedder) -> None:
    client.create_collection("docs", embedding_function=None, metadata={"owner": "them", "hnsw:space": "cosine"})
    collection = open_collection(client, "docs", embedder)
    assert collection.metadata["owner"] == "them"
    assert RECORD in client.get_collection("docs", embedding_function=None).metadata


def test_vectors_without_a_record_are_refused_and_taken_in_once_they_are_proven(
    client: Any, embedder: FakeEmbedder
) -> None:
    bare = client.create_collection("docs", embedding_function=TwofoldEmbeddingFunction(embedder))
    bare.add(ids=IDS, documents=TEXTS)
    with pytest.raises(StoreError, match="has vectors and does not say of which space"):
        open_collection(client, "docs", embedder)
    with pytest.raises(StoreError, match="does not say what its vectors are"):
        add_documents(bare, ids=["d"], documents=["x"])
    for wrong in (FakeEmbedder(dimensions=32, document_task="topic"), FakeEmbedder(dimensions=16)):
        with pytest.raises(SpaceMismatch, match="was not written by this embedder"):
            open_collection(client, "docs", wrong, adopt=True)
    assert open_collection(client, "docs", embedder, adopt=True).count() == 3
    assert open_collection(client, "docs", embedder).count() == 3


def test_vectors_without_texts_prove_nothing(client: Any, embedder: FakeEmbedder) -> None:
    client.create_collection("docs", embedding_function=None).add(ids=["a"], embeddings=[[1.0] * 32])
    with pytest.raises(StoreError, match="has rows without text"):
        open_collection(client, "docs", embedder, adopt=True)


def test_a_collection_of_another_embedding_function_is_refused(client: Any, embedder: FakeEmbedder) -> None:
    client.create_collection("docs", embedding_function=Alien())
    with pytest.raises(StoreError, match="was made for Chroma's embedding function 'alien'"):
        open_collection(client, "docs", embedder)


def test_a_collection_that_was_made_without_a_function_has_a_way_in(client: Any, embedder: FakeEmbedder) -> None:
    """`client.get_or_create_collection` is how most users begin: Chroma then persists its own default function."""
    client.get_or_create_collection("empty")
    opened = open_collection(client, "empty", embedder)
    opened.add(ids=IDS, documents=TEXTS)
    assert opened.query(query_texts=[TEXTS[1]], n_results=1)["ids"] == [["b"]]
    vectors = embedder.embed_documents(TEXTS)
    client.get_or_create_collection("full").add(ids=IDS, documents=TEXTS, embeddings=vectors.tolist())
    with pytest.raises(StoreError, match="adopt=True"):
        open_collection(client, "full", embedder)
    adopted = open_collection(client, "full", embedder, adopt=True)
    assert adopted.query(query_texts=[TEXTS[2]], n_results=1)["ids"] == [["c"]]
    with pytest.raises(SpaceMismatch):
        open_collection(client, "full", FakeEmbedder(dimensions=32, document_task="topic"))


def test_late_chunks_of_a_lost_record_are_adopted_as_late_chunks(client: Any, embedder: FakeEmbedder) -> None:
    collection = open_collection(client, "docs", embedder)
    text = "Fog came in.\n\nIt left at nine. Nobody saw it."
    late = Document.from_spans(text, [(0, 12), (14, 30), (31, 45)])
    add_documents(collection, ids=["log", "note"], documents=[late, "A whole one."])
    forget_record(client, "docs", dimensions=32)
    with pytest.raises(StoreError, match="adopt=True"):
        open_collection(client, "docs", embedder)
    with pytest.raises(SpaceMismatch, match="was not written by this embedder"):
        open_collection(client, "docs", FakeEmbedder(dimensions=32, document_task="topic"), adopt=True)
    assert open_collection(client, "docs", embedder, adopt=True).metadata["owner"] == "us"
    assert open_collection(client, "docs", embedder).count() == 4


def test_a_new_collection_takes_chromas_own_settings(client: Any, embedder: FakeEmbedder) -> None:
    collection = open_collection(client, "one", embedder, configuration={"hnsw": {"ef_search": 77}})
    assert collection.configuration_json["hnsw"]["ef_search"] == 77
    assert collection.configuration_json["hnsw"]["space"] == "cosine"
    dotted = open_collection(client, "two", embedder, configuration={"hnsw": {"space": "ip"}})
    assert dotted.configuration_json["hnsw"]["space"] == "ip"
    with_schema = open_collection(client, "three", embedder, schema=Schema())
    with_schema.add(ids=IDS, documents=TEXTS)
    assert with_schema.query(query_texts=[TEXTS[1]], n_results=1)["ids"] == [["b"]]
    for wrong in ({"configuration": {}, "schema": Schema()}, {"configuration": {"embedding_function": Alien()}}):
        with pytest.raises(InputError):
            open_collection(client, "four", embedder, **wrong)


def test_list_values_are_kept(tmp_path: Path, embedder: FakeEmbedder) -> None:
    """In a folder of its own: Chroma 1.5.9 leaves the lists of a deleted collection to the next one's rows."""
    alone: Any = chromadb.PersistentClient(tmp_path / "lists")
    collection = open_collection(alone, "docs", embedder)
    add_documents(collection, ids=["a"], documents=["x"], metadatas=[{"tags": ["one", "two"]}])
    metadatas: Any = collection.get()["metadatas"]
    assert metadatas[0]["tags"] == ["one", "two"]
    close(alone)


def test_a_record_that_cannot_be_read_is_refused(client: Any, filled: Any, embedder: FakeEmbedder) -> None:
    filled.modify(metadata={RECORD: "{"})
    with pytest.raises(SpaceMismatch, match="collection 'docs': the stored space cannot be read"):
        open_collection(client, "docs", embedder)


# -- add_documents ----------------------------------------------------------------------------------------------------


def test_documents_are_replaced_with_their_metadata(filled: Any, embedder: FakeEmbedder) -> None:
    assert [own(fields) for fields in filled.get()["metadatas"]] == [{"n": 0}, {}, {"n": 2}]
    written = add_documents(filled, ids=["c", "d"], documents=["New.", "More."], metadatas=[{"m": "x"}, {}])
    assert written == ["c", "d"]
    found = filled.get(ids=["c", "d"], include=["documents", "metadatas", "embeddings"])
    assert (found["documents"], [own(fields) for fields in found["metadatas"]]) == (["New.", "More."], [{"m": "x"}, {}])
    assert np.allclose(found["embeddings"], embedder.embed_documents(["New.", "More."]), atol=1e-6)
    add_documents(filled, ids=["c"], documents=["New."])
    assert [own(fields) for fields in filled.get(ids=["c"])["metadatas"]] == [{}]


@pytest.mark.parametrize("client", ["folder"], indirect=True)  # a server has the same limit
def test_more_documents_than_the_store_takes_at_once(
    client: Any, embedder: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = open_collection(client, "docs", embedder)
    count = client.get_max_batch_size() + 7
    texts = [f"text {number % 50}" for number in range(count)]
    monkeypatch.setattr("twofold.stores.writing.SLICE", count)
    monkeypatch.setattr("chroma_twofold.store.MAX_BATCH", count)
    add_documents(collection, ids=[str(number) for number in range(count)], documents=texts)
    assert collection.count() == count


def test_what_was_embedded_before_a_failure_is_kept(
    client: Any, embedder: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.stores.writing.SLICE", 2)
    collection = open_collection(client, "docs", embedder)
    upsert = type(collection).upsert

    def refusing(self: Any, ids: Any, **options: Any) -> None:
        if "c" in ids:
            raise ValueError("not this one")
        upsert(self, ids=ids, **options)

    monkeypatch.setattr(type(collection), "upsert", refusing)
    with pytest.raises(StoreError, match="Chroma did not take row 'c' or one after it") as error:
        add_documents(collection, ids=[*IDS, "d"], documents=[*TEXTS, "x"])
    assert list(error.value.failed) == ["c", "d"]
    assert collection.get()["ids"] == ["a", "b"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ids": ["a"]}, "1 ids, 2 documents"),
        ({"documents": "xy"}, "documents is of type str: expected a list with one for every document"),
        (
            {"metadatas": [{}, {"chroma:document": "x"}]},
            "document 1, 'b': metadata field 'chroma:document' is reserved",
        ),
        ({"ids": ["a", "a"]}, "id 'a' occurs twice"),
        ({"documents": ["x", 3]}, "document 1, 'b': expected a string, a list of chunks or a Document, got int"),
        ({"documents": ["x", "word " * 600]}, "document 'b' has 600 tokens, the limit is 512"),
        ({"metadatas": [{}, {"twofold_start": 1}]}, "document 1, 'b': metadata field 'twofold_start'"),
        ({"documents": [["x"], ["y", " "]]}, "document 1, 'b': chunk 1 is blank"),
    ],
)
def test_bad_documents_are_named_before_any_is_embedded(
    client: Any, embedder: FakeEmbedder, wrong: dict[str, Any], message: str
) -> None:
    collection = open_collection(client, "docs", embedder)
    embedder.calls.clear()
    given = {"ids": ["a", "b"], "documents": ["x", "y"], "metadatas": [{}, {}], **wrong}
    with pytest.raises(InputError, match=message):
        add_documents(collection, **given)
    assert not embedder.calls


def test_a_collection_that_was_opened_without_an_embedder_says_so(client: Any, filled: Any) -> None:
    assert filled.count() == 3
    with pytest.raises(StoreError, match="has no embedder: open it with"):
        add_documents(client.get_collection("docs", embedding_function=None), ids=["d"], documents=["x"])


# -- late chunking ----------------------------------------------------------------------------------------------------


def test_late_chunks_know_their_document_and_their_span(client: Any, embedder: FakeEmbedder) -> None:
    collection = open_collection(client, "docs", embedder)
    spans = Document.from_spans("Ships? None today.", [(0, 6), (7, 18)])
    ids = add_documents(
        collection,
        ids=["log", "note"],
        documents=[["Fog came in. ", "It left at nine."], spans],
        metadatas=[{"n": 1}, None],
    )
    assert ids == ["log#0", "log#1", "note#0", "note#1"]
    found: Any = collection.get(ids=ids, include=["documents", "metadatas", "embeddings"])
    assert found["documents"] == ["Fog came in. ", "It left at nine.", "Ships?", "None today."]
    shown = [(fields[DOCUMENT], fields[START], fields[END], fields.get("n")) for fields in found["metadatas"]]
    assert shown == [("log", 0, 13, 1), ("log", 13, 29, 1), ("note", 0, 6, None), ("note", 7, 18, None)]
    chunks = embedder.embed_chunks(["Fog came in. ", "It left at nine."])
    assert np.allclose(found["embeddings"][:2], chunks, atol=1e-6)
    assert not np.allclose(chunks, embedder.embed_documents(found["documents"][:2]), atol=1e-2)


def test_a_document_that_comes_again_leaves_no_chunk_behind(client: Any, embedder: FakeEmbedder) -> None:
    collection = open_collection(client, "docs", embedder)
    for chunks in (["One. ", "Two. ", "Three."], ["One. ", "Two."]):
        add_documents(collection, ids=["log", "other"], documents=[chunks, ["x"]])
    assert sorted(collection.get()["ids"]) == ["log#0", "log#1", "other#0"]
    add_documents(collection, ids=["log"], documents=["One. Two."])
    assert sorted(collection.get()["ids"]) == ["log", "other#0"]


# -- the asynchronous client ------------------------------------------------------------------------------------------


async def test_the_asynchronous_client(async_client: Any, embedder: FakeEmbedder) -> None:
    collection = await aopen_collection(async_client, "async", embedder)
    assert await aadd_documents(collection, ids=IDS, documents=TEXTS) == IDS
    query = (await embedder.aembed_query(TEXTS[2])).tolist()
    assert (await collection.query(query_embeddings=[query], n_results=1))["ids"] == [["c"]]
    with pytest.raises(SpaceMismatch, match="dimensions: 32 and 16"):
        await aopen_collection(async_client, "async", Embedder("fake:", dimensions=16))
    await async_client.delete_collection("async")


async def test_a_cancelled_task_ends_after_the_slice_in_hand(
    async_client: Any, embedder: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.stores.writing.SLICE", 1)
    collection = await aopen_collection(async_client, "cancelled", embedder)
    ids = [str(number) for number in range(500)]
    task = asyncio.create_task(aadd_documents(collection, ids=ids, documents=ids))
    while not await collection.count():
        pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    written = await collection.count()
    await asyncio.sleep(0.3)
    assert await collection.count() <= written + 1 < 500
    await async_client.delete_collection("cancelled")
