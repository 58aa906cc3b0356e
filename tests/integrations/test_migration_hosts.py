"""Collections that others made, moved: LangChain's, LlamaIndex's, and those made by hand, on Chroma and Weaviate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.migrating import NEW, OLD, text
from twofold import SpaceMismatch, StoreError
from twofold.jobs import Migration, open_store, search

if TYPE_CHECKING:
    from pathlib import Path

    from support.weaviate_server import WeaviateServer
    from twofold import Embedder
    from twofold.jobs import Plan

pytest.importorskip("chromadb")

COUNT = 30


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes while these cut over."""
    monkeypatch.setattr("twofold.jobs.migration.moving.GRACE", 0.0)


def _by_id(got: Any) -> dict[str, Any]:
    return dict(zip(got["ids"], zip(got["documents"], got["metadatas"], strict=True), strict=True))


def moved(address: str, name: str, new: Embedder = NEW) -> Plan:
    """Migrate a collection, by all steps but the last."""
    with Migration(address, name, new, old=[OLD]) as migration:
        plan = migration.plan(seed=0)
        assert [proof.proved for proof in plan.proofs] == [True]
        migration.apply()
        verdict = migration.verify()
        assert verdict.go, verdict
        assert verdict.sampled
        migration.cutover()
    return plan


def test_chroma_by_hand_with_its_own_function_and_distance(tmp_path: Path) -> None:
    import chromadb

    client: Any = chromadb.PersistentClient(str(tmp_path))
    made: Any = client.create_collection(
        "docs", metadata={"owner": "me"}, configuration={"hnsw": {"space": "l2", "max_neighbors": 24}}
    )
    texts = [text(number) for number in range(COUNT)]
    fields = [{"n": number, "share": number / 7, "tags": ["a", "b"]} for number in range(COUNT)]
    made.add(ids=texts, documents=texts, embeddings=OLD.embed_documents(texts), metadatas=fields)
    made.add(ids=["plain"], documents=["without a field"], embeddings=OLD.embed_documents(["without a field"]))
    before = made.get()
    client.close()
    plan = moved(f"chroma:{tmp_path}", "docs")
    assert (plan.space, plan.documents, plan.chunks) == (None, COUNT + 1, 0)
    with Migration(f"chroma:{tmp_path}", "docs") as migration:
        migration.prune()
    client = chromadb.PersistentClient(str(tmp_path))
    after: Any = client.get_collection("docs", embedding_function=None)
    found = after.get()
    assert _by_id(found) == _by_id(before)
    assert after.metadata["owner"] == "me"
    assert after.configuration_json["hnsw"]["max_neighbors"] == 24
    assert after.configuration_json["hnsw"]["space"] == "cosine"


def test_chroma_of_another_embedding_function(tmp_path: Path) -> None:
    import chromadb
    from chromadb.utils.embedding_functions import register_embedding_function

    @register_embedding_function
    class Theirs(chromadb.EmbeddingFunction[Any]):
        def __init__(self) -> None:
            """Nothing is needed."""

        def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma's word
            return list(OLD.embed_documents(input))

        @staticmethod
        def name() -> str:
            return "theirs"

        def get_config(self) -> dict[str, Any]:
            return {}

        @staticmethod
        def build_from_config(config: dict[str, Any]) -> Any:  # noqa: ARG004 - Chroma's
            return Theirs()

    client: Any = chromadb.PersistentClient(str(tmp_path))
    made: Any = client.create_collection("docs", embedding_function=Theirs())
    made.add(ids=["a", "b"], documents=[text(1), text(2)])
    client.close()
    with pytest.raises(StoreError, match="twofold migrate"), open_store(f"chroma:{tmp_path}", "docs", OLD, adopt=True):
        pass
    moved(f"chroma:{tmp_path}", "docs")
    with open_store(f"chroma:{tmp_path}", "docs", NEW, create=False) as store:
        assert store.count() == 2


def test_langchain_opens_what_serves(tmp_path: Path) -> None:
    pytest.importorskip("langchain_chroma")
    import chromadb
    from langchain_core.documents import Document

    from langchain_twofold import TwofoldEmbeddings, late_chunk, open_collection
    from langchain_twofold.store import add_documents

    client = chromadb.PersistentClient(str(tmp_path))
    old = TwofoldEmbeddings(OLD)
    store: Any = open_collection(client, "docs", old)
    add_documents(store, [Document(text(number), metadata={"n": number}) for number in range(COUNT)])
    from langchain_text_splitters import CharacterTextSplitter

    splitter = CharacterTextSplitter(separator=". ", chunk_size=60, chunk_overlap=0, keep_separator="end")
    chunks = late_chunk([Document(". ".join(text(n) for n in range(5)), id="long")], splitter, old)
    add_documents(store, *chunks)
    before = {one.id: (one.page_content, one.metadata) for one in store.similarity_search("keeper", k=100)}
    plan = moved(f"chroma:{tmp_path}", "docs")
    assert (plan.late, plan.chunks > 1) == (True, True)
    with pytest.raises(SpaceMismatch):
        open_collection(client, "docs", old)
    again = open_collection(client, "docs", TwofoldEmbeddings(NEW))
    assert {one.id: (one.page_content, one.metadata) for one in again.similarity_search("keeper", k=100)} == before
    assert again.similarity_search(text(7), k=1)[0].page_content == text(7)


def test_llama_index_embeds_metadata_too(tmp_path: Path) -> None:
    pytest.importorskip("llama_index.vector_stores.chroma")
    import chromadb
    from llama_index.core.schema import MetadataMode, TextNode
    from llama_index.vector_stores.chroma import ChromaVectorStore

    from llama_index_twofold import open_collection

    client = chromadb.PersistentClient(str(tmp_path))
    collection = client.create_collection("docs", configuration={"hnsw": {"space": "cosine"}})
    nodes = [TextNode(text=text(n), id_=f"n{n}", metadata={"title": f"title {n}"}) for n in range(COUNT)]
    said = [node.get_content(MetadataMode.EMBED) for node in nodes]
    for node, vector in zip(nodes, OLD.embed_documents(said), strict=True):
        node.embedding = vector.tolist()
    ChromaVectorStore(chroma_collection=collection).add(list(nodes))
    before = collection.get()
    plan = moved(f"chroma:{tmp_path}", "docs")
    assert plan.documents == COUNT
    with open_store(f"chroma:{tmp_path}", "docs", NEW, create=False) as store:
        stored = {one.row.id: one.vector for one in store.get([node.node_id for node in nodes])}
        collection = store.collection  # type: ignore[attr-defined]
        after = collection.get()
    wanted = NEW.embed_documents(said)
    assert np.allclose([stored[node.node_id] for node in nodes], wanted, atol=1e-6)
    assert dict(zip(after["ids"], after["metadatas"], strict=True)) == dict(
        zip(before["ids"], before["metadatas"] or [], strict=True)
    )
    opened = open_collection(client, "docs", NEW)
    assert opened._collection.name == collection.name


def test_weaviate_by_hand(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    from weaviate.classes.config import Configure, DataType, Property, ReferenceProperty
    from weaviate.classes.data import DataObject

    address = f"weaviate:{weaviate_server.url}"
    with weaviate_server.connect() as client:
        made = client.collections.create(
            weaviate_name,
            description="a user's",
            properties=[
                Property(name="title", data_type=DataType.TEXT, description="what it is called"),
                Property(name="text", data_type=DataType.TEXT),
                Property(name="year", data_type=DataType.INT),
                Property(name="when", data_type=DataType.DATE),
            ],
            references=[ReferenceProperty(name="next", target_collection=weaviate_name)],
            vector_config=Configure.Vectors.self_provided(quantizer=Configure.VectorIndex.Quantizer.rq()),
        )
        texts = [text(number) for number in range(COUNT)]
        objects: Any = [
            DataObject(
                {"title": f"t{n}", "text": one, "year": 1900 + n, "when": f"20{n:02}-01-01T00:00:00Z"}, vector=vector
            )
            for n, (one, vector) in enumerate(zip(texts, OLD.embed_documents(texts).tolist(), strict=True))
        ]
        uuids = list(made.data.insert_many(objects).uuids.values())
        made.data.reference_add(uuids[0], "next", uuids[1])
        before = {one.uuid: one.properties for one in made.iterator()}
    moved(address, weaviate_name)
    with weaviate_server.connect() as client, open_store(address, weaviate_name, NEW, create=False) as store:
        from weaviate.classes.query import QueryReference

        served = client.collections.use(store.name)
        assert {one.uuid: one.properties for one in served.iterator()} == before
        one = served.query.fetch_object_by_id(uuids[0], return_references=QueryReference(link_on="next"))
        assert [to.uuid for to in one.references["next"].objects] == [uuids[1]]
        config: Any = served.config.get()
        assert config.description == "a user's"
        assert {own.name: own.description for own in config.properties}["title"] == "what it is called"
        assert type(config.vector_config["default"].vector_index_config.quantizer).__name__ == "_RQConfig"
        assert search(NEW, store, texts[3], limit=1)[0].row.metadata["title"] == "t3"
    with Migration(address, weaviate_name) as migration:
        migration.prune()
    with weaviate_server.connect() as client:
        assert client.alias.get(alias_name=weaviate_name) is not None
        assert client.collections.use(weaviate_name).config.get().name != weaviate_name
        client.alias.delete(alias_name=weaviate_name)


def _first_title(vectorizer: Any, collection: Any) -> Any:
    return vectorizer.near_text(collection, text(4), target_vector="title", limit=1).objects[0].properties["title"]


def test_weaviate_by_an_alias_with_several_vectors(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    from weaviate_twofold import TwofoldVectorizer, open_collection

    address, alias = f"weaviate:{weaviate_server.url}", f"{weaviate_name}Alias"
    vectorize = {"title": "title", "all": ["title", "body"]}
    old, new = TwofoldVectorizer(OLD), TwofoldVectorizer(NEW)
    with weaviate_server.connect() as client:
        try:
            articles = open_collection(client, weaviate_name, old, vectorize=vectorize)
            old.add_objects(articles, [{"title": text(n), "body": text(n, 1)} for n in range(COUNT)])
            client.alias.create(alias_name=alias, target_collection=weaviate_name)
            handle = client.collections.use(alias)
            assert old.near_text(handle, text(4), target_vector="title", limit=1).objects[0].properties[
                "title"
            ] == text(4)
            moved(address, alias)
            current = client.alias.get(alias_name=alias)
            assert current is not None
            assert current.collection != weaviate_name
            # a collection that was opened stays the same; a handle of the alias moves with it, and is refused
            assert old.near_text(articles, text(4), target_vector="title", limit=1).objects[0].properties[
                "title"
            ] == text(4)
            for vectorizer, moved_handle in ((old, handle), (TwofoldVectorizer(OLD), client.collections.use(alias))):
                with pytest.raises(SpaceMismatch):
                    vectorizer.near_text(moved_handle, text(4), target_vector="title")
            with pytest.raises(StoreError, match="has moved to"):
                old.add_objects(articles, [{"title": "x", "body": "y"}])
            served = open_collection(client, alias, new, vectorize=vectorize)
            found = new.near_text(served, text(4, 1), target_vector="all", limit=1)
            assert found.objects[0].properties["body"] == text(4, 1)
            with Migration(address, alias, NEW) as migration:
                migration.rollback()
                back = client.alias.get(alias_name=alias)
                assert back is not None
                assert back.collection == weaviate_name
                with pytest.raises(SpaceMismatch):
                    open_collection(client, alias, new, vectorize=vectorize)
            moved(address, alias)
            with Migration(address, alias) as migration:
                assert migration.prune() == weaviate_name
            assert not client.collections.exists(weaviate_name)
            assert new.near_text(client.collections.use(alias), text(2), target_vector="title", limit=1).objects
        finally:
            client.alias.delete(alias_name=alias)


def test_weaviate_tenants_are_refused(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    from weaviate_twofold import open_collection

    with weaviate_server.connect() as client:
        open_collection(client, weaviate_name, OLD, tenants=True)
    address = f"weaviate:{weaviate_server.url}"
    with Migration(address, weaviate_name, NEW) as migration, pytest.raises(StoreError, match="tenants"):
        migration.apply()
