"""What of the Weaviate adapter needs no server: what would be asked of one, and what is made of its answers."""

from __future__ import annotations

import asyncio
import pickle
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import weaviate
from weaviate.classes.config import Configure, DataType, Property, VectorDistances
from weaviate.collections.batch.grpc_batch import _BatchGRPC
from weaviate.collections.classes.batch import BatchObjectReturn, ErrorObject, _BatchObject
from weaviate.connect import ConnectionParams
from weaviate.exceptions import WeaviateBaseError, WeaviateInsertManyAllFailedError
from weaviate.util import _ServerVersion

from support.weaviate_stand_in import StandInClient
from twofold import Embedder, InputError, ProviderUnavailable, SpaceMismatch, SpaceRecord, StoreError
from twofold.cards import JINA_V3
from twofold.fake import FakeBackend
from twofold.stores import Row
from twofold.testing import FakeEmbedder
from weaviate_twofold import (
    TwofoldVectorizer,
    WeaviateStore,
    aadd_documents,
    add_documents,
    aopen_collection,
    connect,
    demo,
    open_collection,
    server_side,
)
from weaviate_twofold.objects import check_ids, object_id, object_of, row_of
from weaviate_twofold.record import Layout, arguments, asked, guessed, kept_in

PARAMETERS = ConnectionParams.from_url("http://127.0.0.1:9", grpc_port=10)
RECORD = FakeEmbedder().record().to_json()
COSINE = SimpleNamespace(distance_metric=VectorDistances.COSINE)
DOT = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.DOT)


def config(description: str | None = None, **named: Any) -> Any:
    """A collection's configuration, as the client gives it."""
    text = SimpleNamespace(name="text", description=description, data_type=DataType.TEXT)
    return SimpleNamespace(name="Articles", properties=[text], vector_config=named or None, vector_index_config=COSINE)


class Collection:
    """Stands for a collection: answers what it is asked, and keeps it; answers that are errors are raised."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.name = "Articles"
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._answers = {"config.get": config(Layout.usual().describe(RECORD, None)), **(answers or {})}
        for group in ("config", "data", "query"):
            setattr(self, group, _Group(self, group))

    def answer(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.asked.append((name, arguments, named))
        answer = self._answers.get(name)
        answer = answer.pop(0) if isinstance(answer, list) else answer
        answer = answer(*arguments) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def named(self, name: str) -> list[Any]:
        return [arguments[0] if arguments else named for one, arguments, named in self.asked if one == name]


class _Group:
    def __init__(self, collection: Collection, name: str) -> None:
        self._collection, self._name = collection, name

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments, **named: self._collection.answer(f"{self._name}.{method}", arguments, named)


def refused(*indices: int) -> BatchObjectReturn:
    return BatchObjectReturn(errors={index: ErrorObject(f"no {index}", None) for index in indices})  # type: ignore[arg-type]


@pytest.fixture
def layout() -> Layout:
    return Layout({"all": ("title", "tags"), "title": ("title",)}, " / ")


# -- the layout and the record ----------------------------------------------------------------------------------------


def test_properties_are_joined_in_their_order(layout: Layout) -> None:
    assert layout.texts({"tags": ["a", "b"], "title": "T", "other": 3}, 0) == ["T / a / b", "T"]
    assert layout.texts({"tags": None, "title": "T"}, 0) == ["T", "T"]


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"tags": ["a"]}, "vector 'title' of object 4 has no text: 'title' is empty or missing"),
        ({"title": "", "tags": [" "]}, "vector 'all' of object 4 has no text: 'title', 'tags'"),
        ({"title": "T", "tags": [1]}, "property 'tags' of object 4 is of type list, not text"),
        ({"title": "\ud83d"}, "object 4 .*lone surrogate"),
    ],
)
def test_objects_without_text_are_named(layout: Layout, properties: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        layout.texts(properties, 4)
    assert error.value.index == 4


@pytest.mark.parametrize(
    ("vectorize", "wanted"),
    [
        ("body", {"default": ("body",)}),
        (["title", "body"], {"default": ("title", "body")}),
        ({"one": "title", "two": ["body", "title"]}, {"one": ("title",), "two": ("body", "title")}),
    ],
)
def test_properties_are_named_in_three_ways(vectorize: Any, wanted: dict[str, tuple[str, ...]]) -> None:
    assert asked(vectorize, " ") == Layout(wanted, " ")


def test_nothing_asked_is_no_layout() -> None:
    assert asked(None) is None
    assert asked(None, " ") == Layout({"default": ("text",)}, " ")


@pytest.mark.parametrize("vectorize", ["", [], {}, {"one": []}, ["a", "a"], {"one": [3]}])
def test_vectors_of_nothing_are_refused(vectorize: Any) -> None:
    with pytest.raises(InputError, match="vectorize"):
        asked(vectorize)


def test_the_record_is_read_as_it_was_written(layout: Layout) -> None:
    for description in (None, "", "Articles.\nMore of them.", "Not ours, twofold: {no}"):
        text = layout.describe(RECORD, description)
        assert text.startswith(description or "twofold: ")
        read, record = kept_in(config(text))
        assert read == layout
        assert record is not None
        assert SpaceRecord.from_json(record).to_json() == RECORD
        assert layout.describe(RECORD, text) == text  # a second one replaces the first


@pytest.mark.parametrize(
    "description", [None, "", "mine", "twofold: ", "twofold: {}", "twofold: []", 'twofold: {"vectors": 1}']
)
def test_a_description_without_a_record_is_refused(description: str | None) -> None:
    assert kept_in(config(description)) == (None, None)
    articles = Collection({"config.get": config(description)})
    with pytest.raises(StoreError, match="'Articles' does not say what its vectors are: open it once"):
        add_documents(articles, "fake:", ids=["a"], documents=["b"])  # type: ignore[arg-type]


def test_a_record_that_cannot_be_read_is_refused() -> None:
    broken = Layout.usual().describe(RECORD, None).replace('"canaries": "', '"canaries": "?')
    articles: Any = Collection({"config.get": config(broken)})
    with pytest.raises(SpaceMismatch, match="collection 'Articles'"):
        TwofoldVectorizer("fake:").near_text(articles, "x")


def test_the_properties_of_foreign_vectors_are_guessed() -> None:
    module = SimpleNamespace(vectorizer="text2vec-transformers", source_properties=None)
    ours = SimpleNamespace(vectorizer=SimpleNamespace(vectorizer="none"), vector_index_config=COSINE)
    theirs = SimpleNamespace(vectorizer=module, vector_index_config=COSINE)
    assert guessed(config(), None) == Layout({"default": ("text",)})
    assert guessed(config(mine=ours), None) == Layout({"mine": ("text",)})
    assert guessed(config(mine=ours), asked("body", " ")) == Layout({"mine": ("body",)}, " ")
    assert guessed(config(mine=theirs), None) == Layout({"mine": ("text",)}, " ")
    module.source_properties = ["title", "body"]
    assert guessed(config(mine=theirs), None) == Layout({"mine": ("body", "title")}, " ")
    bare = SimpleNamespace(name="Bare", properties=[], vector_config={"mine": ours})
    assert guessed(bare, None) == Layout({"mine": ("text",)})
    module.source_properties, bare.vector_config = None, {"mine": theirs}
    for unclear in (config(a=ours, b=ours), bare):
        with pytest.raises(InputError, match="say what vectors are made from"):
            guessed(unclear, None)
    with pytest.raises(InputError, match="vectorize names the vectors 'a', 'b'"):
        guessed(config(mine=ours), asked({"a": "text", "b": "text"}))


# -- what is asked of a server ----------------------------------------------------------------------------------------


def test_a_collection_is_made_for_its_own_cosine_vectors() -> None:
    title = Property(name="title", data_type=DataType.TEXT, description="The title.")
    chosen: dict[str, Any] = {"properties": [title], "description": "Towns.", "replication_config": None}
    layout = Layout({"a": ("title",), "b": ("title", "body")}, " ")
    made = arguments(layout, RECORD, **chosen, vector_index_config=Configure.VectorIndex.flat())
    assert [one.name for one in made["properties"]] == ["title", "body"]
    assert [one.name for one in made["vector_config"]] == ["a", "b"]
    assert {one.vectorIndexConfig.distance.value for one in made["vector_config"]} == {"cosine"}
    assert (made["replication_config"], made["description"]) == (None, "Towns.")
    assert kept_in(SimpleNamespace(properties=made["properties"]))[0] == layout
    assert title.description == "The title."  # the user's own is not touched


@pytest.mark.parametrize("option", ["vector_config", "vectorizer_config"])
def test_what_is_decided_is_no_option(option: str) -> None:
    options: dict[str, Any] = {option: None}
    with pytest.raises(InputError, match=f"{option} is decided here"):
        open_collection(weaviate.WeaviateClient(PARAMETERS), "Articles", "fake:", **options)


def test_objects_go_in_pieces_and_their_refusals_are_collected() -> None:
    ids, objects = [f"n{number}" for number in range(200)], [{"text": f"Ship {number}"} for number in range(200)]
    vectorizer = TwofoldVectorizer("fake:")
    articles: Any = Collection({"data.insert_many": [refused(), refused()]})
    uuids = vectorizer.add_objects(articles, objects, ids=ids)
    pieces = articles.named("data.insert_many")
    assert [len(piece) for piece in pieces] == [128, 72]
    assert [str(one.uuid) for piece in pieces for one in piece] == uuids
    wanted = FakeEmbedder().embed_documents(one["text"] for one in objects)
    assert np.array_equal([one.vector for piece in pieces for one in piece], wanted)

    for answers, failed in (
        ([refused(3), refused(1)], {"n3": "no 3", "n129": "no 1"}),
        ([WeaviateInsertManyAllFailedError("all"), refused()], set(ids[:128])),
        ([refused(5), WeaviateBaseError("gone")], {"n5", *ids[128:]}),
        ([WeaviateBaseError("gone")], set(ids)),
    ):
        articles = Collection({"data.insert_many": answers})
        with pytest.raises(StoreError, match=f"{len(failed)} of 200 objects were not written to 'Articles'") as error:
            vectorizer.add_objects(articles, objects, ids=ids)
        assert set(error.value.failed) == set(failed)
        if isinstance(failed, dict):
            assert error.value.failed == failed


def test_one_invalid_value_keeps_no_other_object_from_being_written() -> None:
    def insert(objects: Any) -> BatchObjectReturn:
        _BatchGRPC(_ServerVersion(1, 38, 0), None, None).grpc_objects([as_sent(one) for one in objects])
        written.extend(one.properties["text"] for one in objects)
        return refused()

    def as_sent(one: Any) -> Any:
        vector = np.asarray(one.vector).tolist()
        return _BatchObject("Articles", vector, str(one.uuid), one.properties, None, {}, index=0)

    written: list[str] = []
    objects: list[dict[str, Any]] = [{"text": f"Ship {number}"} for number in range(200)]
    values = [np.int64(1), np.float32(0.5), np.array([True])[0], [np.int64(2)], {"deep": np.int64(3)}]
    for number, value in enumerate(values):
        objects[number]["value"] = value
    articles: Any = Collection({"data.insert_many": insert})
    TwofoldVectorizer("fake:").add_objects(articles, objects)
    assert written == [one["text"] for one in objects]
    sent = [one.properties.get("value") for one in articles.named("data.insert_many")[0][:5]]
    assert sent == [1, 0.5, True, [2], {"deep": 3}]
    assert [type(one) for one in sent[:3]] == [int, float, bool]

    written.clear()
    ids = [f"n{number}" for number in range(200)]
    objects[7]["value"], objects[100]["value"], objects[150]["id"] = {"a", "set"}, object(), "reserved"
    articles = Collection({"data.insert_many": insert})
    with pytest.raises(StoreError, match="3 of 200 objects were not written to 'Articles'; the first, 'n7'") as error:
        TwofoldVectorizer("fake:").add_objects(articles, objects, ids=ids)
    assert list(error.value.failed) == ["n7", "n100", "n150"]
    assert written == [one["text"] for number, one in enumerate(objects) if number not in (7, 100, 150)]


def test_a_collection_made_again_for_another_space_is_refused_at_the_next_search(stand_in: Any) -> None:
    vectorizer, other = TwofoldVectorizer(FakeEmbedder()), FakeEmbedder(document_task="topic")
    towns: Any = open_collection(stand_in, "Towns", vectorizer)
    vectorizer.add_objects(towns, [{"text": "Bern"}])
    assert len(vectorizer.near_text(towns, "Bern", limit=1).objects) == 1
    stand_in.delete("Towns")
    with pytest.raises(StoreError, match="collection 'Towns' cannot be opened: there is none of that name"):
        vectorizer.near_text(towns, "Bern")
    open_collection(stand_in, "Towns", other)
    for search in (vectorizer.near_text, vectorizer.hybrid):
        with pytest.raises(SpaceMismatch, match="document task: 'topic' and 'document'"):
            search(towns, "Bern")
    for asearch in (vectorizer.anear_text, vectorizer.ahybrid):
        with pytest.raises(SpaceMismatch, match="document task: 'topic' and 'document'"):
            asyncio.run(asearch(towns, "Bern"))


def test_an_alias_that_is_switched_is_refused_at_the_next_search(stand_in: Any) -> None:
    vectorizer, other = TwofoldVectorizer(FakeEmbedder()), FakeEmbedder(document_task="topic")
    old = open_collection(stand_in, "Old", vectorizer)
    vectorizer.add_objects(old, [{"text": "Bern"}])
    open_collection(stand_in, "New", other)
    stand_in.aliases["Towns"] = "Old"
    alias = stand_in.use("Towns")
    assert len(vectorizer.near_text(alias, "Bern", limit=1).objects) == 1
    opened = open_collection(stand_in, "Towns", vectorizer)
    stand_in.aliases["Towns"] = "New"
    with pytest.raises(SpaceMismatch, match="collection 'New': the stored vectors are fake-64d-"):
        vectorizer.near_text(alias, "Bern")
    assert len(vectorizer.near_text(opened, "Bern", limit=1).objects) == 1  # it is the old collection's


@pytest.fixture
def stand_in() -> Any:
    return StandInClient()


def test_objects_are_written_changed_and_found(stand_in: Any) -> None:
    vectorizer = TwofoldVectorizer(FakeEmbedder())
    towns = open_collection(stand_in, "Towns", vectorizer, vectorize={"a": "title", "b": ["title", "body"]})
    uuids = vectorizer.add_objects(towns, [{"title": "Bern"}, {"title": "Lima", "body": "Sea."}], ids=["x", "y"])
    vectorizer.update_objects(towns, [{"body": "Fog."}, {"year": 3}], ids=["x", "y"])
    bern, lima = towns.query.fetch_objects_by_ids([UUID(uuid) for uuid in uuids]).objects
    assert (bern.properties, lima.properties) == (
        {"title": "Bern", "body": "Fog."},
        {"title": "Lima", "body": "Sea.", "year": 3},
    )
    wanted = vectorizer.embedder.embed_documents(["Bern", "Bern\nFog.", "Lima", "Lima\nSea."])
    assert np.array_equal([bern.vector["a"], bern.vector["b"], lima.vector["a"], lima.vector["b"]], wanted)
    (found,) = vectorizer.near_text(towns, ["Lima", "Sea"], target_vector="b", limit=1).objects
    assert found.properties["title"] == "Lima"
    with pytest.raises(InputError, match="expected a text to search for"):
        vectorizer.near_text(towns, [], target_vector="b")
    with pytest.raises(InputError, match="name one of 'a', 'b'"):
        vectorizer.near_text(towns, "Lima")
    with pytest.raises(InputError, match="object 0, 'z', is not in collection 'Towns'"):
        vectorizer.update_objects(towns, [{"title": "Rome"}], ids=["z"])
    with pytest.raises(InputError, match=r"'y' has 600 tokens") as error:
        vectorizer.add_objects(towns, [{"title": "a"}, {"title": "word " * 600}], ids=["x", "y"])
    assert error.value.index == 1
    with pytest.raises(InputError, match="1 references for 2 objects"):
        vectorizer.add_objects(towns, [{"title": "a"}, {"title": "b"}], references=[None])


async def test_asynchronous_methods_do_the_same(stand_in: Any) -> None:
    vectorizer = TwofoldVectorizer(FakeEmbedder())
    towns = await aopen_collection(stand_in, "Towns", vectorizer, vectorize="title")
    ready = FakeEmbedder().embed_documents(["Bern", "Lima"])
    uuids = await vectorizer.aadd_objects(towns, [{"title": "Bern"}, {"title": "Lima"}], vectors=ready)
    await vectorizer.aupdate_objects(towns, [{"title": "Rome"}], ids=uuids[:1])
    for search in (vectorizer.anear_text, vectorizer.ahybrid):
        assert (await search(towns, "Rome", limit=1)).objects[0].properties == {"title": "Rome"}
    assert await aadd_documents(towns, vectorizer, ids=["a"], documents=[["One. ", "Two."]]) == ["a#0", "a#1"]
    with pytest.raises(InputError, match="'a#0', is a row of a document"):
        await vectorizer.aupdate_objects(towns, [{"title": "x"}], ids=["a#0"])
    for vectors, space in ((ready[:1], FakeEmbedder(document_task="topic").space), (ready, None)):
        with pytest.raises((SpaceMismatch, InputError)):
            await vectorizer.aadd_objects(towns, [{"title": "x"}], vectors=vectors, space=space)
    other = TwofoldVectorizer(FakeEmbedder(document_task="topic"))
    with pytest.raises(SpaceMismatch):
        await other.anear_text(towns, "x")
    with pytest.raises(SpaceMismatch):
        await aopen_collection(stand_in, "Towns", other)


def test_what_a_provider_gave_is_written_with_what_the_server_refused() -> None:
    class Failing(FakeEmbedder):
        def embed_late(self, documents: Any, **options: Any) -> Any:
            made = super().embed_late(list(documents)[:2], **options)
            raise ProviderUnavailable("busy", partial=dict(enumerate(made)), failed={2: "busy"})

    articles: Any = Collection({"data.insert_many": refused(1)})
    with pytest.raises(ProviderUnavailable) as error:
        TwofoldVectorizer(Failing()).add_objects(articles, [{"text": "a"}, {"text": "b"}, {"text": "c"}])
    assert error.value.failed == {1: "no 1", 2: "busy"}
    assert [len(piece) for piece in articles.named("data.insert_many")] == [2]


def test_nothing_more_is_embedded_once_the_server_is_gone() -> None:
    embedder = FakeEmbedder()
    articles: Any = Collection({"data.insert_many": [refused(3), WeaviateBaseError("gone")]})
    with pytest.raises(StoreError, match="873 of 1000 objects") as error:
        TwofoldVectorizer(embedder).add_objects(articles, [{"text": f"Ship {number}"} for number in range(1000)])
    assert sum(len(call.texts) for call in embedder.calls) == 256
    assert next(iter(error.value.failed.values())) == "no 3"


def test_a_collection_of_another_making_is_adopted(stand_in: Any) -> None:
    made = stand_in.create("Towns", vector_config=[SimpleNamespace(name="mine")])
    vectorizer = TwofoldVectorizer(FakeEmbedder())
    open_collection(stand_in, "Towns", vectorizer)  # empty: taken, and given the property that it lacks
    vectorizer.add_objects(made, [{"text": "Bern"}, {"text": "Lima"}])
    made.update(property_descriptions={"text": ""})
    with pytest.raises(StoreError, match="adopt=True"):
        open_collection(stand_in, "Towns", vectorizer)
    with pytest.raises(SpaceMismatch, match="not written by this embedder"):
        open_collection(stand_in, "Towns", FakeEmbedder(document_task="topic"), adopt=True)
    open_collection(stand_in, "Towns", vectorizer, adopt=True)
    open_collection(stand_in, "Towns", vectorizer, vectorize="text")
    with pytest.raises(InputError, match=r"is made with vectorize=\{'mine': \['text'\]\}"):
        open_collection(stand_in, "Towns", vectorizer, vectorize="title")
    with pytest.raises(InputError, match="colour: neither"):
        open_collection(stand_in, "Towns", vectorizer, colour="red")
    with pytest.raises(InputError, match="compares by dot"):
        open_collection(stand_in, "New", vectorizer, vector_index_config=DOT)


def test_a_document_may_have_more_rows_than_one_query_gives(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weaviate_twofold.store.MOST", 4)
    chat, long = open_collection(stand_in, "Chat", "fake:"), [f"chunk {number}. " for number in range(9)]
    add_documents(chat, "fake:", ids=["a", "b"], documents=[long, long[:3]])
    add_documents(chat, "fake:", ids=["a", "b"], documents=[long[:1], "whole"])
    assert sorted(one.properties["twofold_id"] for one in stand_in.known["Chat"].objects.values()) == ["a#0", "b"]


def test_queries_go_to_the_vector_that_is_named() -> None:
    articles: Any = Collection()
    vectorizer, vector = TwofoldVectorizer("fake:"), FakeEmbedder().embed_query("fog")
    vectorizer.near_text(articles, "fog", limit=3)
    vectorizer.hybrid(articles, "fog", target_vector="default", alpha=0.2)
    one, near, other, hybrid = articles.asked  # the record is read at each search
    assert (one[0], near[0], other[0], hybrid[0]) == (
        *["config.get", "query.near_vector"],
        "config.get",
        "query.hybrid",
    )
    assert np.array_equal(near[1][0], vector)
    assert near[2] == {"target_vector": None, "limit": 3}
    assert hybrid[1] == ("fog",)
    assert np.array_equal(hybrid[2].pop("vector"), vector)
    assert hybrid[2] == {"target_vector": "default", "alpha": 0.2}
    with pytest.raises(InputError, match="name one of 'default'"):
        vectorizer.near_text(articles, "fog", target_vector="other")


@pytest.mark.parametrize("failing", [False, True])
def test_old_chunks_are_removed_before_the_new_ones_are_written(failing: bool) -> None:
    properties = {"twofold_id": "chat#7", "twofold_document": "chat"}
    old = SimpleNamespace(uuid=object_id("chat#7"), properties=properties, vector={"default": [0.0] * 64})
    answers = {
        "query.fetch_objects": SimpleNamespace(objects=[old]),
        "query.fetch_objects_by_ids": SimpleNamespace(objects=[old]),
        "data.insert_many": refused(*[1][: int(failing)]),
    }
    chats: Any = Collection(answers)
    given: dict[str, Any] = {
        "ids": ["chat"],
        "documents": [["One. ", "Two."]],
        "metadatas": [{"date": "2026-11-23", "odd": True, "page": 1, "tags": ["a"], "flags": [True], "sizes": [1.5]}],
    }
    if failing:
        with pytest.raises(StoreError, match="1 of 2 objects") as error:
            add_documents(chats, "fake:", **given)
        assert error.value.failed["chat#1"] == "no 1"
    else:
        assert add_documents(chats, "fake:", **given) == ["chat#0", "chat#1"]
    assert len(chats.named("data.delete_many")) == 1
    (sent,) = chats.named("data.insert_many")
    assert np.array_equal([one.vector for one in sent], FakeEmbedder().embed_chunks(["One. ", "Two."]))
    declared = {one.name: one.dataType for one in chats.named("config.add_property")}
    assert declared == {
        **dict.fromkeys(("twofold_id", "twofold_document", "twofold_digest", "twofold_source"), DataType.TEXT),
        **dict.fromkeys(("twofold_more", "date"), DataType.TEXT),
        **dict.fromkeys(("twofold_start", "twofold_end", "twofold_rows", "twofold_section"), DataType.INT),
        "odd": DataType.BOOL,
        "page": DataType.NUMBER,
        "tags": DataType.TEXT_ARRAY,
        "flags": DataType.BOOL_ARRAY,
        "sizes": DataType.NUMBER_ARRAY,
    }


def test_rows_survive_being_objects() -> None:
    row = Row(id="a", document="a", text="t", span=(0, 1), metadata={"Title": "T", "page": 1, "text": 2}, digest="d")
    stored, layout = object_of(row, "text"), Layout.usual()
    assert (stored["text"], stored["page"], "Title" in stored) == ("t", 1, False)
    assert row_of("uuid", {**stored, "unset": None}, layout, "default") == row
    by_hand = Row(id="uuid", document="uuid", text="t", span=(0, 1), metadata={})
    assert row_of("uuid", {"text": "t"}, layout, "default") == by_hand
    two = row_of("uuid", {"a": "x", "b": "y"}, Layout({"v": ("b", "a")}), "v")
    assert (two.text, dict(two.metadata)) == ("y\nx", {"a": "x", "b": "y"})


def test_a_server_that_does_not_answer_is_a_store_error() -> None:
    with pytest.raises(StoreError, match="'Towns' cannot be"):
        open_collection(weaviate.WeaviateClient(PARAMETERS), "Towns", "fake:")
    with pytest.raises(StoreError, match="'Towns' cannot be"):
        asyncio.run(aopen_collection(weaviate.WeaviateAsyncClient(PARAMETERS), "Towns", "fake:"))


# -- ids --------------------------------------------------------------------------------------------------------------


def test_ids_are_uuids_or_made_into_them() -> None:
    own = "5940d678-4da1-484b-b9a9-57a7f2f9b6d5"
    assert str(object_id(own)) == own
    assert object_id("chat#0") == object_id("chat#0") != object_id("chat#1")
    objects: list[dict[str, Any]] = [{"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 2}]
    one, same, other = check_ids(None, objects)
    assert one == same != other


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a"], "1 ids for 2 objects"),
        ("ab", "2 ids for 2 objects"),
        (["a", "a"], "id 1, 'a', occurs twice"),
        (["a", ""], "id 1, '', is empty"),
        (["5940D678-4DA1-484B-B9A9-57A7F2F9B6D5", "5940d678-4da1-484b-b9a9-57a7f2f9b6d5"], "occurs twice"),
    ],
)
def test_ids_that_lose_an_object_are_refused(ids: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_ids(ids, [{"a": 1}, {"a": 2}])


# -- the vectorizer ---------------------------------------------------------------------------------------------------


def test_it_is_made_of_an_embedder_or_of_its_options() -> None:
    assert TwofoldVectorizer("fake:", dimensions=16).embedder.dimensions == 16
    with pytest.raises(InputError, match="dimensions: the embedder already exists"):
        TwofoldVectorizer(Embedder("fake:"), dimensions=16)
    again = pickle.loads(pickle.dumps(TwofoldVectorizer("fake:", dimensions=16)))
    assert repr(again) == "TwofoldVectorizer(Embedder('fake:', dimensions=16))"
    assert TwofoldVectorizer(again).embedder is again.embedder
    for options in ({"dimension": 16}, {"dimensions": 0}, {"query_task": "none such"}):
        with pytest.raises(InputError):
            TwofoldVectorizer("jinaai/jina-embeddings-v3", **options)


# -- server-side vectors ----------------------------------------------------------------------------------------------


class JinaV3(FakeEmbedder):
    """The fake, with v3's card."""

    @property
    def backend(self) -> FakeBackend:
        if not isinstance(self._backend, FakeBackend):
            self._backend = FakeBackend()
            self._backend.card = JINA_V3
        return self._backend


def entry(*arguments: Any, **options: Any) -> dict[str, Any]:
    made = server_side(*arguments, **options)
    module: dict[str, Any] = made.vectorizer._to_dict()
    return {
        **module,
        "name": made.name,
        "source": made.properties,
        "metric": made.vectorIndexConfig._to_dict()["distance"],
    }


def test_the_transformers_module_gets_a_url_for_each_side() -> None:
    made = entry(FakeEmbedder(dimensions=16), "http://127.0.0.1:9000/", name="v", properties=["title"])
    assert made == {
        "poolingStrategy": "masked_mean",
        "dimensions": 16,
        "passageInferenceUrl": "http://127.0.0.1:9000/passage",
        "queryInferenceUrl": "http://127.0.0.1:9000/query",
        "vectorizeClassName": False,
        "name": "v",
        "source": ["title"],
        "metric": "cosine",
    }


def test_the_jina_module_gets_a_base_url_and_a_model_that_keeps_the_sides() -> None:
    embedder = JinaV3(dimensions=500)
    made = entry(embedder, "https://embed.example/base", module="text2vec-jinaai")
    assert made["baseURL"] == "https://embed.example/base"
    assert (made["model"], made["dimensions"], made["vectorizeClassName"]) == ("jina-embeddings-v3", 500, False)


@pytest.mark.parametrize("embedder", [FakeEmbedder(), JinaV3(query_task="classification")])
def test_the_jina_module_is_refused_where_it_loses_the_sides(embedder: Embedder) -> None:
    with pytest.raises(InputError, match=r"would lose the sides .* use 'text2vec-transformers'"):
        server_side(embedder, "http://127.0.0.1:9000", module="text2vec-jinaai")


def test_a_model_without_sides_has_none_to_lose() -> None:
    made = entry(FakeEmbedder(query_task=None, document_task=None), "http://h", module="text2vec-jinaai")
    assert made["model"] == "fake"


@pytest.mark.parametrize(
    ("url", "module"), [("localhost:9000", "text2vec-transformers"), ("http://h", "text2vec-openai")]
)
def test_other_urls_and_modules_are_refused(url: str, module: Any) -> None:
    with pytest.raises(InputError, match=r"http://|text2vec-jinaai"):
        server_side(FakeEmbedder(), url, module=module)


# -- the store's address ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["localhost:8080", "./folder", "", "http://", "ftp://host"])
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="not the address of a Weaviate server: write http://localhost:8080"):
        WeaviateStore.connect(address, "Articles")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9?grpc_port=x", "http://127.0.0.1:70000", "http://127.0.0.1:x"])
def test_a_port_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is not a number up to 65535"):
        WeaviateStore.connect(address, "Articles")


def test_http_and_grpc_have_a_port_each() -> None:
    with pytest.raises(InputError, match="name that one as"):
        connect("http://127.0.0.1:50051")


def test_a_key_is_not_taken_from_an_address_nor_shown() -> None:
    with pytest.raises(InputError, match="put the key into WEAVIATE_API_KEY") as error:
        WeaviateStore.connect("https://user:s3cret@host", "Articles")
    assert "s3cret" not in str(error.value)


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    with pytest.raises(StoreError, match=r"no Weaviate server answers at 127\.0\.0\.1.*grpc_port="):
        WeaviateStore.connect("http://127.0.0.1:9", "Articles")


def test_the_demo_needs_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEAVIATE_URL", raising=False)
    with pytest.raises(InputError, match="set WEAVIATE_URL"):
        demo.ask(Embedder("fake:"), [], [])
