"""LangChain's stores, end to end: added and searched through the host, and with vectors that are there already."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_twofold import TwofoldEmbeddings, add_documents, cached
from twofold import InputError, SpaceMismatch, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.vectorstores import VectorStore

    from twofold import Embedder
    from weaviate_server import WeaviateServer

TEXTS = [
    "a keeper lights the lamp",
    "nine ships in the fog",
    "bread is baked at night",
    "the lamp is lit by the keeper",
]
QUERY = "who lights the lamp"


@pytest.fixture
def embeddings() -> TwofoldEmbeddings:
    return TwofoldEmbeddings(model="fake:")


@pytest.fixture(params=["memory", "chroma", "weaviate"])
def store(request: pytest.FixtureRequest, embeddings: TwofoldEmbeddings) -> Iterator[VectorStore]:
    if request.param == "memory":
        yield InMemoryVectorStore(embeddings)
    elif request.param == "chroma":
        yield chroma(embeddings)
    else:
        from langchain_weaviate import WeaviateVectorStore

        server: WeaviateServer = request.getfixturevalue("weaviate_server")
        name: str = request.getfixturevalue("weaviate_name")
        with server.connect() as client:
            yield WeaviateVectorStore(client, name, "text", embeddings)


def chroma(embeddings: TwofoldEmbeddings) -> Chroma:
    configuration: Any = {"hnsw": {"space": "cosine"}}
    return Chroma(f"test-{uuid.uuid4()}", embeddings, collection_configuration=configuration)


def documents(texts: list[str] = TEXTS) -> list[Document]:
    return [Document(text, metadata={"number": number}) for number, text in enumerate(texts)]


def order(embedder: Embedder) -> list[str]:
    """What the core says: the texts by the cosine of their vectors with the query's."""
    scores = embedder.embed_documents(TEXTS) @ embedder.embed_query(QUERY)
    return [TEXTS[index] for index in np.argsort(-scores)]


def found(store: VectorStore) -> list[str]:
    options = {"alpha": 1.0} if type(store).__name__ == "WeaviateVectorStore" else {}  # its search is hybrid
    return [document.page_content for document in store.similarity_search(QUERY, k=len(TEXTS), **options)]


def stored(store: VectorStore, identifier: str) -> Any:
    """The vector that the store has under an id."""
    if isinstance(store, InMemoryVectorStore):
        return store.store[identifier]["vector"]
    if isinstance(store, Chroma):
        return store._collection.get([identifier], include=["embeddings"])["embeddings"][0]  # type: ignore[index]
    return store._collection.query.fetch_object_by_id(identifier, include_vector=True).vector["default"]  # type: ignore[attr-defined]


def test_the_hosts_own_way_gives_the_cores_answers(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    (*_, last) = store.add_documents(documents())
    assert found(store) == order(embeddings.embedder)
    assert np.array_equal(np.float32(stored(store, last)), embeddings.embedder.embed_documents(TEXTS)[-1])


def test_vectors_that_are_there_are_not_computed_again(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    vectors = embeddings.embedder.embed_documents(TEXTS)
    calls: Any = embeddings.embedder.backend
    before = len(calls.calls)
    ids = add_documents(store, documents(), vectors)
    assert len(calls.calls) == before
    assert np.array_equal(np.float32(stored(store, ids[1])), vectors[1])
    assert found(store) == order(embeddings.embedder)
    best = store.similarity_search(QUERY, k=1)[0]
    assert best.metadata["number"] == TEXTS.index(best.page_content)
    assert store.embeddings is embeddings


def test_ids_are_given_kept_or_made(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    own, given = str(uuid.uuid4()), [str(uuid.uuid4()) for _ in TEXTS]
    vectors = embeddings.embed_documents(TEXTS)
    assert add_documents(store, documents(), vectors, ids=given) == given
    first, second = add_documents(store, [Document(TEXTS[0], id=own), Document(TEXTS[1])], vectors[:2])
    assert first == own
    assert uuid.UUID(second) not in map(uuid.UUID, given)
    add_documents(store, [Document(TEXTS[2], id=own)], vectors[2:3])
    assert np.array_equal(np.float32(stored(store, own)), np.asarray(vectors[2], np.float32))


def test_embeddings_are_used_piece_by_piece(embeddings: TwofoldEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_twofold.writing.PIECE", 3)
    store = InMemoryVectorStore(embeddings)
    again = TwofoldEmbeddings(model="fake:")
    ids = add_documents(store, documents(), cached(again, InMemoryByteStore()))
    assert [len(call.texts) for call in again.embedder.backend.calls] == [3, 1]  # type: ignore[attr-defined]
    assert [store.store[name]["vector"] for name in ids] == embeddings.embed_documents(TEXTS)


def test_embeddings_of_another_space_are_refused(embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    with pytest.raises(SpaceMismatch, match="document task"):
        add_documents(store, documents(), TwofoldEmbeddings(model="fake:", document_task="topic"))
    assert store.store == {}


def test_a_store_that_asks_for_other_vectors_is_refused(embeddings: TwofoldEmbeddings) -> None:
    class Curious(InMemoryVectorStore):
        def add_documents(self, documents: list[Document], ids: list[str] | None = None, **kwargs: Any) -> list[str]:
            kwargs["ask"](self.embedding)
            return super().add_documents(documents, ids, **kwargs)

    vectors = embeddings.embed_documents(TEXTS)
    for ask in (lambda own: own.embed_query("fog"), lambda own: own.embed_documents(TEXTS * 2)):
        with pytest.raises(StoreError, match="asks for"):
            add_documents(Curious(embeddings), documents(), vectors, ask=ask)


def test_nothing_to_add(store: VectorStore) -> None:
    assert add_documents(store, [], []) == []


def test_more_than_chroma_takes_at_once() -> None:
    embeddings = TwofoldEmbeddings(model="fake:", dimensions=8)
    count = chromadb.EphemeralClient().get_max_batch_size() + 10
    vectors = np.random.default_rng(0).standard_normal((count, 8), np.float32)
    store = chroma(embeddings)
    ids = add_documents(store, [Document(f"text {number}") for number in range(count)], vectors)
    assert store._collection.count() == count
    assert np.allclose(stored(store, ids[-1]), vectors[-1])  # not to the bit: a cosine index scales what is not unit


@pytest.mark.parametrize(
    ("count", "width", "said"), [(3, 64, "for 4 documents"), (4, 32, "32 dimensions, the store's own")]
)
def test_vectors_that_do_not_fit_are_refused(count: int, width: int, said: str, embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    with pytest.raises(InputError, match=said):
        add_documents(store, documents(), np.ones((count, width), np.float32))
    assert store.store == {}


def test_flat_vectors_and_missing_ids_are_refused(embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    with pytest.raises(InputError, match="one each, of one width"):
        add_documents(store, documents(), [1.0, 2.0, 3.0, 4.0])  # type: ignore[list-item]
    with pytest.raises(InputError, match="1 ids for 4 documents"):
        add_documents(store, documents(), np.ones((4, 64), np.float32), ids=["one"])


def test_a_store_without_embeddings_is_refused() -> None:
    with pytest.raises(InputError, match="has no embeddings"):
        add_documents(Chroma(f"test-{uuid.uuid4()}"), documents(), np.ones((4, 64), np.float32))


def test_a_refusal_says_what_is_stored_and_what_is_not(
    embeddings: TwofoldEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langchain_twofold.writing.PIECE", 2)
    store, items = chroma(embeddings), documents()
    items[3].metadata["number"] = {"no": "place for this"}
    ids = [str(uuid.uuid4()) for _ in items]
    with pytest.raises(StoreError, match="documents 2 and after") as caught:
        add_documents(store, items, embeddings.embed_documents(TEXTS), ids=ids)
    assert set(caught.value.failed) == set(ids[2:])
    assert store._collection.count() == 2


def test_what_weaviate_loses_is_raised(
    weaviate_server: WeaviateServer, weaviate_name: str, embeddings: TwofoldEmbeddings
) -> None:
    from langchain_weaviate import WeaviateVectorStore

    with weaviate_server.connect() as client:
        store = WeaviateVectorStore(client, weaviate_name, "text", embeddings)
        ids = add_documents(store, documents(), embeddings.embed_documents(TEXTS))
        wrong = [Document(TEXTS[0], metadata={"number": "a word where numbers are"}), Document(TEXTS[1])]
        with pytest.raises(StoreError, match="lost 1 documents") as caught:
            add_documents(store, wrong, embeddings.embed_documents(TEXTS[:2]), ids=[str(uuid.uuid4()), ids[0]])
        assert len(caught.value.failed) == 1
        assert ids[0] not in caught.value.failed


def test_a_chroma_store_knows_its_space(embeddings: TwofoldEmbeddings) -> None:
    from chroma_twofold import open_collection

    client, name = chromadb.EphemeralClient(), f"test-{uuid.uuid4()}"
    collection = open_collection(client, name, embeddings.embedder)
    store = Chroma(name, embeddings, client=client)
    store.add_documents(documents())
    assert found(store) == order(embeddings.embedder)
    assert collection.query(query_texts=[QUERY], n_results=1)["documents"] == [order(embeddings.embedder)[:1]]
    with pytest.raises(SpaceMismatch, match="document task"):
        open_collection(client, name, TwofoldEmbeddings(model="fake:", document_task="topic").embedder)


def test_a_weaviate_store_knows_its_space(
    weaviate_server: WeaviateServer, weaviate_name: str, embeddings: TwofoldEmbeddings
) -> None:
    from langchain_weaviate import WeaviateVectorStore

    from weaviate_twofold import TwofoldVectorizer

    with weaviate_server.connect() as client:
        vectorizer = TwofoldVectorizer(embeddings.embedder)
        collection = vectorizer.create_collection(client, weaviate_name, vectorize="text")
        store = WeaviateVectorStore(client, weaviate_name, "text", embeddings)
        add_documents(store, documents(), embeddings.embed_documents(TEXTS))
        assert found(store) == order(embeddings.embedder)
        assert vectorizer.near_text(collection, QUERY, limit=1).objects[0].properties["text"] == found(store)[0]
        other = TwofoldVectorizer(TwofoldEmbeddings(model="fake:", document_task="topic").embedder)
        with pytest.raises(SpaceMismatch, match="document task"):
            other.open(client, weaviate_name)


@pytest.mark.parametrize("kind", [InMemoryVectorStore, chroma])
async def test_the_hosts_async_way_gives_the_cores_answers(kind: Any, embeddings: TwofoldEmbeddings) -> None:
    store = kind(embeddings)
    await store.aadd_documents(documents())
    answers = await store.asimilarity_search(QUERY, k=len(TEXTS))
    assert [document.page_content for document in answers] == order(embeddings.embedder)


async def test_weaviates_async_client_gives_the_cores_answers(
    weaviate_server: WeaviateServer, weaviate_name: str, embeddings: TwofoldEmbeddings
) -> None:
    from langchain_weaviate import WeaviateVectorStore

    with weaviate_server.connect() as client:
        async with weaviate_server.connect_async() as client_async:
            store = WeaviateVectorStore(client, weaviate_name, "text", embeddings, client_async=client_async)
            await store.aadd_documents(documents())
            answers = await store.asimilarity_search(QUERY, k=len(TEXTS), alpha=1.0)
    assert [document.page_content for document in answers] == order(embeddings.embedder)
