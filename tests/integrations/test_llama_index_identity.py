"""Vectors of two spaces never meet in LlamaIndex: in its stores, opened by us or not, and in what it saves."""

from __future__ import annotations

import asyncio
import functools
import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import chromadb
import pytest
from llama_index.core import (
    DocumentSummaryIndex,
    PropertyGraphIndex,
    StorageContext,
    SummaryIndex,
    VectorStoreIndex,
    get_response_synthesizer,
    load_index_from_storage,
)
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.graph_stores import SimplePropertyGraphStore
from llama_index.core.graph_stores.types import KG_NODES_KEY, KG_RELATIONS_KEY, EntityNode, Relation
from llama_index.core.indices.property_graph import VectorContextRetriever
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SemanticSplitterNodeParser, TokenTextSplitter
from llama_index.core.retrievers import VectorIndexRetriever
from llama_index.core.schema import Document, MetadataMode, NodeWithScore, QueryBundle, TextNode, TransformComponent
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.chroma import ChromaVectorStore

from llama_index_twofold import LateChunkingNodeParser, TwofoldEmbedding, identity, open_collection
from twofold import SpaceMismatch, StoreError, TwofoldWarning
from twofold.stores import store_over

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


def test_vectors_set_by_hand_are_proved_by_embedding_their_texts_again(tmp_path: Path) -> None:
    one = a()
    store = open_collection(chromadb.PersistentClient(tmp_path), "night", one)
    by_hand = TextNode(text="the lamp", metadata={"title": "Night"})
    by_hand.embedding = one.get_text_embedding(by_hand.get_content(metadata_mode=MetadataMode.ALL))
    store.add([by_hand, TextNode(text="fog", embedding=one.get_text_embedding("fog"))])
    for vector in (one.get_text_embedding("another text"), one.get_query_embedding("x"), [0.1] * 32):
        with pytest.raises(SpaceMismatch, match="its text gives another vector when it is embedded again"):
            store.add([TextNode(text="x", embedding=vector)])
    assert store.client.count() == 2


def test_a_question_without_a_mark_is_proved_by_its_text(opened: tuple[Any, Callable[[], int]]) -> None:
    store, _ = opened
    retriever = index_over(store, a()).as_retriever()
    assert retriever.retrieve(QueryBundle(QUERY, embedding=[*a().get_query_embedding(QUERY)]))
    with pytest.raises(SpaceMismatch, match="the question's vector does not say of which space it is"):
        retriever.retrieve(QueryBundle("something else", embedding=[*a().get_query_embedding(QUERY)]))


def test_a_vector_knows_its_space_in_a_copy_from_another_process() -> None:
    vector: Any = pickle.loads(pickle.dumps(a().get_query_embedding(QUERY)))
    assert (vector, vector.tag) == (a().get_query_embedding(QUERY), a().embedder.space.tag)
    assert json.loads(json.dumps(vector)) == vector


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


# -- however the call reaches the embedding ---------------------------------------------------------------------------


class Sub(TwofoldEmbedding):
    """A subclass."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)


class Retrying(Sub):
    """A subclass of a subclass that tries again."""

    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> Any:
        for last in (False, True):
            try:
                return deep(12, lambda: super(Retrying, self).get_text_embedding_batch(texts, show_progress, **kwargs))
            except OSError:
                if last:
                    raise
        return None

    def get_agg_embedding_from_queries(self, queries: list[str], agg_fn: Any = None) -> Any:
        return deep(12, lambda: super(Retrying, self).get_agg_embedding_from_queries(queries, agg_fn))


class Threaded(Sub):
    """Its work is done in another thread, and its caller waits for that."""

    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(super().get_text_embedding_batch, texts, show_progress, **kwargs).result()

    def get_agg_embedding_from_queries(self, queries: list[str], agg_fn: Any = None) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(super().get_agg_embedding_from_queries, queries, agg_fn).result()


class Around(BaseEmbedding):
    """Another embedding that hands everything on; in threads, if it is told to."""

    inner: Any
    threads: bool = False

    def ask(self, name: str, *arguments: Any) -> Any:
        method = deep(12, lambda: getattr(self.inner, name))
        if not self.threads:
            return deep(12, lambda: method(*arguments))
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(method, *arguments).result()

    def get_agg_embedding_from_queries(self, queries: list[str], agg_fn: Any = None) -> Any:
        return self.ask("get_agg_embedding_from_queries", queries)

    def _get_query_embedding(self, query: str) -> Any:
        return self.ask("get_query_embedding", query)

    async def _aget_query_embedding(self, query: str) -> Any:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> Any:
        return self.ask("get_text_embedding", text)

    def _get_text_embeddings(self, texts: list[str]) -> Any:
        return self.ask("get_text_embedding_batch", texts)


def deep(frames: int, call: Callable[[], Any]) -> Any:
    """What `call` returns, that many frames further down."""
    return deep(frames - 1, call) if frames else call()


def traced(function: Any) -> Any:
    """A decorator as tracing libraries have them."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return deep(12, lambda: function(*args, **kwargs))

    return wrapper


def decorated(embedding: TwofoldEmbedding) -> TwofoldEmbedding:
    """The methods of this one object, wrapped."""
    for name in ("get_text_embedding_batch", "get_agg_embedding_from_queries"):
        object.__setattr__(embedding, name, traced(getattr(embedding, name)))
    return embedding


WAYS: dict[str, Any] = {
    "directly": lambda embedding: embedding,
    "a subclass of a subclass, a retry and 12 frames": Retrying,
    "decorators": decorated,
    "a thread": Threaded,
    "a wrapper and 24 frames": lambda embedding: Around(inner=embedding),
    "a wrapper and threads": lambda embedding: Around(inner=embedding, threads=True),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder in which an index of A's, in memory, was saved."""
    folder = str(tmp_path_factory.mktemp("saved"))
    index_in(None, a(), splitter()).storage_context.persist(folder)
    return folder


def load(folder: str, embedding: Any) -> Any:
    return load_index_from_storage(StorageContext.from_defaults(persist_dir=folder), embed_model=embedding)


@pytest.mark.parametrize("way", WAYS)
def test_the_index_is_found_however_the_call_reaches_the_embedding(saved: str, tmp_path: Path, way: str) -> None:
    wrong = load(saved, WAYS[way](b()))
    with pytest.raises(SpaceMismatch):
        wrong.as_retriever().retrieve(QUERY)
    with pytest.raises(SpaceMismatch):
        wrong.insert_nodes([TextNode(text="x")])
    right = load(saved, WAYS[way](a()))
    right.insert_nodes([TextNode(text="a lamp", id_="new")])
    assert right.as_retriever().retrieve(QUERY)
    right.storage_context.persist(str(tmp_path))  # with the marks of what was inserted
    again = load(str(tmp_path), b())
    again.index_struct.nodes_dict = {"new": "new"}
    again.vector_store.data.embedding_dict = {"new": again.vector_store.get("new")}
    with pytest.raises(SpaceMismatch, match="node 'new' has a vector of"):
        again.as_retriever().retrieve(QUERY)


@pytest.mark.parametrize("way", WAYS)
def test_a_store_with_a_record_takes_nodes_however_the_call_reaches_the_embedding(tmp_path: Path, way: str) -> None:
    store = open_collection(chromadb.PersistentClient(tmp_path), "night", a())
    index = index_over(store, WAYS[way](a()))
    index.insert_nodes([TextNode(text="a lamp")])
    assert index.as_retriever().retrieve(QUERY)
    with pytest.raises(SpaceMismatch):
        index_over(store, WAYS[way](b())).insert_nodes([TextNode(text="x")])
    assert store.client.count() == 1


async def test_the_index_is_found_from_another_task(saved: str) -> None:
    class Tasks(Sub):
        async def aget_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> Any:
            return await asyncio.create_task(super().aget_text_embedding_batch(texts, show_progress, **kwargs))

        async def aget_agg_embedding_from_queries(self, queries: list[str], agg_fn: Any = None) -> Any:
            return await asyncio.create_task(super().aget_agg_embedding_from_queries(queries, agg_fn))

    wrong = load(saved, Tasks(b()))  # type: ignore[arg-type, call-arg] # pydantic gives it the fields
    with pytest.raises(SpaceMismatch):
        await wrong.as_retriever().aretrieve(QUERY)
    with pytest.raises(SpaceMismatch):
        await wrong.ainsert_nodes([TextNode(text="x")])
    right = load(saved, Tasks(a()))  # type: ignore[arg-type, call-arg] # the same
    await right.ainsert_nodes([TextNode(text="x")])
    assert await right.as_retriever().aretrieve(QUERY)


async def test_the_index_is_found_from_a_thread_that_a_task_waits_for(saved: str) -> None:
    class InThread(Around):
        async def _aget_query_embedding(self, query: str) -> Any:
            return await asyncio.to_thread(self.inner.get_query_embedding, query)

    with pytest.raises(SpaceMismatch):
        await load(saved, InThread(inner=b())).as_retriever().aretrieve(QUERY)
    assert await load(saved, InThread(inner=a())).as_retriever().aretrieve(QUERY)


def test_the_index_is_found_from_a_wrapper_that_keeps_the_embedding_in_a_closure(saved: str) -> None:
    def around(embedding: TwofoldEmbedding) -> BaseEmbedding:
        def ask(name: str, text: str) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(getattr(embedding, name), text).result()

        class Closed(Around):
            inner: Any = None

            def get_agg_embedding_from_queries(self, queries: list[str], agg_fn: Any = None) -> Any:
                return ask("get_query_embedding", queries[0])

            def _get_text_embeddings(self, texts: list[str]) -> Any:
                return [ask("get_text_embedding", text) for text in texts]

        return Closed()

    wrong = load(saved, around(b()))
    with pytest.raises(SpaceMismatch):
        wrong.as_retriever().retrieve(QUERY)
    with pytest.raises(SpaceMismatch):
        wrong.insert_nodes([TextNode(text="x")])
    assert load(saved, around(a())).as_retriever().retrieve(QUERY)


class Prefixing(Around):
    """A wrapper that changes the texts."""

    def ask(self, name: str, *arguments: Any) -> Any:
        (texts,) = arguments
        changed = [f"text: {text}" for text in ([texts] if isinstance(texts, str) else texts)]
        return super().ask(name, changed[0] if isinstance(texts, str) else changed)


class PrefixingSub(Sub):
    """A subclass that changes the texts."""

    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> Any:
        return super().get_text_embedding_batch([f"text: {text}" for text in texts], show_progress, **kwargs)


@pytest.mark.parametrize("changing", [PrefixingSub, lambda embedding: Prefixing(inner=embedding)])
def test_an_index_of_changed_texts_is_proved_by_the_model_that_changes_them(tmp_path: Path, changing: Any) -> None:
    index_in(None, changing(a()), splitter()).storage_context.persist(str(tmp_path))
    assert load(str(tmp_path), changing(a())).as_retriever().retrieve(QUERY)
    for wrong in (a(), changing(b())):
        with pytest.raises(SpaceMismatch, match="holds vectors that are not of"):
            load(str(tmp_path), wrong).as_retriever().retrieve(QUERY)


def test_a_wrapper_that_changes_the_texts_in_another_thread_is_said_once(
    saved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_warned", set())
    with pytest.warns(TwofoldWarning, match="embeds while a VectorIndexRetriever runs that holds vectors of another"):
        load(saved, Prefixing(inner=b(), threads=True)).as_retriever().retrieve(QUERY)
    assert load(saved, Prefixing(inner=a(), threads=True)).as_retriever().retrieve(QUERY)


async def test_all_calls_of_a_wrong_embedding_are_refused_when_they_come_at_once(tmp_path: Path) -> None:
    index_in(None, MockEmbedding(embed_dim=64), splitter()).storage_context.persist(str(tmp_path))  # type: ignore[arg-type]
    index = load(str(tmp_path), a())
    asked = [index.as_retriever().aretrieve(f"{QUERY} {number}") for number in range(5)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(index.as_retriever().retrieve, f"{QUERY} {number}") for number in range(5)]
        found += [each.exception() for each in waiting]
    assert {type(each) for each in found} == {SpaceMismatch}


def test_an_index_that_was_empty_is_looked_at_again() -> None:
    index: Any = VectorStoreIndex([], embed_model=a())
    other = VectorIndexRetriever(index, embed_model=b())
    assert not other.retrieve(QUERY)
    index.insert_nodes([TextNode(text="a lamp")])
    with pytest.raises(SpaceMismatch, match="use the embedding that wrote it"):
        other.retrieve(QUERY)


class Own(BaseRetriever):
    """A retriever of the user's own."""

    def __init__(self, index: Any, ask: Any) -> None:
        super().__init__()
        self.what_to_search, self.ask = index, ask

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        ask = self.ask["ask"] if isinstance(self.ask, dict) else self.ask
        query = VectorStoreQuery(query_embedding=ask(query_bundle.query_str), similarity_top_k=1)
        return [NodeWithScore(node=TextNode(text=one)) for one in self.what_to_search.vector_store.query(query).ids]


OWN: dict[str, Callable[[TwofoldEmbedding], Any]] = {
    "a method": lambda model: model.get_query_embedding,
    "a closure": lambda model: lambda text: [*model.get_query_embedding(text)],
    "a part": lambda model: functools.partial(TwofoldEmbedding.get_query_embedding, model),
    "a container": lambda model: {"ask": model.get_query_embedding},
    "a decorated method": lambda model: traced(model.get_query_embedding),
}


@pytest.mark.parametrize("way", OWN)
def test_a_retriever_of_the_users_own_is_found_by_its_type(saved: str, way: str) -> None:
    index = load(saved, a())
    assert Own(index, OWN[way](a())).retrieve(QUERY)
    with pytest.raises(SpaceMismatch):
        Own(index, OWN[way](b())).retrieve(QUERY)


def test_a_retriever_that_does_not_show_its_embedding_is_said_once(saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asking:
        def __init__(self, place: int) -> None:
            self.place = place

        def __call__(self, text: str) -> Any:
            return HIDDEN[self.place].get_query_embedding(text)

    HIDDEN[:] = [a(), b()]
    monkeypatch.setattr(identity, "_warned", set())
    index = load(saved, a())
    assert Own(index, Asking(0)).retrieve(QUERY)
    with pytest.warns(TwofoldWarning, match="embeds while a Own runs that holds vectors of another space"):
        Own(index, Asking(1)).retrieve(QUERY)


HIDDEN: list[TwofoldEmbedding] = []


def test_an_embedding_that_compares_sentences_is_not_the_indexs(saved: str) -> None:
    """A splitter inside of an index may have a model of its own."""
    index = load(saved, a())
    index._transformations = [
        SemanticSplitterNodeParser(embed_model=b(), sentence_splitter=lambda text: text.split(". "))
    ]
    index.insert(document())
    assert index.as_retriever().retrieve(QUERY)


def test_calls_of_one_embedding_in_other_threads_are_not_mistaken_for_this_one(saved: str) -> None:
    class Slow(Sub):
        def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> Any:
            time.sleep(0.3)
            return super().get_text_embedding_batch(texts, show_progress, **kwargs)

    embedding = Slow(b())  # type: ignore[arg-type, call-arg] # pydantic gives it the fields
    with ThreadPoolExecutor(1) as pool:
        wrong = pool.submit(load(saved, embedding).insert_nodes, [TextNode(text="there")])
        assert TwofoldEmbedding.get_text_embedding_batch(embedding, ["here"])
        with pytest.raises(SpaceMismatch):
            wrong.result()


def test_the_variables_of_others_are_not_loaded() -> None:
    class Lazy:
        """A variable that loads what it stands for when it is looked at, as web frameworks have them."""

        loaded = False

        @property  # type: ignore[misc] # as such proxies do
        def __class__(self) -> Any:
            self.loaded = True
            return str

    def call(lazy: Any) -> Any:
        values = [lazy]
        return a().get_text_embedding("fog"), values

    lazy = Lazy()
    call(lazy)
    assert not lazy.loaded


# -- the host's other indexes -----------------------------------------------------------------------------------------


def test_a_document_summary_index_is_refused_to_another_embedding(tmp_path: Path) -> None:
    llm = MockLLM(max_tokens=20)
    DocumentSummaryIndex.from_documents(
        [document()],
        llm=llm,
        embed_model=a(),
        response_synthesizer=get_response_synthesizer(llm=llm),
        transformations=[splitter()],
    ).storage_context.persist(str(tmp_path))

    def retriever(embedding: TwofoldEmbedding) -> Any:
        context = StorageContext.from_defaults(persist_dir=str(tmp_path))
        index: Any = load_index_from_storage(context, llm=llm, embed_model=embedding)
        return index.as_retriever()

    assert retriever(a()).retrieve(QUERY)
    with pytest.raises(SpaceMismatch, match="this DocumentSummaryIndex holds vectors that are not of fake-64d-"):
        retriever(b()).retrieve(QUERY)


def test_late_chunks_in_a_summary_index_are_refused_to_another_embedding(tmp_path: Path) -> None:
    SummaryIndex(late(a())([document()])).storage_context.persist(str(tmp_path))
    index: Any = load_index_from_storage(StorageContext.from_defaults(persist_dir=str(tmp_path)))
    assert index.as_retriever("embedding", embed_model=a()).retrieve(QUERY)
    with pytest.raises(SpaceMismatch, match="use the embedding that wrote it"):
        index.as_retriever("embedding", embed_model=b()).retrieve(QUERY)


class Extractor(TransformComponent):
    """A graph of two things."""

    def __call__(self, nodes: Any, **kwargs: Any) -> Any:
        for node in nodes:
            node.metadata[KG_NODES_KEY] = [EntityNode(name=name, label="THING") for name in ("keeper", "lamp")]
            node.metadata[KG_RELATIONS_KEY] = [Relation(source_id="keeper", target_id="lamp", label="LIGHTS")]
        return nodes


@pytest.mark.parametrize("way", ["in memory", "opened"])
def test_a_property_graph_is_refused_to_another_embedding(tmp_path: Path, way: str) -> None:
    graph, llm = SimplePropertyGraphStore(), MockLLM()
    store: Any = SimpleVectorStore()
    if way == "opened":
        store = open_collection(chromadb.PersistentClient(tmp_path), "night", a())
    made: dict[str, Any] = {"property_graph_store": graph, "vector_store": store, "llm": llm, "use_async": False}
    PropertyGraphIndex.from_documents([document()], embed_model=a(), kg_extractors=[Extractor()], **made)
    for embedding in (a(), b()):
        retriever = VectorContextRetriever(graph, vector_store=store, embed_model=embedding)
        index = PropertyGraphIndex.from_existing(embed_model=embedding, **made)
        for asked_of in (retriever, index.as_retriever(sub_retrievers=[retriever])):
            if embedding.query_task == "auto":
                assert asked_of.retrieve("keeper")
            else:
                with pytest.raises(SpaceMismatch):
                    asked_of.retrieve("keeper")


# -- what cannot be checked is said once ------------------------------------------------------------------------------


def test_a_store_without_a_record_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_warned", set())
    plain = ChromaVectorStore(chroma_collection=chromadb.PersistentClient(tmp_path).get_or_create_collection("night"))
    with pytest.warns(TwofoldWarning, match="this ChromaVectorStore keeps no record of the space of its vectors"):
        index_in(plain, a(), splitter())
    assert index_over(plain, a()).as_retriever().retrieve(QUERY)


def test_a_search_whose_index_cannot_be_found_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_warned", set())
    search = functools.partial(a().get_agg_embedding_from_queries, [QUERY])
    host: dict[str, Any] = {"__name__": "llama_index.core.something", "search": search}
    exec("def run():\n    return search()", host)
    with pytest.warns(TwofoldWarning, match="llama_index.core.something searches with this embedding"):
        host["run"]()
    assert host["run"]() == search()


# -- the usual beginning ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:this ChromaVectorStore keeps no record:twofold.TwofoldWarning")
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
