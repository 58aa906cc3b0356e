"""Requests become batches: who meets whom, who goes first, and what is not computed at all."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.held import POISON, HeldBackend, HeldEmbedder
from support.serving import serving
from twofold import Document
from twofold.models import BARE
from twofold.server import Limits
from twofold.server.gathering import Gatherer
from twofold.server.metrics import Metrics
from twofold.server.refusal import Refusal
from twofold.server.turns import QueuedRequest, Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Held:
    """A server whose engine is held by a first request, and clients that post to it meanwhile."""

    def __init__(self, url: str, embedder: HeldEmbedder) -> None:
        self.url, self.engine = url, embedder.held
        self.client = httpx.AsyncClient(base_url=url, timeout=30)
        self.posts: list[asyncio.Task[httpx.Response]] = []

    def post(self, texts: str | list[str], task: str = "document", key: str = "", **more: Any) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        body = {"input": texts, "task": task, **more}
        self.posts.append(asyncio.create_task(self.client.post("/v1/embeddings", json=body, headers=headers)))

    async def waiting(self, tokens: int, key: str = "") -> None:
        """Until so many tokens wait."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        for _ in range(1000):
            text = (await self.client.get("/metrics", headers=headers)).text
            if f'twofold_queue_tokens{{model="fake"}} {float(tokens)}' in text:
                return
            await asyncio.sleep(0.01)
        queue = next(line for line in text.splitlines() if line.startswith("twofold_queue_tokens{"))
        raise AssertionError(f"{queue}, not {tokens}")

    async def let_go(self) -> list[httpx.Response]:
        self.engine.gate.set()
        return await asyncio.gather(*self.posts)

    @property
    def batches(self) -> list[tuple[str, ...]]:
        """The texts of each batch, those that began while the engine was held."""
        return [call.texts for call in self.engine.calls if call.texts not in (("hold",), ("ready",))]


@asynccontextmanager
async def held(embedder: HeldEmbedder, key: str = "", **options: Any) -> AsyncIterator[Held]:
    with serving(embedder, **options) as url:
        here = Held(url, embedder)
        for _ in range(1000):
            if (await here.client.get("/.well-known/ready")).status_code == 204:
                break
            await asyncio.sleep(0.01)
        while here.engine.begun.acquire(blocking=False):
            pass
        here.engine.gate.clear()
        here.post("hold", key=key)
        assert await asyncio.to_thread(here.engine.begun.acquire, timeout=30)
        try:
            yield here
        finally:
            here.engine.gate.set()
            await here.client.aclose()


async def test_what_comes_meanwhile_meets_in_one_batch_and_each_gets_its_own() -> None:
    embedder = HeldEmbedder()
    async with held(embedder) as here:
        for number in range(8):
            here.post(f"text {number}", dimensions=8 + number, normalized=bool(number % 2))
        await here.waiting(16)
        answers = await here.let_go()
        assert len(here.batches) == 1
    for number, answer in enumerate(answers[1:]):
        (one,) = answer.json()["data"]
        alone = HeldEmbedder(dimensions=8 + number, normalize=bool(number % 2))
        assert np.array_equal(np.array(one["embedding"], np.float32), alone.embed_documents([f"text {number}"])[0])


async def test_queries_go_before_documents_but_documents_go_too() -> None:
    async with held(HeldEmbedder(batch_tokens=2)) as here:
        here.post([f"doc{number}" for number in range(4)])
        await here.waiting(4)
        for number in range(12):
            here.post(f"q{number}", task="query")
        await here.waiting(28)
        await here.let_go()
        first = [batch[0][0] for batch in here.batches]
    assert first == ["q"] * 4 + ["d"] + ["q"] * 4 + ["d"] + ["q"] * 4


async def test_a_client_of_few_texts_is_not_behind_all_of_another() -> None:
    embedder = HeldEmbedder(batch_tokens=4)
    async with held(embedder, key="large", api_keys=["large", "small"]) as here:
        here.post([f"many{number}" for number in range(40)], key="large")
        await here.waiting(40, "large")
        here.post(["few0", "few1"], key="small")
        await here.waiting(42, "large")
        await here.let_go()
        batches = here.batches
    assert sorted(batches[0]) == ["few0", "few1", "many0", "many1"]


async def test_a_small_request_is_not_behind_all_of_a_large_one_of_its_own_client() -> None:
    async with held(HeldEmbedder(batch_tokens=600)) as here:
        here.post([f"text {number} " + "word " * 98 for number in range(20)])
        await here.waiting(2000)
        here.post("small")
        await here.waiting(2001)
        await here.let_go()
        batches = here.batches
    assert [number for number, batch in enumerate(batches) if "small" in batch] == [1]
    assert len(batches) == 4


async def test_who_hangs_up_costs_no_work_that_has_not_begun() -> None:
    async with held(HeldEmbedder()) as here:
        here.post(["given", "up"])
        await here.waiting(2)
        here.post("kept")
        await here.waiting(3)
        here.posts[1].cancel()
        await here.waiting(1)
        del here.posts[1]
        await here.let_go()
        assert here.batches == [("kept",)]


async def test_a_bad_text_fails_its_own_request_alone() -> None:
    async with held(HeldEmbedder()) as here:
        here.post("good")
        here.post(["fine", f"a {POISON}"])
        here.post("well")
        await here.waiting(5)
        answers = await here.let_go()
    assert [answer.status_code for answer in answers] == [200, 200, 422, 200]
    assert answers[2].json()["detail"] == "document 1 is poisoned"


async def test_what_failed_or_was_refused_takes_no_place_in_the_queue() -> None:
    async with held(HeldEmbedder(batch_tokens=4)) as here:
        here.post([f"a {POISON}", *(f"text {number}" for number in range(20))])
        await here.waiting(42)
        answers = await here.let_go()
        assert answers[1].status_code == 422
        assert answers[1].json()["detail"] == "document 0 is poisoned"
        await here.waiting(0)
        assert len(here.batches) < 11, "what had not begun is not computed"


async def test_a_model_that_gives_too_few_vectors_is_found_out() -> None:
    class Short(HeldBackend):
        def embed(self, documents: Any, *arguments: Any, **named: Any) -> Any:
            rows = super().embed(documents, *arguments, **named)
            return rows[:-1] if len(rows) > 1 else rows

    embedder = HeldEmbedder()
    embedder.held = embedder._backend = Short(1000)
    async with held(embedder) as here:
        here.post(["a", "b"])
        here.post("c")
        await here.waiting(3)
        answers = await here.let_go()
    assert [answer.status_code for answer in answers] == [200, 500, 200]


async def test_beyond_the_queue_it_is_429_and_queries_are_taken_still() -> None:
    embedder = HeldEmbedder(batch_tokens=8)
    async with held(embedder, limits=Limits(queue_seconds=0.001)) as here:
        here.post(["a b c d"] * 8)  # 32 tokens: four batches, which may wait whatever the speed is
        await here.waiting(32)
        refused = await here.client.post("/v1/embeddings", json={"input": "one more", "task": "document"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert "32 tokens wait already" in refused.json()["error"]["message"]
        here.post("who asks", task="query")
        await here.waiting(35)
        answers = await here.let_go()
    assert {answer.status_code for answer in answers} == {200}


async def test_a_mounted_application_loads_at_the_first_request() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from twofold.server import create_app

    outer = Starlette(routes=[Mount("/inner", create_app(HeldEmbedder()))])
    transport = httpx.ASGITransport(app=outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.get("/inner/.well-known/ready")).status_code == 503
        answer = await client.post("/inner/v1/embeddings", json={"input": "a", "task": "query"})
        assert answer.status_code == 200
        assert (await client.get("/inner/.well-known/ready")).status_code == 204


def work(client: int, costs: list[int]) -> QueuedRequest:
    documents = [Document.whole("a") for _ in costs]
    nobody: Any = None
    return QueuedRequest(
        documents=documents,
        tokens=costs,
        task=BARE,
        truncate="error",
        dimensions=1,
        kept=None,
        client=client,
        urgent=False,
        done=nobody,
    )


COSTS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@given(st.lists(st.tuples(st.integers(0, 3), COSTS), max_size=12), st.integers(1, 30))
def test_turns_serve_everything_once_within_the_budget(asked: list[tuple[int, list[int]]], budget: int) -> None:
    turns, works = Turns(), [work(client, costs) for client, costs in asked]
    for one in works:
        turns.add(one)
    served = []
    while parts := turns.take(budget):
        assert len(parts) == 1 or sum(one.tokens[place] for one, place in parts) <= budget
        served += [(id(one), place) for one, place in parts]
    assert not turns
    assert sorted(served) == sorted((id(one), place) for one in works for place in range(len(one.tokens)))


@given(st.lists(st.integers(1, 9), min_size=30, max_size=30), st.integers(1, 30))
def test_turns_give_clients_that_both_wait_the_same_number_of_tokens(costs: list[int], budget: int) -> None:
    turns = Turns()
    for client in (0, 0, 1):
        turns.add(work(client, costs))
    given = [0, 0]
    while max(given) < sum(costs) / 2:
        for one, place in turns.take(budget):
            given[int(str(one.client))] += one.tokens[place]
    assert abs(given[0] - given[1]) <= 9 + budget


# -- admission --------------------------------------------------------------------------------------------------------


class Slow:
    """A gatherer whose engine takes a thousand tokens a second, by its own measurement. It never starts."""

    def __init__(self, *, batch_tokens: int = 16_384, queue_seconds: float = 10.0) -> None:
        embedder = HeldEmbedder(batch_tokens=batch_tokens)
        self.gatherer = Gatherer(embedder, Limits(queue_seconds=queue_seconds), Metrics(), "fake")
        self.gatherer._pace = 1 / 1000
        self.gatherer._thread = ThreadPoolExecutor(1)  # as of a local engine
        self.waiting: list[asyncio.Task[Any]] = []

    async def ask(self, client: str, tokens: int, *, urgent: bool = False) -> bool:
        """Whether a request of one document is admitted."""
        work = QueuedRequest(
            documents=[Document.whole("a")],
            tokens=[tokens],
            task=BARE,
            truncate="error",
            dimensions=8,
            kept=None,
            client=client,
            urgent=urgent,
            done=asyncio.get_running_loop().create_future(),
        )
        task = asyncio.create_task(self.gatherer.rows_of(work))
        await asyncio.sleep(0)
        if task.done():
            assert isinstance(task.exception(), Refusal)
            return False
        self.waiting.append(task)
        return True

    def batch(self) -> int:
        """The tokens of the next batch."""
        return sum(work.tokens[place] for work, place in self.gatherer._next_batch())

    def close(self) -> None:
        for task in self.waiting:
            task.cancel()


@pytest.fixture
def slow() -> Iterator[Slow]:
    found = Slow()
    yield found
    found.close()


async def test_a_bound_in_seconds_holds_for_a_slow_engine(slow: Slow) -> None:
    admitted = 0
    while await slow.ask("one", 500):
        admitted += 500
    assert admitted == 10_000
    assert slow.batch() <= 1000  # a query waits for at most one second of documents
    assert await slow.ask("one", 500)


async def test_a_full_queue_of_one_client_does_not_refuse_another(slow: Slow) -> None:
    while await slow.ask("greedy", 500):
        pass
    assert [await slow.ask(f"small {number}", 400) for number in range(5)] == [True] * 5
    assert not await slow.ask("greedy", 1)
    first = sum(slow.batch() for _ in range(5))
    assert first > 4 * 900
    assert not any(owed for client, owed in slow.gatherer._owed.items() if str(client).startswith("small"))


async def test_a_request_is_admitted_where_nothing_waits_however_long_it_takes(slow: Slow) -> None:
    assert await slow.ask("one", 100_000)
    assert not await slow.ask("one", 1)
    assert await slow.ask("one", 5, urgent=True)  # documents do not count against a query of another kind
    assert slow.batch() == 5
    assert slow.batch() == 100_000
    assert slow.gatherer._owed == {}


async def test_a_batch_of_an_engine_that_is_very_slow_has_a_floor(slow: Slow) -> None:
    slow.gatherer._pace = 1.0
    for _ in range(4):
        await slow.ask("one", 64)
    assert slow.batch() == 256
