"""Clients that send Weaviate's requests over sockets, in a separate process so that they do not slow the server.

Run: python load.py PORT KIND CLIENTS TEXTS SECONDS RATE. It prints one JSON object. KIND is `vectors` (Weaviate's route
with one text per request; a turn is TEXTS requests in sequence) or `embeddings` (TEXTS texts per request). With RATE 0,
each client sends its next request after the previous answer. Otherwise RATE requests per second are started,
independently of the answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import count

WORDS = (
    "The lighthouse keeper counted nine ships before the fog came in over the harbour and number {} went to sea "
    "with flour and salt"
)
NUMBERS = count()


class Load:
    """The requests and the results."""

    def __init__(self, port: int, kind: str, texts: int) -> None:
        self.port, self.kind, self.texts = port, kind, texts
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.all = 0

    def bodies(self) -> list[bytes]:
        """The requests of one turn, on the wire."""
        texts = [WORDS.format(next(NUMBERS)) for _ in range(self.texts)]
        if self.kind == "vectors":
            config = {"pooling_strategy": "masked_mean", "task_type": "passage"}
            return [self._request("/vectors", {"text": text, "config": config}) for text in texts]
        return [self._request("/v1/embeddings", {"input": texts, "encoding_format": "float"})]

    def _request(self, path: str, body: object) -> bytes:
        raw = json.dumps(body).encode()
        lines = (
            f"POST {path} HTTP/1.1",
            "host: bench",
            "content-type: application/json",
            f"content-length: {len(raw)}",
        )
        return "\r\n".join((*lines, "", "")).encode() + raw

    async def turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the requests and read the answers."""
        began, status = time.perf_counter(), 0
        for request in self.bodies():
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head[9:12])
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
        self.statuses[status] += 1
        self.all += self.texts
        if status == 200:
            self.seconds.append(time.perf_counter() - began)

    async def closed(self, until: float) -> None:
        """One client that sends its next request after each answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)
        while time.perf_counter() < until:
            await self.turn(reader, writer)
        writer.close()

    async def one(self, pool: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
        """One request of an open loop, on a free connection."""
        pair = pool.pop() if pool else await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)
        try:
            await self.turn(*pair)
            pool.append(pair)
        except (OSError, asyncio.IncompleteReadError):
            self.statuses[0] += 1

    async def open(self, rate: float, seconds: float) -> None:
        """Start `rate` requests per second, independently of the answers."""
        pool: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        began, tasks = time.perf_counter(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(self.one(pool)))
        await asyncio.gather(*tasks)


async def main(load: Load, clients: int, seconds: float, rate: float) -> None:
    """Warm up, measure, print."""
    if not rate:
        await asyncio.gather(*(load.closed(time.perf_counter() + 1) for _ in range(clients)))
        load.seconds.clear()
        load.statuses.clear()
    began = time.perf_counter()
    if rate:
        await load.open(rate, seconds)
    else:
        await asyncio.gather(*(load.closed(began + seconds) for _ in range(clients)))
    wall, ranked = time.perf_counter() - began, sorted(load.seconds) or [float("nan")]
    found = {
        "turns": len(load.seconds) / wall,
        "all_texts": load.all,
        "texts": len(load.seconds) * load.texts / wall,
        "p50": ranked[len(ranked) // 2],
        "p99": ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))],
        "statuses": dict(load.statuses),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    _, port, kind, clients, texts, seconds, rate = sys.argv
    asyncio.run(main(Load(int(port), kind, int(texts)), int(clients), float(seconds), float(rate)))
