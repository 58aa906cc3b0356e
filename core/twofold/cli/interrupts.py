"""Ctrl-C. The first one ends the work within two seconds, after the current slice if possible; the second at once.

Slices are written completely or not at all, and another run continues after them: exiting in the middle of a slice
loses only that slice.
"""

from __future__ import annotations

import _thread
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = 130
FINISHING = 1.0
"""Seconds for the current slice. After them, `KeyboardInterrupt` is raised in the main thread."""
LEAVING = 0.5
"""Seconds after that to close files and connections. Then the process exits."""


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Exit immediately on Ctrl-C: during imports, and in commands that write nothing."""
    with _handling(lambda *_: leave()):
        yield


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C was pressed, for work that is done slice by slice.

    Raises:
        KeyboardInterrupt: the current slice took longer than `FINISHING`.
    """
    asked, hurrying, over = threading.Event(), threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        if hurrying.is_set():
            hurrying.clear()
            raise KeyboardInterrupt
        if asked.is_set():
            leave()
        asked.set()
        wake.send(bytes([signal.SIGINT]))
        with suppress(OSError, RuntimeError, AttributeError):  # standard error is missing, or in use at this moment
            sys.stderr.write("\nstopping after the current slice; press Ctrl-C again to stop immediately\n")
            sys.stderr.flush()

    awake, wake = socket.socketpair()
    with awake, wake, _handling(stop), _woken_by_signals(wake):
        threading.Thread(target=_watch, args=(awake, hurrying, over), daemon=True).start()
        try:
            yield asked.is_set
        finally:
            over.set()
            wake.send(b"\0")


def leave() -> None:
    """Exit now, without tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(INTERRUPTED)


def leave_soon() -> None:
    """Exit shortly, even if threads of a library are still running."""
    timer = threading.Timer(LEAVING, leave)
    timer.daemon = True
    timer.start()


def _watch(awake: socket.socket, hurrying: threading.Event, over: threading.Event) -> None:
    """Wait for Ctrl-C, then make sure that the process exits.

    Python runs the signal handler only between two steps of the main thread. This thread notices the signal even while
    the main thread is inside a library.
    """
    with suppress(OSError):
        while awake.recv(1)[0] != signal.SIGINT:
            if over.is_set():
                return
    if over.wait(FINISHING):
        return
    hurrying.set()
    _thread.interrupt_main()
    if not over.wait(LEAVING):
        leave()


@contextmanager
def _handling(handler: Callable[..., None]) -> Iterator[None]:
    """Handle Ctrl-C with `handler`, unless it is ignored (in a background job) or this is not the main thread."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _woken_by_signals(wake: socket.socket) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wake.setblocking(False)  # noqa: FBT003 - the library's
    before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
