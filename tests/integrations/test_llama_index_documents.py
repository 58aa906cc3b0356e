"""Opening LlamaIndex's stores, and adding documents to them: replaced, late-chunked, read by everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from chromadb.api.async_client import AsyncClient
from llama_index.core import VectorStoreIndex
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.schema import Document, TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from llama_index_twofold import (
    TwofoldEmbedding,
    aadd_documents,
    add_documents,
    aopen_collection,
    open_collection,
)
from llama_index_twofold.rows import NodeStore
from support.chroma_server import forget_record
from twofold import BlankWarning, Embedder, InputError, ProviderUnavailable, SpaceMismatch, StoreError
from twofold import Document as Text
from twofold.stores import store_over
from twofold.testing import FailingEmbedder, FakeEmbedder, StoreContract, StoreDoor

if TYPE_CHECKING:
    from pathlib import Path

    from support.weaviate_server import WeaviateServer

TEXT = "A keeper lights the lamp. Nine ships wait in the fog. Bread is baked at night. " * 12


@pytest.fixture
def client(tmp_path: Path) -> Any:
    return chromadb.PersistentClient(tmp_path)


@pytest.fixture
def store(client: Any) -> Any:
    return open_collection(client, "night", FakeEmbedder())


def nodes_in(store: Any) -> dict[str, Any]:
    return {node.node_id: node for node in store.get_nodes(None)}


# -- opening ----------------------------------------------------------------------------------------------------------


async def test_the_store_is_the_hosts_own(client: Any) -> None:
    for store in (open_collection(client, "one", "fake:"), await aopen_collection(client, "two", Embedder("fake:"))):
        assert isinstance(store, ChromaVectorStore)
        assert (type(store).__name__, store.class_name()) == ("ChromaVectorStore", "ChromaVectorStore")
        assert store.client.configuration_json["hnsw"]["space"] == "cosine"
    with pytest.raises(StoreError, match="there is no collection 'three'"):
        open_collection(client, "three", "fake:", create=False)
    with pytest.raises(SpaceMismatch, match="dimensions: 64 and 16"):
        await aopen_collection(client, "two", TwofoldEmbedding("fake:", dimensions=16))


def test_options_of_a_new_collection_are_its_integrations(client: Any) -> None:
    configuration = {"hnsw": {"space": "ip"}}
    store = open_collection(client, "one", "fake:", metadata={"owner": "us"}, configuration=configuration)
    assert store.client.metadata["owner"] == "us"
    assert store.client.configuration_json["hnsw"]["space"] == "ip"


async def test_what_is_no_client_is_refused() -> None:
    with pytest.raises(InputError, match="dict is not a client of Chroma or Weaviate"):
        open_collection({}, "one", "fake:")
    with pytest.raises(InputError, match="LlamaIndex has no store over Chroma's asynchronous client"):
        await aopen_collection(AsyncClient.__new__(AsyncClient), "one", "fake:")
    with pytest.raises(InputError, match="open it with open_collection"):
        add_documents(ChromaVectorStore(chroma_collection=object()), ["x"], ids=["x"])


# -- adding -----------------------------------------------------------------------------------------------------------


async def test_whole_and_late_documents_in_one_call(store: Any) -> None:
    embedder = FakeEmbedder()
    chunks, cut = ["The lamp is lit. ", "Nine ships wait."], Text.from_spans(TEXT, [(0, 25), (26, 53)])
    documents: list[Any] = ["whole", chunks, cut, Document(text="the host's own", id_="own", metadata={"title": "T"})]
    metadatas = [{"n": 1}, [{"n": 2}, None], None, None]
    for add in (add_documents, aadd_documents):
        written = add(store, documents, ids=["w", "c", "s", "own"], metadatas=metadatas)
        ids = written if isinstance(written, list) else await written
        assert ids == ["w", "c#0", "c#1", "s#0", "s#1", "own"]
    nodes = nodes_in(store)
    assert {name: node.metadata for name, node in nodes.items()} == {
        "w": {"n": 1},
        "c#0": {"n": 2},
        "c#1": {},
        "s#0": {},
        "s#1": {},
        "own": {"title": "T"},
    }
    assert [nodes[name].ref_doc_id for name in ids] == ["w", "c", "c", "s", "s", "own"]
    assert (nodes["s#1"].start_char_idx, nodes["s#1"].end_char_idx, nodes["s#1"].text) == (26, 53, TEXT[26:53])
    kept = store.client.get(ids=["c#0", "c#1"], include=["embeddings"])["embeddings"]
    assert np.allclose(kept, embedder.embed_chunks(chunks), atol=1e-6)
    assert not np.allclose(kept, embedder.embed_documents(chunks), atol=1e-2)
    results = VectorStoreIndex.from_vector_store(store, embed_model=TwofoldEmbedding("fake:")).as_retriever(
        similarity_top_k=1
    )
    assert results.retrieve("nine ships wait")[0].node.ref_doc_id in ("c", "s")


def test_the_hosts_documents_are_cut_by_a_parser_and_a_shortened_one_leaves_nothing_behind(store: Any) -> None:
    parser = TokenTextSplitter(chunk_size=60, chunk_overlap=0)
    given = [Document(text=TEXT, id_="night", metadata={"title": "Night"}), Document(text="the lamp", id_="lamp")]
    ids = add_documents(store, given, node_parser=parser)
    assert len(ids) > 4
    assert ids[-1] == "lamp#0"
    nodes = nodes_in(store)
    assert all(TEXT[nodes[name].start_char_idx : nodes[name].end_char_idx] == nodes[name].text for name in ids[:-1])
    assert nodes["night#0"].metadata == {"title": "Night"}
    assert add_documents(store, [Document(text=TEXT[:60], id_="night")], node_parser=parser) == ["night#0"]
    assert set(nodes_in(store)) == {"night#0", "lamp#0"}
    add_documents(store, ["the lamp"], ids=["night"])
    assert set(nodes_in(store)) == {"night", "lamp#0"}
    store.delete("lamp")
    assert set(nodes_in(store)) == {"night"}
    index = VectorStoreIndex.from_vector_store(store, embed_model=TwofoldEmbedding("fake:"))
    index.insert_nodes(parser.get_nodes_from_documents([Document(text=TEXT, id_="night")]))  # as the host does it
    assert len(nodes_in(store)) > 4
    assert add_documents(store, ["fog"], ids=["night"]) == ["night"]
    assert set(nodes_in(store)) == {"night"}


def test_rows_are_read_as_chunks_by_everyone(client: Any, store: Any) -> None:
    embedding = TwofoldEmbedding("fake:")
    splitter = TokenTextSplitter(chunk_size=60, chunk_overlap=0)
    add_documents(store, [Document(text=TEXT, id_="ours")], node_parser=splitter)
    VectorStoreIndex.from_vector_store(store, embed_model=embedding).insert_nodes(
        splitter.get_nodes_from_documents([Document(text=TEXT, id_="hosts")])
    )
    native: Any = store_over(client, "night")
    opened = native
    assert opened.find()
    hits = opened.search(embedding.embedder.embed_query("nine ships"), 50)
    assert {hit.row.document for hit in hits} == {"ours", "hosts"}
    for hit in hits:
        if hit.row.document == "ours":
            assert TEXT[slice(*hit.row.span)] == hit.row.text
        assert hit.row.span[1] - hit.row.span[0] == len(hit.row.text)


def test_the_hosts_fields_are_not_shown_to_models(store: Any) -> None:
    embedding = TwofoldEmbedding("fake:")
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    index.insert_nodes([TextNode(text="the lamp", metadata={"title": "Lamp"}, id_="n")])
    node = nodes_in(store)["n"]
    assert node.metadata == {"title": "Lamp", "twofold_document": "n", "twofold_start": 0, "twofold_end": 8}
    for mode in ("llm", "embed"):
        assert node.get_content(mode) == "title: Lamp\n\nthe lamp"


def test_what_is_wrong_is_said_before_any_work(store: Any) -> None:
    calls = store._guard.embedder.calls
    before = len(calls)
    for documents, options, message in (
        (["a"], {}, "document 0 has no id: pass ids"),
        (["a", "b"], {"ids": ["a"]}, "1 ids, 2 documents"),
        (["a", "b"], {"ids": ["a", "a"]}, "id 'a' occurs twice"),
        (["a", 3], {"ids": ["a", "b"]}, "document 1, 'b': expected a string, a list of chunks or a Document, got int"),
        (["a", "word " * 10_000], {"ids": ["a", "b"]}, "document 'b' has 10000 tokens"),
        (["a"], {"ids": ["a"], "metadatas": [{"twofold_document": "x"}]}, "is Twofold's own"),
        ("one text", {"ids": ["a"]}, r"expected a list of documents, got one: pass \[document\]"),
        (Document(text="one"), {}, r"expected a list of documents, got one"),
    ):
        with pytest.raises(InputError, match=message):
            add_documents(store, documents, **options)  # type: ignore[arg-type]
    assert len(calls) == before
    assert store.client.count() == 0


def test_a_blank_document_has_no_nodes(store: Any) -> None:
    parser = TokenTextSplitter(chunk_size=60, chunk_overlap=0)
    given = [Document(text="the lamp", id_="lamp"), Document(text=" \n", id_="blank")]
    with pytest.warns(BlankWarning, match="document 1, 'blank', is blank"):
        assert add_documents(store, given) == ["lamp"]
    with pytest.warns(BlankWarning, match="document 1, 'blank', is blank"):
        assert add_documents(store, given, node_parser=parser) == ["lamp#0"]


def test_the_record_is_compared_before_anything_is_written(store: Any) -> None:
    calls = store._guard.embedder.calls
    before = len(calls)
    other = FakeEmbedder(document_task="topic")
    store._guard.store.stamp(other.record().to_json(), other)
    with pytest.raises(SpaceMismatch, match="document task"):
        add_documents(store, ["a"], ids=["a"])
    assert store.client.count() == 0
    assert len(calls) == before


def test_what_was_paid_for_is_written_when_a_provider_fails(client: Any) -> None:
    store = open_collection(client, "failing", FailingEmbedder())
    with pytest.raises(ProviderUnavailable) as caught:
        add_documents(store, ["a", "b", "c", "d"], ids=["a", "b", "c", "d"])
    assert set(nodes_in(store)) == {"a", "b"}
    assert list(caught.value.failed) == [2, 3]


async def test_progress_is_drawn_when_it_is_asked_for(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    add_documents(store, ["a", "b"], ids=["a", "b"], progress=True)
    await aadd_documents(store, ["a", "b"], ids=["a", "b"], progress=True)
    assert capsys.readouterr().err.count("adding: 2 of 2") == 2


# -- the contract of a store ------------------------------------------------------------------------------------------


class TestRowsOfLlamaIndex(StoreContract):
    @pytest.fixture(autouse=True)
    def _choose(self, client: Any) -> None:
        def store(name: str) -> Any:
            native: Any = store_over(client, name)
            return NodeStore(native, FakeEmbedder())

        self.door = StoreDoor(
            name="llama-index over chroma", store=store, forget=lambda name: forget_record(client, name)
        )


# -- Weaviate ---------------------------------------------------------------------------------------------------------


def test_documents_in_weaviate(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    given: list[Any] = [
        "the lamp",
        ["Nine ships ", "wait in the fog"],
        Document(text=TEXT, id_="night", metadata={"title": "T"}),
    ]
    with weaviate_server.connect() as client:
        store = open_collection(client, weaviate_name, FakeEmbedder())
        ids = add_documents(store, given, ids=["lamp", "ships", "night"], metadatas=[{"n": 1}, None, None])
        assert ids == ["lamp", "ships#0", "ships#1", "night"]
        index = VectorStoreIndex.from_vector_store(store, embed_model=TwofoldEmbedding("fake:"))
        found = {hit.node.node_id: hit.node for hit in index.as_retriever(similarity_top_k=9).retrieve("lamp")}
        assert set(found) == set(ids)
        assert (found["lamp"].metadata, found["night"].metadata) == ({"n": 1}, {"title": "T"})
        assert found["ships#1"].get_content() == "wait in the fog"
        assert add_documents(store, ["ships"], ids=["ships"]) == ["ships"]
        store.delete("night")
        again = open_collection(client, weaviate_name, FakeEmbedder(), create=False)
        assert len(client.collections.get(again.index_name)) == 2


async def test_documents_in_weaviate_through_its_asynchronous_client(
    weaviate_server: WeaviateServer, weaviate_name: str
) -> None:
    embedding = TwofoldEmbedding(FakeEmbedder())
    async with weaviate_server.connect_async() as client:
        store = await aopen_collection(client, weaviate_name, embedding)
        assert await aadd_documents(store, ["the lamp", ["a ", "b"]], ids=["lamp", "ab"]) == ["lamp", "ab#0", "ab#1"]
        index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
        await index.ainsert_nodes([TextNode(text="bread at night")])
        (best,) = await index.as_retriever(similarity_top_k=1).aretrieve("the lamp")
        assert best.node.get_content() == "the lamp"
        other = TwofoldEmbedding("fake:", document_task="topic")
        with pytest.raises(SpaceMismatch):
            await aopen_collection(client, weaviate_name, other)
        with pytest.raises(SpaceMismatch):
            await VectorStoreIndex.from_vector_store(store, embed_model=other).ainsert_nodes([TextNode(text="x")])
        assert (await client.collections.get(weaviate_name).aggregate.over_all(total_count=True)).total_count == 4
