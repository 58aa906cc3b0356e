"""The embedder's public face, sync and async, over the fake backend: sides, order, shapes, checks, one load."""

import asyncio
import copy
import pickle
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofold import DimensionsWarning, Document, Embedder, InputError, OutputError, Settings, SpaceMismatch
from twofold import embedder as module
from twofold.models import warn_untrained
from twofold.testing import FakeBackend, FakeEmbedder
from twofold.vectors import FloatArray

TEXTS = ["the lighthouse", "a ship in the fog", "tea"]
SPANS = [Document.whole("the lighthouse"), Document.from_spans("a ship in the fog", [(0, 6), (10, 17), (2, 17)])]
LONG = "word " * 600
SECRET = "sk-do-not-show"

METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "embed_query": (("the lighthouse",), {}),
    "embed_queries": ((TEXTS,), {}),
    "embed_documents": ((TEXTS,), {}),
    "embed_chunks": ((["the lighthouse ", "was dark"],), {}),
    "embed_late": ((SPANS,), {}),
    "embed": ((TEXTS,), {"task": "topic"}),
}


def _call(embedder: Embedder, method: str) -> Any:
    args, options = METHODS[method]
    return getattr(embedder, method)(*args, **options)


async def _acall(embedder: Embedder, method: str) -> Any:
    args, options = METHODS[method]
    return await getattr(embedder, f"a{method}")(*args, **options)


# -- shapes, sides, order -------------------------------------------------------------------------------------------


def test_each_method_has_its_shape_and_its_side() -> None:
    embedder = FakeEmbedder(dimensions=16)
    assert _call(embedder, "embed_query").shape == (16,)
    assert _call(embedder, "embed_queries").shape == (3, 16)
    assert _call(embedder, "embed_documents").shape == (3, 16)
    assert _call(embedder, "embed_chunks").shape == (2, 16)
    assert [rows.shape for rows in _call(embedder, "embed_late")] == [(1, 16), (3, 16)]
    assert _call(embedder, "embed").shape == (3, 16)
    assert [call.task for call in embedder.calls] == ["query", "query", "document", "document", "document", "topic"]
    assert {call.dimensions for call in embedder.calls} == {16}


@pytest.mark.parametrize("method", METHODS)
async def test_the_async_twin_gives_the_same(method: str) -> None:
    one, other = FakeEmbedder(), FakeEmbedder()
    for mine, theirs in zip(_call(one, method), await _acall(other, method), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert one.calls == other.calls


def test_vectors_are_float32_of_unit_length() -> None:
    embedder = FakeEmbedder()
    for method in METHODS:
        result = _call(embedder, method)
        rows = np.concatenate(result) if isinstance(result, list) else np.atleast_2d(result)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_the_order_is_kept() -> None:
    embedder = FakeEmbedder()
    forward = embedder.embed_documents(TEXTS)
    np.testing.assert_array_equal(embedder.embed_documents(TEXTS[::-1]), forward[::-1])
    for text, row in zip(TEXTS, forward, strict=True):
        np.testing.assert_array_equal(embedder.embed_documents([text])[0], row)


def test_the_two_sides_differ() -> None:
    embedder = FakeEmbedder()
    assert not np.allclose(embedder.embed_queries(TEXTS), embedder.embed_documents(TEXTS))
    np.testing.assert_array_equal(embedder.embed_query(TEXTS[0]), embedder.embed_queries(TEXTS)[0])


def test_a_side_s_task_is_the_one_that_was_chosen() -> None:
    embedder = FakeEmbedder(query_task="topic", document_task=None)
    embedder.embed_query("one")
    embedder.embed_documents(["one"])
    assert [call.task for call in embedder.calls] == ["topic", None]


def test_chunks_know_their_document() -> None:
    embedder = FakeEmbedder()
    texts = ["the lighthouse ", "was dark"]
    chunks = embedder.embed_chunks(texts)
    assert not np.allclose(chunks, embedder.embed_documents(texts))
    np.testing.assert_array_equal(chunks, embedder.embed_late([Document.from_chunks(texts)])[0])
    assert embedder.calls[0].texts == ("the lighthouse was dark",)


def test_late_rows_go_to_their_documents() -> None:
    embedder = FakeEmbedder()
    for document, rows in zip(SPANS, embedder.embed_late(SPANS), strict=True):
        np.testing.assert_array_equal(rows, embedder.embed_late([document])[0])


def test_nothing_in_is_nothing_out() -> None:
    embedder = FakeEmbedder(dimensions=16)
    assert embedder.embed_queries([]).shape == (0, 16)
    assert embedder.embed_documents([]).shape == (0, 16)
    assert embedder.embed([], task=None).shape == (0, 16)
    assert embedder.embed_documents([]).dtype == np.float32
    assert embedder.embed_late([]) == []
    assert embedder.count_tokens([]) == []
    assert embedder.calls == []


async def test_nothing_in_is_nothing_out_async() -> None:
    embedder = FakeEmbedder(dimensions=16)
    assert (await embedder.aembed_documents([])).shape == (0, 16)
    assert await embedder.aembed_late([]) == []
    assert embedder.calls == []


def test_a_generator_of_texts_is_read_once() -> None:
    embedder = FakeEmbedder()
    assert embedder.embed_documents(text for text in TEXTS).shape == (3, 64)


# -- dimensions -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::twofold.DimensionsWarning")
def test_any_size_is_cut_and_then_normalised() -> None:
    bare = FakeEmbedder(normalize=False).embed_documents(TEXTS)
    for size in range(1, 65):
        exact = bare[:, :size] / np.linalg.norm(bare[:, :size], axis=1, keepdims=True)
        np.testing.assert_allclose(FakeEmbedder(dimensions=size).embed_documents(TEXTS), exact, atol=1e-6)


def test_without_normalising_the_model_s_own_lengths_are_kept() -> None:
    norms = np.linalg.norm(FakeEmbedder(normalize=False).embed_documents(TEXTS), axis=1)
    assert not np.allclose(norms, 1)


def test_asking_for_more_names_the_width_when_the_embedder_is_made() -> None:
    with pytest.raises(InputError, match="dimensions=2000, but jinaai/jina-embeddings-v3 has 1 to 1024"):
        Embedder("jinaai/jina-embeddings-v3", dimensions=2000)


def test_asking_for_more_of_a_model_that_is_not_known_yet_names_it_at_first_use() -> None:
    embedder = FakeEmbedder(dimensions=65)
    with pytest.raises(InputError, match="dimensions=65, but twofold/fake has 1 to 64"):
        embedder.embed_query("one")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query_task": "retrieval"}, "no task 'retrieval': it has 'retrieval.query'"),
        ({"document_task": "passage"}, "no task 'passage'"),
        ({"late_window": 10_000}, "at most 8192"),
        ({"truncate": "start"}, "'error', 'end'"),
    ],
)
def test_a_known_model_s_wrong_option_is_said_when_it_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Embedder("jinaai/jina-embeddings-v3", **options)


def test_a_size_that_was_not_trained_is_said_once_and_points_here() -> None:
    warn_untrained.cache_clear()
    with pytest.warns(DimensionsWarning, match="dimensions=100: jinaai/jina-embeddings-v3 was trained to be cut to 32"):
        Embedder("jinaai/jina-embeddings-v3", dimensions=100)
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        Embedder("jinaai/jina-embeddings-v3", dimensions=100)
        Embedder("jinaai/jina-embeddings-v3", dimensions=128)
        Embedder("jinaai/jina-embeddings-v3", dimensions=1024)
    assert again == []
    with warnings.catch_warnings(record=True) as other:
        warnings.simplefilter("always")
        Embedder("BAAI/bge-m3", dimensions=100)
    assert "BAAI/bge-m3 was not trained to be cut" in str(other[0].message)
    assert other[0].filename == __file__


# -- bad input ------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[Callable[[Embedder], object], str, int | None]] = [
    (lambda e: e.embed_query(["one"]), "text is of type list, not a string", None),  # type: ignore[arg-type]
    (lambda e: e.embed_query(""), "text is empty", None),
    (lambda e: e.embed_query("\ud800"), "lone surrogate", None),
    (lambda e: e.embed_queries("one"), r"pass \[text\]", None),
    (lambda e: e.embed_documents("one"), r"pass \[text\]", None),
    (lambda e: e.embed_documents(["one", "  "]), "text 1 is blank", 1),
    (lambda e: e.embed_documents(["one", None]), "text 1 is of type NoneType", 1),  # type: ignore[list-item]
    (lambda e: e.embed_documents(["one", LONG]), "text 1 has 600 tokens, the limit is 512", 1),
    (lambda e: e.embed_chunks(["one", ""]), "chunk 1 is empty", 1),
    (lambda e: e.embed_chunks([]), "at least one chunk", None),
    (lambda e: e.embed_late([Document.whole("one"), "two"]), "document 1 is of type str", 1),  # type: ignore[list-item]
    (lambda e: e.embed_late("two"), "document 0 is of type str", 0),  # type: ignore[arg-type]
    (lambda e: e.embed(["one"], task="retrieval"), "no task 'retrieval': it has 'query', 'document', 'topic'", None),
    (lambda e: e.count_tokens(["one", 2]), "text 1 is of type int", 1),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("call", "message", "index"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_what_can_not_be_embedded_is_refused_before_any_work(
    call: Callable[[Embedder], object], message: str, index: int | None
) -> None:
    embedder = FakeEmbedder()
    with pytest.raises(InputError, match=message) as caught:
        call(embedder)
    assert caught.value.index == index
    assert embedder.calls == []


async def test_the_async_twins_refuse_as_well() -> None:
    embedder = FakeEmbedder()
    with pytest.raises(InputError, match="text is of type list"):
        await embedder.aembed_query(["one"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="text 1 is blank"):
        await embedder.aembed_documents(["one", " "])
    with pytest.raises(InputError, match="document 0 is of type str"):
        await embedder.aembed_late(["one"])  # type: ignore[list-item]
    assert embedder.calls == []


def test_a_text_over_the_length_may_be_cut() -> None:
    assert FakeEmbedder(truncate="end").embed_documents([LONG]).shape == (1, 64)


# -- what leaves is checked -----------------------------------------------------------------------------------------


class Broken(FakeBackend):
    """A backend that gives what it is told to."""

    def __init__(self, rows: FloatArray) -> None:
        super().__init__()
        self.rows = rows

    def embed(self, *_: object, **__: object) -> FloatArray:
        return self.rows

    async def aembed(self, *_: object, **__: object) -> FloatArray:
        return self.rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 64)), r"shape \(2, 64\), not \(3, at least 64\)"),
        (np.ones((3, 63)), r"shape \(3, 63\)"),
        (np.full((3, 64), np.nan), "NaN or infinity for item 0"),
        (np.zeros((3, 64)), "zeros for item 0"),
    ],
)
async def test_vectors_that_can_not_be_right_do_not_leave(
    rows: FloatArray, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_backend", lambda *_: Broken(rows))
    with pytest.raises(OutputError, match=message):
        Embedder("fake:").embed_documents(TEXTS)
    with pytest.raises(OutputError, match=message):
        await Embedder("fake:").aembed_documents(TEXTS)


# -- tokens ---------------------------------------------------------------------------------------------------------


def test_tokens_are_counted_with_the_instruction() -> None:
    embedder = FakeEmbedder()
    assert embedder.count_tokens(["one two", "three"]) == [2, 1]
    assert embedder.count_tokens(["one two", "three"], task="query") == [3, 2]
    assert embedder.count_tokens(["one two"], task=None) == [2]
    assert FakeEmbedder(document_task="topic").count_tokens(["one two"]) == [3]
    with pytest.raises(InputError, match="no task 'retrieval'"):
        embedder.count_tokens(["one"], task="retrieval")
    assert embedder.calls == []


# -- loading --------------------------------------------------------------------------------------------------------


class Slow:
    """Counts how often a backend is made, slowly."""

    def __init__(self) -> None:
        self.made = 0
        self.threads: set[int] = set()

    def __call__(self, *_: object) -> FakeBackend:
        time.sleep(0.05)
        self.made += 1
        self.threads.add(threading.get_ident())
        return FakeBackend()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    loader = Slow()
    monkeypatch.setattr(module, "load_backend", loader)
    return loader


def test_making_an_embedder_loads_nothing(slow: Slow) -> None:
    embedder = Embedder("a/model", dimensions=8)
    repr(embedder)
    pickle.dumps(embedder)
    assert slow.made == 0


def test_threads_share_one_backend(slow: Slow) -> None:
    embedder = Embedder("a/model")
    together = threading.Barrier(8)

    def work(number: int) -> FloatArray:
        together.wait()
        return embedder.embed_query(f"number {number}")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert slow.made == 1
    np.testing.assert_array_equal(found, FakeEmbedder().embed_queries([f"number {number}" for number in range(8)]))


async def test_the_first_async_use_loads_beside_the_event_loop(slow: Slow) -> None:
    embedder = Embedder("a/model")
    await asyncio.gather(*(embedder.aembed_query(text) for text in TEXTS))
    await embedder.aembed_documents(TEXTS)
    assert slow.made == 1
    assert threading.get_ident() not in slow.threads


def test_a_load_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [OSError("the disk is away")]

    def load(*_: object) -> FakeBackend:
        if failures:
            raise failures.pop()
        return FakeBackend()

    monkeypatch.setattr(module, "load_backend", load)
    embedder = Embedder("a/model")
    with pytest.raises(OSError, match="the disk is away"):
        embedder.embed_query("one")
    assert embedder.embed_query("one").shape == (64,)


# -- copies, and what they do not hold ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda embedder: pickle.loads(pickle.dumps(embedder))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_has_the_settings_and_no_secret(duplicate: Callable[[Embedder], Embedder]) -> None:
    embedder = FakeEmbedder(dimensions=16, query_task="topic", api_key=SECRET, http_client=object())
    before = embedder.embed_query("one")
    twin = duplicate(embedder)
    assert type(twin) is FakeEmbedder
    assert twin.settings == embedder.settings
    assert twin.space == embedder.space
    np.testing.assert_array_equal(twin.embed_query("one"), before)
    assert SECRET.encode() not in pickle.dumps(twin)


def test_no_secret_is_shown() -> None:
    embedder = Embedder("jina:jina-embeddings-v3", dimensions=512, api_key=SECRET, api_key_env="MY_KEY")
    assert repr(embedder) == "Embedder('jina:jina-embeddings-v3', dimensions=512, api_key_env='MY_KEY')"
    assert SECRET not in repr(vars(embedder))
    assert SECRET.encode() not in pickle.dumps(embedder)
    assert SECRET not in str(embedder.settings.to_dict())


def test_the_repr_makes_the_same_embedder() -> None:
    embedder = FakeEmbedder(dimensions=16, normalize=False, query_task=None)
    assert eval(repr(embedder)).settings == embedder.settings


def test_an_embedder_is_made_from_settings() -> None:
    settings = Settings(model="fake:", dimensions=32, truncate="end")
    assert Embedder.from_settings(settings).settings == settings
    assert isinstance(FakeEmbedder.from_settings(settings), FakeEmbedder)


def test_a_model_may_be_a_path() -> None:
    assert Embedder(Path("models") / "v3").settings.model == str(Path("models") / "v3")
    with pytest.raises(InputError, match="model is of type NoneType"):
        Embedder(None)  # type: ignore[arg-type]


# -- identity -------------------------------------------------------------------------------------------------------


def test_the_space_says_what_the_vectors_are() -> None:
    space = FakeEmbedder(dimensions=16, query_task="topic", normalize=False, truncate="end", late_window=100).space
    assert (space.model, space.weights, space.provider) == ("twofold/fake", "fake", None)
    assert (space.query_task, space.query_prefix) == ("topic", "topic: ")
    assert (space.document_task, space.document_prefix) == ("document", "")
    assert (space.dimensions, space.width, space.pooling, space.normalized) == (16, 64, "mean", False)


def test_what_does_not_change_a_vector_is_not_in_the_space() -> None:
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "batch_tokens": 9, "timeout": 1.0, "concurrency": 1}
    options |= {"truncate": "end", "query_truncate": "error", "late_window": 100, "late_overlap": 3}
    assert FakeEmbedder(**options, api_key=SECRET, base_url="https://x.example").space == FakeEmbedder().space


def test_a_record_lets_the_same_embedder_in_and_refuses_another() -> None:
    record = FakeEmbedder(dimensions=32).record()
    assert record.canaries.shape == (8, 32)
    again = FakeEmbedder(dimensions=32)
    again.check(record)
    assert again.calls == []
    with pytest.raises(SpaceMismatch, match="dimensions: 32 and 16"):
        FakeEmbedder(dimensions=16).check(record)
    with pytest.raises(SpaceMismatch, match="query task: 'query' and None"):
        FakeEmbedder(dimensions=32, query_task=None).check(record)


def test_a_record_s_canaries_are_both_sides() -> None:
    embedder = FakeEmbedder()
    record = embedder.record()
    assert [call.task for call in embedder.calls] == ["query", "document"]
    assert not np.allclose(record.canaries[:4], record.canaries[4:])


# -- progress -------------------------------------------------------------------------------------------------------


def test_progress_is_silent_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    FakeEmbedder().embed_documents(TEXTS)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("method", ["embed_queries", "embed_documents", "embed_late", "embed"])
async def test_progress_goes_to_standard_error(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    args, options = METHODS[method]
    count = len(args[0])
    getattr(FakeEmbedder(), method)(*args, **options, progress=True)
    await getattr(FakeEmbedder(), f"a{method}")(*args, **options, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count(f"embedding: {count} of {count}, ") == 2


# -- options of one side ----------------------------------------------------------------------------------------------


async def test_a_long_question_is_cut_without_touching_the_space() -> None:
    long = " ".join(["lighthouse"] * 600)
    embedder = FakeEmbedder(query_truncate="end")
    assert embedder.space == FakeEmbedder().space
    wanted = FakeEmbedder(truncate="end").embed_query(long)
    assert np.array_equal(embedder.embed_query(long), wanted)
    assert np.array_equal(embedder.embed_queries([long])[0], wanted)
    assert np.array_equal(await embedder.aembed_query(long), wanted)
    assert np.array_equal((await embedder.aembed_queries([long]))[0], wanted)
    with pytest.raises(InputError, match="text 0 has 600 tokens, the limit is 512"):
        embedder.embed_documents([long])
    with pytest.raises(InputError, match="has 601 tokens"):
        FakeEmbedder(truncate="end", query_truncate="error").embed_query(long)


def test_instructions_of_ones_own_are_part_of_the_space() -> None:
    embedder = FakeEmbedder(query_instruction="Find: ", document_instruction="")
    assert embedder.space.differences(FakeEmbedder().space) == ["query prefix: 'Find: ' and 'query: '"]
    assert embedder.query_task.name == "query"
    assert embedder.count_tokens(["two words"]) == [2]
    assert FakeEmbedder(document_instruction="Say this: ").count_tokens(["two words"]) == [4]


async def test_identity_has_async_twins() -> None:
    embedder = FakeEmbedder()
    record = await embedder.arecord()
    assert record.to_json() == embedder.record().to_json()
    await embedder.acheck(record)
    with pytest.raises(SpaceMismatch):
        await FakeEmbedder(dimensions=16).acheck(record)
    assert await embedder.acount_tokens(["two words"]) == [2]


def test_an_option_that_does_not_exist_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"not an option of an embedder: dimension; did you mean dimensions\?"):
        Embedder("fake:", dimension=3)  # type: ignore[call-arg]


# -- another one of the same ----------------------------------------------------------------------------------------


def test_an_embedder_with_other_options_keeps_its_key_and_client() -> None:
    client = object()
    embedder = Embedder("fake:", dimensions=32, normalize=False, api_key="sk-mine", http_client=client)
    other = embedder.with_options(dimensions=16)
    assert other.settings == Embedder("fake:", dimensions=16, normalize=False).settings
    assert (other._key.reveal(), other._http_client) == ("sk-mine", client)
    assert embedder.dimensions == 32
    with pytest.raises(InputError, match="not an option of an embedder: size"):
        embedder.with_options(size=1)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="dimensions=0"):
        embedder.with_options(dimensions=0)
