from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from twofold import SpaceMismatch, StoreError
from twofold.jobs.store import Held, Row, Store, find_store, open_store
from twofold.testing import FakeEmbedder
from weaviate_twofold import TwofoldVectorizer, WeaviateStore
from weaviate_twofold.address import class_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weaviate_server import WeaviateServer

ROWS = [
    Row(id="a", document="a", text="The fog came in.", span=(0, 16), metadata={"page": 1}, digest="1"),
    Row(id="b#0", document="b", text="Nine ships ", span=(0, 11), metadata={"title": "B"}, digest="2", pieces=2),
    Row(id="b#1", document="b", text="were counted.", span=(11, 24), metadata={"odd": True}, digest="2", pieces=2),
]


@pytest.fixture
def store(weaviate_server: WeaviateServer, weaviate_name: str) -> Iterator[Store]:
    with open_store(f"weaviate:{weaviate_server.url}", weaviate_name, FakeEmbedder()) as store:
        yield store


@pytest.mark.parametrize("name", ["python-3.11-MiniLM", "1st", "städte", "a b"])
def test_any_name_of_a_collection_will_do(weaviate_server: WeaviateServer, name: str) -> None:
    assert class_name("docs") == "docs"
    assert class_name(name) != class_name(f"{name}!")
    store = WeaviateStore.open(weaviate_server.url, name, FakeEmbedder())
    try:
        write(store, ROWS)
        with open_store(f"weaviate:{weaviate_server.url}", name, FakeEmbedder(), create=False) as again:
            assert again.count() == 3
    finally:
        store.close()
        with weaviate_server.connect() as client:
            client.collections.delete(class_name(name))


def test_metadata_of_any_name_comes_back(store: Store) -> None:
    metadata: dict[str, str | int | bool | float] = {
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
    }
    row = Row(id="a", document="a", text="The fog.", span=(0, 8), metadata=metadata, digest="1")
    vectors = write(store, [row])
    assert store.search(vectors[0], 1)[0].row == row


def write(store: Store, rows: list[Row]) -> np.ndarray:
    vectors = FakeEmbedder().embed_documents([row.text for row in rows])
    store.upsert(rows, vectors)
    return vectors


def test_it_is_found_by_its_scheme() -> None:
    assert find_store("weaviate") is WeaviateStore
    assert issubclass(WeaviateStore, Store)


def test_rows_come_back_as_they_were_written(store: Store) -> None:
    vectors = write(store, ROWS)
    assert store.count() == 3
    assert sorted(store.held()) == [Held("a", "a", "1", 1), Held("b#0", "b", "2", 2), Held("b#1", "b", "2", 2)]
    hits = store.search(vectors[1], 2)
    assert hits[0].row == ROWS[1]
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert hits[1].score == pytest.approx(
        float(vectors[1] @ vectors[["a", "b#0", "b#1"].index(hits[1].row.id)]), abs=1e-5
    )
    assert {hit.row.id: hit.row for hit in store.search(vectors[0], 3)} == {row.id: row for row in ROWS}


def test_an_empty_collection_holds_nothing(store: Store) -> None:
    assert list(store.held()) == []
    assert store.count() == 0
    assert store.search(FakeEmbedder().embed_query("fog"), 3) == []
    store.delete(["a"])
    store.delete([])


def test_rows_are_replaced_and_deleted_by_their_ids(store: Store) -> None:
    write(store, ROWS)
    new = Row(id="a", document="a", text="Other words.", span=(0, 12), metadata={}, digest="3")
    vectors = write(store, [new])
    assert store.search(vectors[0], 1)[0].row == new
    store.delete(["b#0", "b#1", "no such row"])
    assert list(store.held()) == [Held("a", "a", "3", 1)]


def test_any_number_of_rows_goes_in_at_once(store: Store) -> None:
    rows = [Row(id=f"{n}", document=f"{n}", text=f"Row {n}", span=(0, 5), metadata={}) for n in range(1, 400)]
    write(store, rows)
    store.upsert([], np.empty((0, 64), np.float32))
    assert store.count() == 399
    assert len({held.id for held in store.held()}) == 399
    store.delete([row.id for row in rows])
    assert store.count() == 0


def test_refused_rows_are_named(store: Store) -> None:
    write(store, ROWS)
    with pytest.raises(StoreError, match="1 of 2 objects") as error:
        write(store, [Row(id="c", document="c", text="c", span=(0, 1), metadata={"page": "one"}), ROWS[1]])
    assert set(error.value.failed) == {"c"}


def test_the_space_is_checked_when_it_is_opened(weaviate_server: WeaviateServer, weaviate_name: str) -> None:
    url = weaviate_server.url
    with pytest.raises(StoreError, match="there is none of that name"):
        WeaviateStore.open(url, weaviate_name, FakeEmbedder(), create=False)
    WeaviateStore.open(url, weaviate_name, FakeEmbedder()).close()
    with pytest.raises(SpaceMismatch, match="dimensions: 64 and 16"):
        WeaviateStore.open(url, weaviate_name, FakeEmbedder(dimensions=16))
    WeaviateStore.open(url, weaviate_name, FakeEmbedder(), create=False).close()


def test_a_store_and_a_vectorizer_share_a_collection(
    store: Store, weaviate_server: WeaviateServer, weaviate_name: str
) -> None:
    vectors = write(store, ROWS)
    with weaviate_server.connect() as client:
        vectorizer = TwofoldVectorizer(FakeEmbedder())
        collection = vectorizer.open(client, weaviate_name)
        assert vectorizer.near_text(collection, "fog came in", limit=1).objects[0].properties["twofold_id"] == "a"
        vectorizer.add_documents(collection, ids=["b"], documents=[["Nine ", "ships."]], late_chunking=True)
        collection.data.insert({"text": "by hand"}, vector=vectors[0].tolist())
    held = {held.document: held for held in store.held()}
    assert len(held) == store.count() - 1 == 3  # the two chunks of b are one document
    assert held["b"].pieces == 2
    (by_hand,) = set(held) - {"a", "b"}
    assert held[by_hand] == Held(by_hand, by_hand, "", 1)
