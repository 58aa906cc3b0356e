"""LangChain: a cache that keeps sides and models apart, and `index()` that notices a change of model."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_twofold import TwofoldEmbeddings, cached, record_key_encoder
from twofold import InputError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from twofold.testing import Call

TEXTS = ["a keeper", "nine ships", "a keeper", "fog"]


def fake(**options: Any) -> TwofoldEmbeddings:
    return TwofoldEmbeddings(model="fake:", **options)


def calls(embeddings: TwofoldEmbeddings) -> list[Call]:
    recorded: list[Call] = embeddings.embedder.backend.calls  # type: ignore[attr-defined]
    return recorded


def keys(store: Any) -> Iterable[str]:
    return list(store.yield_keys())


def test_a_query_never_gets_a_documents_vector() -> None:
    embeddings = fake()
    cache = cached(embeddings, InMemoryByteStore())
    for _ in range(2):
        assert cache.embed_documents(["fog"]) == embeddings.embed_documents(["fog"])
        assert cache.embed_query("fog") == embeddings.embed_query("fog")


def test_only_what_is_missing_is_embedded_and_each_text_once() -> None:
    embeddings = fake()
    wanted = embeddings.embed_documents(TEXTS)
    cache = cached(embeddings, InMemoryByteStore())
    calls(embeddings).clear()
    assert cache.embed_documents(TEXTS[:2]) == wanted[:2]
    assert cache.embed_documents(TEXTS) == wanted
    assert [call.texts for call in calls(embeddings)] == [("a keeper", "nine ships"), ("fog",)]


def test_async_shares_the_cache() -> None:
    embeddings, store = fake(), InMemoryByteStore()
    wanted, query = embeddings.embed_documents(TEXTS), embeddings.embed_query("fog")
    cache = cached(embeddings, store)

    async def ask() -> None:
        assert await cache.aembed_documents(TEXTS) == wanted
        assert await cache.aembed_query("fog") == query

    asyncio.run(ask())
    calls(embeddings).clear()
    assert (cache.embed_documents(TEXTS), cache.embed_query("fog")) == (wanted, query)
    asyncio.run(ask())
    assert calls(embeddings) == []


def test_models_may_share_a_store() -> None:
    store = InMemoryByteStore()
    for options in ({}, {"dimensions": 16}, {"document_task": "topic"}, {"normalize": False}):
        embeddings = fake(**options)
        assert cached(embeddings, store).embed_documents(TEXTS) == embeddings.embed_documents(TEXTS)
    assert len(list(keys(store))) == 4 * 3


def test_keys_say_space_and_side_and_not_the_text() -> None:
    store, embeddings = InMemoryByteStore(), fake()
    cached(embeddings, store).embed_query("fog")
    (key,) = keys(store)
    assert re.fullmatch(f"{embeddings.embedder.space.fingerprint}/query/[0-9a-f]{{64}}", key)


def test_a_folder_is_a_store(tmp_path: Path) -> None:
    from langchain_classic.storage import LocalFileStore

    embeddings = fake(dimensions=16)
    wanted = embeddings.embed_documents(TEXTS)
    for _ in range(2):
        assert cached(embeddings, LocalFileStore(tmp_path)).embed_documents(TEXTS) == wanted
    assert {file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()} == {16 * 4}


def test_a_value_that_was_cut_off_is_embedded_again() -> None:
    store, embeddings = InMemoryByteStore(), fake()
    cache = cached(embeddings, store)
    wanted = cache.embed_documents(["fog"])
    store.mset([(key, b"half") for key in keys(store)])
    assert cache.embed_documents(["fog"]) == wanted


def test_nothing_is_looked_up_for_no_texts() -> None:
    assert cached(fake(), InMemoryByteStore()).embed_documents([]) == []


def test_errors_name_the_text_in_the_list_that_was_given() -> None:
    cache = cached(fake(), InMemoryByteStore())
    cache.embed_documents(["fog"])
    long = "word " * 600
    for texts, place in ((["fog", "ships", ""], 2), (["fog", "ships", "fog", long], 3)):
        with pytest.raises(InputError) as caught:
            cache.embed_documents(texts)
        assert caught.value.index == place
    assert cache.embed_documents(["ships"]) == fake().embed_documents(["ships"])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_was_paid_for_is_kept_when_a_call_fails(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    embeddings = fake()
    embeddings.embedder.backend  # noqa: B018 - made before it is made to fail
    wanted = embeddings.embed_documents(["fog", "ships"])
    rows = embeddings.embedder.embed_documents(["ships"])

    def fail(*_: Any, **__: Any) -> None:
        raise ProviderError("no more", partial={0: rows}, failed={1: "no more"})

    async def afail(*_: Any, **__: Any) -> None:
        fail()

    cache = cached(embeddings, InMemoryByteStore())
    cache.embed_documents(["fog"])
    monkeypatch.setattr(embeddings.embedder.backend, "embed", fail)
    monkeypatch.setattr(embeddings.embedder.backend, "aembed", afail)
    texts = ["fog", "ships", "rain"]
    with pytest.raises(ProviderError) as caught:
        asyncio.run(cache.aembed_documents(texts)) if asynchronous else cache.embed_documents(texts)
    assert (set(caught.value.partial), set(caught.value.failed)) == ({1}, {2})
    assert cache.embed_documents(["fog", "ships"]) == wanted


DOCUMENTS = [Document(f"text {number}", metadata={"source": f"{number}.md", "page": number}) for number in range(5)]


def indexed(store: InMemoryVectorStore, records: InMemoryRecordManager, embeddings: TwofoldEmbeddings) -> Any:
    options: dict[str, Any] = {"cleanup": "full", "source_id_key": "source"}
    return index(DOCUMENTS, records, store, key_encoder=record_key_encoder(embeddings), **options)


def test_index_embeds_again_when_the_model_changes() -> None:
    first, second = fake(), fake(document_task="topic")
    store, records = InMemoryVectorStore(first), InMemoryRecordManager("test")
    records.create_schema()
    assert indexed(store, records, first)["num_added"] == 5
    assert indexed(store, records, first)["num_skipped"] == 5
    store.embedding = second
    assert indexed(store, records, second) == {"num_added": 5, "num_updated": 0, "num_skipped": 0, "num_deleted": 5}
    assert sorted(item["vector"] for item in store.store.values()) == sorted(
        second.embed_documents([document.page_content for document in DOCUMENTS])
    )


async def test_aindex_takes_the_same_keys() -> None:
    embeddings = fake()
    store, records = InMemoryVectorStore(embeddings), InMemoryRecordManager("test")
    await records.acreate_schema()
    options: dict[str, Any] = {"cleanup": None, "key_encoder": record_key_encoder(embeddings)}
    assert (await aindex(DOCUMENTS, records, store, **options))["num_added"] == 5
    assert set(store.store) == set(map(record_key_encoder(embeddings), DOCUMENTS))


def test_keys_are_uuids_that_hold_space_text_and_metadata() -> None:
    key = record_key_encoder(fake())
    document = Document("text", metadata={"a": 1, "b": 2})
    others = [
        key(Document("text", metadata={"a": 1})),
        key(Document("other", metadata={"a": 1, "b": 2})),
        record_key_encoder(fake(dimensions=16))(document),
    ]
    assert str(uuid.UUID(key(document))) == key(document) == key(Document("text", metadata={"b": 2, "a": 1}))
    assert len({key(document), *others}) == 4


def test_metadata_that_is_not_json_is_refused() -> None:
    with pytest.raises(InputError, match="must be JSON"):
        record_key_encoder(fake())(Document("text", metadata={"a": object()}))
