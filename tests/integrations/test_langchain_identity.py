"""LangChain's stores over collections that know their space: opened, adopted, refused, and read by others."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import chromadb
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import CharacterTextSplitter

from langchain_twofold import (
    TwofoldEmbeddings,
    aadd_documents,
    add_documents,
    aopen_collection,
    late_chunk,
    open_collection,
)
from twofold import Embedder, InputError, SpaceMismatch, StoreError
from twofold.stores import DOCUMENT, END, START, store_over
from twofold.stores.store import scan_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.stores import Store

TEXTS = ["a keeper lights the lamp", "nine ships in the fog", "bread is baked at night"]
LOG = Document("fog comes in\nnine ships go out\nthe lamp is lit", id="log")
LINES = CharacterTextSplitter("\n", chunk_size=20, chunk_overlap=0)


@pytest.fixture
def ours() -> TwofoldEmbeddings:
    return TwofoldEmbeddings("fake:")


@pytest.fixture
def theirs() -> TwofoldEmbeddings:
    """Of the same width, in another space."""
    return TwofoldEmbeddings("fake:", document_task="topic")


class Host:
    """A host's client, the name of a collection, and LangChain's store over it as LangChain itself makes it."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name, self.chroma = client, name, type(client).__module__.startswith("chromadb")

    def directly(self, embeddings: Any) -> Any:
        if self.chroma:
            return Chroma(self.name, embeddings, client=self.client)
        from langchain_weaviate import WeaviateVectorStore

        return WeaviateVectorStore(self.client, self.name, "text", embeddings)


@pytest.fixture(params=["chroma", "weaviate"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if request.param == "chroma":
        yield Host(chromadb.EphemeralClient(), f"test-{uuid.uuid4()}")
        return
    pytest.importorskip("langchain_weaviate")
    with request.getfixturevalue("weaviate_server").connect() as client:
        yield Host(client, request.getfixturevalue("weaviate_name"))


def documents(texts: list[str] = TEXTS) -> list[Document]:
    return [Document(text, metadata={"number": number}) for number, text in enumerate(texts)]


def collection(store: Any) -> Store:
    native = store_over(store._collection)
    assert native is not None
    return native


def texts(store: Any) -> list[str]:
    held = collection(store)
    return sorted(one.row.text for one in held.get([row.id for row in scan_rows(held)]))


def test_it_is_langchains_own_store(host: Host, ours: TwofoldEmbeddings) -> None:
    store = open_collection(host.client, host.name, ours)
    assert type(store) is type(host.directly(ours))
    assert store.embeddings is ours
    store.add_documents(documents())
    assert texts(open_collection(host.client, host.name, Embedder("fake:"), create=False)) == sorted(TEXTS)


def test_another_space_is_refused_at_the_door(host: Host, ours: TwofoldEmbeddings, theirs: TwofoldEmbeddings) -> None:
    open_collection(host.client, host.name, ours)
    for options in ({}, {"adopt": True}, {"create": False}):
        with pytest.raises(SpaceMismatch, match="document task"):
            open_collection(host.client, host.name, theirs, **options)


def test_what_is_not_there_is_not_made_by_accident(host: Host, ours: TwofoldEmbeddings) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="there is no collection"):
            open_collection(host.client, host.name, ours, create=False)


async def test_async_opens_and_refuses(host: Host, ours: TwofoldEmbeddings, theirs: TwofoldEmbeddings) -> None:
    store = await aopen_collection(host.client, host.name, ours)
    await aadd_documents(store, documents())
    assert texts(store) == sorted(TEXTS)
    with pytest.raises(SpaceMismatch):
        await aopen_collection(host.client, host.name, theirs)
    with pytest.raises(SpaceMismatch):
        await aadd_documents(host.directly(theirs), documents())
    assert collection(store).count() == 3


def test_nothing_is_written_in_another_space(host: Host, ours: TwofoldEmbeddings, theirs: TwofoldEmbeddings) -> None:
    """Texts and ready vectors, through a store of the collection's space and through one of another."""
    store, other = open_collection(host.client, host.name, ours), host.directly(theirs)
    late, foreign = late_chunk([LOG], LINES, ours), late_chunk([LOG], LINES, theirs)
    backend: Any = theirs.embedder.backend
    embedded = len(backend.calls)
    for into, what in (
        (other, (documents(),)),
        (other, (documents(), ours)),
        (other, late),
        (other, foreign),
        (other, (documents(), ours.embed_documents(TEXTS))),
        (store, foreign),
        (store, (documents(), theirs)),
    ):
        with pytest.raises(SpaceMismatch, match="document task"):
            add_documents(into, *what)
    assert len(backend.calls) == embedded
    assert collection(store).count() == 0
    add_documents(store, *late)
    assert collection(store).count() == 3


def test_a_store_that_keeps_no_record_is_held_to_its_embeddings(
    ours: TwofoldEmbeddings, theirs: TwofoldEmbeddings
) -> None:
    store = InMemoryVectorStore(ours)
    for what in ((documents(), theirs), late_chunk([LOG], LINES, theirs)):
        with pytest.raises(SpaceMismatch, match="document task"):
            add_documents(store, *what)
    assert store.store == {}


def test_a_store_without_embeddings_is_held_to_the_record(
    host: Host, ours: TwofoldEmbeddings, theirs: TwofoldEmbeddings
) -> None:
    store = host.directly(None)
    with pytest.raises(StoreError, match="does not say what its vectors are"):
        add_documents(store, *late_chunk([LOG], LINES, ours))
    open_collection(host.client, host.name, ours)
    for what in (late_chunk([LOG], LINES, theirs), (documents(), theirs)):
        with pytest.raises(SpaceMismatch, match="document task"):
            add_documents(store, *what)
    with pytest.raises(InputError, match="has no embeddings"):
        add_documents(store, documents())
    assert collection(store).count() == 0
    add_documents(store, *late_chunk([LOG], LINES, ours))
    add_documents(store, documents(), ours)
    assert collection(store).count() == 6


def test_a_new_collection_of_langchains_gets_its_record(
    host: Host, ours: TwofoldEmbeddings, theirs: TwofoldEmbeddings
) -> None:
    store = host.directly(ours)
    add_documents(store, documents())
    assert texts(open_collection(host.client, host.name, ours)) == sorted(TEXTS)
    with pytest.raises(SpaceMismatch):
        add_documents(host.directly(theirs), documents())


def test_what_langchain_wrote_is_adopted_once_it_is_proved(
    host: Host, ours: TwofoldEmbeddings, theirs: TwofoldEmbeddings
) -> None:
    store = host.directly(ours)
    store.add_documents(documents())
    chunks, vectors = late_chunk([LOG], LINES, ours)
    for act in (lambda: open_collection(host.client, host.name, ours), lambda: add_documents(store, chunks, vectors)):
        with pytest.raises(StoreError, match="adopt=True"):
            act()
    with pytest.raises(SpaceMismatch, match="was not written by this embedder"):
        open_collection(host.client, host.name, theirs, adopt=True)
    adopted = open_collection(host.client, host.name, ours, adopt=True)
    add_documents(adopted, chunks, vectors)
    assert collection(adopted).count() == 6


def test_chunks_read_as_chunks_elsewhere(host: Host, ours: TwofoldEmbeddings) -> None:
    store = open_collection(host.client, host.name, ours)
    add_documents(store, *late_chunk([LOG], LINES, ours))
    hits = collection(store).search(ours.embedder.embed_query("nine ships go out"), 3)
    best = hits[0].row
    assert (best.text, best.document) == ("nine ships go out", "log")
    assert LOG.page_content[slice(*best.span)] == best.text
    (found,) = store.similarity_search("nine ships go out", k=1, **({} if host.chroma else {"alpha": 1.0}))
    assert [found.metadata[name] for name in (DOCUMENT, START, END)] == ["log", *best.span]


def test_chromas_default_function_is_no_hindrance(ours: TwofoldEmbeddings) -> None:
    client, name = chromadb.EphemeralClient(), f"test-{uuid.uuid4()}"
    client.get_or_create_collection(name)  # as its tutorials begin
    store = open_collection(client, name, ours)
    add_documents(store, documents())
    assert texts(store) == sorted(TEXTS)


def test_chroma_asked_natively_embeds_in_the_same_space(ours: TwofoldEmbeddings) -> None:
    import chroma_twofold

    assert chroma_twofold
    client, name = chromadb.EphemeralClient(), f"test-{uuid.uuid4()}"
    add_documents(open_collection(client, name, ours), documents())
    native: Any = client.get_collection(name)
    assert native.query(query_texts=[TEXTS[1]], n_results=1)["documents"] == [[TEXTS[1]]]
    assert native.configuration_json["hnsw"]["space"] == "cosine"


def test_the_hosts_own_options(ours: TwofoldEmbeddings) -> None:
    client, name = chromadb.EphemeralClient(), f"test-{uuid.uuid4()}"
    options: dict[str, Any] = {
        "collection_metadata": {"owner": "us"},
        "collection_configuration": {"hnsw": {"space": "ip"}},
        "relevance_score_fn": lambda distance: 1 - distance / 2,
    }
    store: Any = open_collection(client, name, ours, **options)
    add_documents(store, documents())
    assert store._collection.metadata["owner"] == "us"
    assert store._collection.configuration_json["hnsw"]["space"] == "ip"
    ((_, score),) = store.similarity_search_with_relevance_scores(TEXTS[0], k=1)
    assert 0.5 < score <= 1.0
    with pytest.raises(SpaceMismatch):
        open_collection(client, name, TwofoldEmbeddings("fake:", document_task="topic"), **options)


def test_weaviates_text_may_have_another_key(weaviate_server: Any, weaviate_name: str, ours: TwofoldEmbeddings) -> None:
    with weaviate_server.connect() as client:
        store = open_collection(client, weaviate_name, ours, text_key="said", attributes=["number"])
        add_documents(store, documents())
        (best,) = store.similarity_search(TEXTS[1], k=1, alpha=1.0)
        assert (best.page_content, best.metadata["number"]) == (TEXTS[1], 1)
        assert texts(store) == sorted(TEXTS)


def test_wrong_clients_and_options_are_refused(ours: TwofoldEmbeddings) -> None:
    client = chromadb.EphemeralClient()
    with pytest.raises(InputError, match="where is of type str"):
        open_collection("./folder", "name", ours)
    with pytest.raises(InputError, match="not an option here: persist_directory; the options are collection_config"):
        open_collection(client, "name", ours, persist_directory="x")
    with pytest.raises(InputError, match="synchronous one"):
        open_collection(object.__new__(chromadb.api.async_client.AsyncClient), "name", ours)


@pytest.mark.parametrize(("host", "package"), [("chromadb", "langchain_chroma"), ("weaviate", "langchain_weaviate")])
def test_a_missing_package_of_langchains_is_named(host: str, package: str) -> None:
    code = (
        f"import sys\nsys.modules[{package!r}] = None\nfrom langchain_twofold import open_collection\n"
        f"class Client:\n    heartbeat = is_ready = print\nClient.__module__ = '{host}.client'\n"
        "open_collection(Client(), 'name', 'fake:')"
    )
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert f"MissingExtra: {package} is not installed: pip install {package.replace('_', '-')}" in said.stderr
