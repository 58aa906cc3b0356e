"""Without a server: what would be asked of one, of a client that is not connected, and what is made of its answers."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import weaviate
from weaviate.classes.config import DataType, Property
from weaviate.collections.classes.batch import BatchObjectReturn, ErrorObject
from weaviate.connect import ConnectionParams
from weaviate.exceptions import WeaviateBaseError, WeaviateInsertManyAllFailedError

from twofold import SpaceMismatch, StoreError
from twofold.jobs.store import Row
from twofold.testing import FakeEmbedder
from weaviate_twofold import Layout, TwofoldVectorizer
from weaviate_twofold.documents import writing_documents
from weaviate_twofold.flow import Embed, run
from weaviate_twofold.objects import searching, writing_objects
from weaviate_twofold.rows import object_of, row_of
from weaviate_twofold.schema import creating, layout_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from weaviate_twofold.flow import Flow

PARAMETERS = ConnectionParams.from_url("http://127.0.0.1:9", grpc_port=10)
OBJECTS = [{"text": f"Ship {number}"} for number in range(200)]


@pytest.fixture
def client() -> weaviate.WeaviateClient:
    return weaviate.WeaviateClient(PARAMETERS)


@pytest.fixture
def layout() -> Layout:
    return Layout(FakeEmbedder().record(), {"default": ("text",)}, "\n")


class Calls:
    """Runs a flow: embeds, and answers what it asks of Weaviate by the method's name."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[partial[Any]] = []

    def run(self, flow: Flow[Any]) -> Any:
        return run(None, FakeEmbedder(), self._steps(flow))

    def named(self, name: str) -> list[Any]:
        return [step for step in self.asked if step.func.__name__ == name]

    def _steps(self, flow: Flow[Any]) -> Flow[Any]:
        try:
            step = next(flow)
            while True:
                try:
                    result = (yield step) if isinstance(step, Embed) else self._answer(step)
                except (WeaviateBaseError, ValueError) as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            return end.value

    def _answer(self, step: Callable[[], Any]) -> Any:
        call = step if isinstance(step, partial) else partial(step)
        self.asked.append(call)
        answer = self.answers.get(call.func.__name__)
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def refused(*indices: int) -> BatchObjectReturn:
    return BatchObjectReturn(errors={index: ErrorObject(f"no {index}", None) for index in indices})  # type: ignore[arg-type]


def test_a_collection_is_made_for_its_own_cosine_vectors(client: weaviate.WeaviateClient) -> None:
    made, layouts = client.collections.use("Towns"), WeakKeyDictionary[Any, Layout]()
    calls = Calls(create=made)
    title = Property(name="title", data_type=DataType.TEXT)
    options = {"properties": [title], "description": "Towns.", "replication_config": None}
    flow = creating(layouts, client, "Towns", {"a": "title", "b": ["title", "body"]}, separator=" ", options=options)
    assert calls.run(flow) is made
    (call,) = calls.asked
    assert call.args == ("Towns",)
    asked = call.keywords
    assert [one.name for one in asked["properties"]] == ["title", "body"]
    assert [one.name for one in asked["vector_config"]] == ["a", "b"]
    assert {one.vectorIndexConfig.distance.value for one in asked["vector_config"]} == {"cosine"}
    assert asked["replication_config"] is None
    assert Layout.read("Towns", asked["description"]).vectors == layouts[made].vectors
    with pytest.raises(StoreError, match="'Towns' was not made: no"):
        Calls(create=WeaviateBaseError("no")).run(creating(layouts, client, "Towns", "a", separator="", options={}))


def test_a_layout_is_read_once_and_checked(client: weaviate.WeaviateClient, layout: Layout) -> None:
    towns, layouts = client.collections.use("Towns"), WeakKeyDictionary[Any, Layout]()
    calls = Calls(get=SimpleNamespace(description=layout.describe("Towns.")))
    for _ in range(2):
        assert calls.run(layout_of(layouts, towns)).vectors == layout.vectors
    assert len(calls.asked) == 1
    other = Layout(FakeEmbedder(dimensions=16).record(), layout.vectors, "")
    calls = Calls(get=SimpleNamespace(description=other.describe()))
    with pytest.raises(SpaceMismatch, match=r"collection 'Towns': .*\n.*dimensions: 16 and 64"):
        calls.run(layout_of(layouts, client.collections.use("Towns")))


def test_objects_go_in_pieces_and_their_refusals_are_collected(client: weaviate.WeaviateClient, layout: Layout) -> None:
    towns, ids = client.collections.use("Towns"), [f"n{number}" for number in range(200)]
    calls = Calls(insert_many=[refused(), refused()])
    uuids = calls.run(writing_objects(layout, towns, FakeEmbedder(), OBJECTS, ids))
    pieces = [call.args[0] for call in calls.asked]
    assert [len(piece) for piece in pieces] == [128, 72]
    assert [str(one.uuid) for piece in pieces for one in piece] == uuids
    wanted = FakeEmbedder().embed_documents(one["text"] for one in OBJECTS)
    assert np.array_equal([one.vector for piece in pieces for one in piece], wanted)

    for answers, failed in (
        ([refused(3), refused(1)], {"n3": "no 3", "n129": "no 1"}),
        ([WeaviateInsertManyAllFailedError("all"), refused()], set(ids[:128])),
        ([refused(5), ValueError("Unexpected type")], {"n5", *ids[128:]}),
        ([refused(5), WeaviateBaseError("gone")], {"n5", *ids[128:]}),
        ([WeaviateBaseError("gone")], set(ids)),
    ):
        with pytest.raises(StoreError, match=f"{len(failed)} of 200 objects were not written to 'Towns'") as error:
            Calls(insert_many=answers).run(writing_objects(layout, towns, FakeEmbedder(), OBJECTS, ids))
        assert set(error.value.failed) == set(failed)
        if isinstance(failed, dict):
            assert error.value.failed == failed


def test_queries_go_to_the_vector_that_is_named(client: weaviate.WeaviateClient, layout: Layout) -> None:
    towns, vector = client.collections.use("Towns"), FakeEmbedder().embed_query("fog")
    calls = Calls()
    calls.run(searching(layout, towns, "near_vector", "fog", target=None, options={"limit": 3}))
    calls.run(searching(layout, towns, "hybrid", "fog", target="default", options={"alpha": 0.2}))
    near, hybrid = calls.asked
    assert np.array_equal(near.args[0], vector)
    assert near.keywords == {"target_vector": None, "limit": 3}
    assert hybrid.args == ("fog",)
    assert np.array_equal(hybrid.keywords.pop("vector"), vector)
    assert hybrid.keywords == {"target_vector": "default", "alpha": 0.2}


@pytest.mark.parametrize("failing", [False, True])
def test_old_chunks_are_removed_once_the_new_ones_are_written(
    client: weaviate.WeaviateClient, layout: Layout, failing: bool
) -> None:
    chats = client.collections.use("Chats")
    calls = Calls(
        get=SimpleNamespace(properties=[Property(name="text", data_type=DataType.TEXT)]),
        insert_many=refused(1) if failing else refused(),
    )
    flow = writing_documents(
        layout,
        chats,
        FakeEmbedder(),
        ids=["chat"],
        documents=[["One. ", "Two."]],
        metadatas=[{"date": "2026-11-23", "odd": True, "page": 1}],
        late_chunking=True,
    )
    if failing:
        with pytest.raises(StoreError, match="1 of 2 objects") as error:
            calls.run(flow)
        assert error.value.failed == {"chat#1": "no 1"}
    else:
        assert calls.run(flow) == ["chat#0", "chat#1"]
    assert len(calls.named("delete_many")) == (0 if failing else 1)
    (sent,) = calls.named("insert_many")
    assert np.array_equal([one.vector for one in sent.args[0]], FakeEmbedder().embed_chunks(["One. ", "Two."]))
    declared = {call.args[0].name: call.args[0].dataType for call in calls.named("add_property")}
    assert declared == {
        **dict.fromkeys(("twofold_id", "twofold_document", "twofold_digest", "twofold_more", "date"), DataType.TEXT),
        **dict.fromkeys(("twofold_start", "twofold_end", "twofold_pieces"), DataType.INT),
        "odd": DataType.BOOL,
        "page": DataType.NUMBER,
    }


def test_rows_survive_being_objects() -> None:
    row = Row(id="a", document="a", text="t", span=(0, 1), metadata={"Title": "T", "page": 1, "text": 2}, digest="d")
    stored = object_of(row, "text")
    assert (stored["text"], stored["page"], "Title" in stored) == ("t", 1, False)
    assert row_of("uuid", {**stored, "unset": None}, "text") == row
    assert row_of("uuid", {"text": "t"}, "text") == Row(id="uuid", document="uuid", text="t", span=(0, 1), metadata={})


def test_an_async_client_is_answered_by_an_awaitable() -> None:
    vectorizer = TwofoldVectorizer("fake:")
    unconnected = weaviate.WeaviateAsyncClient(PARAMETERS)
    with pytest.raises(StoreError, match="'Towns' was not made"):
        asyncio.run(_make(vectorizer, unconnected))
    with pytest.raises(StoreError, match="'Towns' can not be opened"):
        vectorizer.open(weaviate.WeaviateClient(PARAMETERS), "Towns")


async def _make(vectorizer: TwofoldVectorizer, client: weaviate.WeaviateAsyncClient) -> None:
    await vectorizer.create_collection(client, "Towns")
