"""Objects on a real server, with either client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pytest

from twofold import Embedder, InputError, ProviderUnavailable, SpaceMismatch, StoreError
from twofold.testing import FakeEmbedder
from weaviate_twofold import TwofoldVectorizer, aopen_collection, open_collection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weaviate import WeaviateClient

    from support.weaviate_server import WeaviateServer

ARTICLES = [
    {"title": "Lighthouse", "body": "The keeper counted nine ships before the fog came in.", "year": 1811},
    {"title": "Harbour", "body": "Cranes load the containers by night.", "year": 1970},
    {"title": "Bakery", "body": "Bread is baked at four in the morning.", "year": 2001},
]


@pytest.fixture
def client(weaviate_server: WeaviateServer) -> Iterator[WeaviateClient]:
    with weaviate_server.connect() as client:
        yield client


@pytest.fixture
def vectorizer() -> TwofoldVectorizer:
    return TwofoldVectorizer(FakeEmbedder())


def all_objects(collection: Any) -> dict[str, Any]:
    return {str(one.uuid): one for one in collection.iterator(include_vector=True)}


def test_objects_are_embedded_as_documents_and_searched_as_queries(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    from weaviate.classes.query import Filter, MetadataQuery

    articles = open_collection(client, weaviate_name, vectorizer, vectorize=["title", "body"])
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
    own = articles.query.near_vector(list(map(float, vectorizer.embedder.embed_query(query))), limit=1).objects
    assert own[0].uuid == found[0].uuid


def test_hybrid_searches_by_words_and_by_the_query_side(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = open_collection(client, weaviate_name, vectorizer, vectorize=["title", "body"])
    vectorizer.add_objects(articles, ARTICLES)
    for alpha in (0, 0.5, 1):
        assert vectorizer.hybrid(articles, "bread", alpha=alpha, limit=1).objects[0].properties["title"] == "Bakery"
    assert vectorizer.embedder.calls[-1].task == "query"  # type: ignore[attr-defined]


def test_several_named_vectors_each_of_its_own_properties(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    vectorize = {"title": "title", "all": ["body", "title"]}
    articles = open_collection(client, weaviate_name, vectorizer, vectorize=vectorize, separator=" | ")
    uuids = vectorizer.add_objects(articles, ARTICLES)
    stored = all_objects(articles)[uuids[1]].vector
    wanted = vectorizer.embedder.embed_documents(["Harbour", "Cranes load the containers by night. | Harbour"])
    assert np.array_equal(np.array([stored["title"], stored["all"]], np.float32), wanted)

    again = open_collection(client, weaviate_name, "fake:", create=False)
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
    articles = open_collection(client, weaviate_name, vectorizer, vectorize="body")
    own = str(uuid4())
    assert vectorizer.add_objects(articles, ARTICLES[:2], ids=[own, "second"])[0] == own
    vectorizer.add_objects(articles, [{"body": "Other words."}], ids=["second"])
    assert {one.properties["body"] for one in all_objects(articles).values()} == {ARTICLES[0]["body"], "Other words."}
    twice = [vectorizer.add_objects(articles, ARTICLES) for _ in range(2)]
    assert twice[0] == twice[1]
    assert len(all_objects(articles)) == 5
    with pytest.raises(InputError, match=r"id 1, 'a', occurs twice"):
        vectorizer.add_objects(articles, ARTICLES[:2], ids=["a", "a"])


def test_refused_objects_are_named_and_the_others_are_written(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    from weaviate.classes.config import DataType, Property

    articles = open_collection(
        client, weaviate_name, vectorizer, vectorize="body", properties=[Property(name="year", data_type=DataType.INT)]
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
    ids = [str(number) for number in range(300)]
    objects = [{"text": key} for key in ids]
    with weaviate_server.connect() as client:

        class Closing(FakeEmbedder):
            """While it works, the connection goes."""

            def embed_late(self, documents: Any, **options: Any) -> Any:
                client.close()
                return super().embed_late(documents, **options)

        articles = open_collection(client, weaviate_name, vectorizer)
        with pytest.raises(StoreError, match="300 of 300 objects") as error:
            TwofoldVectorizer(Closing()).add_objects(articles, objects, ids=ids)
    assert list(error.value.failed) == ids
    vectorizer.embedder.calls.clear()  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="cannot be opened"):
        vectorizer.add_objects(articles, objects, ids=ids)
    assert vectorizer.embedder.calls == []  # type: ignore[attr-defined]


def test_what_cannot_be_embedded_is_said_before_any_work(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = open_collection(client, weaviate_name, vectorizer, vectorize=["title", "body"])
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
    with pytest.raises(InputError, match="expected a list of objects"):
        vectorizer.add_objects(articles, ARTICLES[0])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="text 0 is empty"):
        vectorizer.near_text(articles, "")
    assert vectorizer.add_objects(articles, []) == []
    assert vectorizer.embedder.calls == []  # type: ignore[attr-defined]
    assert all_objects(articles) == {}


# -- what is written --------------------------------------------------------------------------------------------------


class Failing(FakeEmbedder):
    """A hosted model that is gone after `keeps` documents."""

    keeps = 3

    def embed_late(self, documents: Any, **options: Any) -> Any:
        documents = list(documents)
        made = super().embed_late(documents[: self.keeps], **options)
        if len(made) == len(documents):
            self.keeps -= len(made)
            return made
        failed = dict.fromkeys(range(len(made), len(documents)), "busy")
        raise ProviderUnavailable("busy", partial=dict(enumerate(made)), failed=failed)


def test_what_was_paid_for_is_written_when_a_provider_fails(client: WeaviateClient, weaviate_name: str) -> None:
    both = TwofoldVectorizer(Failing())
    named = open_collection(client, weaviate_name, both, vectorize={"title": "title", "body": "body"})
    with pytest.raises(ProviderUnavailable) as error:  # three texts: one object and a half
        both.add_objects(named, ARTICLES)
    assert (sorted(error.value.partial), sorted(error.value.failed)) == ([0], [1, 2])
    assert [one.properties["title"] for one in all_objects(named).values()] == ["Lighthouse"]

    class Later(Failing):
        keeps = 300

    many = open_collection(client, weaviate_name + "Many", Later(), vectorize="text")
    with pytest.raises(ProviderUnavailable) as error:
        TwofoldVectorizer(Later()).add_objects(many, [{"text": f"ship {number}"} for number in range(310)])
    assert sorted(error.value.failed) == list(range(300, 310))
    assert len(all_objects(many)) == 300


def test_ready_vectors_are_of_the_collections_space_or_refused(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = open_collection(client, weaviate_name, vectorizer, vectorize="body")
    ready = vectorizer.embedder.embed_documents(str(one["body"]) for one in ARTICLES)
    vectorizer.embedder.calls.clear()  # type: ignore[attr-defined]
    uuids = vectorizer.add_objects(articles, ARTICLES, vectors=ready, space=vectorizer.embedder.space)
    assert vectorizer.embedder.calls == []  # type: ignore[attr-defined]
    assert np.array_equal([all_objects(articles)[uuid].vector["default"] for uuid in uuids], ready)
    other = FakeEmbedder(document_task="topic").space
    with pytest.raises(SpaceMismatch, match="document task"):
        vectorizer.add_objects(articles, [{"body": "x"}], vectors=ready[:1], space=other)
    with pytest.raises(SpaceMismatch, match="document task"):
        TwofoldVectorizer(FakeEmbedder(document_task="topic")).add_objects(articles, [{"body": "x"}], vectors=ready[:1])
    for wrong in (ready, ready[:1, :5], {"title": ready[:1]}, ready[:1] * np.nan):
        with pytest.raises(InputError, match="vectors"):
            vectorizer.add_objects(articles, [{"body": "x"}], vectors=wrong)
    assert len(all_objects(articles)) == 3
    named = open_collection(client, weaviate_name + "Named", vectorizer, vectorize={"a": "body", "b": "title"})
    (uuid,) = vectorizer.add_objects(named, ARTICLES[:1], vectors={"a": ready[:1], "b": ready[1:2]})
    assert np.array_equal(all_objects(named)[uuid].vector["b"], ready[1])
    with pytest.raises(InputError, match="an array for each of 'a', 'b'"):
        vectorizer.add_objects(named, ARTICLES[:1], vectors=ready[:1])


def test_references_go_with_objects(client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer) -> None:
    from weaviate.classes.config import ReferenceProperty
    from weaviate.classes.query import QueryReference

    towns = open_collection(client, weaviate_name + "Towns", vectorizer)
    (bern,) = vectorizer.add_objects(towns, [{"text": "Bern"}])
    to_town = [ReferenceProperty(name="town", target_collection=towns.name)]
    houses = open_collection(client, weaviate_name, vectorizer, references=to_town)
    vectorizer.add_objects(houses, [{"text": "The mint."}, {"text": "A shed."}], references=[{"town": bern}, None])
    reference = QueryReference(link_on="town")
    found = vectorizer.near_text(houses, "The mint.", limit=1, return_references=reference).objects[0]
    assert found.references["town"].objects[0].properties["text"] == "Bern"
    with pytest.raises(InputError, match="1 references for 2 objects"):
        vectorizer.add_objects(houses, [{"text": "a"}, {"text": "b"}], references=[None])


def test_a_changed_text_is_embedded_again(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = open_collection(client, weaviate_name, vectorizer, vectorize=["title", "body"])
    uuids = vectorizer.add_objects(articles, ARTICLES, ids=["a", "b", "c"])
    before = all_objects(articles)
    calls = vectorizer.embedder.calls  # type: ignore[attr-defined]
    calls.clear()
    changes: list[dict[str, Any]] = [{"year": 1812}, {"title": "Port"}, {"title": None}]
    assert vectorizer.update_objects(articles, changes, ids=["a", "b", uuids[2]]) == uuids
    after = all_objects(articles)
    assert sum(len(call.texts) for call in calls) == 2
    assert after[uuids[0]].properties == {**ARTICLES[0], "year": 1812}
    assert after[uuids[0]].vector == before[uuids[0]].vector
    texts = [f"Port\n{ARTICLES[1]['body']}", str(ARTICLES[2]["body"])]
    wanted = vectorizer.embedder.embed_documents(texts)
    assert np.array_equal([after[uuid].vector["default"] for uuid in uuids[1:]], wanted)
    assert after[uuids[2]].properties["title"] is None

    calls.clear()
    with pytest.raises(InputError, match=r"object 1, 'nowhere', is not in collection") as error:
        vectorizer.update_objects(articles, [{"title": "T"}, {"title": "T"}], ids=["a", "nowhere"])
    assert error.value.index == 1
    with pytest.raises(InputError, match="object 1 has no text"):
        vectorizer.update_objects(articles, [{"title": "T"}, {"title": "", "body": None}], ids=["a", "b"])
    assert calls == []
    with pytest.raises(StoreError, match="1 of 2 objects") as refused:
        vectorizer.update_objects(articles, [{"year": "soon"}, {"year": 3}], ids=["a", "b"])
    assert set(refused.value.failed) == {"a"}
    assert all_objects(articles)[uuids[1]].properties["year"] == 3


def test_several_concepts_are_searched_by_their_mean(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = open_collection(client, weaviate_name, vectorizer, vectorize="body")
    uuids = vectorizer.add_objects(articles, ARTICLES)
    concepts = ["ships in the fog", "bread"]
    found = vectorizer.near_text(articles, concepts, return_metadata=["distance"]).objects
    mean = vectorizer.embedder.embed_queries(concepts).mean(axis=0)
    vectors = np.array([all_objects(articles)[uuid].vector["default"] for uuid in uuids])
    cosines = dict(zip(uuids, vectors @ mean / np.linalg.norm(mean), strict=True))
    assert [str(one.uuid) for one in found] == sorted(cosines, key=lambda uuid: -cosines[uuid])
    assert found[0].metadata.distance == pytest.approx(1 - max(cosines.values()), abs=1e-5)
    for wrong in ([], "", ["fog", " "]):
        with pytest.raises(InputError):
            vectorizer.near_text(articles, wrong)


# -- clients ----------------------------------------------------------------------------------------------------------


async def test_the_async_client_does_the_same(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    vectorizer, core = TwofoldVectorizer("fake:", dimensions=32), Embedder("fake:", dimensions=32)
    async with weaviate_server.connect_async() as client:
        articles = await aopen_collection(client, weaviate_name, vectorizer, vectorize="body")
        uuids = await vectorizer.aadd_objects(articles, ARTICLES)
        articles = await aopen_collection(client, weaviate_name, vectorizer, create=False)
        found = (await vectorizer.anear_text(articles, "counted ships", limit=1, include_vector=True)).objects
        assert str(found[0].uuid) == uuids[0]
        vector = np.array(found[0].vector["default"], np.float32)
        assert np.array_equal(vector, core.embed_documents([str(ARTICLES[0]["body"])])[0])
        assert str((await vectorizer.ahybrid(articles, "bread", limit=1)).objects[0].uuid) == uuids[2]
        await vectorizer.aupdate_objects(articles, [{"body": "Rolls."}], ids=[uuids[2]])
        (rolls,) = (await vectorizer.anear_text(articles, ["Rolls."], limit=1, include_vector=True)).objects
        assert np.array_equal(np.array(rolls.vector["default"], np.float32), core.embed_documents(["Rolls."])[0])

        with pytest.raises(StoreError) as error:
            await vectorizer.aadd_objects(articles, [{"body": "a", "year": "x"}, {"body": "b"}], ids=["a", "b"])
        assert set(error.value.failed) == {"a"}
        with pytest.raises(SpaceMismatch, match="dimensions: 32 and 64"):
            await aopen_collection(client, weaviate_name, "fake:")
        with pytest.raises(StoreError, match="there is no collection"):
            await aopen_collection(client, weaviate_name + "Missing", vectorizer, create=False)
        with pytest.raises(RuntimeError, match="use its async twin"):
            vectorizer.near_text(articles, "bread")  # type: ignore[arg-type]


def test_a_collection_made_again_or_an_alias_switched_is_refused_at_the_next_search(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    other, alias = FakeEmbedder(document_task="topic"), weaviate_name + "Alias"
    articles = open_collection(client, weaviate_name, vectorizer, vectorize="body")
    vectorizer.add_objects(articles, ARTICLES)
    client.alias.create(alias_name=alias, target_collection=weaviate_name)
    aliased = client.collections.use(alias)
    assert len(vectorizer.near_text(aliased, "ships", limit=1).objects) == 1
    try:
        open_collection(client, weaviate_name + "Other", other)
        client.alias.update(alias_name=alias, new_target_collection=weaviate_name + "Other")
        with pytest.raises(SpaceMismatch, match="document task: 'topic' and 'document'"):
            vectorizer.near_text(aliased, "ships")
        assert len(vectorizer.near_text(articles, "ships", limit=1).objects) == 1
    finally:
        client.alias.delete(alias_name=alias)
        client.collections.delete(weaviate_name + "Other")
    client.collections.delete(weaviate_name)
    with pytest.raises(StoreError, match="there is none of that name"):
        vectorizer.near_text(articles, "ships")
    open_collection(client, weaviate_name, other)
    with pytest.raises(SpaceMismatch, match="document task: 'topic' and 'document'"):
        vectorizer.hybrid(articles, "ships")


def test_one_invalid_value_keeps_no_other_object_from_being_written(
    client: WeaviateClient, weaviate_name: str, vectorizer: TwofoldVectorizer
) -> None:
    articles = open_collection(client, weaviate_name, vectorizer, vectorize="body")
    objects: list[dict[str, Any]] = [{"body": f"Ship {number}."} for number in range(130)]
    objects[3] |= {"count": np.int64(3), "share": np.float32(0.5), "open": np.array([True])[0]}
    objects[5]["tags"] = {"a", "set"}
    ids = [f"n{number}" for number in range(130)]
    with pytest.raises(StoreError, match=r"1 of 130 objects were not written .*; the first, 'n5'") as error:
        vectorizer.add_objects(articles, objects, ids=ids)
    assert list(error.value.failed) == ["n5"]
    stored = {one.properties["body"]: one.properties for one in all_objects(articles).values()}
    assert len(stored) == 129
    assert {name: stored["Ship 3."][name] for name in ("count", "share", "open")} == {
        "count": 3,
        "share": 0.5,
        "open": True,
    }
