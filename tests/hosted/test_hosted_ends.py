"""How calls end early: cancelled, interrupted, in a forked child. No thread, task or socket is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import numpy as np
import pytest

from support import faultserver as fs
from support.faultserver import FaultServer, truth
from twofold import DeadlineExceeded, Embedder

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")


def make(server: FaultServer, **options: Any) -> Embedder:
    defaults: dict[str, Any] = {"dimensions": 8, "base_url": server.url, "api_key": "k", "timeout": 30}
    return Embedder("jina:jina-embeddings-v3", **{**defaults, **options})


def ours() -> list[threading.Thread]:
    """Threads that carry requests; the hosted loop's own is for good."""
    return [thread for thread in threading.enumerate() if thread.name == "twofold-blocking"]


def eventually(condition: Any, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_cancelled_call_leaves_nothing() -> None:
    with FaultServer(fs.first(fs.Exchange.well, 0)) as server:
        embedder = make(server, batch_tokens=10)
        await embedder.aembed_documents(["warm up"])
        server.behave = fs.silent
        await asyncio.to_thread(int)  # starts the loop's own thread
        tasks = asyncio.all_tasks()
        call = asyncio.create_task(embedder.aembed_documents([f"some words {number}" for number in range(8)]))
        await asyncio.to_thread(eventually, lambda: server.count == 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert asyncio.all_tasks() == tasks
        eventually(lambda: len(server.open_connections) == 0)
        server.behave = fs.Exchange.well
        vector = await embedder.aembed_query("again")
        np.testing.assert_allclose(vector, truth("again", "retrieval.query", 8), atol=1e-6)


async def test_the_callers_own_timeout_works_too() -> None:
    with FaultServer(fs.silent) as server:
        embedder = make(server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await embedder.aembed_query("never")
        eventually(lambda: len(server.open_connections) == 0)


def test_one_connection_serves_event_loops_and_threads_and_closes_with_its_embedder() -> None:
    with FaultServer() as server:
        embedder = make(server)

        async def twice(embedder: Embedder) -> None:
            await embedder.aembed_query("one")
            await embedder.aembed_query("two")

        asyncio.run(twice(embedder))
        asyncio.run(twice(embedder))  # another loop, the same embedder
        embedder.embed_query("three")
        assert server.most_open == 1
        del embedder
        gc.collect()
        eventually(lambda: len(server.open_connections) == 0)


@pytest.mark.parametrize("fault", [fs.silent, fs.slowly(head=True), fs.slowly(head=False)])
@pytest.mark.parametrize(
    "call",
    [lambda embedder: embedder.embed_query("a"), lambda embedder: asyncio.run(embedder.aembed_query("a"))],
    ids=["sync", "async"],
)
def test_the_deadline_leaves_no_thread(fault: Any, call: Any) -> None:
    with FaultServer(fault) as server:
        embedder, started = make(server, timeout=0.4), time.monotonic()
        with pytest.raises(DeadlineExceeded):
            call(embedder)
        assert time.monotonic() - started < 1.4
    eventually(lambda: not ours(), 1.0)


def test_the_deadline_ends_a_request_on_a_connection_that_was_open_before() -> None:
    with FaultServer() as server:
        embedder = make(server, timeout=0.6)
        embedder.embed_query("opens it")
        server.behave = fs.slowly(head=True)
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            embedder.embed_query("trickles")
        assert time.monotonic() - started < 1.6
        eventually(lambda: not ours(), 1.0)


INTERRUPTED = """
    import signal, threading, time, sys
    from twofold import Embedder

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored

    embedder = Embedder("jina:jina-embeddings-v3", base_url=sys.argv[1], api_key="k", batch_tokens=10, timeout=60)
    try:
        embedder.embed_documents([f"some words {number}" for number in range(8)])
    except KeyboardInterrupt:
        from twofold.hosted.loop import home
        tasks = [task for task in __import__("asyncio").all_tasks(home()) if not task.done()]
        print(sorted(thread.name for thread in threading.enumerate()), len(tasks))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send")
def test_ctrl_c_leaves_nothing_under_way() -> None:
    def behave(exchange: fs.Exchange) -> None:
        if exchange.number == 0:
            exchange.well()
        else:
            fs.silent(exchange)

    with FaultServer(behave) as server:
        command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            eventually(lambda: server.count >= 4, 30)
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
    assert output == "['MainThread', 'twofold-hosted'] 0\n"
    assert time.monotonic() - started < 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections() -> None:
    with FaultServer() as server:
        embedder = make(server)
        embedder.embed_query("in the parent")
        child = os.fork()
        if child == 0:
            try:
                vector = embedder.embed_query("in the child")
                os._exit(not np.allclose(vector, truth("in the child", "retrieval.query", 8), atol=1e-6))
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        vector = embedder.embed_query("in the parent")
        np.testing.assert_allclose(vector, truth("in the parent", "retrieval.query", 8), atol=1e-6)
        assert server.exchanges[0].connection.fileno() == server.exchanges[2].connection.fileno()


async def test_sync_calls_work_inside_an_event_loop() -> None:
    with FaultServer() as server:
        vector = make(server).embed_query("from a notebook")
    np.testing.assert_allclose(vector, truth("from a notebook", "retrieval.query", 8), atol=1e-6)


def test_one_embedder_in_many_threads() -> None:
    wrong: list[str] = []
    with FaultServer() as server:
        embedder = make(server, batch_tokens=10)

        def work(name: int) -> None:
            texts = [f"text {name} {number}" for number in range(6)]
            right = [truth(text, "retrieval.passage", 8) for text in texts]
            if not np.allclose(embedder.embed_documents(texts), right, atol=1e-6):
                wrong.append(str(name))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert embedder.backend.usage.requests == server.count  # type: ignore[attr-defined]
