"""Indexing through Daft on this machine: what is in the store is what a local run would have put there."""

from __future__ import annotations

import pickle
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support import faultserver as fs
from support.faultserver import FaultServer
from twofold import Embedder, EngineError, InputError, RequestRefused
from twofold.errors import OutputError, ProviderError, TwofoldError
from twofold.jobs import Budget, Counts, Item, index
from twofold.jobs.distributed import Engine, places
from twofold.jobs.distributed.answers import embed_each, pack, unpack
from twofold.jobs.distributed.places import Sent
from twofold.stores import open_collection
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from twofold import Document
    from twofold.jobs.distributed.answers import Answer
    from twofold.stores import Store

SENTENCE = "The keeper of lighthouse {} counts ships. Fog comes in at nine. Nobody answers the radio any more."
ITEMS = [Item(f"d{number}", SENTENCE.format(number), {"n": number}) for number in range(40)]
LONG = "\n\n".join(SENTENCE.format(f"{number} of many") for number in range(30))
"""Several sections of `SECTION` characters."""
SECTION = 1000


@pytest.fixture(scope="module")
def daft() -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DO_NOT_TRACK", "1")
        yield Engine()


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen documents in a query, three in a slice: a run has several of both."""
    monkeypatch.setattr("twofold.jobs.distributed.ahead.FIRST_CHARACTERS", 1200)
    monkeypatch.setattr("twofold.jobs.distributed.ahead.MOST_CHARACTERS", 1200)
    monkeypatch.setattr("twofold.jobs.long.FIRST_TOKENS", 60)
    monkeypatch.setattr("twofold.jobs.long.MAX_TOKENS", 60)
    monkeypatch.setattr("twofold.jobs.chunking.SECTION", SECTION)


def new_store(embedder: Embedder) -> Store:
    store = MemoryStore("engine", uuid.uuid4().hex)
    open_collection(store, embedder)
    return store


def rows(store: Store) -> dict[str, tuple[Any, bytes]]:
    return {one.row.id: (one.row, one.vector.tobytes()) for one in store.get([row.id for row in scan_rows(store)])}


@pytest.mark.parametrize(
    "options",
    [{}, {"chunk_tokens": 12}, {"chunk_tokens": 12, "late_chunking": True}],
    ids=["whole", "chunks", "late"],
)
def test_the_store_holds_what_a_local_run_would_have_written(daft: Engine, options: dict[str, Any]) -> None:
    embedder = FakeEmbedder()
    items = [*ITEMS, Item("blank", "  "), Item("same", ITEMS[3].text), *([Item("long", LONG)] if options else [])]
    here, there = new_store(embedder), new_store(embedder)
    assert index(embedder, there, items, engine=daft, **options) == index(embedder, here, items, **options)
    assert rows(there) == rows(here)
    assert index(embedder, there, items, **options).skipped == len(items) - 1


def test_what_is_there_is_not_mapped_and_what_changed_is(daft: Engine) -> None:
    embedder = FakeEmbedder()
    store = new_store(embedder)
    index(embedder, store, ITEMS[:20])
    embedder.calls.clear()
    changed = [Item("d3", "Something else now."), *ITEMS[4:]]
    assert index(embedder, store, changed, engine=daft, prune=True) == Counts(
        added=20, updated=1, skipped=16, rows=21, tokens=20 * 18 + 3, gone=3, pruned=3
    )
    embedded = {text for call in embedder.calls for text in call.texts}
    assert embedded == {"Something else now.", *(item.text for item in ITEMS[20:])}


def test_a_stop_ends_after_the_slice_in_hand_and_a_run_without_the_engine_goes_on(daft: Engine) -> None:
    embedder = FakeEmbedder()
    store = new_store(embedder)
    stops = iter([False, False, False, True])
    stopped = index(embedder, store, ITEMS, engine=daft, stop=lambda: next(stops, True))
    there = store.count()
    assert (stopped.stopped, stopped.added) == (True, there)
    assert 2 <= there <= 6  # two slices of up to three
    left = 40 - there
    assert index(embedder, store, ITEMS) == Counts(added=left, skipped=there, rows=left, tokens=left * 18, gone=0)


KILLED = """
import os, sys
from twofold.jobs import Item, index, long, open_store
from twofold.jobs.distributed import Engine
from twofold.testing import FakeEmbedder

long.FIRST_TOKENS = long.MAX_TOKENS = 60
embedder = FakeEmbedder()
items = [Item(f"d{number}", sys.argv[2].format(number), {"n": number}) for number in range(40)]
with open_store(sys.argv[1], "docs", embedder) as store:
    upsert, left = store.upsert, iter(range(3))
    store.upsert = lambda rows, vectors: upsert(rows, vectors) if next(left, None) is not None else os._exit(9)
    index(embedder, store, items, engine=Engine())
"""


def test_a_killed_driver_loses_no_more_than_what_was_under_way(tmp_path: Path, daft: Engine) -> None:
    from twofold.jobs import open_store

    address = f"chroma:{tmp_path}"
    killed = subprocess.run([sys.executable, "-c", KILLED, address, SENTENCE], check=False, timeout=120)
    assert killed.returncode == 9
    embedder = FakeEmbedder()
    with open_store(address, "docs", embedder) as store:
        there = store.count()
        assert 1 <= there <= 9  # three slices of up to three
        assert index(embedder, store, ITEMS, engine=daft).added == 40 - there


def hosted(server: FaultServer, **options: Any) -> Embedder:
    given: dict[str, Any] = {"dimensions": 32, "base_url": server.url, "api_key": "jina_canary-of-the-engine"}
    return Embedder("jina:jina-embeddings-v3", **{**given, **options})


def test_a_poison_document_costs_itself(daft: Engine, tmp_path: Path) -> None:
    bad = Item("bad", "this is POISON", source="x.md")
    letters = tmp_path / "letters.jsonl"
    with FaultServer(fs.poison("POISON")) as server:
        embedder = hosted(server)
        store = new_store(embedder)
        counts = index(embedder, store, [*ITEMS, bad], engine=daft, on_error="skip", dead_letters=letters)
        assert (counts.added, counts.set_aside, store.count()) == (40, 1, 40)
        assert '"id": "bad"' in letters.read_text()


def test_a_refused_key_ends_the_run_and_is_not_said(daft: Engine) -> None:
    with FaultServer() as server:
        embedder = hosted(server)
        store = new_store(embedder)
        server.behave = fs.status(401, "bad key jina_canary-of-the-engine")
        with pytest.raises(RequestRefused, match="401") as refused:
            index(embedder, store, ITEMS, engine=daft, on_error="skip")
    assert refused.value.status == 401
    assert "canary" not in str(refused.value)


def test_a_query_that_fails_as_a_whole_is_begun_again(daft: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, whole, failures = FakeEmbedder(), Engine.map, iter(range(2))

    def failing(self: Engine, embedder: Embedder, documents: Sequence[Document]) -> Iterator[list[Answer]]:
        answers = whole(self, embedder, documents)
        yield next(answers)
        if next(failures, None) is not None:
            raise RuntimeError("a node is gone")
        yield from answers

    monkeypatch.setattr(Engine, "map", failing)
    here, there = new_store(embedder), new_store(embedder)
    index(embedder, here, ITEMS)
    assert index(embedder, there, ITEMS, engine=daft).added == 40
    assert rows(there) == rows(here)


def test_an_engine_that_fails_again_and_again_is_given_up(daft: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Iterator[list[Answer]]:
        raise RuntimeError("no memory")
        yield []

    embedder = FakeEmbedder()
    store = new_store(embedder)
    monkeypatch.setattr(Engine, "map", failing)
    with pytest.raises(EngineError, match="failed 3 times on the same documents; last: RuntimeError: no memory"):
        index(embedder, store, ITEMS, engine=daft)


def test_what_cannot_be_is_refused_before_any_work(daft: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="at_once=0"):
        Engine(at_once=0)
    embedder = Embedder("jina:jina-embeddings-v3", api_key="k")
    with pytest.raises(InputError, match="api_key stays in its process"):
        embedder.check_travels()
    with pytest.raises(InputError, match="http_client stays"):
        Embedder("jina:jina-embeddings-v3", http_client=object()).check_travels()
    with FaultServer() as server:
        paying = hosted(server)
        with pytest.raises(InputError, match="leave out the engine or the budget"):
            index(paying, new_store(paying), ITEMS, engine=daft, budget=Budget(tokens=10**9))
    monkeypatch.setattr(daft, "address", "auto")
    with pytest.raises(InputError, match="api_key stays in its process"):
        daft.calls(embedder)


@pytest.mark.usefixtures("daft")
def test_a_process_has_one_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    from daft import runners

    monkeypatch.setattr(runners, "get_or_infer_runner_type", lambda: "ray")
    with pytest.raises(EngineError, match="already uses Daft's ray runner"):
        Engine()


# -- a batch in a worker ----------------------------------------------------------------------------------------------


def test_errors_travel_as_they_are() -> None:
    vectors = FakeEmbedder().embed_documents(["one", "two"])
    sent: list[Answer] = [
        vectors,
        InputError("text 3 is bad", index=3),
        RequestRefused("no", status=422, request_id="r"),
        OutputError("NaN"),
    ]
    got = unpack(pack(sent), 64)
    assert np.array_equal(np.asarray(got[0]), vectors)
    for before, after in zip(sent[1:], got[1:], strict=True):
        assert isinstance(after, TwofoldError)
        assert (type(after), str(after), vars(after)) == (type(before), str(before), vars(before))


def test_an_error_that_is_of_no_row_is_each_ones_that_has_no_vector() -> None:
    vector = FakeEmbedder().embed_documents(["one"])

    def embed(_: Sequence[str]) -> list[Any]:
        raise ProviderError("away", status=503, partial={1: vector}, failed={0: "not sent"})

    first, second, third = embed_each(embed, ["a", "b", "c"])
    assert second is vector
    assert [str(first), str(third)] == ["not sent", "away"]


def test_each_process_uses_its_part_of_a_hosted_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    from twofold.hosted import limiter

    monkeypatch.setenv("JINA_API_KEY", "jina_canary-of-the-engine")
    embedder = Embedder("jina:jina-embeddings-v3", concurrency=8)
    sent = Sent(pickle.dumps(embedder), part=0.25)
    assert b"canary" not in pickle.dumps(sent)
    try:
        with places.places(sent).one() as there:
            assert there.settings.concurrency == 2
            assert limiter.limiter_for("quota.example", None).part == 0.25
        assert places.places(sent) is places.places(sent)
    finally:
        limiter.take_part(1.0)


def test_a_process_has_a_place_for_each_gpu_or_group_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pickle.dumps(FakeEmbedder(dimensions=16))

    def devices(at_once: int | None) -> list[str]:
        places._places.cache_clear()
        free = places.places(Sent(sent, at_once=at_once))._free
        return [free.get().settings.device for _ in range(free.qsize())]

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 2, 3}, raising=False)
    monkeypatch.setattr(places, "_devices", lambda: 0)
    assert devices(None) == ["auto"] * 3
    assert devices(2) == ["auto"] * 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert devices(None) == ["auto"]
    monkeypatch.setattr(places, "_devices", lambda: 2)
    assert devices(None) == ["cuda:0", "cuda:1"]
    assert devices(3) == ["cuda:0", "cuda:1", "cuda:0"]
    monkeypatch.setattr(places, "_devices", lambda: 1)
    assert devices(None) == ["auto"]


def test_a_plan_holds_no_key(daft: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import cloudpickle

    monkeypatch.setenv("JINA_API_KEY", "jina_canary-of-the-engine")
    for key in (None, "jina_canary-of-the-engine"):
        embedder = Embedder("jina:jina-embeddings-v3", api_key=key)
        mapper = daft._mapper(places.send(embedder), 10)
        pickled: Any = cloudpickle
        assert b"canary" not in pickled.dumps(mapper._method)
        assert "canary" not in repr(mapper)
