"""LlamaIndex's embedding: its fields, its cache, the nodes that it leaves alone, and what observers see."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import VectorStoreIndex
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
from support.waiting import settled
from twofold import BlankWarning, Embedder, InputError, ProviderUnavailable
from twofold.adapters import option_fields
from twofold.testing import FakeEmbedder, changed_options

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


def test_every_option_is_a_public_field_with_its_default() -> None:
    for name, (_, default) in option_fields().items():
        own = TwofoldEmbedding.model_fields[name]
        assert own.exclude is not True
        assert own.is_required() if name == "model" else own.default == default, name


def test_the_model_comes_first_as_an_embedder_or_what_makes_one() -> None:
    embedder = Embedder("fake:", dimensions=16)
    for made in (TwofoldEmbedding(embedder), TwofoldEmbedding(TwofoldEmbedding(embedder))):
        assert made.embedder is embedder
        assert (made.model, made.dimensions, made.model_copy().embedder) == ("fake:", 16, embedder)
    assert TwofoldEmbedding("fake:", dimensions=16).to_dict() == TwofoldEmbedding(embedder).to_dict()
    with pytest.raises(InputError, match="dimensions: the embedder already exists"):
        TwofoldEmbedding(embedder, dimensions=8)


def test_the_model_is_the_hosts_model_name_too() -> None:
    embedding = TwofoldEmbedding(model="fake:", dimensions=16)
    assert (embedding.model_name, embedding.class_name()) == ("fake:", "TwofoldEmbedding")
    with pytest.raises(InputError, match="model_name must equal model"):
        TwofoldEmbedding(model="fake:", model_name="other")


@pytest.mark.parametrize("option", changed_options())
def test_the_ingestion_cache_sees_every_setting(option: str) -> None:
    plain, changed = (
        TwofoldEmbedding(model="fake:", **options) for options in ({}, {option: changed_options()[option]})
    )
    assert get_transformation_hash(nodes(), plain) != get_transformation_hash(nodes(), changed)
    assert get_transformation_hash(nodes(), plain) == get_transformation_hash(nodes(), plain.model_copy())


def test_the_hosts_own_fields_are_taken_and_saved() -> None:
    embedding = TwofoldEmbedding(model="fake:", embed_batch_size=7, num_workers=2)
    again = TwofoldEmbedding.from_dict(embedding.to_dict())
    assert (again.embed_batch_size, again.num_workers) == (7, 2)
    assert TwofoldEmbedding(model="fake:").embed_batch_size == 512


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InputError, match="not an option of an embedder: late_chunking"):
        TwofoldEmbedding(model="fake:", late_chunking=True)  # type: ignore[call-arg]


def test_options_cannot_be_changed_behind_the_embedders_back(embedding: TwofoldEmbedding) -> None:
    with pytest.raises(InputError, match="dimensions cannot be changed: make another"):
        embedding.dimensions = 8
    assert embedding.model_copy(update={"dimensions": 8}).embedder.dimensions == 8
    embedding.embed_batch_size = 3  # the host's own
    assert embedding.embed_batch_size == 3


def test_a_copy_keeps_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWOFOLD_API_KEY", raising=False)
    for made in (TwofoldEmbedding("fake:", api_key="sk-mine"), TwofoldEmbedding(Embedder("fake:", api_key="sk-mine"))):
        copied = made.model_copy(update={"dimensions": 8, "embed_batch_size": 3})
        assert (copied.embedder._key.reveal(), copied.dimensions, copied.embed_batch_size) == ("sk-mine", 8, 3)
        assert made.model_copy(update={"api_key": "sk-new"}).embedder._key.reveal() == "sk-new"
        assert "sk-" not in repr(copied)


def test_embeddings_of_equal_fields_are_equal() -> None:
    embedding = TwofoldEmbedding("fake:", dimensions=16, embed_batch_size=7, api_key="sk-mine")
    assert embedding == TwofoldEmbedding.from_dict(embedding.to_dict()) == copy.copy(embedding)
    assert embedding == TwofoldEmbedding(Embedder("fake:", dimensions=16), embed_batch_size=7)
    assert pickle.loads(pickle.dumps(embedding)) == embedding
    assert embedding != TwofoldEmbedding("fake:", dimensions=16)
    assert embedding != embedding.embedder


def test_copies_of_copies_behave_like_the_original() -> None:
    for made in (TwofoldEmbedding("fake:", api_key="sk-mine"), TwofoldEmbedding(Embedder("fake:", api_key="sk-mine"))):
        for copied in (copy.copy(made), copy.deepcopy(made), made.model_copy()):
            shorter = copied.model_copy(update={"dimensions": 16})
            assert shorter == made.model_copy(update={"dimensions": 16})
            assert (shorter.embedder.dimensions, shorter.embedder._key.reveal()) == (16, "sk-mine")


# -- vectors ----------------------------------------------------------------------------------------------------------


async def test_every_way_to_a_vector_is_the_cores(embedding: TwofoldEmbedding) -> None:
    core = embedding.embedder
    query, document = core.embed_query(TEXTS[0]).tolist(), core.embed_documents(TEXTS).tolist()
    assert embedding.get_query_embedding(TEXTS[0]) == await embedding.aget_query_embedding(TEXTS[0]) == query
    assert embedding.get_text_embedding(TEXTS[0]) == await embedding.aget_text_embedding(TEXTS[0]) == document[0]
    assert embedding.get_text_embedding_batch(TEXTS) == await embedding.aget_text_embedding_batch(TEXTS) == document
    assert embedding.get_agg_embedding_from_queries([TEXTS[0]]) == query
    assert query != document[0]


async def test_all_texts_of_a_call_go_to_the_embedder_at_once(embedding: TwofoldEmbedding) -> None:
    texts = [f"text {number}" for number in range(1_100)]
    embedding.get_text_embedding_batch(texts)
    await embedding.aget_text_embedding_batch(texts)
    assert [len(call.texts) for call in calls(embedding)] == [1_100] * 2


async def test_a_bad_text_is_named_before_anything_is_embedded(embedding: TwofoldEmbedding) -> None:
    texts = [*(["text"] * 1_000), "\ud83d"]
    with pytest.raises(InputError, match="text 1000 has a lone surrogate"):
        embedding.get_text_embedding_batch(texts)
    with pytest.raises(InputError, match="text 1000 has a lone surrogate"):
        await embedding.aget_text_embedding_batch(texts)
    assert not calls(embedding)


async def test_a_blank_text_does_not_stop_the_others(embedding: TwofoldEmbedding) -> None:
    for ask in (embedding.get_text_embedding_batch, embedding.aget_text_embedding_batch):
        with pytest.warns(BlankWarning, match=r"text 1 is blank \(1 of 2\): it gets the vector of the empty text"):
            vectors = await settled(ask(["fog", " "]))
        assert vectors[0] == embedding.embedder.embed_documents(["fog"])[0].tolist()
        assert vectors[1] not in (vectors[0], [0.0] * 64)
    with pytest.warns(BlankWarning):
        assert embedding.get_query_embedding("") not in vectors


def test_a_blank_node_does_not_stop_an_index(embedding: TwofoldEmbedding) -> None:
    some = [TextNode(text="a keeper", id_="keeper"), TextNode(text=" ", id_="blank")]
    with pytest.warns(BlankWarning):
        index = VectorStoreIndex(some, embed_model=embedding)
    assert {hit.node.node_id for hit in index.as_retriever(similarity_top_k=2).retrieve("a keeper")} == {
        "keeper",
        "blank",
    }


@pytest.mark.parametrize("cache", [False, True])
async def test_a_text_over_the_length_is_named_by_its_place_before_any_work(*, cache: bool) -> None:
    embedding = TwofoldEmbedding("fake:", embeddings_cache=SimpleKVStore() if cache else None)
    texts = [f"text {number}" for number in range(1_000)]
    if cache:
        embedding.get_text_embedding_batch(texts[::2])
    before = len(calls(embedding))
    texts[701] = "word " * 10_000
    for ask in (embedding.get_text_embedding_batch, embedding.aget_text_embedding_batch):
        with pytest.raises(InputError, match=r"^text 701 has 10000 tokens") as caught:
            await settled(ask(texts))
        assert caught.value.index == 701
    assert len(calls(embedding)) == before


async def test_no_texts_and_no_nodes(embedding: TwofoldEmbedding) -> None:
    assert embedding.get_text_embedding_batch([]) == await embedding.aget_text_embedding_batch([]) == []
    assert embedding([]) == await embedding.acall([]) == []
    assert not calls(embedding)


def test_the_rate_limiter_is_asked_for_every_few_texts() -> None:
    class Counting(TokenBucketRateLimiter):
        asked: int = 0

        def acquire(self, num_tokens: int = 0) -> None:
            self.asked += 1

    limited = TwofoldEmbedding(model="fake:", embed_batch_size=2, rate_limiter=Counting(requests_per_minute=600))
    limited.get_text_embedding_batch(TEXTS)
    limited.get_query_embedding(TEXTS[0])
    assert limited.rate_limiter.asked == 3  # type: ignore[union-attr]


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


def test_a_cache_that_is_set_later_is_used_and_stays_the_users(embedding: TwofoldEmbedding) -> None:
    store = SimpleKVStore()
    embedding.embeddings_cache = store
    vector = embedding.get_text_embedding("x")
    assert embedding.embeddings_cache is store
    assert embedding.get_text_embedding("x") == vector
    embedding.embeddings_cache = None
    assert embedding.get_text_embedding("x") == vector
    assert len(calls(embedding)) == 2


def test_what_was_cut_off_in_the_cache_is_embedded_again(embedding: TwofoldEmbedding) -> None:
    store = embedding.embeddings_cache = SimpleKVStore()
    vector = embedding.get_text_embedding("x")
    (key,) = store.get_all("embeddings")
    store.put(key, {"float32": "AAAAAA=="}, "embeddings")
    assert embedding.get_text_embedding("x") == vector


async def test_what_was_paid_for_is_kept_when_a_provider_fails() -> None:
    class Failing(FakeEmbedder):
        def _compute(self, *arguments: Any, **options: Any) -> Any:
            vectors = super()._compute(*arguments, **options)
            raise ProviderUnavailable("busy", partial={0: vectors[:1]}, failed={1: "busy"})

        async def _acompute(self, *arguments: Any, **options: Any) -> Any:
            return self._compute(*arguments, **options)

    store = SimpleKVStore()
    TwofoldEmbedding("fake:", embeddings_cache=store).get_text_embedding("known")
    failing = TwofoldEmbedding(Failing(), embeddings_cache=store)
    for texts in (["known", "a", "b"], ["known", "c", "d"]):
        ask = failing.get_text_embedding_batch if texts[1] == "a" else failing.aget_text_embedding_batch
        with pytest.raises(ProviderUnavailable) as caught:
            await settled(ask(texts))
        assert (list(caught.value.partial), list(caught.value.failed)) == ([1], [2])
    plain = TwofoldEmbedding("fake:", embeddings_cache=store)
    plain.get_text_embedding_batch(["known", "a", "b", "c", "d"])
    assert [call.texts for call in calls(plain)] == [("b", "d")]


def test_a_cache_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="BaseKVStore"):
        TwofoldEmbedding(model="fake:", embeddings_cache={})  # type: ignore[arg-type]


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
    assert [key.split(":")[:2] for key in keys] == [["twofold", embedding.embedder.space.tag]]


async def test_blank_nodes_are_left_out_and_reported(embedding: TwofoldEmbedding) -> None:
    some = [TextNode(text=TEXTS[0]), TextNode(text=" \n", id_="blank"), TextNode(text="", metadata={"file": "a"})]
    for run in (embedding, embedding.acall):
        with pytest.warns(BlankWarning, match="node blank, of document None, is blank"):
            kept = await settled(run(some))
        assert kept == [some[0], some[2]]
        assert [node.embedding is not None for node in some] == [True, False, True]
        some = [TextNode(text=TEXTS[0]), TextNode(text=" \n", id_="blank"), TextNode(text="", metadata={"file": "a"})]


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


def test_observers_see_each_call_and_no_secret(recorder: Recorder) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    embedding = TwofoldEmbedding(
        model="fake:", dimensions=16, api_key="sk-mine", embed_batch_size=2, callback_manager=CallbackManager([debug])
    )
    embedding(nodes())
    embedding.get_query_embedding(TEXTS[0])
    starts = [event for event in recorder.events if isinstance(event, EmbeddingStartEvent)]
    ends = [event for event in recorder.events if isinstance(event, EmbeddingEndEvent)]
    assert [len(event.chunks) for event in ends] == [3, 1]
    assert [len(event.embeddings[0]) for event in ends] == [16] * 2
    assert [event.model_dict for event in starts] == [embedding.to_payload()] * 2
    assert embedding.to_payload() == {
        "class_name": "TwofoldEmbedding",
        "model_name": "fake:",
        "embed_batch_size": 2,
        "model": "fake:",
        "dimensions": 16,
    }
    assert "sk-mine" not in str(recorder.events)
    payloads = [pair[1].payload or {} for pair in debug.get_event_pairs(CBEventType.EMBEDDING)]
    assert [len(payload[EventPayload.EMBEDDINGS]) for payload in payloads] == [3, 1]


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
