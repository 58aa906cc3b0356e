"""The embedders of a worker process: one for each batch that it embeds at the same time."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import uuid
from contextlib import contextmanager
from functools import lru_cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.embedder import Embedder


class Sent(NamedTuple):
    """What is sent to a worker: settings, but no key. A worker reads the key from its own environment.

    Attributes:
        embedder: the pickled embedder.
        name: identifies the original embedder in the process that sent it.
        at_once: batches that a process embeds at the same time; None means one for each GPU or group of threads.
        part: the share of a hosted model's quota for each process.
    """

    embedder: bytes
    name: str = ""
    at_once: int | None = None
    part: float = 1.0


class Places:
    """A pool with one embedder for each place. Several places may share the same embedder."""

    def __init__(self, embedders: list[Embedder]) -> None:
        self._free: SimpleQueue[Embedder] = SimpleQueue()
        for embedder in embedders:
            self._free.put(embedder)

    @contextmanager
    def one(self) -> Iterator[Embedder]:
        """Wait for a free embedder and use it."""
        embedder = self._free.get()
        try:
            yield embedder
        finally:
            self._free.put(embedder)


KEPT = 8

_lock = threading.Lock()
_own: dict[str, Embedder] = {}
"""The last embedders that this process sent, by name. They keep their keys and loaded weights."""


def send(embedder: Embedder, at_once: int | None = None, part: float = 1.0) -> Sent:
    """What to send to a worker. A worker in this process uses this same embedder again."""
    with _lock:
        name = next((name for name, one in _own.items() if one is embedder), None) or uuid.uuid4().hex
        _own.pop(name, None)
        _own[name] = embedder
        for oldest in list(_own)[:-KEPT]:
            del _own[oldest]
    return Sent(pickle.dumps(embedder), name, at_once, part)


def places(sent: Sent) -> Places:
    """This process's places for `sent`, created once so that weights stay loaded between queries."""
    with _lock:
        return _places(sent)


@lru_cache(maxsize=4)
def _places(sent: Sent) -> Places:
    embedder = _own.get(sent.name) or pickle.loads(sent.embedder)  # noqa: S301 - sent by our own driver
    if embedder.backend.provider is not None:
        from twofold.hosted.limiter import take_part  # noqa: PLC0415 - loaded already by the hosted backend

        take_part(sent.part)
        under_way = max(1, round(embedder.settings.concurrency * sent.part))
        if under_way != embedder.settings.concurrency:
            embedder = embedder.with_options(concurrency=under_way)
        return Places([embedder] * (sent.at_once or 1))
    devices = _devices() if embedder.settings.device == "auto" else 0
    if devices > 1:
        each = [embedder.with_options(device=f"cuda:{number}") for number in range(devices)]
        return Places([each[number % devices] for number in range(sent.at_once or devices)])
    return Places([embedder] * (sent.at_once or (1 if devices else _groups())))


def _devices() -> int:
    """How many GPUs this process sees. A local model has already loaded torch."""
    torch = sys.modules.get("torch")
    return 0 if torch is None else int(torch.cuda.device_count())


def _groups() -> int:
    """How many batches the cores can serve, given the threads that each uses. Ray allows each task one thread."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, cores // int(threads)) if threads.isdigit() and int(threads) else 1
