"""Outages of a provider during a job of 16,000 texts: lost texts, and requests beyond those needed.

For each length of outage, a loopback server first answers 503, then drops connections. Time is scaled down 20 times, so
that 120 seconds take 6: the server's outages, Twofold's pauses and the timeout of 600 s.
Run: python benchmarks/hosted_outage.py [texts]
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.faultserver import Exchange, FaultServer, status
from twofold import Embedder, ProviderError
from twofold.hosted import limiter

SCALE, TOGETHER = 20.0, 128


def main(count: int = 16_000) -> None:
    warnings.simplefilter("ignore")
    limiter.FIRST_PAUSE /= SCALE
    limiter.LONGEST_PAUSE /= SCALE
    with FaultServer() as server:
        Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=32).embed_query("warm up")
    needed = -(-count // TOGETHER)
    texts = [f"This is text number {number}." for number in range(count)]
    print(f"{count} texts, {TOGETHER} a request: {needed} requests needed; seconds as on an unscaled clock")
    print(f"{'outage s':>9}{'fault':>8}{'lost':>7}{'requests':>10}{'x needed':>10}{'job s':>8}{'without s':>11}")
    for fault, name in ((status(503), "503"), (Exchange.reset, "reset")):
        for seconds in (0.0, 0.3, 5.0, 30.0, 120.0):
            begun: list[float] = []

            def behave(exchange: Exchange, seconds: float = seconds, begun: list[float] = begun) -> None:
                if exchange.number == needed // 3:
                    begun.append(time.monotonic())
                if begun and time.monotonic() - begun[0] < seconds / SCALE:
                    fault(exchange)  # noqa: B023 - called within its round
                else:
                    exchange.well()

            with FaultServer(behave) as server:
                embedder = Embedder(
                    "jina:jina-embeddings-v3",
                    base_url=server.url,
                    api_key="k",
                    dimensions=32,
                    batch_items=TOGETHER,
                    timeout=600 / SCALE,
                )
                start = time.monotonic()
                try:
                    lost = count - len(embedder.embed_documents(texts))
                except ProviderError as error:
                    lost = len(error.failed)
                wall = (time.monotonic() - start) * SCALE
            if not seconds:
                plain = wall
            over = f"{server.count:>10}{server.count / needed:>10.2f}"
            print(f"{seconds:>9}{name:>8}{lost:>7}{over}{wall:>8.0f}{plain:>11.0f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
