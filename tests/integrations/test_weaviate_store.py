"""The store that jobs write to; what every store does is in the contract."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold import Embedder, StoreError, jobs
from twofold.stores import Held, Row, find_store, open_collection, open_store
from twofold.stores.store import as_catalogue, collection_names, scan_rows
from twofold.testing import FakeEmbedder
from weaviate_twofold import TwofoldVectorizer, WeaviateStore, add_documents, demo
from weaviate_twofold import open_collection as open_native
from weaviate_twofold.connect import class_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.weaviate_server import WeaviateServer
    from twofold.stores import Store


@pytest.fixture
def store(weaviate_server: WeaviateServer, weaviate_name: str) -> Iterator[Store]:
    with open_store(f"weaviate:{weaviate_server.url}", weaviate_name, FakeEmbedder()) as store:
        yield store


def write(store: Store, rows: list[Row]) -> np.ndarray:
    vectors = FakeEmbedder().embed_documents([row.text for row in rows])
    store.upsert(rows, vectors)
    return vectors


def row(key: str, text: str, **metadata: Any) -> Row:
    return Row(id=key, document=key, text=text, span=(0, len(text)), metadata=metadata)


def test_it_is_found_by_its_scheme() -> None:
    assert find_store("weaviate:http://localhost:8080") == (WeaviateStore, "http://localhost:8080")


@pytest.mark.parametrize("name", ["python-3.11-MiniLM", "1st", "städte", "a b"])
def test_any_name_of_a_collection_will_do(weaviate_server: WeaviateServer, name: str) -> None:
    assert class_name("docs") == "docs"
    assert class_name(name) != class_name(f"{name}!")
    try:
        with open_store(f"weaviate:{weaviate_server.url}", name, FakeEmbedder()) as store:
            write(store, [row("a", "The fog came in.")])
        with open_store(f"weaviate:{weaviate_server.url}", name, FakeEmbedder(), create=False) as again:
            assert again.count() == 1
    finally:
        with weaviate_server.connect() as client:
            client.collections.delete(class_name(name))


def test_metadata_of_any_name_comes_back(store: Store) -> None:
    metadata: dict[str, Any] = {
        "id": 7,
        "vector": "v",
        "text": "t",
        "Title": "T",
        "date-published": "2026-11-23",
        "größe": 1.5,
        "": True,
        "date": "2026-11-23T20:00:00Z",
        "key": "5940d678-4da1-484b-b9a9-57a7f2f9b6d5",
        "page": 3,
        "_odd": False,
        "tags": ["a", "b"],
        "big": 2**53 + 1,
        "bigs": [2**60 + 1],
        "Pages": [1, 2],
    }
    one = Row(id="a", document="a", text="The fog.", span=(0, 8), metadata=metadata, digest="1")
    vectors = write(store, [one])
    assert store.search(vectors[0], 1)[0].row == one


def test_an_empty_collection_holds_nothing(store: Store) -> None:
    assert list(scan_rows(store)) == []
    assert store.count() == 0
    assert store.search(FakeEmbedder().embed_query("fog"), 3) == []
    store.delete(["a"])
    store.delete([])
    store.upsert([], np.empty((0, 64), np.float32))
    assert store.held([]) == []


def test_refused_rows_are_named(store: Store) -> None:
    write(store, [row("a", "Fog.", page=1)])
    with pytest.raises(StoreError, match="1 of 2 objects") as error:
        write(store, [row("c", "c", page="one"), row("d", "d")])
    assert set(error.value.failed) == {"c"}
    assert store.count() == 2


def test_a_store_and_a_vectorizer_share_a_collection(
    store: Store, weaviate_server: WeaviateServer, weaviate_name: str
) -> None:
    vectors = write(store, [row("a", "The fog came in.")])
    with weaviate_server.connect() as client:
        vectorizer = TwofoldVectorizer(FakeEmbedder())
        collection = open_native(client, weaviate_name, vectorizer, create=False)
        assert vectorizer.near_text(collection, "fog came in", limit=1).objects[0].properties["twofold_id"] == "a"
        add_documents(collection, vectorizer, ids=["b"], documents=[["Nine ", "ships."]])
        collection.data.insert({"text": "by hand"}, vector=vectors[0].tolist())
    held = {one.document: one for one in scan_rows(store)}
    assert len(held) == store.count() - 1 == 3  # the two chunks of b are one document
    assert held["b"].rows == 2
    (by_hand,) = set(held) - {"a", "b"}
    assert held[by_hand] == Held(by_hand, by_hand, "", 1)
    assert store.held([by_hand]) == [held[by_hand]]


def test_another_client_may_declare_the_same_property(
    store: Store, weaviate_server: WeaviateServer, weaviate_name: str
) -> None:
    write(store, [row("a", "Fog.")])
    with weaviate_server.connect() as client:
        second = WeaviateStore(client.collections.use(weaviate_name), client=client)
        open_collection(second, FakeEmbedder())
        write(store, [row("b", "Ships.", page=1)])  # the second does not know of it

        write(second, [row("c", "Bread.", page=2)])
    assert store.count() == 3


def test_a_job_reads_what_is_there(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    with weaviate_server.connect() as client:
        made = open_native(client, weaviate_name, "fake:")
        add_documents(made, "fake:", ids=["log"], documents=[["The keeper counts ships. ", "Fog came in."]])
    embedder = Embedder("fake:")
    with jobs.open_store(f"weaviate:{weaviate_server.url}", weaviate_name, embedder, create=False) as store:
        best = jobs.search(embedder, store, "Who counts ships?", 1)[0].row
    assert (best.document, best.span) == ("log", (0, 25))


def test_the_demo_asks_through_it(weaviate_server: WeaviateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVIATE_URL", weaviate_server.url)
    embedder = FakeEmbedder()
    entries = [SimpleNamespace(name=f"n{number}", text=f"ship {number}") for number in range(12)]
    (answers,) = demo.ask(embedder, entries, ["ship 7"])
    cosines = embedder.embed_documents(one.text for one in entries) @ embedder.embed_query("ship 7")
    wanted = sorted(zip((one.name for one in entries), cosines, strict=True), key=lambda one: -one[1])[:10]
    assert [score for _, score in answers] == pytest.approx([score for _, score in wanted], abs=1e-5)
    assert answers[0][0] == wanted[0][0]
    with weaviate_server.connect() as client:
        assert not [name for name in client.collections.list_all() if name.startswith("TwofoldDemo")]


def test_collections_are_listed_and_removed(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    address, embedder = f"weaviate:{weaviate_server.url}", FakeEmbedder()
    assert weaviate_name not in collection_names(address)
    with open_store(address, weaviate_name, embedder) as opened:
        write(opened, [row("a", "text")])
        assert weaviate_name in collection_names(address)
        as_catalogue(opened).drop()
        assert not opened.find()
    assert weaviate_name not in collection_names(address)
