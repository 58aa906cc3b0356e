"""LlamaIndex's embedding: its fields, its guarded cache, the nodes that it leaves alone, and what observers see."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.schema import Document, MetadataMode, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from pydantic import Field

from llama_index_twofold import TwofoldEmbedding
from twofold import InputError, Settings
from twofold.testing import AdapterContract

if TYPE_CHECKING:
    from twofold.testing import Call

TEXTS = ["a keeper lights the lamp", "nine ships in the fog", "bread is baked at night"]


@pytest.fixture
def embedding() -> TwofoldEmbedding:
    return TwofoldEmbedding(model="fake:")


def calls(embedding: TwofoldEmbedding) -> list[Call]:
    """What the model was asked."""
    made: list[Call] = embedding.embedder.backend.calls  # type: ignore[attr-defined]
    return made


def nodes(texts: list[str] = TEXTS) -> list[TextNode]:
    return [TextNode(text=text, id_=f"node {number}", metadata={"title": "Light"}) for number, text in enumerate(texts)]


# -- fields -----------------------------------------------------------------------------------------------------------


def test_every_setting_is_a_public_field_with_its_default() -> None:
    for field in fields(Settings):
        own = TwofoldEmbedding.model_fields[field.name]
        assert own.exclude is not True
        assert own.is_required() if field.name == "model" else own.default == field.default, field.name


def test_the_model_is_the_hosts_model_name_too() -> None:
    embedding = TwofoldEmbedding(model="fake:", dimensions=16)
    assert (embedding.model_name, embedding.class_name()) == ("fake:", "TwofoldEmbedding")
    with pytest.raises(InputError, match="model_name follows model"):
        TwofoldEmbedding(model="fake:", model_name="other")


@pytest.mark.parametrize("option", AdapterContract.changed)
def test_the_ingestion_cache_sees_every_setting(option: str) -> None:
    plain, changed = (
        TwofoldEmbedding(model="fake:", **options) for options in ({}, {option: AdapterContract.changed[option]})
    )
    assert get_transformation_hash(nodes(), plain) != get_transformation_hash(nodes(), changed)
    assert get_transformation_hash(nodes(), plain) == get_transformation_hash(nodes(), plain.model_copy())


def test_the_hosts_own_fields_are_taken_and_saved() -> None:
    embedding = TwofoldEmbedding(model="fake:", embed_batch_size=7, num_workers=2)
    again = TwofoldEmbedding.from_dict(embedding.to_dict())
    assert (again.embed_batch_size, again.num_workers) == (7, 2)
    assert TwofoldEmbedding(model="fake:").embed_batch_size == 512


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="late_chunking"):
        TwofoldEmbedding(model="fake:", late_chunking=True)  # type: ignore[call-arg]


def test_options_can_not_be_changed_behind_the_embedders_back(embedding: TwofoldEmbedding) -> None:
    with pytest.raises(InputError, match="dimensions can not be changed: make another"):
        embedding.dimensions = 8
    assert embedding.model_copy(update={"dimensions": 8}).embedder.dimensions == 8
    embedding.embed_batch_size = 3  # the host's own
    assert embedding.get_text_embedding_batch(TEXTS * 2)
    assert [len(call.texts) for call in calls(embedding)] == [3, 3]


def test_a_copy_keeps_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWOFOLD_API_KEY", raising=False)
    copied = TwofoldEmbedding(model="fake:", api_key="sk-mine").model_copy(update={"dimensions": 8})
    assert copied.embedder._key.reveal() == "sk-mine"
    assert "sk-mine" not in repr(copied)


# -- vectors ----------------------------------------------------------------------------------------------------------


async def test_every_way_to_a_vector_is_the_cores(embedding: TwofoldEmbedding) -> None:
    core = embedding.embedder
    query, document = core.embed_query(TEXTS[0]).tolist(), core.embed_documents(TEXTS).tolist()
    assert embedding.get_query_embedding(TEXTS[0]) == await embedding.aget_query_embedding(TEXTS[0]) == query
    assert embedding.get_text_embedding(TEXTS[0]) == await embedding.aget_text_embedding(TEXTS[0]) == document[0]
    assert embedding.get_text_embedding_batch(TEXTS) == await embedding.aget_text_embedding_batch(TEXTS) == document
    assert embedding.get_agg_embedding_from_queries([TEXTS[0]]) == query
    assert query != document[0]


async def test_texts_go_in_batches(embedding: TwofoldEmbedding) -> None:
    texts = [f"text {number}" for number in range(1_100)]
    embedding.get_text_embedding_batch(texts)
    await embedding.aget_text_embedding_batch(texts)
    assert [len(call.texts) for call in calls(embedding)] == [512, 512, 76] * 2


async def test_a_bad_text_is_named_before_anything_is_embedded(embedding: TwofoldEmbedding) -> None:
    texts = [*(["text"] * 1_000), " "]
    with pytest.raises(InputError, match="text 1000 is blank"):
        embedding.get_text_embedding_batch(texts)
    with pytest.raises(InputError, match="text 1000 is blank"):
        await embedding.aget_text_embedding_batch(texts)
    assert not calls(embedding)


async def test_no_texts_and_no_nodes(embedding: TwofoldEmbedding) -> None:
    assert embedding.get_text_embedding_batch([]) == await embedding.aget_text_embedding_batch([]) == []
    assert embedding([]) == await embedding.acall([]) == []
    assert not calls(embedding)


def test_the_rate_limiter_is_asked_once_a_batch() -> None:
    class Counting(TokenBucketRateLimiter):
        asked: int = 0

        def acquire(self, num_tokens: int = 0) -> None:
            self.asked += 1

    limited = TwofoldEmbedding(model="fake:", embed_batch_size=2, rate_limiter=Counting(requests_per_minute=600))
    limited.get_text_embedding_batch(TEXTS)
    assert limited.rate_limiter.asked == 2  # type: ignore[union-attr]


# -- the cache --------------------------------------------------------------------------------------------------------


class Unguarded(BaseEmbedding):
    """The host's own behaviour, which the guard is for."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return [1.0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return [1.0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return [2.0]


def test_the_hosts_cache_mixes_the_sides() -> None:
    unguarded = Unguarded(embeddings_cache=SimpleKVStore())
    assert unguarded.get_text_embedding("x") == unguarded.get_query_embedding("x") == [2.0]


async def test_a_cache_keeps_sides_and_models_apart() -> None:
    store = SimpleKVStore()
    for options in ({}, {"dimensions": 16}, {"query_task": "topic"}):
        plain = TwofoldEmbedding(model="fake:", **options)
        cached = TwofoldEmbedding(model="fake:", **options, embeddings_cache=store)
        for _ in range(2):
            assert cached.get_text_embedding("x") == plain.get_text_embedding("x")
            assert cached.get_query_embedding("x") == plain.get_query_embedding("x")
            assert await cached.aget_text_embedding("x") == plain.get_text_embedding("x")
            assert await cached.aget_query_embedding("x") == plain.get_query_embedding("x")
            assert cached.get_text_embedding_batch(["x", "y"]) == plain.get_text_embedding_batch(["x", "y"])
            assert await cached.aget_text_embedding_batch(["x"]) == plain.get_text_embedding_batch(["x"])
        assert [call.texts for call in calls(cached)] == [("x",), ("x",), ("y",)]
    keys = list(store.get_all("embeddings"))
    assert len(keys) == 9
    assert {key.split("/")[1] for key in keys} == {"query", "document"}
    assert len({key.split("/")[0] for key in keys}) == 3


async def test_sides_asked_at_once_from_tasks_and_threads_stay_apart() -> None:
    plain = TwofoldEmbedding(model="fake:")
    cached = TwofoldEmbedding(model="fake:", embeddings_cache=SimpleKVStore())
    got: list[Any] = await asyncio.gather(
        *(cached.aget_query_embedding("x") for _ in range(5)),
        *(cached.aget_text_embedding("x") for _ in range(5)),
        *(asyncio.to_thread(cached.get_query_embedding, "x") for _ in range(5)),
        *(asyncio.to_thread(cached.get_text_embedding, "x") for _ in range(5)),
    )
    query, document = plain.get_query_embedding("x"), plain.get_text_embedding("x")
    assert got == ([query] * 5 + [document] * 5) * 2


async def test_a_cache_that_is_set_later_is_guarded_and_every_verb_has_the_side(embedding: TwofoldEmbedding) -> None:
    store = SimpleKVStore()
    embedding.embeddings_cache = store
    embedding.get_text_embedding("x")
    guard: Any = embedding.embeddings_cache
    assert guard.store is store
    assert guard.get("x", "embeddings") == await guard.aget("x", "embeddings")
    assert guard.get("x", "embeddings") is not None
    assert guard.get_all("embeddings") == await guard.aget_all("embeddings") == store.get_all("embeddings")
    assert guard.delete("x", "embeddings")
    assert not await guard.adelete("x", "embeddings")
    await guard.aput("x", {"id": [1.0]}, "embeddings")
    assert embedding.get_text_embedding("x") == [1.0]
    embedding.embeddings_cache = None
    assert len(embedding.get_text_embedding("x")) == 64


def test_a_guard_is_not_guarded_again(embedding: TwofoldEmbedding) -> None:
    store = SimpleKVStore()
    embedding.embeddings_cache = store
    again = embedding.model_copy()
    guard: Any = again.embeddings_cache
    assert guard.store is store
    assert guard.embedder is again.embedder


def test_a_cache_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="BaseKVStore"):
        TwofoldEmbedding(model="fake:", embeddings_cache={})


# -- nodes ------------------------------------------------------------------------------------------------------------


async def test_nodes_get_the_vectors_of_their_text_with_its_metadata(embedding: TwofoldEmbedding) -> None:
    wanted = embedding.embedder.embed_documents([f"title: Light\n\n{text}" for text in TEXTS]).tolist()
    assert [node.embedding for node in embedding(nodes())] == wanted
    assert [node.embedding for node in await embedding.acall(nodes())] == wanted


async def test_nodes_that_are_in_this_space_are_left_alone(embedding: TwofoldEmbedding) -> None:
    some = nodes()
    assert embedding(some) is some
    embedding(some)
    await embedding.acall(some)
    embedding([TextNode.from_json(node.to_json()) for node in some])
    assert len(calls(embedding)) == 1


@pytest.mark.parametrize("change", ["text", "metadata", "space", "vector", "stranger"])
async def test_nodes_that_are_not_are_embedded(embedding: TwofoldEmbedding, change: str) -> None:
    some = embedding(nodes())
    chosen = embedding
    if change == "text":
        some[1].set_content("another text")
    elif change == "metadata":
        some[1].metadata["title"] = "Dark"
    elif change == "space":
        chosen = TwofoldEmbedding(model="fake:", dimensions=16)
    elif change == "vector":
        some[1].embedding = None
    else:
        some = [*some, TextNode(text="embedded by another", embedding=[1.0, 0.0])]
    before = len(calls(chosen))
    chosen(some)
    wanted = chosen.embedder.embed_documents([node.get_content(MetadataMode.EMBED) for node in some]).tolist()
    assert [node.embedding for node in some] == wanted
    assert len(calls(chosen)[before].texts) == (3 if change == "space" else 1)


def test_the_mark_changes_neither_texts_nor_metadata_nor_the_hash(embedding: TwofoldEmbedding) -> None:
    (node,), (marked,) = nodes(TEXTS[:1]), nodes(TEXTS[:1])
    embedding([marked])
    for mode in MetadataMode:
        assert marked.get_content(mode) == node.get_content(mode)
    assert (marked.metadata, marked.hash) == (node.metadata, node.hash)
    embedding([marked.model_copy(update={"embedding": None})])
    keys = marked.excluded_embed_metadata_keys
    assert [key.split(":")[:2] for key in keys] == [["twofold", embedding.embedder.space.fingerprint]]


def test_a_document_keeps_the_hash_that_document_stores_compare(embedding: TwofoldEmbedding) -> None:
    document = Document(text=TEXTS[0], metadata={"title": "Light"})
    before = document.hash
    embedding([document])
    assert document.hash == before


# -- observers --------------------------------------------------------------------------------------------------------


class Recorder(BaseEventHandler):
    """An observer of LlamaIndex's."""

    events: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Recorder"

    def handle(self, event: Any, **kwargs: Any) -> None:
        if isinstance(event, EmbeddingStartEvent | EmbeddingEndEvent):
            self.events.append(event)


@pytest.fixture
def recorder() -> Any:
    dispatcher, recorder = get_dispatcher(), Recorder()
    dispatcher.add_event_handler(recorder)
    yield recorder
    dispatcher.event_handlers.remove(recorder)


def test_observers_see_each_batch_and_no_secret(recorder: Recorder) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    embedding = TwofoldEmbedding(
        model="fake:", dimensions=16, api_key="sk-mine", embed_batch_size=2, callback_manager=CallbackManager([debug])
    )
    embedding(nodes())
    embedding.get_query_embedding(TEXTS[0])
    starts = [event for event in recorder.events if isinstance(event, EmbeddingStartEvent)]
    ends = [event for event in recorder.events if isinstance(event, EmbeddingEndEvent)]
    assert [len(event.chunks) for event in ends] == [2, 1, 1]
    assert [len(event.embeddings[0]) for event in ends] == [16] * 3
    assert [event.model_dict for event in starts] == [embedding.to_payload()] * 3
    assert embedding.to_payload() == {
        "class_name": "TwofoldEmbedding",
        "model_name": "fake:",
        "embed_batch_size": 2,
        "model": "fake:",
        "dimensions": 16,
    }
    assert "sk-mine" not in str(recorder.events)
    payloads = [pair[1].payload or {} for pair in debug.get_event_pairs(CBEventType.EMBEDDING)]
    assert [len(payload[EventPayload.EMBEDDINGS]) for payload in payloads] == [2, 1, 1]


async def test_nothing_of_the_embedding_holds_up_the_event_loop(
    embedding: TwofoldEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    space = type(embedding.embedder).space

    def watched(embedder: Any) -> Any:
        threads.append(threading.get_ident())
        return space.__get__(embedder)

    monkeypatch.setattr(type(embedding.embedder), "space", property(watched))
    await embedding.acall(nodes())
    assert threads
    assert threading.get_ident() not in threads
