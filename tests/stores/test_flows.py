"""What the contract cannot say of every store: drivers, faces, and errors in the middle."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from twofold import Document, InputError, SpaceMismatch, StoreError
from twofold.stores import aadd_documents, add_documents, aopen_collection, open_collection
from twofold.stores.opening import check_space
from twofold.stores.threads import resolve
from twofold.testing import FakeEmbedder, MemoryStore


def new(embedder: FakeEmbedder) -> MemoryStore:
    store = MemoryStore("", uuid.uuid4().hex)
    open_collection(store, embedder)
    return store


async def test_a_plain_store_works_in_an_event_loop() -> None:
    store, embedder = MemoryStore("", uuid.uuid4().hex), FakeEmbedder()
    await aopen_collection(store, embedder)
    written = await aadd_documents(store, embedder, ids=["a", "b"], documents=["x", ["one ", "two"]])
    assert written == ["a", "b#0", "b#1"]
    assert store.count() == 3


def test_a_flow_that_waits_is_refused_without_an_event_loop() -> None:
    async def waits() -> int:
        await asyncio.sleep(0)
        return 1

    with pytest.raises(RuntimeError, match="use its async twin"):
        resolve(waits())


def test_ready_vectors_are_of_the_record_or_refused() -> None:
    store = new(FakeEmbedder())
    check_space(store, FakeEmbedder().space)
    with pytest.raises(SpaceMismatch, match="document task: 'document' and 'topic'"):
        check_space(store, FakeEmbedder(document_task="topic").space)


def test_a_store_that_refuses_a_slice_says_which_documents_are_missing() -> None:
    embedder = FakeEmbedder()

    class Full(MemoryStore):
        def upsert(self, rows: Any, vectors: Any) -> None:
            if self.count():
                raise StoreError("full", failed={row.id: "full" for row in rows})
            super().upsert(rows, vectors)

    store = Full("", uuid.uuid4().hex)
    open_collection(store, embedder)
    ids = [f"d{number}" for number in range(300)]
    with pytest.raises(StoreError, match="full") as error:
        add_documents(store, embedder, ids=ids, documents=ids)
    assert list(error.value.failed) == ids[256:]
    assert store.count() == 256


def test_a_document_that_the_model_refuses_later_is_named_by_its_place() -> None:
    class Choosy(FakeEmbedder):
        def embed_late(self, documents: Any, **options: Any) -> Any:
            documents = list(documents)
            bad = [index for index, document in enumerate(documents) if document.text == "d270"]
            if bad:
                raise InputError("not this one", index=bad[0])
            return super().embed_late(documents, **options)

    store, embedder = new(Choosy()), Choosy()
    ids = [f"d{number}" for number in range(300)]
    with pytest.raises(InputError, match="document 'd270': not this one") as error:
        add_documents(store, embedder, ids=ids, documents=ids)
    assert error.value.index == 270
    assert store.count() == 256


@pytest.mark.parametrize(
    ("metadatas", "message"),
    [
        ([["x"]], "its metadata is of type list"),
        ([3], "its metadata is of type int"),
        ([(("x", 1),)], "expected a mapping, or None"),
        ([{"twofold_x": 1}], "is Twofold's own: rename it"),
        ([{"x": float("inf")}], "metadata field 'x' is inf"),
        ([{"x": {"y": 1}}], "of type dict.*Flatten it"),
        ([{"x": []}], "a list of such values of one type that is not empty"),
        ([{"x": [1.0, float("nan")]}], "metadata field 'x'"),
        ([{"": 1}], "metadata field ''"),
        ([{"x": [1, "a"]}], "metadata field 'x'"),
        ([{}, {}], "expected lists with one of each"),
    ],
)
def test_metadata_that_cannot_be_kept_is_refused(metadatas: Any, message: str) -> None:
    embedder = FakeEmbedder()
    store = new(embedder)
    with pytest.raises(InputError, match=message):
        add_documents(store, embedder, ids=["a"], documents=["text"], metadatas=metadatas)
    assert store.count() == 0


def test_chunks_need_as_many_metadatas() -> None:
    embedder = FakeEmbedder()
    with pytest.raises(InputError, match=r"document 0, 'a': 1 metadatas for its 2 chunks"):
        add_documents(new(embedder), embedder, ids=["a"], documents=[["x ", "y"]], metadatas=[[{}]])


@pytest.mark.parametrize("document", [3, None, {"a": 1}, ["x", 3]])
def test_what_is_no_document_is_named(document: Any) -> None:
    embedder = FakeEmbedder()
    with pytest.raises(InputError, match="document 1, 'b'") as error:
        add_documents(new(embedder), embedder, ids=["a", "b"], documents=["fine", document])
    assert error.value.index == 1


def test_a_changed_window_is_another_version_and_no_other_space() -> None:
    document = Document.from_chunks(["one ", "two"])
    store = new(FakeEmbedder())
    add_documents(store, FakeEmbedder(), ids=["a"], documents=[document])
    (before,) = {row.digest for row in store.held(["a"])}
    add_documents(store, FakeEmbedder(late_window=100), ids=["a"], documents=[document])
    (after,) = {row.digest for row in store.held(["a"])}
    assert before != after


def test_metadata_is_stored_in_plain_types() -> None:
    embedder = FakeEmbedder()
    store = new(embedder)
    moment = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    given = {
        "int": np.int64(3),
        "float": np.float32(0.5),
        "bool": np.bool_(1),
        "text": np.str_("sea"),
        "list": [np.int64(1), np.int64(2)],
        "time": moment,
        "day": date(2026, 12, 1),
        "stamp": np.datetime64("2026-12-01T09:30:00.000000001"),
        "none": None,
        "nan": float("nan"),
        "not a number": np.float64("nan"),
        "not a time": np.datetime64("NaT"),
    }
    add_documents(store, embedder, ids=["a"], documents=["text"], metadatas=[given])
    (stored,) = store.get(["a"])
    kept = dict(stored.row.metadata)
    assert kept == {
        "int": 3,
        "float": 0.5,
        "bool": True,
        "text": "sea",
        "list": [1, 2],
        "time": "2026-12-01T09:30:00+00:00",
        "day": "2026-12-01",
        "stamp": "2026-12-01T09:30:00",
    }
    assert [type(value) for value in kept.values()] == [int, float, bool, str, list, str, str, str]


def test_names_that_the_store_uses_itself_are_refused_before_any_work() -> None:
    class Reserving(MemoryStore):
        reserved_fields = ("memory:row",)

    embedder, store = FakeEmbedder(), Reserving("", uuid.uuid4().hex)
    open_collection(store, embedder)
    before = len(embedder.calls)
    with pytest.raises(InputError, match="document 1, 'b': metadata field 'memory:row' is reserved by the store"):
        add_documents(store, embedder, ids=["a", "b"], documents=["x", "y"], metadatas=[{}, {"memory:row": 1}])
    assert len(embedder.calls) == before


def test_generators_are_read() -> None:
    embedder = FakeEmbedder()
    store = new(embedder)
    written = add_documents(
        store,
        embedder,
        ids=iter("ab"),
        documents=iter("xy"),
        metadatas=({"n": n} for n in (1, 2)),
    )
    assert written == ["a", "b"]


@pytest.mark.parametrize(
    "given",
    [{"ids": "ab"}, {"ids": 3}, {"documents": "xy"}, {"documents": {"a": "x"}}, {"documents": None}, {"metadatas": {}}],
)
def test_what_is_not_a_list_is_named(given: Any) -> None:
    embedder = FakeEmbedder()
    (name,) = given
    with pytest.raises(InputError, match=f"{name} is of type .*: expected a list with one for every document"):
        add_documents(new(embedder), embedder, **{"ids": ["a", "b"], "documents": ["x", "y"], **given})
