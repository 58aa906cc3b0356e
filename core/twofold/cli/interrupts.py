"""Ctrl-C: the first ends the work within two seconds, if it can after the slice in hand; the second at once.

What is written was written whole, and another run continues from it: leaving in the middle of a slice loses nothing
but that slice.
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
"""Seconds that the slice in hand may still take; then `KeyboardInterrupt` is raised where the work is."""
LEAVING = 0.5
"""Seconds after that for files and connections to be closed; then the process ends, wherever it is."""


@contextmanager
def leaving() -> Iterator[None]:
    """Leave at once on Ctrl-C: while libraries are imported, and in commands that write nothing."""
    with _handling(lambda *_: leave()):
        yield


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C was pressed, for work that is done slice by slice.

    Raises:
        KeyboardInterrupt: the slice in hand took longer than `FINISHING`.
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
        with suppress(OSError, RuntimeError, AttributeError):  # no standard error, or it was being written to just now
            sys.stderr.write("\nstopping after the slice in hand; press Ctrl-C again to stop at once\n")
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
    """End the process now, without the tracebacks of whatever was under way."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(INTERRUPTED)


def leave_soon() -> None:
    """End the process though threads of a library's should keep it."""
    timer = threading.Timer(LEAVING, leave)
    timer.daemon = True
    timer.start()


def _watch(awake: socket.socket, hurrying: threading.Event, over: threading.Event) -> None:
    """Wait for Ctrl-C, then see to it that the process ends.

    The handler runs in the main thread, between two of its steps; this thread knows of the signal while the main one
    is inside of a library.
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
    """Let `handler` see to Ctrl-C; where it is ignored, as in a background job, or off the main thread, it stays so."""
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
