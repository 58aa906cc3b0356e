"""Jobs left with a batch API: nothing is lost or paid for twice, whatever is killed and whatever breaks off."""

from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.batchserver import BatchServer
from support.faultserver import truth
from support.processes import Child, batching
from twofold import Embedder, InputError, ProviderError, ProviderUnavailable, RequestRefused, SpaceMismatch
from twofold.cache import VectorCache
from twofold.hosted import batching as hosted_batching
from twofold.hosted.http import HttpTransport
from twofold.jobs import Item, batch, index, open_store, search, texts_to_embed
from twofold.jobs.batches import arrivals
from twofold.jobs.batches import run as batch_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")]
MODELS = {"openai": "openai:text-embedding-3-small", "jina": "jina:jina-embeddings-v5-text-small"}
TEXTS = [f"text {number}" for number in range(250)]
CANARY = arrivals.CANARY


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (batch_run, "FIRST_LOOK", 0.01),
        (batch_run, "LONGEST_LOOK", 0.02),
        (batch_run, "SETTLED", 0.05),
        (hosted_batching, "FIRST_WAIT", 0.01),
    ):
        monkeypatch.setattr(module, name, value)


def embedder_of(server: BatchServer, folder: Path, provider: str = "openai", **options: Any) -> Embedder:
    server.lists_as_jina = provider == "jina"
    return Embedder(
        MODELS[provider], base_url=server.url, api_key="k-canary-key", dimensions=8, cache=str(folder), **options
    )


def assert_cached(server: BatchServer, embedder: Embedder, texts: list[str], provider: str = "openai") -> None:
    """They come from the cache, and are right."""
    before = len(server.single)
    vectors = embedder.embed_documents(texts)
    assert len(server.single) == before
    task = None if provider == "openai" else "retrieval.passage"
    np.testing.assert_allclose(vectors, [truth(text, task, 8) for text in texts], atol=1e-6)


def small(monkeypatch: pytest.MonkeyPatch, lines: int) -> None:
    """Batches of so many lines."""
    whole = hosted_batching.Batches.__init__

    def init(self: Any, *given: Any) -> None:
        whole(self, *given)
        self.most_lines = lines

    monkeypatch.setattr(hosted_batching.Batches, "__init__", init)


@pytest.mark.parametrize("provider", MODELS)
def test_vectors_come_into_the_cache(tmp_path: Path, provider: str) -> None:
    with BatchServer() as server:
        embedder = embedder_of(server, tmp_path, provider)
        made = batch(embedder, [*TEXTS, *TEXTS[:10]])
        assert (made.done, made.cached, made.refused, made.under_way) == (250, 10, 0, 0)
        assert_cached(server, embedder, TEXTS, provider)
        assert server.single == [CANARY]
        assert {text: count for text, count in server.paid.items() if text != CANARY} == dict.fromkeys(TEXTS, 1)
        assert made.submitted == len(server.jobs) == (1 if provider == "openai" else 2)  # one to prove Jina's task
        again = batch(embedder, TEXTS)
        assert (again.done, again.cached, again.submitted) == (0, 250, 0)


@pytest.mark.parametrize("provider", MODELS)
def test_other_vectors_than_single_requests_give_are_not_kept(tmp_path: Path, provider: str) -> None:
    with BatchServer() as server:
        server.spoil = lambda vector: vector[::-1]
        embedder = embedder_of(server, tmp_path, provider)
        with pytest.raises(SpaceMismatch, match="differ from those of single requests"):
            batch(embedder, TEXTS)
        assert len(server.jobs) == 1
        assert sum(server.paid.values()) <= (251 if provider == "openai" else 100)
        embedder.embed_documents(TEXTS[:3])
        assert server.single == [CANARY, *TEXTS[:3]]
        with pytest.raises(SpaceMismatch):  # and nothing is submitted anew
            batch(embedder, TEXTS)
        assert len(server.jobs) == 1


@pytest.mark.parametrize("provider", MODELS)
def test_what_is_refused_is_left_to_single_requests(tmp_path: Path, provider: str) -> None:
    with BatchServer() as server:
        embedder = embedder_of(server, tmp_path, provider)
        made = batch(embedder, [*TEXTS[:20], "poison here"])
        assert (made.done, made.refused) == (20, 1)
        again = batch(embedder, [*TEXTS[:20], "poison here"])
        assert (again.done, again.refused, again.submitted) == (0, 0, 0)
        assert_cached(server, embedder, TEXTS[:20], provider)


@pytest.mark.parametrize("end", ["expired", "cancelled"])
@pytest.mark.parametrize("provider", MODELS)
def test_what_did_not_come_is_submitted_again(
    tmp_path: Path, provider: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_run, "FRUITLESS", 50)
    with BatchServer() as server:
        server.ends = [end, "completed", end]
        embedder = embedder_of(server, tmp_path, provider)
        made = batch(embedder, TEXTS)
        assert made.done == 250
        assert_cached(server, embedder, TEXTS, provider)
        assert max(count for text, count in server.paid.items() if text != CANARY) == 1


def test_batches_that_never_give_anything_end_the_run(tmp_path: Path) -> None:
    with BatchServer() as server:
        server.ends = ["failed"]
        with pytest.raises(ProviderUnavailable, match=r"batch_0 \(failed\) returned no vector: invalid_json_line: no"):
            batch(embedder_of(server, tmp_path), TEXTS)
        server.ends = ["cancelled"] * 9
        server.worked_on = lambda job: job.lines[:0]  # type: ignore[method-assign]
        with pytest.raises(ProviderUnavailable, match=r"\(cancelled\) returned no vector"):
            batch(embedder_of(server, tmp_path), TEXTS)
        assert len(server.jobs) == 4


def test_a_full_account_gets_fewer_and_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 100)
    with BatchServer(100) as server:
        server.ends = ["completed", "completed", "full", "completed", "full"]
        made = batch(embedder_of(server, tmp_path), TEXTS)
        assert made.done == 250
        assert [len(job.lines) for job in server.jobs.values()][:3] == [100, 100, 53]
    with BatchServer(100) as server:
        server.ends = ["full", "full"]
        assert batch(embedder_of(server, tmp_path / "other"), TEXTS[:80]).done == 80
        sizes = [len(job.lines) for job in server.jobs.values()]
        assert (sizes[:2], max(sizes[4:])) == ([81, 40], 19)


def test_stopping_leaves_the_batches_and_another_run_fetches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, 100)
    with BatchServer(100) as server:
        embedder = embedder_of(server, tmp_path)
        made = batch(embedder, TEXTS, stop=lambda: len(server.jobs) == 3)
        assert made.stopped
        assert made.under_way == 250
        made = batch(embedder, TEXTS)
        assert (made.submitted, made.done) == (0, 250)
        assert_cached(server, embedder, TEXTS)


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("fault", ["before", "after", 500, 429])
def test_a_submission_is_never_made_twice(tmp_path: Path, provider: str, fault: str | int) -> None:
    """The connection breaks off before, or after, the provider has taken the batch, or it says that it failed."""
    submit = {"openai": "/batches", "jina": "/batch/embeddings"}[provider]
    left = [fault]
    with BatchServer() as server:
        server.fault = lambda method, path: left.pop() if left and (method, path) == ("POST", submit) else None
        embedder = embedder_of(server, tmp_path, provider)
        assert batch(embedder, TEXTS).done == 250
        assert_cached(server, embedder, TEXTS, provider)
        assert {count for text, count in server.paid.items() if text != CANARY} == {1}


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("provider", MODELS)
def test_a_lost_submission_is_not_taken_for_another_of_the_same_size(
    tmp_path: Path, provider: str, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, 31)
    submit = {"openai": "/batches", "jina": "/batch/embeddings"}[provider]
    faults = iter([None, "after", "before", "after", None, "before", "after"])
    with BatchServer() as server:
        server.counts_early = early
        server.fault = lambda method, path: next(faults, None) if (method, path) == ("POST", submit) else None
        embedder = embedder_of(server, tmp_path, provider)
        assert batch(embedder, TEXTS).done == 250
        assert_cached(server, embedder, TEXTS, provider)
        assert {count for text, count in server.paid.items() if text != CANARY} == {1}


@pytest.mark.parametrize("fault", ["before", "after", 503, 429])
def test_every_other_request_may_fail_too(tmp_path: Path, fault: str | int) -> None:
    chance = random.Random(5)

    def now_and_then(_: str, path: str) -> str | int | None:
        return fault if path != "/embeddings" and chance.random() < 0.4 else None

    with BatchServer() as server:
        server.fault = now_and_then
        embedder = embedder_of(server, tmp_path)
        assert batch(embedder, TEXTS).done == 250
        assert {count for text, count in server.paid.items() if text != CANARY} == {1}


def test_what_no_time_mends_is_said(tmp_path: Path) -> None:
    with BatchServer() as server:
        server.fault = lambda _, path: 403 if path == "/files" else None
        with pytest.raises(RequestRefused, match="its batch API: 403 not now") as caught:
            batch(embedder_of(server, tmp_path), TEXTS)
        assert caught.value.status == 403
        server.fault = lambda _, path: 500 if path == "/files" else None
        with pytest.raises(ProviderUnavailable, match=r"unavailable for longer than 0\.1 s"):
            batch(embedder_of(server, tmp_path, max_outage=0.1), TEXTS)
        server.fault = lambda *_: None
        assert batch(embedder_of(server, tmp_path), TEXTS).done == 250


def test_results_that_are_gone_are_made_again(tmp_path: Path) -> None:
    gone = [404]
    with BatchServer() as server:
        server.fault = lambda _, path: gone.pop() if gone and path.endswith("/content") else None
        assert batch(embedder_of(server, tmp_path), TEXTS).done == 250
        assert len(server.jobs) == 2


def test_what_cannot_be_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with BatchServer() as server:
        embedder = embedder_of(server, tmp_path)
        with pytest.raises(InputError, match="a batch needs cache"):
            batch(Embedder(MODELS["openai"], base_url=server.url), TEXTS)
        with pytest.raises(InputError, match="only hosted models"):
            batch(Embedder("fake:", cache=str(tmp_path)), TEXTS)
        said = r"no batch API is supported for this model; supported are: jina \(jina-emb.*openai"
        with pytest.raises(InputError, match=said):
            batch(Embedder("jina:jina-embeddings-v3", cache=str(tmp_path), api_key="k"), TEXTS)
        with pytest.raises(InputError, match="read twice"):
            batch(embedder, iter(TEXTS))
        with pytest.raises(InputError, match="read twice"):
            batch(embedder, "a text")
        with pytest.raises(InputError, match="truncate='end'"):
            batch(embedder_of(server, tmp_path, "jina", truncate="end"), TEXTS)
        with pytest.raises(InputError, match="text 1 is blank"):
            batch(embedder, ["a text", " "])
        assert server.requests == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with BatchServer() as server:
        embedder, told = embedder_of(server, tmp_path), list[bool]()

        def stop() -> bool:
            if not told:
                told.append(True)
                with pytest.raises(InputError, match="another process is waiting"):
                    batch(embedder, TEXTS)
            return False

        assert batch(embedder, TEXTS, stop=stop).done == 250
    assert told


def test_an_index_run_finds_them(tmp_path: Path) -> None:
    items = [Item(f"d{number}", f"{text}. " * 30, {}) for number, text in enumerate(TEXTS[:30])]
    items += [Item("bad", "poison here", {}), Item("blank", " ", {})]
    with BatchServer() as server:
        embedder = embedder_of(server, tmp_path / "cache")
        with open_store(f"chroma:{tmp_path / 'store'}", "notes", embedder) as store:
            server.single.clear()  # canaries of the record
            texts = texts_to_embed(embedder, store, items, chunk_tokens=60)
            made = batch(embedder, texts)
            assert made.done >= 60
            before = len(server.single)
            letters = tmp_path / "letters"
            counts = index(embedder, store, items, chunk_tokens=60, on_error="skip", dead_letters=letters)
            assert (counts.added, counts.set_aside) == (31, 0)  # a single request takes what the batch refused
            assert server.single[before:] == ["poison here"]
            assert list(texts_to_embed(embedder, store, items, chunk_tokens=60)) == []
            assert search(embedder, store, "text 3", limit=1)


@pytest.mark.parametrize("provider", MODELS)
def test_killed_at_any_moment(tmp_path: Path, provider: str) -> None:
    """The process is killed at each request in turn, before or after it is carried out; the last one ends."""
    with BatchServer(100) as server:
        server.lists_as_jina = provider == "jina"
        children: list[Child] = []
        at = iter(range(1, 40, 3))
        left = [next(at)]

        def kill(method: str, _: str) -> str | None:
            left[0] -= 1
            if left[0]:
                return None
            children[-1].kill()
            return "after" if method == "POST" and len(children) % 2 else "before"

        server.fault = kill
        done = None
        while done is None:
            children.append(Child(batching, MODELS[provider], server.url, str(tmp_path)))
            done = children[-1].result()
            left[0] = next(at, 0)
        assert done >= 0
        assert len(children) > 3
        assert_cached(server, embedder_of(server, tmp_path, provider), TEXTS, provider)
        paid = {text: count for text, count in server.paid.items() if text != CANARY}
        assert paid == dict.fromkeys(TEXTS, 1)


def test_the_key_is_nowhere_on_disk(tmp_path: Path) -> None:
    with BatchServer() as server:
        batch(embedder_of(server, tmp_path), TEXTS[:5])
    for file in tmp_path.rglob("*"):
        assert b"k-canary-key" not in file.read_bytes()


def test_a_sync_client_of_ones_own_carries_batches_too(tmp_path: Path) -> None:
    import httpx

    with BatchServer() as server, httpx.Client() as client:
        embedder = Embedder(
            MODELS["openai"],
            base_url=server.url,
            api_key="k-canary-key",
            dimensions=8,
            cache=str(tmp_path),
            http_client=client,
        )
        assert batch(embedder, TEXTS[:20]).done == 20


def test_a_line_that_is_none_is_said(tmp_path: Path) -> None:
    with BatchServer() as server:
        server.results = lambda *_, **__: [{"custom_id": "x", "embedding": [1.0]}]  # type: ignore[method-assign]
        with pytest.raises(ProviderError):
            batch(embedder_of(server, tmp_path), TEXTS[:5])
        server.results = lambda *_, **__: [{"embedding": [1.0]}]  # type: ignore[method-assign]
        with pytest.raises(ProviderError, match="line 1 of a batch's results"):
            batch(embedder_of(server, tmp_path), TEXTS[:5])


def test_results_go_through_a_file(tmp_path: Path) -> None:
    """What a batch gives may be larger than memory."""
    seen: list[bool] = []
    plain = HttpTransport.send

    async def send(self: HttpTransport, request: Any, *rest: Any) -> Any:
        answer = await plain(self, request, *rest)
        if request.file is not None:
            seen.append(answer.body == b"")
        return answer

    with BatchServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpTransport, "send", send)
        batch(embedder_of(server, tmp_path), TEXTS[:20])
    assert seen
    assert all(seen)


def test_a_cache_that_cannot_be_written_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BatchServer() as server:
        embedder = embedder_of(server, tmp_path)
        batch(embedder, TEXTS[:1])
        file, connect = tmp_path / "vectors.sqlite", VectorCache._connect
        monkeypatch.setattr(VectorCache, "_connect", lambda _: sqlite3.connect(f"file:{file}?mode=ro", uri=True))
        with monkeypatch.context() as patch:
            patch.setattr(VectorCache, "__init__", lambda self, _: setattr(self, "_file", file))
            with pytest.raises(InputError, match=r"could not be written: .*readonly"):
                batch(embedder, TEXTS)
        monkeypatch.setattr(VectorCache, "_connect", connect)
        assert batch(embedder, TEXTS).done == 249
        assert {count for text, count in server.paid.items() if text != CANARY} == {1}
