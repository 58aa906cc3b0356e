"""A provider that grants so much a minute, and says so in its headers or not: Jina's API over plain sockets."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from support.faultserver import FaultServer

if TYPE_CHECKING:
    from support.faultserver import Exchange


class QuotaServer(FaultServer):
    """A bucket that refills at `per_minute`, and holds at most `burst`; 429 when it is empty.

    `granted` and `refused` count requests; with `latency`, each answer takes that many seconds.
    """

    def __init__(self, per_minute: float, burst: float, *, latency: float = 0.0, headers: bool = True) -> None:
        super().__init__(self._grant)
        self.per_minute, self.burst, self.latency, self.says = per_minute, burst, latency, headers
        self.level, self.stamp = burst, time.monotonic()
        self.granted = self.refused = 0
        self._bucket = threading.Lock()

    def _grant(self, exchange: Exchange) -> None:
        with self._bucket:
            now = time.monotonic()
            self.level = min(self.burst, self.level + (now - self.stamp) * self.per_minute / 60)
            self.stamp = now
            fine = self.level >= 1
            self.level -= fine
            self.granted += fine
            self.refused += not fine
            headers = {
                "x_ratelimit_limit_requests": str(int(self.per_minute)),
                "x_ratelimit_remaining_requests": str(int(self.level)),
            }
        time.sleep(self.latency)
        said = headers if self.says else {}
        if fine:
            exchange.well(**said)
        else:
            exchange.answer(429, {"detail": "slow down", "code": "RATE_REQUEST_LIMIT_EXCEEDED"}, **said)


WORKER = """
import sys, threading, warnings
from twofold import Embedder

warnings.simplefilter("ignore")
over = threading.Event()
ready = threading.Barrier(3)

def work():
    embedder = Embedder("jina:jina-embeddings-v3", base_url=sys.argv[1], api_key="k", dimensions=32)
    embedder.embed_query("the first")
    ready.wait()
    while not over.is_set():
        embedder.embed_query("a question")

threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
ready.wait()
print("ready", flush=True)
sys.stdin.read()
over.set()
[thread.join() for thread in threads]
"""


def share(server: QuotaServer, processes: int, seconds: float) -> tuple[float, float, float]:
    """Let processes with two threads each ask for all they can.

    The part of the quota that is used, the part of the requests that is refused, and that of the last half of the time.
    """
    command = [sys.executable, "-c", WORKER, server.url]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    workers = [subprocess.Popen(command, **pipes) for _ in range(processes)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    time.sleep(1)  # until what could be had at once is gone
    before, started = server.granted, time.monotonic()
    time.sleep(seconds / 2)
    half = server.granted, server.refused
    time.sleep(seconds / 2)
    late = server.granted - half[0], server.refused - half[1]
    used = (server.granted - before) / ((time.monotonic() - started) * server.per_minute / 60)
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    return used, server.refused / (server.granted + server.refused), late[1] / sum(late)
