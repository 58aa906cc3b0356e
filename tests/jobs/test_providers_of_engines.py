"""Twofold in Daft's data frames and Ray Data's datasets."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support import faultserver as fs
from support.faultserver import FaultServer
from twofold import Embedder, InputError, RequestRefused
from twofold.jobs.distributed import EmbedBatch
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.vectors import FloatArray

TEXTS = ["one", "two", None, "word " * 600, "three"]


@pytest.fixture(autouse=True)
def _untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    monkeypatch.setenv("DAFT_PROGRESS_BAR", "0")


def through_daft(provider: Any, texts: Sequence[str | None] = TEXTS, **options: Any) -> list[Any]:
    import daft
    from daft.functions import embed_text

    frame = daft.from_pydict({"text": list(texts)})
    vectors = frame.select(embed_text(frame["text"], provider=provider, **options).alias("vector"))
    found: list[Any] = vectors.to_pydict()["vector"]
    return found


def provider(embedder: Embedder | None = None, **options: Any) -> Any:
    from twofold.jobs.distributed.provider import TwofoldProvider

    return TwofoldProvider(embedder, **options)


def same(got: Any, wanted: FloatArray) -> bool:
    return np.array_equal(np.asarray(got, np.float32), wanted)


@pytest.mark.parametrize(("on_error", "said"), [("log", 1), ("ignore", 0)])
def test_a_row_that_cannot_be_embedded_costs_itself(on_error: str, said: int, caplog: pytest.LogCaptureFixture) -> None:
    embedder = FakeEmbedder()
    one, two, nothing, poison, three = through_daft(provider(embedder), on_error=on_error)
    assert nothing is None
    assert poison is None
    assert same([one, two, three], embedder.embed_documents(["one", "two", "three"]))
    assert sum("skipped a row" in record.message for record in caplog.records) == said


def test_by_default_it_ends_the_query_and_is_named() -> None:
    with pytest.raises(InputError, match="text 3 has 600 tokens"):
        through_daft(provider(FakeEmbedder()))


def test_sides_tasks_models_and_sizes() -> None:
    import daft

    embedder, texts = FakeEmbedder(), ["one", "two"]
    assert same(through_daft(provider(embedder, side="query"), texts), embedder.embed_queries(texts))
    assert same(through_daft(provider(embedder, task="topic"), texts), embedder.embed(texts, task="topic"))
    small = embedder.with_options(dimensions=16)
    assert same(through_daft(provider(embedder), texts, dimensions=16), small.embed_documents(texts))
    daft.attach_provider(provider(name="ours"))
    assert same(through_daft("ours", texts, model="fake:", batch_size=1), embedder.embed_documents(texts))


def test_two_processes_give_the_same() -> None:
    embedder, texts = FakeEmbedder(), [f"text {number}" for number in range(20)]
    assert same(through_daft(provider(embedder), texts, concurrency=2, batch_size=3), embedder.embed_documents(texts))


def test_wrong_options_are_named() -> None:
    keyed = Embedder("jina:jina-embeddings-v3", api_key="k")
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: provider(side="both"), "side='both': choose"),
        (lambda: provider(FakeEmbedder(), task="no-such"), "no-such"),
        (lambda: provider().get_text_embedder(), "no model"),
        (lambda: provider(FakeEmbedder()).get_text_embedder(on_error="x"), "on_error='x': choose"),
        (lambda: provider(FakeEmbedder()).get_text_embedder(speed=1), "options speed: Daft's are"),
        (lambda: provider(keyed).get_text_embedder(concurrency=2), "stays in its process"),
    ]
    for act, match in wrong:
        with pytest.raises(InputError, match=match):
            act()


def test_a_descriptor_holds_no_key_and_a_key_that_was_given_is_used_in_this_process() -> None:
    with FaultServer(fs.poison("POISON")) as server:
        embedder = Embedder(
            "jina:jina-embeddings-v3", base_url=server.url, api_key="jina_canary-of-daft", dimensions=32
        )
        descriptor = provider(embedder).get_text_embedder()
        assert "canary" not in repr(descriptor)
        assert b"canary" not in pickle.dumps(descriptor)
        assert (descriptor.get_provider(), descriptor.get_model()) == ("twofold", "jina:jina-embeddings-v3")
        assert descriptor.get_options() == {"side": "document", "task": None, "on_error": "raise"}
        one, poison = through_daft(provider(embedder), ["one", "POISON"], on_error="ignore")
        assert poison is None
        assert same(one, embedder.embed_documents(["one"])[0])
        assert server.exchanges[0].headers["authorization"] == "Bearer jina_canary-of-daft"
        server.behave = fs.status(401)
        with pytest.raises(RequestRefused, match="401"):
            through_daft(provider(embedder), ["two"], on_error="ignore")


# -- Ray Data ---------------------------------------------------------------------------------------------------------


def test_a_batch_gets_its_vectors_and_a_bad_row_its_reason() -> None:
    import pyarrow as pa

    embedder = FakeEmbedder()
    batch = {"text": np.array(TEXTS, object), "n": np.arange(5), "box": np.ones((5, 2))}
    table = EmbedBatch(embedder)(batch)
    assert table.column_names == ["text", "n", "box", "vector", "error"]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 64)
    one, two, nothing, poison, three = table["vector"].to_pylist()
    assert (nothing, poison) == (None, None)
    assert same([one, two, three], embedder.embed_documents(["one", "two", "three"]))
    assert table["error"].to_pylist()[0] is None
    assert "is of type NoneType" in table["error"].to_pylist()[2]
    assert "600 tokens" in table["error"].to_pylist()[3]


def test_columns_sides_and_tasks() -> None:
    import pyarrow as pa

    embedder, texts = FakeEmbedder(), ["one", "two"]
    asked = pa.table({"question": texts})
    queries = EmbedBatch(embedder, column="question", vector="v", error="e", side="query")(asked)
    assert queries.column_names == ["question", "v", "e"]
    assert same(queries["v"].to_pylist(), embedder.embed_queries(texts))
    topics = EmbedBatch(embedder, column="question", task="topic")(asked)
    assert same(topics["vector"].to_pylist(), embedder.embed(texts, task="topic"))


def test_what_is_of_no_row_is_raised() -> None:
    with FaultServer(fs.status(401)) as server:
        embedder = Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key_env="NO_SUCH_KEY", dimensions=32)
        with pytest.raises(RequestRefused, match="401"):
            EmbedBatch(embedder, actors=4)({"text": np.array(["one"], object)})
