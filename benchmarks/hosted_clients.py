"""Clients of a hosted API with the same loopback server and 50 ms of latency: requests, bytes, CPU, wall time.

Each client runs with its default settings, except that its address is the loopback server. Clients that are not
installed are skipped. Run: python benchmarks/hosted_clients.py [texts]
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import socket
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

WIDTH, LATENCY = 1024, 0.05
MODEL, KEY = "jina-embeddings-v3", "not-a-key"


def serve(pipe: Connection) -> None:
    """Answer in the requested encoding, and report the numbers of requests and bytes when the pipe asks for them."""
    vector = np.random.default_rng(0).standard_normal(WIDTH).astype("<f4")
    vector /= np.linalg.norm(vector)
    said = {"float": json.dumps(vector.tolist()), "base64": f'"{base64.b64encode(vector.tobytes()).decode()}"'}
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    counts = [0, 0, 0]
    pipe.send(listener.getsockname()[1])

    def connection(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                if not (more := client.recv(262_144)):
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            while len(data) < length:
                data += client.recv(262_144)
            body, data = json.loads(data[:length]), data[length:]
            kind = body.get("embedding_type") or body.get("encoding_format") or "float"
            rows = ",".join(f'{{"index":{index},"embedding":{said[kind]}}}' for index in range(len(body["input"])))
            answer = (
                f'{{"object":"list","model":"{MODEL}","data":[{rows}],"usage":{{"total_tokens":9,"prompt_tokens":9}}}}'
            )
            counts[0] += 1
            counts[1] += length
            counts[2] += len(answer)
            time.sleep(LATENCY)
            headers = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"
            client.sendall((headers + answer).encode())

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=connection, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while pipe.recv():
        pipe.send(tuple(counts))


def twofold(url: str) -> Callable[[list[str]], Any]:
    from twofold import Embedder

    return Embedder(f"jina:{MODEL}", base_url=url, api_key=KEY).embed_documents


def by_512(embed: Callable[[list[str]], Any]) -> Callable[[list[str]], Any]:
    """Split into calls of 512 texts, the API's limit, for a client that does not split."""
    return lambda texts: [row for start in range(0, len(texts), 512) for row in embed(texts[start : start + 512])]


def openai(url: str) -> Callable[[list[str]], Any]:
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key=KEY)
    return by_512(lambda texts: client.embeddings.create(model=MODEL, input=texts).data)


def langchain(url: str) -> Callable[[list[str]], Any]:
    from langchain_community.embeddings import jina

    jina.JINA_API_URL = f"{url}/embeddings"
    options: dict[str, Any] = {"jina_api_key": KEY, "model_name": MODEL}
    return by_512(jina.JinaEmbeddings(**options).embed_documents)


def llama_index(url: str) -> Callable[[list[str]], Any]:
    from llama_index.embeddings.jinaai import JinaEmbedding

    embedding = JinaEmbedding(api_key=KEY, model=MODEL)
    embedding._api.api_url = f"{url}/embeddings"  # noqa: SLF001 - the client ignores its base_url
    return embedding.get_text_embedding_batch


CLIENTS: dict[str, Callable[[str], Callable[[list[str]], Any]]] = {
    "twofold": twofold,
    "openai": openai,
    "langchain-community Jina": langchain,
    "llama-index Jina": llama_index,
}


def main(count: int = 4096) -> None:
    warnings.simplefilter("ignore")
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    texts = [f"This is text number {number}, and it has about a dozen words in it." for number in range(count)]

    def counts() -> tuple[int, int, int]:
        ours.send("counts")
        seen: tuple[int, int, int] = ours.recv()
        return seen

    print(f"{count} texts, vectors of {WIDTH}, {1000 * LATENCY:.0f} ms of latency; CPU of the client alone")
    print(f"{'client':<28}{'requests':>9}{'MB up':>8}{'MB down':>9}{'CPU µs/vector':>15}{'wall s':>8}{'query ms':>10}")
    for name, make in CLIENTS.items():
        try:
            embed = make(url)
        except ImportError as missing:
            print(f"{name:<28}{missing}")
            continue
        embed(texts[:2])
        before, cpu, wall = counts(), time.process_time(), time.perf_counter()
        embed(texts)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        requests, up, down = (after - then for after, then in zip(counts(), before, strict=True))
        one = min(_seconds(embed, texts[:1]) for _ in range(10))
        bytes_sent = f"{up / 1e6:>8.1f}{down / 1e6:>9.1f}"
        print(
            f"{name:<28}{requests:>9}{bytes_sent}{1e6 * cpu / count:>15.1f}{wall:>8.2f}{1000 * one:>10.1f}", flush=True
        )
    ours.send("")


def _seconds(embed: Callable[[list[str]], Any], texts: list[str]) -> float:
    start = time.perf_counter()
    embed(texts)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
