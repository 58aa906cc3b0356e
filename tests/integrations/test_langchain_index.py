"""LangChain's `index()`: record keys that hold the space, and nothing written under another space's record."""

from __future__ import annotations

import uuid
from typing import Any

import chromadb
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import CharacterTextSplitter

from langchain_twofold import (
    TwofoldEmbeddings,
    add_documents,
    arecord_key_encoder,
    late_chunk,
    open_collection,
    record_key_encoder,
)
from support.waiting import settled
from twofold import BlankWarning, InputError, SpaceMismatch

DOCUMENTS = [Document(f"text {number}", metadata={"source": f"{number}.md", "page": number}) for number in range(5)]


def fake(**options: Any) -> TwofoldEmbeddings:
    return TwofoldEmbeddings("fake:", **options)


@pytest.fixture
def records() -> InMemoryRecordManager:
    manager = InMemoryRecordManager("test")
    manager.create_schema()
    return manager


def indexed(store: Any, records: InMemoryRecordManager) -> Any:
    options: dict[str, Any] = {"cleanup": "full", "source_id_key": "source"}
    return index(DOCUMENTS, records, store, key_encoder=record_key_encoder(store), **options)


def test_a_new_model_is_a_new_collection_and_everything_is_embedded_again(records: InMemoryRecordManager) -> None:
    client, first, second = chromadb.EphemeralClient(), fake(), fake(document_task="topic")
    old, new = (open_collection(client, f"test-{uuid.uuid4()}", one) for one in (first, second))
    assert indexed(old, records)["num_added"] == 5
    assert indexed(old, records)["num_skipped"] == 5
    assert indexed(new, records)["num_added"] == 5
    found: Any = new._collection.get(include=["embeddings", "documents"])  # type: ignore[attr-defined]
    wanted = second.embedder.embed_documents(found["documents"])
    assert abs(found["embeddings"] - wanted).max() < 1e-6


def test_rows_of_one_space_never_come_under_the_record_of_another(records: InMemoryRecordManager) -> None:
    client, name = chromadb.EphemeralClient(), f"test-{uuid.uuid4()}"
    first = open_collection(client, name, fake())
    indexed(first, records)
    before = first.get()  # type: ignore[attr-defined]
    other = Chroma(name, fake(document_task="topic"), client=client)
    with pytest.raises(SpaceMismatch, match="document task"):
        indexed(other, records)
    assert first.get() == before  # type: ignore[attr-defined]


def test_a_store_that_keeps_no_record_embeds_again(records: InMemoryRecordManager) -> None:
    second = fake(document_task="topic")
    store = InMemoryVectorStore(fake())
    assert indexed(store, records)["num_added"] == 5
    store.embedding = second
    assert indexed(store, records) == {"num_added": 5, "num_updated": 0, "num_skipped": 0, "num_deleted": 5}
    assert sorted(item["vector"] for item in store.store.values()) == sorted(
        second.embed_documents([document.page_content for document in DOCUMENTS])
    )


def test_late_chunks_are_refused_rather_than_embedded_alone(records: InMemoryRecordManager) -> None:
    store = InMemoryVectorStore(fake())
    splitter = CharacterTextSplitter("\n", chunk_size=10, chunk_overlap=0)
    chunks, _ = late_chunk([Document("a keeper\nnine ships", id="log")], splitter, fake())
    with pytest.raises(InputError, match="late-chunked document 'log': index\\(\\) would embed it alone"):
        index(chunks, records, store, key_encoder=record_key_encoder(store))
    assert store.store == {}


def test_documents_that_were_found_may_be_indexed(records: InMemoryRecordManager) -> None:
    store = open_collection(chromadb.EphemeralClient(), f"test-{uuid.uuid4()}", fake())
    store.add_documents(DOCUMENTS)
    found = store.similarity_search("text 1", k=5)
    assert index(found, records, store, key_encoder=record_key_encoder(store))["num_added"] == 5


async def test_a_blank_page_does_not_stop_langchains_own_calls(records: InMemoryRecordManager) -> None:
    pages = [Document("a keeper", metadata={"source": "a"}), Document(" \n", metadata={"source": "b"}), Document("fog")]
    embeddings = fake()
    store = InMemoryVectorStore(embeddings)
    with pytest.warns(BlankWarning, match="text 1 is blank"):
        assert index(pages, records, store, key_encoder=record_key_encoder(store))["num_added"] == 3
    with pytest.warns(BlankWarning, match="text 1 is blank"):
        empty = embeddings.embed_documents(["fog", ""])[1]
    assert empty in [item["vector"] for item in store.store.values()]
    chroma = open_collection(chromadb.EphemeralClient(), f"test-{uuid.uuid4()}", embeddings)
    for add in (chroma.add_documents, chroma.aadd_documents):
        with pytest.warns(BlankWarning):
            assert len(await settled(add(pages))) == 3
    with pytest.warns(BlankWarning):
        assert InMemoryVectorStore.from_documents(pages, embeddings).similarity_search("", k=1)
    with pytest.warns(BlankWarning, match="document 1,"):
        assert len(add_documents(InMemoryVectorStore(embeddings), pages)) == 2


async def test_aindex_takes_the_same_keys(records: InMemoryRecordManager) -> None:
    store = InMemoryVectorStore(fake())
    options: dict[str, Any] = {"cleanup": None, "key_encoder": await arecord_key_encoder(store)}
    assert (await aindex(DOCUMENTS, records, store, **options))["num_added"] == 5
    assert set(store.store) == set(map(record_key_encoder(store), DOCUMENTS))


def test_keys_are_uuids_that_hold_space_text_and_metadata() -> None:
    key = record_key_encoder(InMemoryVectorStore(fake()))
    document = Document("text", metadata={"a": 1, "b": 2})
    others = [
        key(Document("text", metadata={"a": 1})),
        key(Document("other", metadata={"a": 1, "b": 2})),
        record_key_encoder(InMemoryVectorStore(fake(dimensions=16)))(document),
    ]
    assert str(uuid.UUID(key(document))) == key(document) == key(Document("text", metadata={"b": 2, "a": 1}))
    assert len({key(document), *others}) == 4


def test_metadata_that_is_not_json_is_refused() -> None:
    with pytest.raises(InputError, match="must be JSON"):
        record_key_encoder(InMemoryVectorStore(fake()))(Document("text", metadata={"a": object()}))


def test_a_store_without_embeddings_has_no_keys() -> None:
    with pytest.raises(InputError, match="Chroma has no embeddings"):
        record_key_encoder(Chroma(f"test-{uuid.uuid4()}"))
