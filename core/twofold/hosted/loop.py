"""The event loop of this process's hosted calls, on its own daemon thread, and the runner of a call's flow.

Sync and async calls share one implementation: both submit a coroutine to this loop and wait for its result. Only this
thread touches what hosted calls share: limiters, connections, what was learnt about a provider. So there is no lock
that a fork could leave held. A forked child starts its own loop.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
from concurrent.futures import wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twofold.hosted.exchange import Answer, Transport
    from twofold.hosted.flow import Flow
    from twofold.vectors import FloatArray

T = TypeVar("T")

BEAT = 0.5
"""Seconds between two checks for Ctrl-C, which does not wake a waiting thread on every system."""
LONGEST_SLEEP = 3600.0
LEAVE_SECONDS = 1.0
"""Seconds that an interrupted call gets to close its connections."""


class _Home:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="twofold-hosted", daemon=True)
        self.thread.start()


_home: _Home | None = None
_lock = threading.Lock()
_left_behind: list[_Home] = []
"""Loops of parent processes. They are kept: collecting one would remove the parent's sockets from its selector."""


def home() -> asyncio.AbstractEventLoop:
    """The loop, started on first use."""
    global _home  # noqa: PLW0603 - one per process
    with _lock:
        if _home is None:
            _home = _Home()
        return _home.loop


def is_home(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether `loop` is the loop of this process, and not of its parent."""
    return _home is not None and _home.loop is loop


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop and wait for it. The calling thread may have a running event loop."""
    over = threading.Event()
    future = asyncio.run_coroutine_threadsafe(_signal_end(coroutine, over), home())
    try:
        while not wait((future,), BEAT).done:
            pass
        return future.result()
    except BaseException:
        if future.cancel():  # Ctrl-C, or another exception that was thrown into this thread
            over.wait(LEAVE_SECONDS)
        raise


async def acall(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop and await it from another loop. Cancelling one cancels the other."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, home()))


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that may block, on a daemon thread. If it never returns, no call and no process hangs."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_result(value) if error is None else future.set_exception(error)

    def work() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = context.run(function, *arguments), None
        except BaseException as error:  # noqa: BLE001 - raised to whoever awaits it
            outcome = None, error
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, name="twofold-blocking", daemon=True).start()
    return await future


async def carry_out(
    flow: Flow, transport: Transport, seconds: float, caller: asyncio.AbstractEventLoop | None
) -> FloatArray:
    """Run a flow. No task is left when this returns or raises."""
    running: set[asyncio.Task[Answer]] = set()
    steps, line, loop = flow.run(), flow.limiter.line, asyncio.get_running_loop()
    room = loop.create_future()  # settled when the end of another call's request makes room
    room.cancel()
    try:
        step = next(steps)
        while True:
            running |= {asyncio.create_task(transport.send(request, seconds, caller)) for request in step.send}
            if not step.others:
                room.cancel()
            elif room.done():
                room = loop.create_future()
                line.append(room)
            awaited: set[asyncio.Future[Any]] = {*running, room} if step.others else {*running}
            wait = min(step.wait, LONGEST_SLEEP)
            if awaited:
                await asyncio.wait(awaited, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(wait)
            done = {task for task in running if task.done()}
            running -= done
            step = steps.send([task.result() for task in done])
    except StopIteration as end:
        vectors: FloatArray = end.value
        return vectors
    finally:
        steps.close()
        room.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _signal_end(coroutine: Coroutine[Any, Any, T], over: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        over.set()


def _after_fork() -> None:
    global _home, _lock
    if _home is not None:
        _left_behind.append(_home)
    _home, _lock = None, threading.Lock()


@atexit.register
def _stop() -> None:
    """End the thread before the interpreter shuts down."""
    if _home is not None:
        _home.loop.call_soon_threadsafe(_home.loop.stop)
        _home.thread.join(LEAVE_SECONDS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
