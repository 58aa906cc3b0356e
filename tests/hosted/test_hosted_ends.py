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
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support import faultserver as fs
from support.faultserver import FaultServer, truth
from twofold import DeadlineExceeded, Embedder, InputError, ProviderError
from twofold.hosted import loop

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_another_async_library_than_asyncio_is_named() -> None:
    """As trio runs a coroutine: without an event loop of asyncio."""
    embedder = Embedder("jina:jina-embeddings-v3", api_key="k", base_url="http://127.0.0.1:9/v1")
    for _ in range(2):
        with pytest.raises(InputError, match=r"the async methods need asyncio.*trio\.to_thread\.run_sync"):
            embedder.aembed_query("a question").send(None)
        assert embedder.backend.provider == "jina"  # the second time, it exists already


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


# -- after the loop has ended -----------------------------------------------------------------------------------------

AT_EXIT = """
    import atexit, sys, time, warnings

    @atexit.register  # before ours, so it runs after
    def say_goodbye():
        started = time.monotonic()
        print("goodbye", embedder.embed_query("at exit").shape, time.monotonic() - started < 5)

    warnings.simplefilter("ignore")
    from twofold import Embedder

    class Owner:
        def __del__(self):
            try:
                embedder.embed_query("in a finalizer")
            except Exception as error:
                print(type(error).__name__, error)

    embedder = Embedder("jina:jina-embeddings-v3", base_url=sys.argv[1], api_key="k", dimensions=8, timeout=600)
    embedder.embed_query("before")
    owner = Owner()
    owner.itself = owner  # collected only when the interpreter ends
"""


def test_a_call_after_the_end_of_the_loop_works_or_fails_at_once() -> None:
    with FaultServer() as server:
        command = [sys.executable, "-c", textwrap.dedent(AT_EXIT), server.url]
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert output == (
        "goodbye (8,) True\n"
        "ProviderUnavailable Python is shutting down, and no request can be sent any more: "
        "embed before the program ends\n"
    )


@pytest.fixture
def own_loop() -> Iterator[None]:
    """A loop that a test may stop."""
    before = loop._home
    loop._left_behind.append(loop._Home())  # another generation than that of other tests
    loop._home = None
    yield
    if loop._home is not None:
        loop._left_behind.append(loop._home)
    loop._home = before


@pytest.mark.usefixtures("own_loop")
@pytest.mark.parametrize(
    "call",
    [lambda embedder: embedder.embed_query("a"), lambda embedder: asyncio.run(embedder.aembed_query("a"))],
    ids=["sync", "async"],
)
def test_a_loop_that_was_stopped_is_started_again(call: Any) -> None:
    with FaultServer(fs.silent) as server:
        embedder = make(server, timeout=600)
        outcome: list[BaseException] = []

        def work() -> None:
            try:
                call(embedder)
            except ProviderError as error:
                outcome.append(error)

        caller = threading.Thread(target=work)
        caller.start()
        eventually(lambda: server.count == 1)
        home = loop.home()
        home.call_soon_threadsafe(home.stop)
        caller.join(5)
        assert "was stopped by another part of the program" in str(outcome[0])
        server.behave = fs.Exchange.well
        assert call(embedder).shape == (8,)


@pytest.mark.usefixtures("own_loop")
@pytest.mark.parametrize(
    "call",
    [lambda embedder: embedder.embed_query("a"), lambda embedder: asyncio.run(embedder.aembed_query("a"))],
    ids=["sync", "async"],
)
def test_a_loop_that_is_blocked_does_not_hold_a_call_beyond_its_timeout(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "BLOCKED", 0.2)
    free = threading.Event()
    with FaultServer() as server:
        loop.home().call_soon_threadsafe(free.wait)
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="has not returned"):
            call(make(server, timeout=0.3))
        assert time.monotonic() - started < 3
        free.set()


def test_no_thread_can_be_started_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(loop, "_home", None)
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(ProviderError, match="Python is shutting down"):
        Embedder("jina:jina-embeddings-v3", api_key="k").embed_query("a")
