"""Opening, making and adopting collections on a real server, and what holds them to one space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from weaviate.classes.backup import BackupStorage
from weaviate.classes.config import Configure, DataType, Property, VectorDistances

from twofold import Document, Embedder, InputError, SpaceMismatch, StoreError
from twofold.adapters import run_in_thread
from twofold.stores import store_over
from twofold.testing import FakeEmbedder
from weaviate_twofold import (
    TwofoldVectorizer,
    WeaviateStore,
    add_documents,
    aopen_collection,
    open_collection,
    server_side,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weaviate import WeaviateClient

    from support.weaviate_server import WeaviateServer

TEXTS = ["The keeper counted nine ships.", "Bread is baked at four.", "Fog."]
LATE = Document.from_spans("The keeper counts ships. Fog came in at nine.", [(0, 24), (25, 45)])


@pytest.fixture
def client(weaviate_server: WeaviateServer) -> Iterator[WeaviateClient]:
    with weaviate_server.connect() as client:
        yield client


def other() -> FakeEmbedder:
    """Of the same size, in another space."""
    return FakeEmbedder(document_task="topic")


def by_hand(client: WeaviateClient, name: str, texts: list[str], *, key: str = "text", **options: Any) -> Any:
    """A collection as somebody makes it without us, with the vectors of `FakeEmbedder`."""
    made = client.collections.create(name, **{"vector_config": Configure.Vectors.self_provided(), **options})
    for text, vector in zip(texts, FakeEmbedder().embed_documents(texts), strict=True):
        made.data.insert({key: text, "page": 1}, vector=vector.tolist())
    return made


# -- one space --------------------------------------------------------------------------------------------------------


def test_a_collection_is_used_in_its_own_space_alone(client: WeaviateClient, weaviate_name: str) -> None:
    made = open_collection(client, weaviate_name, FakeEmbedder(), description="Articles.", vectorize="title")
    assert made.config.get().description == "Articles."
    assert open_collection(client, weaviate_name, TwofoldVectorizer("fake:"), create=False).name == made.name
    stranger = TwofoldVectorizer(other())
    for use in (
        lambda: open_collection(client, weaviate_name, stranger),
        lambda: stranger.near_text(made, "Bakery"),
        lambda: stranger.hybrid(made, "Bakery"),
        lambda: stranger.add_objects(made, [{"title": "x"}]),
        lambda: stranger.update_objects(made, [{"title": "x"}], ids=["a"]),
        lambda: add_documents(made, stranger, ids=["a"], documents=["b"]),
    ):
        with pytest.raises(
            SpaceMismatch, match=rf"collection '{weaviate_name}'.*\n.*document task: 'document' and 'topic'"
        ):
            use()
    assert stranger.embedder.calls == []  # type: ignore[attr-defined]
    assert made.aggregate.over_all().total_count == 0


def test_each_write_reads_the_record_again(client: WeaviateClient, weaviate_name: str) -> None:
    vectorizer = TwofoldVectorizer(FakeEmbedder())
    made = open_collection(client, weaviate_name, vectorizer)
    vectorizer.near_text(made, "known already")
    client.collections.delete(weaviate_name)
    open_collection(client, weaviate_name, other())
    with pytest.raises(SpaceMismatch):
        vectorizer.add_objects(made, [{"text": "x"}])
    with pytest.raises(SpaceMismatch):
        add_documents(made, vectorizer, ids=["a"], documents=["b"])


def test_a_description_is_its_users(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    described = [Property(name="text", data_type=DataType.TEXT, description="What it says.")]
    made = open_collection(client, weaviate_name, embedder, properties=described)
    made.config.update(description="something else")
    open_collection(client, weaviate_name, embedder, create=False)
    TwofoldVectorizer(embedder).add_objects(made, [{"text": text} for text in TEXTS])
    (text,) = [one for one in made.config.get().properties if one.name == "text"]
    assert (text.description or "").startswith("What it says.\n\ntwofold: {")


def test_a_lost_record_is_brought_back(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    made = open_collection(client, weaviate_name, embedder, vectorize={"a": "title", "b": ["title", "body"]})
    uuids = TwofoldVectorizer(embedder).add_objects(made, [{"title": text, "body": "Ships."} for text in TEXTS])
    made.config.update(property_descriptions={"title": "of the article"})
    for use in (
        lambda: open_collection(client, weaviate_name, embedder),
        lambda: TwofoldVectorizer(embedder).near_text(made, "x", target_vector="a"),
        lambda: TwofoldVectorizer(embedder).add_objects(made, [{"title": "x"}]),
    ):
        with pytest.raises(StoreError, match="adopt=True"):
            use()
    with pytest.raises(InputError, match="vectorize="):
        open_collection(client, weaviate_name, embedder, adopt=True)
    wrong: dict[str, Any] = {"a": "title", "b": "title"}
    with pytest.raises(SpaceMismatch, match="not written by this embedder"):
        open_collection(client, weaviate_name, embedder, adopt=True, vectorize=wrong)
    right: dict[str, Any] = {"a": "title", "b": ["title", "body"]}
    with pytest.raises(SpaceMismatch, match="not written by this embedder"):
        open_collection(client, weaviate_name, other(), adopt=True, vectorize=right)
    again = open_collection(client, weaviate_name, embedder, adopt=True, vectorize=right)
    (title,) = [one for one in again.config.get().properties if one.name == "title"]
    assert (title.description or "").startswith("of the article\n\ntwofold: {")
    found = TwofoldVectorizer(embedder).near_text(again, TEXTS[0], target_vector="a", limit=1).objects
    assert str(found[0].uuid) == uuids[0]


def test_the_record_goes_where_the_configuration_goes(client: WeaviateClient, weaviate_name: str) -> None:
    made = open_collection(client, weaviate_name, FakeEmbedder())
    exported = made.config.get()
    client.collections.delete(weaviate_name)
    client.collections.create_from_config(exported)
    open_collection(client, weaviate_name, FakeEmbedder(), create=False)
    with pytest.raises(SpaceMismatch):
        open_collection(client, weaviate_name, other())


def test_the_record_is_in_a_backup(client: WeaviateClient, weaviate_name: str) -> None:
    if "backup-filesystem" not in client.get_meta()["modules"]:
        pytest.skip("this server has no module backup-filesystem")
    open_collection(client, weaviate_name, FakeEmbedder())
    name = weaviate_name.lower()
    client.backup.create(name, BackupStorage.FILESYSTEM, include_collections=[weaviate_name], wait_for_completion=True)
    client.collections.delete(weaviate_name)
    client.backup.restore(name, BackupStorage.FILESYSTEM, wait_for_completion=True)
    open_collection(client, weaviate_name, FakeEmbedder(), create=False)
    with pytest.raises(SpaceMismatch):
        open_collection(client, weaviate_name, other())


def test_all_tenants_have_the_record(client: WeaviateClient, weaviate_name: str) -> None:
    vectorizer = TwofoldVectorizer(FakeEmbedder())
    tenants = Configure.multi_tenancy(enabled=True, auto_tenant_creation=True)
    made = open_collection(client, weaviate_name, vectorizer, multi_tenancy_config=tenants)
    ann = open_collection(client, weaviate_name, vectorizer, tenant="ann")
    assert ann.tenant == "ann"
    vectorizer.add_objects(ann, [{"text": text} for text in TEXTS])
    add_documents(made.with_tenant("bob"), vectorizer, ids=["a"], documents=[LATE])
    assert vectorizer.near_text(ann, TEXTS[1], limit=1).objects[0].properties["text"] == TEXTS[1]
    assert len(vectorizer.near_text(made.with_tenant("bob"), "ships").objects) == 2
    with pytest.raises(SpaceMismatch):
        add_documents(ann, other(), ids=["a"], documents=["b"])
    made.config.update(property_descriptions={"text": ""})
    with pytest.raises(StoreError, match="without tenant"):
        open_collection(client, weaviate_name, vectorizer, adopt=True)
    open_collection(client, weaviate_name, vectorizer, adopt=True, tenant="bob")
    open_collection(client, weaviate_name, vectorizer)


# -- making -----------------------------------------------------------------------------------------------------------


def test_it_is_made_as_it_is_asked_for(client: WeaviateClient, weaviate_name: str) -> None:
    hnsw = Configure.VectorIndex.hnsw(ef=77, quantizer=Configure.VectorIndex.Quantizer.rq())
    made = open_collection(client, weaviate_name, "fake:", vectorize={"a": "x", "b": "x"}, vector_index_config=hnsw)
    for one in (made.config.get().vector_config or {}).values():
        index: Any = one.vector_index_config
        assert (index.ef, index.distance_metric, index.quantizer is None) == (77, VectorDistances.COSINE, False)
    flat = open_collection(client, weaviate_name + "Flat", "fake:", vector_index_config=Configure.VectorIndex.flat())
    vectorizer = TwofoldVectorizer("fake:")
    vectorizer.add_objects(flat, [{"text": text} for text in TEXTS])
    assert vectorizer.near_text(flat, TEXTS[2], limit=1).objects[0].properties["text"] == TEXTS[2]


def test_what_cannot_be_made_is_refused_before_any_work(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    dot = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.DOT)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"vector_index_config": dot}, "compares by dot"),
        ({"vector_config": None}, "vector_config is decided here"),
        ({"colour": "red"}, "colour: neither open_collection nor"),
        ({"vectorize": []}, "needs the names of its properties"),
        ({"vectorize": {}}, "vectorize is empty"),
    ]
    for options, said in cases:
        with pytest.raises(InputError, match=said):
            open_collection(client, weaviate_name, embedder, **options)
    assert embedder.calls == []
    with pytest.raises(InputError, match="dimensions"):
        open_collection(client, weaviate_name, TwofoldVectorizer("fake:", dimensions=0))
    with pytest.raises(StoreError, match="not a valid class name"):
        open_collection(client, "no spaces, please", embedder)
    with pytest.raises(StoreError, match="it was not to be made"):
        open_collection(client, weaviate_name, embedder, create=False)
    assert not client.collections.exists(weaviate_name)
    with pytest.raises(StoreError, match="make it with open_collection"):
        WeaviateStore(client.collections.use(weaviate_name)).make("{}", embedder)


def test_other_properties_than_it_has_are_refused(client: WeaviateClient, weaviate_name: str) -> None:
    open_collection(client, weaviate_name, "fake:", vectorize=["title", "body"])
    open_collection(client, weaviate_name, "fake:")
    open_collection(client, weaviate_name, "fake:", vectorize=["title", "body"])
    for options in ({"vectorize": "title"}, {"vectorize": ["body", "title"]}, {"separator": " "}):
        with pytest.raises(InputError, match=r"is made with vectorize=.*'title', 'body'"):
            open_collection(client, weaviate_name, "fake:", **options)


async def test_whoever_makes_it_first_has_it(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    async with weaviate_server.connect_async() as client:
        first, second = (WeaviateStore(client.collections.use(weaviate_name), client=client) for _ in range(2))
        assert not await run_in_thread(first.find)
        await run_in_thread(second.make, other().record().to_json(), other())
        await run_in_thread(first.make, FakeEmbedder().record().to_json(), FakeEmbedder())
        with pytest.raises(SpaceMismatch):
            await aopen_collection(client, weaviate_name, FakeEmbedder())
        await aopen_collection(client, weaviate_name, other())


# -- adopting ---------------------------------------------------------------------------------------------------------


def test_a_collection_made_by_hand_is_adopted(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder()
    made = by_hand(client, weaviate_name, TEXTS)
    with pytest.raises(StoreError, match="adopt=True"):
        open_collection(client, weaviate_name, embedder)
    with pytest.raises(StoreError, match="adopt=True"):
        add_documents(made, embedder, ids=["a"], documents=["b"])
    with pytest.raises(SpaceMismatch, match="was not written by this embedder"):
        open_collection(client, weaviate_name, other(), adopt=True)
    taken = open_collection(client, weaviate_name, embedder, adopt=True)
    first = next(iter(taken.iterator()))
    assert set(first.properties) == {"text", "page"}
    add_documents(taken, embedder, ids=[str(first.uuid), "new"], documents=["Other words.", LATE])
    assert taken.aggregate.over_all().total_count == len(TEXTS) + 2
    with pytest.raises(SpaceMismatch):
        add_documents(taken, other(), ids=["a"], documents=["b"])


@pytest.mark.parametrize("config", ["legacy", "named"])
def test_vectors_of_any_name_are_adopted(client: WeaviateClient, weaviate_name: str, config: str) -> None:
    name = "default" if config == "legacy" else "mine"
    options: dict[str, Any] = {"vector_config": Configure.Vectors.self_provided(name=name)}
    if config == "legacy":
        options = {"vector_config": None}
    made = client.collections.create(weaviate_name, **options)
    vectors = FakeEmbedder().embed_documents(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        own: Any = vector.tolist()
        made.data.insert({"body": text}, vector=own if config == "legacy" else {name: own})
    taken = open_collection(client, weaviate_name, "fake:", adopt=True)
    vectorizer = TwofoldVectorizer("fake:")
    vectorizer.add_objects(taken, [{"body": "More."}])
    add_documents(taken, vectorizer, ids=["late"], documents=[LATE])
    (hit,) = WeaviateStore(taken).search(vectors[1], 1)
    assert hit.row.text == TEXTS[1]
    assert hit.score == pytest.approx(1, abs=1e-5)
    found = vectorizer.near_text(taken, "More.", include_vector=True).objects
    assert {name} == {key for one in found for key in one.vector}
    assert len(found) == 6


def test_an_empty_collection_is_simply_taken(client: WeaviateClient, weaviate_name: str) -> None:
    client.collections.create(weaviate_name, vector_config=Configure.Vectors.self_provided())
    taken = open_collection(client, weaviate_name, FakeEmbedder())
    add_documents(taken, "fake:", ids=["a"], documents=["b"])
    with pytest.raises(SpaceMismatch):
        open_collection(client, weaviate_name, other())


def test_one_of_several_vectors_is_adopted(client: WeaviateClient, weaviate_name: str) -> None:
    config: Any = [Configure.Vectors.self_provided(name=name) for name in ("mine", "picture")]
    made = client.collections.create(weaviate_name, vector_config=config)
    for text, vector in zip(TEXTS, FakeEmbedder().embed_documents(TEXTS), strict=True):
        both: Any = {"mine": vector.tolist(), "picture": [1.0, 0.0, 0.0]}
        made.data.insert({"text": text}, vector=both)
    taken = open_collection(client, weaviate_name, "fake:", adopt=True, vectorize={"mine": "text"})
    vectorizer = TwofoldVectorizer("fake:")
    assert vectorizer.near_text(taken, TEXTS[2], limit=1).objects[0].properties["text"] == TEXTS[2]
    uuids = vectorizer.add_objects(taken, [{"text": "No picture."}])
    assert set(taken.query.fetch_object_by_id(uuids[0], include_vector=True).vector) == {"mine"}


def test_what_cannot_be_adopted_says_why(client: WeaviateClient, weaviate_name: str) -> None:
    l2 = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.L2_SQUARED)
    options: dict[str, Any] = {"vector_config": Configure.Vectors.self_provided(vector_index_config=l2)}
    by_hand(client, weaviate_name, TEXTS, **options)
    with pytest.raises(StoreError, match="by l2-squared, not by cosine"):
        open_collection(client, weaviate_name, "fake:", adopt=True)
    two = by_hand(client, weaviate_name + "Two", TEXTS, key="body")
    two.data.insert({"title": "T"})
    with pytest.raises(InputError, match="has the vectors 'default' and the texts 'body', 'title': say what"):
        open_collection(client, two.name, "fake:", adopt=True)
    with pytest.raises(StoreError, match="rows without text"):
        open_collection(client, two.name, "fake:", adopt=True, vectorize="title")
    with pytest.raises(InputError, match="vectorize names the vectors 'a', 'b', the collection has 'default'"):
        open_collection(client, two.name, "fake:", adopt=True, vectorize={"a": "body", "b": "body"})


@pytest.mark.parametrize("late", [False, True])
def test_what_langchain_wrote_is_adopted(client: WeaviateClient, weaviate_name: str, late: bool) -> None:
    langchain = pytest.importorskip("langchain_weaviate")
    embedder = FakeEmbedder()

    class Embeddings:
        """As LangChain's stores call one; the last vectors are late chunks'."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            rows = embedder.embed_late([LATE])[0] if late else embedder.embed_documents(texts)
            return rows.tolist()  # type: ignore[no-any-return]

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed_query(text).tolist()  # type: ignore[no-any-return]

    store = langchain.WeaviateVectorStore(client, weaviate_name, "page_content", Embeddings())
    texts = [LATE.text[start:end] for start, end in LATE.spans] if late else TEXTS
    fields = [{"twofold_document": "a", "twofold_start": s, "twofold_end": e} for s, e in LATE.spans]
    store.add_texts(texts, metadatas=fields if late else [{"page": 1}] * 3)
    with pytest.raises(SpaceMismatch):
        open_collection(client, weaviate_name, other(), adopt=True, vectorize="page_content")
    taken = open_collection(client, weaviate_name, embedder, adopt=True, vectorize="page_content")
    found = TwofoldVectorizer(embedder).near_text(taken, "ships", limit=1).objects[0]
    (document,) = store.similarity_search("ships", k=1, alpha=1)
    assert document.page_content == found.properties["page_content"]
    assert "twofold_record" not in document.metadata
    if late:  # the library lets Weaviate guess how ids are searched: by words, of which "a" is none
        add_documents(taken, embedder, ids=["a"], documents=["Shorter."])
        assert taken.aggregate.over_all().total_count == 1


# -- vectors that the server asks for ---------------------------------------------------------------------------------


def test_a_collection_that_the_server_vectorises_has_a_record(client: WeaviateClient, weaviate_name: str) -> None:
    embedder = FakeEmbedder(dimensions=16)
    text = [Property(name=name, data_type=DataType.TEXT) for name in ("title", "body")]
    config = server_side(embedder, "http://127.0.0.1:9", properties=["title", "body"])
    client.collections.create(weaviate_name, properties=text, vector_config=config)
    made = open_collection(client, weaviate_name, embedder)
    for use in (
        lambda: open_collection(client, weaviate_name, FakeEmbedder(dimensions=16, document_task="topic")),
        lambda: TwofoldVectorizer(FakeEmbedder()).near_text(made, "ships"),
    ):
        with pytest.raises(SpaceMismatch):
            use()
    vectorizer = TwofoldVectorizer(embedder)
    (uuid,) = vectorizer.add_objects(made, [{"title": "T", "body": "Fog."}])
    stored = made.query.fetch_object_by_id(uuid, include_vector=True).vector["default"]
    assert np.array_equal(np.array(stored, np.float32), embedder.embed_documents(["Fog. T"])[0])


# -- the store of other libraries' collections ------------------------------------------------------------------------


def test_a_native_collection_has_its_store(client: WeaviateClient, weaviate_name: str) -> None:
    made = open_collection(client, weaviate_name, Embedder("fake:"))
    assert isinstance(store_over(made), WeaviateStore)
    assert WeaviateStore.over(client) is None
