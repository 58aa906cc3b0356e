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
import sys
import threading
import time
from concurrent.futures import wait
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from twofold.errors import DeadlineExceeded, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from twofold.hosted.exchange import Answer, Transport
    from twofold.hosted.flow import Flow
    from twofold.vectors import FloatArray

T = TypeVar("T")

BEAT = 0.5
"""Seconds between two checks for Ctrl-C, which does not wake a waiting thread on every system."""
LONGEST_SLEEP = 3600.0
BLOCKED = 2.0
"""Seconds after its deadline when a call ends although the loop does not answer."""
AT_THE_END = "Python is shutting down, and no request can be sent any more: embed before the program ends"
STOPPED = "the event loop of hosted calls was stopped by another part of the program: call again"
LEAVE_SECONDS = 1.0
"""Seconds that an interrupted call gets to close its connections."""


class _Home:
    """A loop and its thread.

    Raises:
        ProviderUnavailable: Python is shutting down, and no thread can be started.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="twofold-hosted", daemon=True)
        try:
            self.thread.start()
        except RuntimeError:
            self.loop.close()
            raise ProviderUnavailable(AT_THE_END) from None

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs its loop. At Python's end, threads stop without a trace."""
        return self.thread.is_alive() and not sys.is_finalizing()


_home: _Home | None = None
_lock = threading.Lock()
_left_behind: list[_Home] = []
"""Loops of parent processes, and loops that were stopped. They are kept: collecting one would remove the parent's
sockets from its selector, or warn of unfinished tasks."""


def home() -> asyncio.AbstractEventLoop:
    """The loop, started on first use, and again if it was stopped.

    Raises:
        ProviderUnavailable: Python is shutting down.
    """
    return _running().loop


def _running() -> _Home:
    global _home  # noqa: PLW0603 - one per process
    with _lock:
        if _home is not None and not _home.is_alive:
            _left_behind.append(_home)
            _home = None
        if _home is None:
            if sys.is_finalizing():
                raise ProviderUnavailable(AT_THE_END)
            _home = _Home()
        return _home


def generation() -> int:
    """How many loops this process has used before. What belongs to an earlier loop is not shared with a later one."""
    return len(_left_behind)


def is_home(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether `loop` is the loop of this process, and not of its parent."""
    return _home is not None and _home.loop is loop


def call(coroutine: Coroutine[Any, Any, T], seconds: float = inf) -> T:
    """Run a coroutine on the loop and wait for it. The calling thread may have a running event loop.

    Raises:
        ProviderUnavailable: Python is shutting down, or the loop was stopped.
        DeadlineExceeded: the coroutine should have ended after `seconds`, but the loop is blocked.
    """
    over, end = threading.Event(), time.monotonic() + seconds + BLOCKED
    running, future = _submit(coroutine, over)
    try:
        while not wait((future,), BEAT).done:
            _check_progress(running, end)
        return future.result()
    except BaseException:
        if future.cancel() and running.is_alive:  # Ctrl-C, or another exception that was thrown into this thread
            over.wait(LEAVE_SECONDS)
        raise


async def acall(coroutine: Coroutine[Any, Any, T], seconds: float = inf) -> T:
    """Like `call`, but await it from another loop. Cancelling one cancels the other."""
    end = time.monotonic() + seconds + BLOCKED
    running, future = _submit(coroutine, threading.Event())
    awaited = asyncio.wrap_future(future)
    try:
        while not (await asyncio.wait((awaited,), timeout=BEAT))[0]:
            _check_progress(running, end)
    except BaseException:
        future.cancel()
        raise
    return awaited.result()


def _submit(coroutine: Coroutine[Any, Any, T], over: threading.Event) -> tuple[_Home, Future[T]]:
    try:
        running = _running()
        return running, asyncio.run_coroutine_threadsafe(_signal_end(coroutine, over), running.loop)
    except BaseException:
        coroutine.close()
        raise


def _check_progress(running: _Home, end: float) -> None:
    if not running.is_alive:
        raise ProviderUnavailable(AT_THE_END if sys.is_finalizing() else STOPPED)
    if time.monotonic() > end:
        raise DeadlineExceeded("the timeout ran out, and a function that the call runs has not returned")


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
    """End the thread before the interpreter shuts down. A later call, of another atexit handler, starts a new one."""
    if _home is not None and _home.thread.is_alive():
        _home.loop.call_soon_threadsafe(_home.loop.stop)
        _home.thread.join(LEAVE_SECONDS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
