"""Vectors of two spaces never meet in LlamaIndex: in its stores, opened by us or not, and in what it saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import chromadb
import pytest
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.schema import Document, QueryBundle, TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from llama_index_twofold import LateChunkingNodeParser, TwofoldEmbedding, open_collection
from twofold import SpaceMismatch, StoreError
from twofold.adapters import store_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.weaviate_server import WeaviateServer

TEXT = "A keeper lights the lamp. Nine ships wait in the fog. Bread is baked at night. " * 12
QUERY = "who lights the lamp"


def splitter() -> TokenTextSplitter:
    return TokenTextSplitter(chunk_size=60, chunk_overlap=10)


def document() -> Document:
    return Document(text=TEXT, id_="night", metadata={"title": "Night"})


def late(embedding: TwofoldEmbedding) -> LateChunkingNodeParser:
    return LateChunkingNodeParser(embed_model=embedding, node_parser=splitter())


def a() -> TwofoldEmbedding:
    return TwofoldEmbedding("fake:")


def b() -> TwofoldEmbedding:
    """Another space of the same width."""
    return TwofoldEmbedding("fake:", document_task="topic", query_task="topic")


def asked(embedding: TwofoldEmbedding) -> list[Any]:
    """What the model was asked, but for the canaries of a record."""
    calls: list[Any] = embedding.embedder.backend.calls  # type: ignore[attr-defined]
    return [call for call in calls if "lighthouse" not in call.texts[0]]


def index_in(store: Any, embedding: TwofoldEmbedding, *steps: Any, **options: Any) -> VectorStoreIndex:
    context = StorageContext.from_defaults(vector_store=store)
    index: VectorStoreIndex = VectorStoreIndex.from_documents(
        [document()], storage_context=context, embed_model=embedding, transformations=list(steps), **options
    )
    return index


def index_over(store: Any, embedding: TwofoldEmbedding) -> VectorStoreIndex:
    return VectorStoreIndex.from_vector_store(store, embed_model=embedding)


# -- stores that open_collection gives --------------------------------------------------------------------------------


@pytest.fixture(params=["chroma", "weaviate"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Callable[[], int]]]:
    """A store that was opened with A, with two rows, and what counts them."""
    if request.param == "chroma":
        store = open_collection(chromadb.PersistentClient(tmp_path), "night", a())
        index_in(store, a(), late(a()))
        yield store, store.client.count
        return
    server: WeaviateServer = request.getfixturevalue("weaviate_server")
    name: str = request.getfixturevalue("weaviate_name")
    with server.connect() as client:
        store = open_collection(client, name, a())
        index_in(store, a(), late(a()))
        yield store, lambda: len(client.collections.get(name))


WRITING: dict[str, Callable[[Any, TwofoldEmbedding], Any]] = {
    "late chunks of B under A": lambda store, other: index_in(store, a(), late(other)),
    "late chunks of B inserted": lambda store, other: index_over(store, a()).insert_nodes(
        late(other).get_nodes_from_documents([document()])
    ),
    "nodes embedded by B as a step": lambda store, other: index_in(store, a(), splitter(), other),
    "an index with B": lambda store, other: index_in(store, other, splitter()),
    "a pipeline with B": lambda store, other: IngestionPipeline(
        transformations=[splitter(), other], vector_store=store
    ).run(documents=[document()]),
    "nodes of B that were saved": lambda store, other: store.add(
        [TextNode.from_json(node.to_json()) for node in late(other).get_nodes_from_documents([document()])]
    ),
    "vectors of B by hand": lambda store, other: store.add(
        [TextNode(text="by hand", embedding=other.get_text_embedding("by hand"))]
    ),
    "vectors of nobody": lambda store, _: store.add([TextNode(text="x", embedding=[0.1] * 64)]),
}


@pytest.mark.parametrize("way", WRITING)
def test_nodes_of_another_space_are_refused_before_anything_is_written(
    opened: tuple[Any, Callable[[], int]], way: str
) -> None:
    store, count = opened
    before = count()
    assert before > 1
    with pytest.raises(SpaceMismatch):
        WRITING[way](store, b())
    assert count() == before


async def test_the_same_through_the_async_face(opened: tuple[Any, Callable[[], int]]) -> None:
    store, count = opened
    before = count()
    nodes = late(b()).get_nodes_from_documents([document()])
    with pytest.raises(SpaceMismatch, match="document task: 'document' and 'topic'"):
        await store.async_add(nodes)
    with pytest.raises(SpaceMismatch):
        await index_over(store, a()).ainsert_nodes(nodes)
    with pytest.raises(SpaceMismatch):
        await IngestionPipeline(transformations=[splitter(), b()], vector_store=store).arun(documents=[document()])
    assert count() == before


async def test_questions_of_another_space_are_refused_before_anything_is_answered(
    opened: tuple[Any, Callable[[], int]],
) -> None:
    store, _ = opened
    assert index_over(store, a()).as_retriever(similarity_top_k=1).retrieve(QUERY)
    other = b()
    retriever = index_over(store, other).as_retriever(similarity_top_k=1)
    with pytest.raises(SpaceMismatch, match="query task: 'query' and 'topic'"):
        retriever.retrieve(QUERY)
    with pytest.raises(SpaceMismatch, match="query task: 'query' and 'topic'"):
        await retriever.aretrieve(QUERY)
    assert not asked(other)
    with pytest.raises(SpaceMismatch, match="the question's vector"):
        retriever.retrieve(QueryBundle(QUERY, embedding=other.get_query_embedding(QUERY)))
    with pytest.raises(SpaceMismatch, match="the question's vector does not say of which space it is"):
        retriever.retrieve(QueryBundle(QUERY, embedding=[0.1] * 64))


def test_a_collection_that_was_made_anew_for_another_is_refused_at_the_next_write(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    store = open_collection(client, "night", a())
    client.delete_collection("night")
    open_collection(client, "night", b())
    store._collection = client.get_collection("night", embedding_function=None)
    store._guard.store.native.collection = store._collection
    with pytest.raises(SpaceMismatch, match="document task"):
        index_in(store, a(), splitter())
    assert store._collection.count() == 0


def test_vectors_that_two_spaces_share_are_of_both(tmp_path: Path) -> None:
    """Spaces that differ in their questions alone have the same vectors of documents."""
    one, other = a(), TwofoldEmbedding("fake:", query_task="topic")
    store = open_collection(chromadb.PersistentClient(tmp_path), "night", one)
    vector = one.get_text_embedding("the lamp")
    assert other.get_text_embedding("the lamp") == vector
    store.add([TextNode(text="the lamp", embedding=vector)])
    with pytest.raises(SpaceMismatch):
        store.add([TextNode(text="x", embedding=other.get_text_embedding("said by this one alone"))])
    assert store.client.count() == 1


# -- stores that the user made over a collection with a record --------------------------------------------------------


def test_a_plain_store_over_a_collection_that_knows_its_space(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    open_collection(client, "night", a())
    plain = ChromaVectorStore(chroma_collection=client.get_collection("night", embedding_function=None))
    index_in(plain, a(), splitter())
    before = plain.client.count()
    for way in (
        lambda: index_in(plain, b(), splitter()),
        lambda: index_in(plain, a(), late(b())),
        lambda: index_over(plain, b()).insert_nodes([TextNode(text="fog")]),
        lambda: index_over(plain, b()).as_retriever().retrieve(QUERY),
    ):
        with pytest.raises(SpaceMismatch):
            way()
    assert plain.client.count() == before
    assert index_over(plain, a()).as_retriever().retrieve(QUERY)


# -- the host's own store, in memory and saved ------------------------------------------------------------------------


@pytest.mark.parametrize("use_async", [False, True])
@pytest.mark.parametrize("way", ["alone", "late"])
async def test_an_index_that_was_saved_is_refused_to_another_embedding(
    tmp_path: Path, way: str, *, use_async: bool
) -> None:
    step = late(a()) if way == "late" else splitter()
    index_in(None, a(), step).storage_context.persist(str(tmp_path))

    def load(embedding: TwofoldEmbedding) -> Any:
        return load_index_from_storage(StorageContext.from_defaults(persist_dir=str(tmp_path)), embed_model=embedding)

    assert load(a()).as_retriever().retrieve(QUERY)
    other = b()
    loaded = load(other)
    with pytest.raises(SpaceMismatch, match=r"has a vector of fake-64d-.*, this embedder's are fake-64d-"):
        await loaded.as_retriever().aretrieve(QUERY) if use_async else loaded.as_retriever().retrieve(QUERY)
    with pytest.raises(SpaceMismatch, match="embed its documents again into a new index"):
        await loaded.ainsert_nodes([TextNode(text="x")]) if use_async else loaded.insert_nodes([TextNode(text="x")])
    assert not asked(other)


async def test_late_chunks_of_another_space_are_refused_by_an_index_in_memory() -> None:
    nodes = late(b()).get_nodes_from_documents([document()])
    saved = [TextNode.from_json(node.to_json()) for node in nodes]
    index = index_in(None, a(), splitter())
    held = len(index.index_struct.nodes_dict)
    for some in (nodes, saved):
        with pytest.raises(SpaceMismatch, match="node"):
            VectorStoreIndex(some, embed_model=a())
        with pytest.raises(SpaceMismatch, match="node"):
            index.insert_nodes(some)
        with pytest.raises(SpaceMismatch, match="node"):
            await index.ainsert_nodes(some)
    assert len(index.index_struct.nodes_dict) == held
    assert VectorStoreIndex(saved, embed_model=b()).as_retriever().retrieve(QUERY)


# -- the usual beginning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["alone", "late", "both"])
def test_a_collection_that_was_begun_without_us_is_adopted_once_it_is_proved(tmp_path: Path, way: str) -> None:
    client = chromadb.PersistentClient(tmp_path)
    plain = ChromaVectorStore(chroma_collection=client.get_or_create_collection("night"))
    index = index_in(plain, a(), splitter() if way == "alone" else late(a()))
    if way == "both":
        index.insert_nodes([TextNode(text="the lamp", metadata={"title": "Lamp"})])
    rows = plain.client.count()
    assert rows > 3
    with pytest.raises(StoreError, match="open it once with adopt=True"):
        open_collection(client, "night", a())
    with pytest.raises(SpaceMismatch, match="was not written by this embedder"):
        open_collection(client, "night", b(), adopt=True)
    store = open_collection(client, "night", a(), adopt=True)
    assert store.client.count() == rows
    open_collection(client, "night", a())
    with pytest.raises(SpaceMismatch):
        open_collection(client, "night", b())
    (best,) = index_over(store, a()).as_retriever(similarity_top_k=1).retrieve(QUERY)
    assert best.node.get_content()


def test_an_empty_collection_that_was_begun_without_us_is_taken(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    client.get_or_create_collection("night")
    index_in(open_collection(client, "night", a()), a(), splitter())
    native: Any = store_over(client, "night")
    assert native is not None
    with pytest.raises(SpaceMismatch):
        open_collection(client, "night", b())
