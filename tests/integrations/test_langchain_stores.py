"""Documents into LangChain's stores: with vectors that are computed, that are ready, and both in one call."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langchain_twofold import TwofoldEmbeddings, aadd_documents, add_documents, cached, late_chunk, open_collection
from twofold import InputError, ProviderError, SpaceMismatch, StoreError
from twofold.errors import BlankWarning
from twofold.stores import DOCUMENT
from twofold.testing import FailingEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.vectorstores import VectorStore

    from support.weaviate_server import WeaviateServer
    from twofold import Embedder

TEXTS = [
    "a keeper lights the lamp",
    "nine ships in the fog",
    "bread is baked at night",
    "the lamp is lit by the keeper",
]
QUERY = "who lights the lamp"
ARTICLE = "Berlin is the capital of Germany.\n\nIts population is 3.8 million.\n\nThe city is one of sixteen states."
SPLITTER = RecursiveCharacterTextSplitter(chunk_size=40, chunk_overlap=0)


@pytest.fixture
def embeddings() -> TwofoldEmbeddings:
    return TwofoldEmbeddings("fake:")


@pytest.fixture(params=["memory", "chroma", "weaviate", "faiss", "sklearn"])
def store(request: pytest.FixtureRequest, embeddings: TwofoldEmbeddings) -> Iterator[VectorStore]:
    if request.param == "weaviate":
        server: WeaviateServer = request.getfixturevalue("weaviate_server")
        pytest.importorskip("langchain_weaviate")
        with server.connect() as client:
            yield open_collection(client, request.getfixturevalue("weaviate_name"), embeddings)
    else:
        makers: dict[str, Callable[[TwofoldEmbeddings], VectorStore]] = {
            "memory": InMemoryVectorStore,
            "chroma": chroma,
            "faiss": faiss,
            "sklearn": sklearn,
        }
        yield makers[request.param](embeddings)


def chroma(embeddings: Any) -> Any:
    return open_collection(chromadb.EphemeralClient(), f"test-{uuid.uuid4()}", embeddings)


def faiss(embeddings: TwofoldEmbeddings) -> VectorStore:
    """Its method for ready vectors takes pairs of texts and vectors."""
    index = pytest.importorskip("faiss").IndexFlatIP(64)
    pytest.importorskip("langchain_community")  # it is in the group `bench`
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS

    return FAISS(embeddings, index, InMemoryDocstore(), {})


def sklearn(embeddings: TwofoldEmbeddings) -> VectorStore:
    """It has no such method, and keeps what it adds in itself."""
    pytest.importorskip("sklearn")
    pytest.importorskip("langchain_community")
    from langchain_community.vectorstores import SKLearnVectorStore

    return SKLearnVectorStore(embeddings)


def documents(texts: list[str] = TEXTS) -> list[Document]:
    return [Document(text, metadata={"number": number}) for number, text in enumerate(texts)]


def order(embedder: Embedder) -> list[str]:
    """What the core says: the texts by the cosine of their vectors with the query's."""
    scores = embedder.embed_documents(TEXTS) @ embedder.embed_query(QUERY)
    return [TEXTS[index] for index in np.argsort(-scores)]


def found(store: VectorStore, k: int = len(TEXTS)) -> list[Document]:
    options: Any = {"alpha": 1.0} if type(store).__name__ == "WeaviateVectorStore" else {}  # its search is hybrid
    return store.similarity_search(QUERY, k=k, **options)


def texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


def stored(store: Any, identifier: str) -> Any:
    """The vector that the store has under an id."""
    kind = type(store).__name__
    if kind == "InMemoryVectorStore":
        return store.store[identifier]["vector"]
    if kind == "Chroma":
        return store._collection.get([identifier], include=["embeddings"])["embeddings"][0]
    if kind == "FAISS":
        places = {name: place for place, name in store.index_to_docstore_id.items()}
        return store.index.reconstruct(places[identifier])
    if kind == "SKLearnVectorStore":
        return store._embeddings[store._ids.index(identifier)]
    return store._collection.query.fetch_object_by_id(identifier, include_vector=True).vector["default"]


def test_the_hosts_own_way_gives_the_cores_answers(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    (*_, last) = store.add_documents(documents(), ids=[str(uuid.uuid4()) for _ in TEXTS])
    assert texts(found(store)) == order(embeddings.embedder)
    assert np.array_equal(np.float32(stored(store, last)), embeddings.embedder.embed_documents(TEXTS)[-1])


def test_vectors_that_are_ready_are_not_computed_again(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    vectors = embeddings.embedder.embed_documents(TEXTS)[::-1]  # which no store would compute
    calls: Any = embeddings.embedder.backend
    before = len(calls.calls)
    ids = add_documents(store, documents(), vectors)
    assert len(calls.calls) == before
    for name, vector in zip(ids, vectors, strict=True):
        assert np.array_equal(np.float32(stored(store, name)), vector)
    best = found(store, 1)[0]
    assert (
        best.page_content
        == TEXTS[int(best.metadata["number"])]
        == TEXTS[::-1][TEXTS.index(order(embeddings.embedder)[0])]
    )
    assert store.embeddings is embeddings


def test_texts_are_embedded(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    assert len(add_documents(store, documents())) == len(TEXTS)
    assert texts(found(store)) == order(embeddings.embedder)


async def test_async_writes_the_same(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    ids = await aadd_documents(store, documents(), progress=True)
    assert texts(found(store)) == order(embeddings.embedder)
    ready = embeddings.embedder.embed_documents(TEXTS)[::-1]
    (first, *_) = await aadd_documents(store, documents(), ready, ids=[str(uuid.uuid4()) for _ in TEXTS])
    assert np.array_equal(np.float32(stored(store, first)), ready[0])
    assert len(ids) == len(TEXTS)


def test_late_and_plain_documents_in_one_call(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    chunks, vectors = late_chunk([Document(ARTICLE, id="berlin", metadata={"number": 7})], SPLITTER, embeddings)
    ids = add_documents(store, [*chunks, *documents()], vectors + [None] * len(TEXTS))
    assert np.array_equal(np.float32(stored(store, ids[1])), np.float32(vectors[1]))
    assert np.array_equal(np.float32(stored(store, ids[4])), embeddings.embedder.embed_documents(TEXTS)[1])
    all_found = found(store, len(ids))
    assert sorted(texts(all_found)) == sorted([*ARTICLE.split("\n\n"), *TEXTS])
    late = [one for one in all_found if one.metadata["number"] == 7]
    assert {one.metadata[DOCUMENT] for one in late} == {"berlin"}


def test_a_shortened_document_leaves_no_stale_chunks(store: VectorStore, embeddings: TwofoldEmbeddings) -> None:
    """Where the store's rows can be found by their document: the others' pages say so."""
    if type(store).__name__ in ("FAISS", "SKLearnVectorStore"):
        pytest.skip("rows cannot be found by their document in it")
    identifier = str(uuid.uuid4())
    longer, shorter = Document(ARTICLE, id=identifier), Document(ARTICLE[:65], id=identifier)
    kept = add_documents(store, documents(TEXTS[:1]))
    for document, rows in ((longer, 3), (longer, 3), (shorter, 2)):
        chunks, vectors = late_chunk([document], SPLITTER, embeddings)
        for place in range(len(chunks)):  # a part of a document's chunks removes none of the others
            add_documents(store, chunks[place : place + 1], vectors[place : place + 1])
        assert len(found(store, 9)) == rows + len(kept)
    add_documents(store, [shorter])
    assert sorted(texts(found(store, 9))) == sorted([ARTICLE[:65], TEXTS[0]])
    add_documents(store, *late_chunk([shorter], SPLITTER, embeddings))
    assert len(found(store, 9)) == 3
    with pytest.warns(BlankWarning):
        add_documents(store, [Document(" ", id=identifier)])
    assert texts(found(store, 9)) == TEXTS[:1]


def test_ids_are_given_kept_or_made(embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    vectors = embeddings.embed_documents(TEXTS)
    assert add_documents(store, documents(), vectors, ids=list("abcd")) == list("abcd")
    first, second = add_documents(store, [Document(TEXTS[0], id="own"), Document(TEXTS[1])], vectors[:2])
    assert first == "own"
    assert uuid.UUID(second)


def test_lists_dates_and_what_is_none(embeddings: TwofoldEmbeddings) -> None:
    store = chroma(embeddings)
    metadata = {"tags": ["a", "b"], "read": date(2026, 11, 24), "page": None}
    add_documents(store, [Document("fog", metadata=metadata)])
    kept = found(store)[0].metadata
    assert (kept["tags"], kept["read"]) == (["a", "b"], "2026-11-24")
    assert "page" not in kept
    with pytest.raises(InputError, match=r"document 1, .*metadata field 'deep'"):
        add_documents(store, [Document("fog"), Document("mist", metadata={"deep": {"er": 1}})])
    assert store._collection.count() == 1


def test_blank_documents_are_passed_over_by_name(store: VectorStore) -> None:
    with pytest.warns(BlankWarning, match="document 1,"):
        assert len(add_documents(store, [Document("fog"), Document(" \n"), Document("mist")])) == 2
    assert sorted(texts(found(store, 2))) == ["fog", "mist"]


def test_other_embeddings_of_the_space_compute(embeddings: TwofoldEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_twofold.store.SLICE", 3)
    store, again = InMemoryVectorStore(embeddings), TwofoldEmbeddings("fake:")
    backend: Any = again.embedder.backend
    ids = add_documents(store, documents(), cached(again, InMemoryByteStore()))
    assert [len(call.texts) for call in backend.calls] == [3, 1]
    assert [store.store[name]["vector"] for name in ids] == embeddings.embed_documents(TEXTS)


def test_a_cached_store_is_written_to(embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(cached(embeddings, InMemoryByteStore()))
    (name,) = add_documents(store, [Document("fog")], embeddings.embedder.embed_documents(["mist"]))
    assert store.store[name]["vector"] == embeddings.embed_documents(["mist"])[0]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("make", [InMemoryVectorStore, chroma])
def test_what_was_paid_for_is_written(make: Any, asynchronous: bool) -> None:
    class FailingAsync(FailingEmbedder):
        async def aembed_late(self, documents: Any, **options: Any) -> Any:
            return self.embed_late(documents, **options)

    store, items = make(TwofoldEmbeddings(FailingAsync())), [Document(" "), *documents()]
    own = TwofoldEmbeddings("fake:")
    for name in ("kept", "lost"):
        add_documents(store, *late_chunk([Document(ARTICLE, id=name)], SPLITTER, own))
    items[1].id, items[3].id = "kept", "lost"  # each had three rows; one is written again, the other is not

    def add() -> Any:
        return asyncio.run(aadd_documents(store, items)) if asynchronous else add_documents(store, items)

    with pytest.warns(BlankWarning), pytest.raises(ProviderError) as caught:
        add()
    assert (sorted(caught.value.partial), sorted(caught.value.failed)) == ([1, 2], [3, 4])
    assert sorted(texts(found(store, 9))) == sorted([*TEXTS[:2], *ARTICLE.split("\n\n")])


def test_long_texts_are_named_before_any_work(embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    with pytest.raises(InputError, match="document 'b' has 600 tokens"):
        add_documents(store, documents(["fog", "word " * 600]), ids=["a", "b"])
    with pytest.raises(InputError, match="document 1 has a lone surrogate"):
        add_documents(store, documents(["fog", "half: \ud83d"]))
    assert store.store == {}
    backend: Any = embeddings.embedder.backend
    assert backend.calls == []


def test_nothing_to_add(store: VectorStore) -> None:
    assert add_documents(store, [], []) == add_documents(store, []) == []


def test_more_than_chroma_takes_at_once() -> None:
    store = chroma(TwofoldEmbeddings("fake:", dimensions=8))
    count = 1300
    vectors = np.random.default_rng(0).standard_normal((count, 8), np.float32)
    ids = add_documents(store, [Document(f"text {number}") for number in range(count)], vectors)
    assert store._collection.count() == count
    assert np.allclose(stored(store, ids[-1]), vectors[-1])  # not to the bit: a cosine index scales what is not unit


@pytest.mark.parametrize(
    ("count", "width", "said"), [(3, 64, "for 4 documents"), (4, 32, "32 dimensions, the store's have 64")]
)
def test_vectors_that_do_not_fit_are_refused(count: int, width: int, said: str, embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    with pytest.raises(InputError, match=said):
        add_documents(store, documents(), np.ones((count, width), np.float32))
    assert store.store == {}


def test_wrong_vectors_ids_and_stores_are_refused(embeddings: TwofoldEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    wrong: Any
    for wrong in ([1.0, 2.0, 3.0, 4.0], [[float("nan")] * 64] * 4, ["fake:"] * 4, [[]] * 4):
        with pytest.raises(InputError, match="vector 0 is not a list of finite numbers"):
            add_documents(store, documents(), wrong)
    with pytest.raises(InputError, match=r"widths \[1, 64\] .* expected one each, of one width"):
        add_documents(store, documents(), [[1.0] * 64, [1.0] * 64, [1.0], None])
    with pytest.raises(InputError, match="1 ids for 4 documents"):
        add_documents(store, documents(), np.ones((4, 64), np.float32), ids=["one"])
    with pytest.raises(InputError, match="occurs twice"):
        add_documents(store, documents(), ids=["a", "b", "a", "c"])
    with pytest.raises(InputError, match=r"document 0 is of type list, not a LangChain Document: write .*\*late_chunk"):
        add_documents(store, (documents(), None))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="document 0 is of type str, not a LangChain Document"):
        add_documents(store, ["text"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="store is of type dict"):
        add_documents({}, documents())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Chroma takes no tenant here"):
        add_documents(chroma(embeddings), documents(), tenant="one")


class Foreign(InMemoryVectorStore):
    """A store whose embeddings nobody sees."""

    @property
    def embeddings(self) -> Any:
        return None


def test_a_store_that_takes_no_ready_vectors_is_refused_by_name(embeddings: TwofoldEmbeddings) -> None:
    with pytest.raises(InputError, match=r"Foreign was opened without .* open it with TwofoldEmbeddings"):
        add_documents(Foreign(embeddings), documents(), np.ones((4, 64), np.float32))
    with pytest.raises(InputError, match="searches with DeterministicFakeEmbedding, whose space is unknown"):
        add_documents(InMemoryVectorStore(DeterministicFakeEmbedding(size=64)), documents(), np.ones((4, 64)))


class Shaped(InMemoryVectorStore):
    """As PGVectorStore: its method for ready vectors takes texts and vectors apart."""

    def add_embeddings(self, texts: Any, embeddings: Any, metadatas: Any = None, ids: Any = None, **kwargs: Any) -> Any:
        for text, vector, metadata, name in zip(texts, embeddings, metadatas, ids, strict=True):
            self.store[name] = {"id": name, "vector": vector, "text": text, "metadata": metadata | kwargs}
        return ids


class ShapedForBoth(Shaped):
    async def aadd_embeddings(self, *arguments: Any, **options: Any) -> Any:
        return self.add_embeddings(*arguments, **options, asynchronous=True)


@pytest.mark.parametrize("kind", [Shaped, ShapedForBoth])
def test_a_stores_own_method_for_ready_vectors_comes_first(kind: Any, embeddings: TwofoldEmbeddings) -> None:
    store = kind(embeddings)
    (name,) = add_documents(store, documents(TEXTS[:1]), owner="us")
    assert store.store[name]["metadata"] == {"number": 0, "owner": "us"}
    assert store.store[name]["vector"] == embeddings.embed_documents(TEXTS[:1])[0]
    (name,) = asyncio.run(aadd_documents(store, documents(TEXTS[:1]), owner="us"))
    assert store.store[name]["metadata"].get("asynchronous") == (True if kind is ShapedForBoth else None)


def test_a_store_without_embeddings_takes_those_that_are_given(embeddings: TwofoldEmbeddings) -> None:
    class Hidden(Shaped, Foreign):
        pass

    store = Hidden(embeddings)
    with pytest.raises(InputError, match="Hidden has no embeddings: open it with some, or give them"):
        add_documents(store, documents())
    assert len(add_documents(store, documents(), embeddings)) == len(store.store) == 4


def test_a_store_that_does_not_ask_is_found_out(embeddings: TwofoldEmbeddings) -> None:
    class Proud(InMemoryVectorStore):
        def add_documents(self, documents: Any, ids: Any = None, **kwargs: Any) -> list[str]:
            return []

    with pytest.raises(StoreError, match="did not ask its embeddings for 4 of 4 vectors") as caught:
        add_documents(Proud(embeddings), documents(), ids=list("abcd"))
    assert list(caught.value.failed) == list("abcd")


def test_a_store_that_asks_for_more_gets_it(embeddings: TwofoldEmbeddings) -> None:
    class Curious(InMemoryVectorStore):
        probes: Any = None

        def add_documents(self, documents: Any, ids: Any = None, **kwargs: Any) -> list[str]:
            self.probes = [self.embedding.embed_query("fog"), *self.embedding.embed_documents(["how wide?", TEXTS[0]])]
            return super().add_documents(documents, ids, **kwargs)

    store = Curious(embeddings)
    ids = add_documents(store, documents(), embeddings.embedder.embed_documents(TEXTS[::-1]))
    assert store.probes == [embeddings.embed_query("fog"), *embeddings.embed_documents(["how wide?", TEXTS[0]])]
    assert store.store[ids[0]]["vector"] == embeddings.embed_documents(TEXTS)[-1]


def test_ready_vectors_are_seen_by_their_own_call_alone(embeddings: TwofoldEmbeddings) -> None:
    class Shared(InMemoryVectorStore):
        meanwhile: Any = None

        def add_documents(self, documents: Any, ids: Any = None, **kwargs: Any) -> list[str]:
            with ThreadPoolExecutor(1) as pool:
                self.meanwhile = pool.submit(self.embedding.embed_documents, TEXTS).result()
            return super().add_documents(documents, ids, **kwargs)

    store = Shared(embeddings)
    add_documents(store, documents(), embeddings.embedder.embed_documents(TEXTS[::-1]))
    assert store.meanwhile == embeddings.embed_documents(TEXTS)
    assert [one["vector"] for one in store.store.values()] == embeddings.embed_documents(TEXTS)[::-1]


def test_a_refusal_says_what_is_stored_and_what_is_not(
    embeddings: TwofoldEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(InMemoryVectorStore):
        def add_documents(self, documents: Any, ids: Any = None, **kwargs: Any) -> list[str]:
            if len(self.store) >= 2:
                raise RuntimeError("full")
            return super().add_documents(documents, ids, **kwargs)

    monkeypatch.setattr("langchain_twofold.store.SLICE", 2)
    store = Small(embeddings)
    with pytest.raises(StoreError, match="Small refused documents 2 to 3: full") as caught:
        add_documents(store, documents([*TEXTS, "more"]), ids=list("abcde"))
    assert list(store.store) == ["a", "b"]
    assert set(caught.value.failed) == {"c", "d", "e"}


def test_what_weaviate_loses_is_raised(
    weaviate_server: WeaviateServer, weaviate_name: str, embeddings: TwofoldEmbeddings
) -> None:
    with weaviate_server.connect() as client:
        store = open_collection(client, weaviate_name, embeddings)
        ids = add_documents(store, documents(), embeddings.embed_documents(TEXTS))
        wrong = [Document(TEXTS[0], metadata={"number": "a word where numbers are"}), Document(TEXTS[1])]
        with pytest.raises(StoreError, match="1 of 2 objects were not written") as caught:
            add_documents(store, wrong, embeddings.embed_documents(TEXTS[:2]), ids=[str(uuid.uuid4()), ids[0]])
        assert len(caught.value.failed) == 1
        assert ids[0] not in caught.value.failed


def test_weaviates_tenants(weaviate_server: WeaviateServer, weaviate_name: str, embeddings: TwofoldEmbeddings) -> None:
    other = TwofoldEmbeddings("fake:", document_task="topic")
    with weaviate_server.connect() as client:
        store = open_collection(client, weaviate_name, embeddings, use_multi_tenancy=True)
        for tenant, text in (("one", "fog"), ("two", "mist")):
            add_documents(store, [Document(text)], tenant=tenant)
        assert texts(store.similarity_search("fog", tenant="two", alpha=1.0)) == ["mist"]
        with pytest.raises(SpaceMismatch):
            add_documents(store, [Document("rain")], other, tenant="two")


@pytest.mark.parametrize("kind", [InMemoryVectorStore, chroma])
async def test_the_hosts_async_way_gives_the_cores_answers(kind: Any, embeddings: TwofoldEmbeddings) -> None:
    store = kind(embeddings)
    await store.aadd_documents(documents())
    assert texts(await store.asimilarity_search(QUERY, k=len(TEXTS))) == order(embeddings.embedder)


async def test_weaviates_async_client_gives_the_cores_answers(
    weaviate_server: WeaviateServer, weaviate_name: str, embeddings: TwofoldEmbeddings
) -> None:
    with weaviate_server.connect() as client:
        async with weaviate_server.connect_async() as client_async:
            store = open_collection(client, weaviate_name, embeddings, client_async=client_async)
            await store.aadd_documents(documents())
            answers = await store.asimilarity_search(QUERY, k=len(TEXTS), alpha=1.0)
    assert texts(answers) == order(embeddings.embedder)
