"""Async twins: a synchronous flow in a thread, which waits for an asynchronous client on the caller's loop."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from contextvars import ContextVar
from typing import Any

import pytest

from twofold import InputError
from twofold.adapters import check_cancelled, invoke, resolve, run_in_thread
from twofold.stores import aadd_documents, aopen_collection, open_collection
from twofold.testing import FakeEmbedder, MemoryStore

NAME: ContextVar[str] = ContextVar("name", default="nobody")


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def test_what_a_client_returns_is_waited_for_on_the_callers_loop() -> None:
    loop, here = asyncio.get_running_loop(), threading.get_ident()

    async def where() -> tuple[Any, int]:
        return asyncio.get_running_loop(), threading.get_ident()

    def flow() -> tuple[Any, Any, int, int]:
        return *resolve(where()), resolve(double(4)), resolve(5)

    assert await run_in_thread(flow) == (loop, here, 8, 5)
    assert resolve(5) == 5


async def test_futures_and_tasks_are_waited_for() -> None:
    task = asyncio.create_task(double(3))
    assert await run_in_thread(lambda: resolve(task)) == 6


async def test_context_variables_reach_the_thread_and_the_client() -> None:
    async def name() -> str:
        return NAME.get()

    NAME.set("us")
    assert await run_in_thread(lambda: (NAME.get(), resolve(name()))) == ("us", "us")


async def test_errors_of_the_flow_and_of_the_client_are_the_callers() -> None:
    async def fail() -> None:
        raise InputError("not this")

    with pytest.raises(InputError, match="not this"):
        await run_in_thread(lambda: resolve(fail()))


def test_a_synchronous_flow_refuses_an_asynchronous_client() -> None:
    with pytest.raises(RuntimeError, match="use its async twin"):
        resolve(double(1))


async def test_a_flow_on_the_loops_own_thread_is_refused_rather_than_blocked() -> None:
    async def inner() -> None:
        resolve(double(1))

    with pytest.raises(RuntimeError, match="use its async twin"):
        await run_in_thread(lambda: resolve(inner()))


async def test_a_client_may_need_every_thread_of_the_default_executor() -> None:
    def flow() -> int:
        return sum(resolve(asyncio.to_thread(lambda: 1)) for _ in range(2))

    assert await asyncio.gather(*(run_in_thread(flow) for _ in range(40))) == [2] * 40


async def test_the_async_method_is_preferred_in_a_twin_alone() -> None:
    class Both:
        def ask(self) -> str:
            return "plain"

        async def aask(self) -> str:
            return "async"

    class Plain:
        def ask(self) -> str:
            return "plain"

    assert invoke(Both(), "ask") == "plain"
    assert await run_in_thread(invoke, Both(), "ask") == "async"
    assert await run_in_thread(invoke, Plain(), "ask") == "plain"


# -- cancelling -------------------------------------------------------------------------------------------------------


async def test_a_flow_that_only_reads_ends_at_once() -> None:
    started = asyncio.Event()

    async def slow() -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(run_in_thread(lambda: resolve(slow())))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_a_flow_that_writes_ends_after_its_slice() -> None:
    started, go, done = asyncio.Event(), asyncio.Event(), []

    async def write(number: int) -> None:
        started.set()
        await go.wait()
        done.append(number)

    def flow() -> None:
        for number in range(3):
            check_cancelled()
            resolve(write(number))

    task = asyncio.create_task(run_in_thread(flow))
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # impatience changes nothing
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [0]


async def test_whole_slices_stay_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.stores.writing.SLICE", 2)
    started = threading.Event()

    class Slow(MemoryStore):
        def upsert(self, rows: Any, vectors: Any) -> None:
            started.set()
            time.sleep(0.05)
            super().upsert(rows, vectors)

    store, embedder = Slow("", uuid.uuid4().hex), FakeEmbedder()
    await aopen_collection(store, embedder)
    ids = [f"d{number}" for number in range(100)]
    task = asyncio.create_task(aadd_documents(store, embedder, ids=ids, documents=ids))
    await asyncio.to_thread(started.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    written = store.count()
    assert 0 < written < 100
    assert written % 2 == 0
    await asyncio.sleep(0.1)
    assert store.count() == written


# -- stores -----------------------------------------------------------------------------------------------------------


def test_a_store_with_coroutine_methods_is_refused() -> None:
    class Coroutines(MemoryStore):
        async def find(self) -> bool:  # type: ignore[override]
            return True

    with pytest.raises(InputError, match="Coroutines has coroutine methods: make them plain"):
        open_collection(Coroutines("", "x"), FakeEmbedder())  # type: ignore[arg-type]
