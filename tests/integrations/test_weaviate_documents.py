"""Documents, whole or late-chunked, on a real server."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold import BlankWarning, Document, InputError, StoreError
from twofold.testing import FakeEmbedder
from weaviate_twofold import TwofoldVectorizer, aadd_documents, add_documents, aopen_collection, open_collection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weaviate import WeaviateClient

    from support.weaviate_server import WeaviateServer

CHUNKS = ["We plan a birthday dinner. ", "It is for nine people, on Friday.", " The fog came in."]


@pytest.fixture
def client(weaviate_server: WeaviateServer) -> Iterator[WeaviateClient]:
    with weaviate_server.connect() as client:
        yield client


def stored(collection: Any) -> dict[str, Any]:
    return {str(one.properties["twofold_id"]): one for one in collection.iterator(include_vector=True)}


def test_late_chunks_know_their_document_and_where_they_stand(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    chat = open_collection(client, weaviate_name, embedder)
    late = Document.from_spans("Fog, then sun. Ships.", [(0, 4), (0, 14), (15, 21)])
    fields: list[Any] = [{"from": "Ann", "date": "2026-11-23T20:00:00Z"}, [{"page": 3, "odd": True}, None, {"page": 4}]]
    ids = add_documents(chat, embedder, ids=["chat", "log/1"], documents=[CHUNKS, late], metadatas=fields)
    assert ids == ["chat#0", "chat#1", "chat#2", "log/1#0", "log/1#1", "log/1#2"]
    found = stored(chat)
    assert set(found) == set(ids)
    wanted = np.concatenate([embedder.embed_chunks(CHUNKS), *embedder.embed_late([late])])
    texts = [*CHUNKS, "Fog,", "Fog, then sun.", "Ships."]
    spans = [*pairwise([0, 27, 60, 77]), *late.spans]
    for key, vector, said, span in zip(ids, wanted, texts, spans, strict=True):
        one = found[key]
        assert np.array_equal(np.array(one.vector["default"], np.float32), vector)
        assert one.properties["text"] == said
        assert (one.properties["twofold_start"], one.properties["twofold_end"]) == span
        assert one.properties["twofold_document"] == key.rpartition("#")[0]
    assert found["chat#1"].properties["date"] == "2026-11-23T20:00:00Z"  # a text stays a text
    assert [found[f"log/1#{number}"].properties.get("page") for number in range(3)] == [3, None, 4]
    assert not np.allclose(embedder.embed_documents(CHUNKS), wanted[:3])


def test_a_document_that_is_written_again_leaves_no_old_row(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    chat = open_collection(client, weaviate_name, embedder)

    def write(document: Any) -> set[str]:
        add_documents(chat, embedder, ids=["chat"], documents=[document])
        return set(stored(chat)) - {"chat 2", "2"}

    add_documents(chat, embedder, ids=["chat 2", "2"], documents=["not this one", "nor this"])
    assert write(CHUNKS) == {"chat#0", "chat#1", "chat#2"}
    assert write(CHUNKS[:2]) == {"chat#0", "chat#1"}
    assert write("whole") == {"chat"}
    assert write(["whole"]) == {"chat#0"}
    assert len(stored(chat)) == 3


def test_lists_blank_documents_and_both_kinds_in_one_call(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    chat = open_collection(client, weaviate_name, embedder)
    fields: list[Any] = [{"tags": ["a", "b"], "pages": [1, 2], "Odd name": [1.5], "flags": [True]}, None, None]
    with pytest.warns(BlankWarning, match="document 2, 'c', is blank"):
        ids = add_documents(
            chat, embedder, ids=["a", "b", "c"], documents=["whole", CHUNKS, " \n"], metadatas=fields, progress=True
        )
    assert ids == ["a", "b#0", "b#1", "b#2"]
    one = stored(chat)["a"].properties
    assert (one["tags"], one["pages"], one["flags"]) == (["a", "b"], [1, 2], [True])
    assert one["twofold_more"] == '{"Odd name": [1.5]}'
    mixed: list[Any] = [{"tags": ["a", 1]}]
    with pytest.raises(InputError, match=r"'tags' is \['a', 1\]"):
        add_documents(chat, embedder, ids=["a"], documents=["x"], metadatas=mixed)


def test_documents_that_cannot_be_written_are_named(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    chat = open_collection(client, weaviate_name, embedder)
    several = open_collection(client, weaviate_name + "Several", embedder, vectorize=["title", "body"])
    embedder.calls.clear()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ids": ["a", "a"], "documents": ["b", "c"]}, "'a' occurs twice"),
        ({"ids": ["a"], "documents": ["b", "c"]}, "1 ids, 2 documents"),
        ({"ids": ["a"], "documents": [["b", " "]]}, "chunk 1 is blank"),
        ({"ids": ["a"], "documents": ["b"], "metadatas": [{"twofold_id": 1}]}, "Twofold's own"),
        ({"ids": ["a"], "documents": ["word " * 600]}, "'a' has 600 tokens"),
    ]
    for given, said in cases:
        with pytest.raises(InputError, match=said):
            add_documents(chat, embedder, **given)
    with pytest.raises(InputError, match="documents need a collection that was made with vectorize='text'"):
        add_documents(several, embedder, ids=["a"], documents=["b"])
    assert embedder.calls == []
    add_documents(chat, embedder, ids=["a"], documents=["b"], metadatas=[{"page": 1}])
    with pytest.raises(StoreError, match="1 of 2 objects") as error:
        add_documents(chat, embedder, ids=["a", "c"], documents=["B", "d"], metadatas=[{"page": 2}, {"page": "three"}])
    assert "page" in error.value.failed["c"]
    assert stored(chat)["a"].properties["text"] == "B"


def test_a_row_of_a_document_is_not_updated_alone(client: WeaviateClient, weaviate_name: str) -> None:
    vectorizer = TwofoldVectorizer(FakeEmbedder())
    chat = open_collection(client, weaviate_name, vectorizer)
    add_documents(chat, vectorizer, ids=["chat"], documents=[CHUNKS], metadatas=[{"page": 1}])
    with pytest.raises(InputError, match="'chat#1', is a row of a document: add the document again"):
        vectorizer.update_objects(chat, [{"text": "other"}], ids=["chat#1"])
    vectorizer.update_objects(chat, [{"page": 2}], ids=["chat#1"])
    assert stored(chat)["chat#1"].properties["page"] == 2


def test_a_document_may_have_more_rows_than_one_query_gives(
    client: WeaviateClient, weaviate_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weaviate_twofold.store.MOST", 4)  # a server's own limit is 10,000
    embedder = FakeEmbedder()
    chat = open_collection(client, weaviate_name, embedder)
    long = [f"chunk {number}. " for number in range(9)]
    add_documents(chat, embedder, ids=["a", "b", "c"], documents=[long, long[:3], "whole"])
    assert len(stored(chat)) == 13
    add_documents(chat, embedder, ids=["a", "b", "c"], documents=[long[:1], "whole", long[:2]])
    assert set(stored(chat)) == {"a#0", "b", "c#0", "c#1"}


async def test_the_async_client_does_the_same(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    vectorizer = TwofoldVectorizer("fake:")
    async with weaviate_server.connect_async() as client:
        chat = await aopen_collection(client, weaviate_name, vectorizer)
        assert await aadd_documents(chat, vectorizer, ids=["chat"], documents=[CHUNKS]) == [
            "chat#0",
            "chat#1",
            "chat#2",
        ]
        await aadd_documents(chat, vectorizer, ids=["chat"], documents=[CHUNKS[:1]], metadatas=[{"page": 1}])
        assert await chat.length() == 1
