from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pytest

from twofold import Document, Embedder, InputError, SpaceMismatch, StoreError
from twofold.testing import FakeEmbedder
from weaviate_twofold import TwofoldVectorizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weaviate import WeaviateClient

    from weaviate_server import WeaviateServer

ARTICLES = [
    {"title": "Lighthouse", "body": "The keeper counted nine ships before the fog came in.", "year": 1811},
    {"title": "Harbour", "body": "Cranes load the containers by night.", "year": 1970},
    {"title": "Bakery", "body": "Bread is baked at four in the morning.", "year": 2001},
]
CHUNKS = ["We plan a birthday dinner. ", "It is for nine people, on Friday.", " The fog came in."]


@pytest.fixture
def client(weaviate_server: WeaviateServer) -> Iterator[WeaviateClient]:
    with weaviate_server.connect() as client:
        yield client


@pytest.fixture
def vectorizer() -> TwofoldVectorizer:
    return TwofoldVectorizer(FakeEmbedder())


def all_objects(collection: Any) -> dict[str, Any]:
    return {str(one.uuid): one for one in collection.iterator(include_vector=True)}


# -- objects ----------------------------------------------------------------------------------------------------------


def test_objects_are_embedded_as_documents_and_searched_as_queries(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    from weaviate.classes.query import Filter, MetadataQuery

    articles = vectorizer.create_collection(client, weaviate_name, vectorize=["title", "body"])
    uuids = vectorizer.add_objects(articles, ARTICLES)
    stored = all_objects(articles)
    wanted = vectorizer.embedder.embed_documents(f"{one['title']}\n{one['body']}" for one in ARTICLES)
    for uuid, vector, article in zip(uuids, wanted, ARTICLES, strict=True):
        assert np.array_equal(np.array(stored[uuid].vector["default"], np.float32), vector)  # to the bit
        assert stored[uuid].properties == article

    query = "who counted the ships?"
    found = vectorizer.near_text(articles, query, limit=2, return_metadata=MetadataQuery(distance=True)).objects
    assert found[0].properties["title"] == "Lighthouse"
    cosine = float(vectorizer.embedder.embed_query(query) @ wanted[0])
    assert found[0].metadata.distance == pytest.approx(1 - cosine, abs=1e-5)
    only = vectorizer.near_text(articles, query, filters=Filter.by_property("year").greater_than(1900), limit=1).objects
    assert only[0].properties["title"] != "Lighthouse"
    own = articles.query.near_vector(list(map(float, vectorizer.query_vector(query))), limit=1).objects
    assert own[0].uuid == found[0].uuid


def test_hybrid_searches_by_words_and_by_the_query_side(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = vectorizer.create_collection(client, weaviate_name, vectorize=["title", "body"])
    vectorizer.add_objects(articles, ARTICLES)
    for alpha in (0, 0.5, 1):
        assert vectorizer.hybrid(articles, "bread", alpha=alpha, limit=1).objects[0].properties["title"] == "Bakery"
    assert vectorizer.embedder.calls[-1].task == "query"  # type: ignore[attr-defined]


def test_several_named_vectors_each_of_its_own_properties(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    vectorize = {"title": "title", "all": ["body", "title"]}
    articles = vectorizer.create_collection(client, weaviate_name, vectorize=vectorize, separator=" | ")
    uuids = vectorizer.add_objects(articles, ARTICLES)
    stored = all_objects(articles)[uuids[1]].vector
    wanted = vectorizer.embedder.embed_documents(["Harbour", "Cranes load the containers by night. | Harbour"])
    assert np.array_equal(np.array([stored["title"], stored["all"]], np.float32), wanted)

    again = TwofoldVectorizer("fake:").open(client, weaviate_name)
    for target in ("title", ["title", "all"]):
        assert vectorizer.near_text(again, "Bakery", target_vector=target, limit=1).objects[0].uuid.hex == uuids[
            2
        ].replace("-", "")
        assert vectorizer.hybrid(again, "Bakery", target_vector=target, limit=1).objects[0].properties["year"] == 2001
    for wrong in (None, "body", ["title", "body"]):
        with pytest.raises(InputError, match="name one of 'title', 'all'"):
            vectorizer.near_text(again, "Bakery", target_vector=wrong)


def test_ids_are_kept_and_the_same_object_is_there_once(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = vectorizer.create_collection(client, weaviate_name, vectorize="body")
    own = str(uuid4())
    assert vectorizer.add_objects(articles, ARTICLES[:2], ids=[own, "second"])[0] == own
    vectorizer.add_objects(articles, [{"body": "Other words."}], ids=["second"])
    assert {one.properties["body"] for one in all_objects(articles).values()} == {ARTICLES[0]["body"], "Other words."}
    twice = [vectorizer.add_objects(articles, ARTICLES) for _ in range(2)]
    assert twice[0] == twice[1]
    assert len(all_objects(articles)) == 5
    with pytest.raises(InputError, match=r"id 1, 'a', is there twice"):
        vectorizer.add_objects(articles, ARTICLES[:2], ids=["a", "a"])


def test_refused_objects_are_named_and_the_others_are_written(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    from weaviate.classes.config import DataType, Property

    articles = vectorizer.create_collection(
        client, weaviate_name, vectorize="body", properties=[Property(name="year", data_type=DataType.INT)]
    )
    objects: list[dict[str, Any]] = [{"body": f"Number {number}.", "year": number} for number in range(300)]
    objects[7]["year"] = "seven"
    objects[200]["year"] = "two hundred"
    with pytest.raises(StoreError, match=r"2 of 300 objects were not written .* the first, 'n7'") as error:
        vectorizer.add_objects(articles, objects, ids=[f"n{number}" for number in range(300)])
    assert set(error.value.failed) == {"n7", "n200"}
    assert "year" in error.value.failed["n200"]
    assert len(all_objects(articles)) == 298

    with pytest.raises(StoreError) as error:  # every object of a piece, which the client raises otherwise
        vectorizer.add_objects(articles, [{"body": "x", "year": "seven"}, {"body": "y", "id": 3}], ids=["p", "q"])
    assert set(error.value.failed) == {"p", "q"}
    with pytest.raises(StoreError) as error:
        vectorizer.add_objects(articles, [{"body": "x", "more": object()}], ids=["p"])
    assert set(error.value.failed) == {"p"}


def test_nothing_is_lost_when_the_server_goes_away(
    weaviate_server: WeaviateServer, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    with weaviate_server.connect() as client:
        articles = vectorizer.create_collection(client, weaviate_name)
    ids = [str(number) for number in range(300)]
    with pytest.raises(StoreError, match="300 of 300 objects") as error:
        vectorizer.add_objects(articles, [{"text": key} for key in ids], ids=ids)
    assert list(error.value.failed) == ids


def test_what_can_not_be_embedded_is_said_before_any_work(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = vectorizer.create_collection(client, weaviate_name, vectorize=["title", "body"])
    vectorizer.embedder.calls.clear()  # type: ignore[attr-defined]
    for bad, said in (
        ({"title": " ", "other": "x"}, r"vector 'default' of object 1 has no text: 'title', 'body'"),
        ({"title": 3}, r"property 'title' of object 1 is of type int"),
        ({"title": "\ud83d"}, "lone surrogate"),
        ({"title": "word " * 600}, r"'b' has 600 tokens"),
    ):
        with pytest.raises(InputError, match=said) as error:
            vectorizer.add_objects(articles, [ARTICLES[0], bad], ids=["a", "b"])
        assert error.value.index == 1
    with pytest.raises(InputError, match="a list of objects"):
        vectorizer.add_objects(articles, ARTICLES[0])  # type: ignore[call-overload]
    with pytest.raises(InputError, match="text is empty"):
        vectorizer.near_text(articles, "")
    assert vectorizer.add_objects(articles, []) == []
    assert vectorizer.embedder.calls == []  # type: ignore[attr-defined]
    assert all_objects(articles) == {}


# -- the space --------------------------------------------------------------------------------------------------------


def test_a_collection_is_opened_with_its_own_space_alone(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    made = vectorizer.create_collection(client, weaviate_name, description="Articles of 2026.", vectorize=["title"])
    vectorizer.add_objects(made, ARTICLES)
    assert (made.config.get().description or "").startswith("Articles of 2026.\n\ntwofold: {")

    opened = TwofoldVectorizer(Embedder("fake:")).open(client, weaviate_name)
    assert vectorizer.layout(opened).vectors == {"default": ("title",)}
    other = TwofoldVectorizer(FakeEmbedder(query_task=None))  # the same size, another space
    with pytest.raises(SpaceMismatch, match=f"collection '{weaviate_name}'.*\n.*query task"):
        other.open(client, weaviate_name)
    for use in (
        lambda: other.near_text(made, "Bakery"),
        lambda: other.hybrid(made, "Bakery"),
        lambda: other.add_objects(made, ARTICLES),
        lambda: other.add_documents(made, ids=["a"], documents=["b"]),
    ):
        with pytest.raises(SpaceMismatch):
            use()


def test_collections_without_a_layout_are_refused(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    client.collections.create(weaviate_name, description="somebody else's")
    with pytest.raises(StoreError, match="does not say what its vectors are"):
        vectorizer.open(client, weaviate_name)
    with pytest.raises(StoreError, match="there is none of that name"):
        vectorizer.open(client, weaviate_name + "Missing")
    with pytest.raises(StoreError, match=r"was not made: .*already exists"):
        vectorizer.create_collection(client, weaviate_name)
    with pytest.raises(StoreError, match="not a valid class name"):
        vectorizer.create_collection(client, "no spaces, please")


def test_one_request_checks_a_collection(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    made = vectorizer.create_collection(client, weaviate_name)
    made.config.update(description="the layout is gone")
    vectorizer.near_text(made, "known already")
    with pytest.raises(StoreError, match="does not say"):
        vectorizer.open(client, weaviate_name)
    made.config.update(description=vectorizer.layout(made).describe("and back"))
    vectorizer.open(client, weaviate_name)


# -- documents --------------------------------------------------------------------------------------------------------


def test_late_chunks_know_their_document_and_where_they_stand(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    chat = vectorizer.create_collection(client, weaviate_name)
    text = "Fog, then sun. Ships."
    late = Document.from_spans(text, [(0, 4), (0, 14), (15, 21)])
    metadatas: list[dict[str, Any]] = [{"from": "Ann", "date": "2026-11-23T20:00:00Z"}, {"page": 3, "odd": True}]
    ids = vectorizer.add_documents(
        chat, ids=["chat", "log/1"], documents=[CHUNKS, late], metadatas=metadatas, late_chunking=True
    )
    assert ids == ["chat#0", "chat#1", "chat#2", "log/1#0", "log/1#1", "log/1#2"]
    stored = {one.properties["twofold_id"]: one for one in all_objects(chat).values()}
    assert set(stored) == set(ids)
    wanted = np.concatenate([vectorizer.embedder.embed_chunks(CHUNKS), *vectorizer.embedder.embed_late([late])])
    texts = [*CHUNKS, "Fog,", "Fog, then sun.", "Ships."]
    ends = [0, 27, 60, 77]
    spans = [*pairwise(ends), *late.spans]
    for key, vector, said, span in zip(ids, wanted, texts, spans, strict=True):
        one = stored[key]
        assert np.array_equal(np.array(one.vector["default"], np.float32), vector)
        assert one.properties["text"] == said
        assert (one.properties["twofold_start"], one.properties["twofold_end"]) == span
        assert one.properties["twofold_document"] == key.rpartition("#")[0]
    assert stored["chat#1"].properties["date"] == "2026-11-23T20:00:00Z"  # a text stays a text
    assert stored["log/1#2"].properties["odd"] is True
    naive = vectorizer.embedder.embed_documents(CHUNKS)
    assert not np.allclose(naive, wanted[:3])


def test_a_document_that_is_written_again_leaves_no_old_chunk(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    chat = vectorizer.create_collection(client, weaviate_name)

    def write(document: Any, *, late: bool) -> set[str]:
        vectorizer.add_documents(chat, ids=["chat"], documents=[document], late_chunking=late)
        return {one.properties["twofold_id"] for one in all_objects(chat).values()} - {"chat 2", "2"}

    vectorizer.add_documents(chat, ids=["chat 2", "2"], documents=["not this one", "nor this"])
    assert write(CHUNKS, late=True) == {"chat#0", "chat#1", "chat#2"}
    assert write(CHUNKS[:2], late=True) == {"chat#0", "chat#1"}
    assert write("whole", late=False) == {"chat"}
    assert write(["whole"], late=True) == {"chat#0"}
    assert len(all_objects(chat)) == 3


def test_documents_that_can_not_be_written_are_named(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    chat = vectorizer.create_collection(client, weaviate_name)
    add = vectorizer.add_documents
    for keywords, said in (
        ({"ids": ["a"], "documents": ["b"], "late_chunking": True}, "document 0 is a string"),
        ({"ids": ["a", "a"], "documents": ["b", "c"]}, "'a' is there twice"),
        ({"ids": ["a"], "documents": ["b", "c"]}, "1 ids, 2 documents, 2 metadatas"),
        ({"ids": ["a"], "documents": [["b", " "]], "late_chunking": True}, "document 0: chunk 1 is blank"),
        ({"ids": ["a"], "documents": ["b"], "metadatas": [{"twofold_id": 1}]}, "Twofold's own"),
        ({"ids": ["a"], "documents": ["word " * 600]}, "'a' has 600 tokens"),
    ):
        with pytest.raises(InputError, match=said):
            add(chat, **keywords)
    add(chat, ids=["a"], documents=["b"], metadatas=[{"page": 1}])
    with pytest.raises(StoreError, match="1 of 2 objects") as error:
        add(chat, ids=["a", "c"], documents=["B", "d"], metadatas=[{"page": 2}, {"page": "three"}])
    assert set(error.value.failed) == {"c"}
    several = vectorizer.create_collection(client, weaviate_name + "Several", vectorize=["title", "body"])
    with pytest.raises(InputError, match="documents need a collection that is made with vectorize='text'"):
        add(several, ids=["a"], documents=["b"])


# -- the async client -------------------------------------------------------------------------------------------------


async def test_the_async_client_does_the_same(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    vectorizer, core = TwofoldVectorizer("fake:", dimensions=32), Embedder("fake:", dimensions=32)
    async with weaviate_server.connect_async() as client:
        articles = await vectorizer.create_collection(client, weaviate_name, vectorize="body")
        uuids = await vectorizer.add_objects(articles, ARTICLES)
        articles = await vectorizer.open(client, weaviate_name)
        found = (await vectorizer.near_text(articles, "counted ships", limit=1, include_vector=True)).objects
        assert str(found[0].uuid) == uuids[0]
        vector = np.array(found[0].vector["default"], np.float32)
        assert np.array_equal(vector, core.embed_documents([str(ARTICLES[0]["body"])])[0])
        assert str((await vectorizer.hybrid(articles, "bread", limit=1)).objects[0].uuid) == uuids[2]

        ids = await vectorizer.add_documents(articles, ids=["chat"], documents=[CHUNKS], late_chunking=True)
        assert ids == ["chat#0", "chat#1", "chat#2"]
        ids = await vectorizer.add_documents(articles, ids=["chat"], documents=[CHUNKS[:1]], late_chunking=True)
        assert await articles.length() == 4

        with pytest.raises(StoreError) as error:
            await vectorizer.add_objects(articles, [{"body": "a", "year": "x"}, {"body": "b"}], ids=["a", "b"])
        assert set(error.value.failed) == {"a"}
        with pytest.raises(SpaceMismatch, match="dimensions: 32 and 64"):
            await TwofoldVectorizer("fake:").open(client, weaviate_name)
        with pytest.raises(StoreError, match="there is none"):
            await vectorizer.open(client, weaviate_name + "Missing")
