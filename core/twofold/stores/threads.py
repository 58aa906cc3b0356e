"""One flow for synchronous and asynchronous clients.

Functions that use a store, and the methods of stores, are synchronous. The async version of such a function runs it in
its own thread (`run_in_thread`). In that thread, `resolve` waits for the results of an asynchronous client on the
caller's event loop. In a synchronous call there is no such loop, and `resolve` returns its argument.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from contextlib import suppress
from contextvars import ContextVar, copy_context
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")


class _Caller:
    """The async twin that runs a thread: its event loop, whether it was cancelled, and what the thread waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.cancelled, self.sliced = loop, threading.Event(), False
        self._waiting: concurrent.futures.Future[Any] | None = None

    def wait(self, value: Awaitable[T]) -> T:
        """Wait for `value` on the event loop."""
        self._waiting = asyncio.run_coroutine_threadsafe(_await(value), self.loop)
        if self.cancelled.is_set():
            self.cancel()
        try:
            return cast("T", self._waiting.result())
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None

    def cancel(self) -> None:
        """End the flow: a sliced one at its next `check_cancelled`, any other at once."""
        self.cancelled.set()
        if not self.sliced and self._waiting is not None:
            self._waiting.cancel()


_CALLER: ContextVar[_Caller | None] = ContextVar("twofold_caller", default=None)


@overload
def resolve(value: Awaitable[T]) -> T: ...
@overload
def resolve(value: T) -> T: ...
def resolve(value: Any) -> Any:
    """Return `value`; wait for it first if it is awaitable, on the event loop of the async twin that runs this thread.

    Raises:
        RuntimeError: an awaitable outside an async twin: a synchronous function was given an asynchronous client.
    """
    if not isawaitable(value):
        return value
    caller = _caller()
    if caller is None:
        if iscoroutine(value):
            _discard(value)
        raise RuntimeError("an asynchronous client was given to a synchronous function: use its async twin")
    return caller.wait(value)


def invoke(target: object, method: str, *arguments: Any, **options: Any) -> Any:
    """Call `target.method(...)` and return its result; in the thread of an async twin, prefer `target.amethod(...)`."""
    call = getattr(target, f"a{method}", None) if _caller() is not None else None
    return resolve((call or getattr(target, method))(*arguments, **options))


def check_cancelled() -> None:
    """Stop here if the async twin that runs this thread was cancelled.

    A flow that writes calls it before each slice. From the first call on, a cancellation waits for the running slice.

    Raises:
        asyncio.CancelledError: the twin was cancelled.
    """
    caller = _CALLER.get()
    if caller is not None:
        caller.sliced = True
        if caller.cancelled.is_set():
            raise asyncio.CancelledError


async def run_in_thread(flow: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Run a synchronous function in a new thread, with the caller's context variables.

    The default executor is not used, since an asynchronous client may need it while the function waits for that client.
    A cancellation first ends the function: after the current slice if it calls `check_cancelled`, otherwise at once.
    """
    caller = _Caller(asyncio.get_running_loop())
    context = copy_context()
    context.run(_CALLER.set, caller)
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def work() -> None:
        try:
            result.set_result(context.run(flow, *arguments, **options))
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            result.set_exception(error)

    threading.Thread(target=work, name="twofold-store", daemon=True).start()
    waiting = asyncio.wrap_future(result)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        caller.cancel()
        while not waiting.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([waiting])
        if not waiting.cancelled():
            waiting.exception()  # else asyncio logs that nobody looked at it
        raise


def _caller() -> _Caller | None:
    """The twin that runs this thread; None on an event loop's thread, where waiting would block that loop."""
    caller = _CALLER.get()
    if caller is None:
        return None
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return caller
    return None


def _discard(value: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine that nobody will await, and those that it was given, so that Python does not warn of them."""
    frame = value.cr_frame  # type: ignore[attr-defined] # a coroutine, not an object that acts like one
    given = [one for one in frame.f_locals.values() if iscoroutine(one)] if frame is not None else []
    value.close()
    for one in given:
        _discard(one)


async def _await(value: Awaitable[T]) -> T:
    return await value
