"""Clients of a server that is shutting down. Prints the numbers of answered and lost requests as JSON.

A request is lost if it was sent on an accepted connection that the server had not announced to close, without an
answer.
"""

from __future__ import annotations

import asyncio
import json
import sys

REQUEST = b"POST /v1/embeddings HTTP/1.1\r\nhost: b\r\ncontent-length: %d\r\n\r\n%s"
COUNTS = {"answered": 0, "lost": 0}


async def client(port: int, number: int) -> None:
    for turn in range(1_000_000):
        if not turn:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
        body = json.dumps({"input": [f"text {number} {turn}"] * 4}).encode()
        try:
            writer.write(REQUEST % (len(body), body))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            COUNTS["lost"] += 1
            return
        COUNTS["answered"] += head.startswith(b"http/1.1 200")
        if b"connection: close" in head:
            return


async def main() -> None:
    await asyncio.gather(*(client(int(sys.argv[1]), number) for number in range(16)))
    print(json.dumps(COUNTS))


asyncio.run(main())
