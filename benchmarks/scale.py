"""Documents per second, memory, and work repeated after a kill: a plain loop, Daft and Ray.

    python benchmarks/scale.py            # 4,000 documents of 5 ms each
    python benchmarks/scale.py 20000 --only loop "twofold, daft"
    python benchmarks/scale.py --rates    # rates for planning in docs/cluster.md: per second of one core's time

The model is `fake:5ms`, a hash that sleeps like a model on its own processor, so that two workers run in parallel even
on few cores. Each line is a separate process. "loop" is `embed_documents` in batches of 64, for comparison. "twofold"
lines are `index` into a store that keeps only ids: with daft on Daft's native runner, with ray on its Ray runner, on a
cluster of one or two nodes of one core on this machine. The lines "daft alone" and "ray data" map the same documents
with the same embedder and write Parquet, with their own checkpoints. "of ideal" is relative to the sleeping time.
Memory is that of the process and its children, without a cluster's nodes. Startup is not counted.

Then each is killed (-9) when half of the documents are embedded, and run again. "again" is the number of documents that
were embedded twice. Each embedding appends a byte to a file, in whichever process it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import psutil  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from twofold import Document, Embedder
from twofold.fake import FakeBackend
from twofold.jobs import Item, index
from twofold.stores import Held

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.stores import Row
    from twofold.vectors import FloatArray

TEXT = "The keeper of lighthouse {} counts ships. Fog comes in at nine. Nobody answers the radio any more."
MILLISECONDS, BATCH = 5, 64
LEDGER = "SCALE_LEDGER"
QUIET = {
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DAFT_PROGRESS_BAR": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}


class Counted(FakeBackend):
    """`fake:5ms` that records each embedded document in a file, to which several processes can append."""

    def embed(self, documents: Sequence[Document], *args: Any, **options: Any) -> FloatArray:
        rows = super().embed(documents, *args, **options)
        if ledger := os.environ.get(LEDGER):
            with Path(ledger).open("ab", buffering=0) as file:
                file.write(b"." * len(documents))
        return rows


class CountedEmbedder(Embedder):
    """An embedder with that backend. It can be pickled."""

    def __init__(self, model: str = f"fake:{MILLISECONDS}ms", **options: Any) -> None:
        super().__init__(model, **options)
        self._backend = Counted(f"{MILLISECONDS}ms")


class Ids:
    """A store that keeps the ids and versions of its rows in a file. It implements `Store`."""

    name, keeps_lists = "ids", True

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self._file = folder / "ids.jsonl"
        self._record = embedder.record().to_json()
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        self._held = {held.id: held for held in (Held(*json.loads(line)) for line in lines)}

    def record(self) -> str:
        return self._record

    def held(self, documents: Sequence[str]) -> list[Held]:
        return [self._held[one] for one in documents if one in self._held]

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        new = [Held(row.id, row.document, row.digest, row.rows, row.source) for row in rows]
        with self._file.open("a") as file:
            file.write("".join(json.dumps(held) + "\n" for held in new))
        self._held.update((held.id, held) for held in new)

    def delete(self, ids: Sequence[str]) -> None:
        for one in ids:
            self._held.pop(one, None)

    def count(self) -> int:
        return len(self._held)


def texts(size: int) -> list[str]:
    return [TEXT.format(number) for number in range(size)]


# -- ways ---------------------------------------------------------------------------------------------------------


def loop(size: int, _: Path) -> None:
    embedder, every = CountedEmbedder(), texts(size)
    begin()
    for start in range(0, size, BATCH):
        embedder.embed_documents(every[start : start + BATCH])


def twofold(
    size: int, folder: Path, *, engine: str = "", address: str | None = None, at_once: int | None = None
) -> None:
    from twofold.jobs.distributed import Engine

    embedder = CountedEmbedder()
    carried = Engine(address, at_once=at_once) if engine else None
    store = cast("Any", Ids(folder, Embedder("fake:")))
    if carried is not None:  # exclude what the first query loads
        list(carried.map(Embedder("fake:"), [Document.whole(text) for text in texts(BATCH)]))
    begin()
    index(embedder, store, (Item(f"d{number}", text) for number, text in enumerate(texts(size))), engine=carried)


def daft_alone(size: int, folder: Path, *, address: str | None = None, workers: int = 1) -> None:
    import daft
    from daft.functions import embed_text

    from twofold.jobs.distributed.provider import TwofoldProvider

    files = table(size, folder)
    options: dict[str, Any] = {}
    if address is not None:
        import ray

        ray.init(address=address, log_to_driver=False)
        daft.set_runner_ray(noop_if_initialized=True)
        options["checkpoint"] = daft.CheckpointConfig(daft.CheckpointStore(str(folder / "checkpoint")), on="id")
    begin()
    frame: Any = daft.read_parquet(files, **options)
    embedding: Any = {"provider": TwofoldProvider(CountedEmbedder()), "batch_size": BATCH, "concurrency": workers}
    mapped = embed_text(frame["text"], **embedding)
    frame.with_column("vector", mapped).write_parquet(str(folder / "out"))


def ray_data(size: int, folder: Path, *, address: str | None = None, workers: int = 1) -> None:
    import ray

    from twofold.jobs.distributed import EmbedBatch

    files = table(size, folder)
    ray.init(address=address, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.checkpoint_config = ray.data.checkpoint.CheckpointConfig(
        id_column="id", checkpoint_path=str(folder / "checkpoint")
    )
    begin()
    data = ray.data.read_parquet(files)
    actors = ray.data.ActorPoolStrategy(size=workers)
    data.map_batches(
        EmbedBatch, fn_constructor_args=[CountedEmbedder()], compute=actors, batch_size=BATCH, batch_format="pyarrow"
    ).write_parquet(str(folder / "out"))


@dataclass(frozen=True)
class Way:
    """One line: the function, the number of cluster nodes (0 for no cluster) and the number of workers."""

    work: Any
    nodes: int = 0
    workers: int = 1
    options: tuple[tuple[str, Any], ...] = ()


WAYS = {
    "loop": Way(loop),
    "twofold": Way(twofold),
    "twofold, daft": Way(twofold, options=(("engine", "daft"), ("at_once", 1))),
    "twofold, daft, 2 at once": Way(twofold, workers=2, options=(("engine", "daft"), ("at_once", 2))),
    "twofold, ray, 1 node": Way(twofold, nodes=1, options=(("engine", "daft"),)),
    "twofold, ray, 2 nodes": Way(twofold, nodes=2, workers=2, options=(("engine", "daft"),)),
    "daft alone": Way(daft_alone),
    "daft alone, ray, 2 nodes": Way(daft_alone, nodes=2, workers=2, options=(("workers", 2),)),
    "ray data, 2 actors": Way(ray_data, nodes=2, workers=2, options=(("workers", 2),)),
}


# -- measuring ----------------------------------------------------------------------------------------------------


def table(size: int, folder: Path) -> str:
    """The documents as Parquet, in files of a thousand."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = folder / "in"
    if not files.exists():
        files.mkdir()
        every = texts(size)
        for start in range(0, size, 1000):
            ids = [f"d{number}" for number in range(start, min(size, start + 1000))]
            pq.write_table(pa.table({"id": ids, "text": every[start : start + 1000]}), files / f"{start:08}.parquet")
    return str(files)


def begin() -> None:
    """Report that imports and connections are done."""
    print("begin", flush=True)


@contextmanager
def cluster(nodes: int) -> Iterator[str | None]:
    """A Ray cluster with nodes of one core, and its address."""
    if not nodes:
        yield None
        return
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 256 << 20}
    made: Any = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    for _ in range(nodes - 1):
        made.add_node(**node)
    try:
        yield made.address
    finally:
        made.shutdown()


class Child:
    """A run in a separate process. `memory` is the peak of it and its children."""

    def __init__(self, name: str, size: int, folder: Path, address: str | None) -> None:
        code = "import scale; scale.main()"  # imported by name, as pickles need in other processes
        command = [sys.executable, "-c", code, str(size), "--work", name, str(folder), address or ""]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.memory, self._over = 0, threading.Event()
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) and line != "begin\n":
            pass
        self.started = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self) -> float:
        """The seconds from its start, after imports, to its end."""
        code = self._process.wait()
        self._over.set()
        if code:
            raise RuntimeError(f"it ended with {code}")
        return time.monotonic() - self.started

    def kill(self) -> None:
        """Kill it and its children."""
        self._over.set()
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        try:
            own = psutil.Process(self._process.pid)
            found: list[psutil.Process] = [*own.children(recursive=True), own]
        except psutil.NoSuchProcess:
            return []
        return found

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            resident = 0
            for process in self._family():
                with suppress(psutil.NoSuchProcess):
                    resident += process.memory_info().rss
            self.memory = max(self.memory, resident)


def measure(name: str, size: int) -> None:
    """A complete run, then one that is killed halfway and the run after it."""
    way = WAYS[name]
    print(f"{name:26}", end="", flush=True)
    with tempfile.TemporaryDirectory() as place:
        ledger = Path(place) / "ledger"
        os.environ[LEDGER] = str(ledger)
        with cluster(way.nodes) as address:
            folder = Path(place) / "whole"
            folder.mkdir()
            child = Child(name, size, folder, address)
            seconds = child.wait()
            ideal = size * MILLISECONDS / 1000 / way.workers
            print(
                f"{size / seconds:8.0f}/s {ideal / seconds:7.1%} of ideal {child.memory >> 20:6} MiB",
                end="",
                flush=True,
            )
            if name == "loop":
                print()
                return
            again = killed(name, size, Path(place) / "killed", ledger, address)
            print(f"   again {again:6} of {size // 2}: {again / (size // 2):6.1%}", flush=True)


def killed(name: str, size: int, folder: Path, ledger: Path, address: str | None) -> int:
    """The number of documents that were embedded twice after a kill halfway."""
    folder.mkdir()
    ledger.write_bytes(b"")
    child = Child(name, size, folder, address)
    while ledger.stat().st_size < size // 2:
        time.sleep(0.01)
    child.kill()
    settled = -1
    while settled != ledger.stat().st_size:  # a cluster's workers may finish their current work
        settled = ledger.stat().st_size
        time.sleep(2)
    Child(name, size, folder, address).wait()
    return ledger.stat().st_size - size


# -- rates --------------------------------------------------------------------------------------------------------


class Free(FakeBackend):
    """Constant vectors for texts that a real tokenizer counts, so that only the driver's own work remains."""

    def __init__(self, real: Any) -> None:
        super().__init__()
        self.card, self.count_tokens = real.card, real.count_tokens  # type: ignore[method-assign]

    def embed(self, documents: Sequence[Document], *_: Any, **__: Any) -> FloatArray:
        return np.ones((sum(len(each.spans) for each in documents), self.card.width), np.float32)


def rates(size: int) -> None:
    """MiniLM's tokens, and the driver's documents and characters, per second of one core's time."""
    from twofold.demo.asking import MODEL, with_bundled_weights

    sentence = "The keeper of lighthouse {} counts ships. Fog comes in at nine. Nobody answers the radio any more. "
    passages = ["".join(sentence.format(number * 11 + each) for each in range(11)) for number in range(size)]
    real = with_bundled_weights(Embedder(MODEL))
    real.embed_documents(passages[:8])
    some = passages[: size // 4]
    tokens = sum(real.count_tokens(some))
    print(f"{tokens / len(some):.0f} tokens, {len(passages[0]):,} characters a document", flush=True)
    print(f"MiniLM: {tokens / taken(lambda: real.embed_documents(some)):,.0f} tokens a core-second", flush=True)
    free = Embedder(MODEL)
    free._backend = Free(real.backend)  # noqa: SLF001 - what a test may do
    for what, chunk_tokens in (("whole", None), ("in chunks of 128 tokens", 128)):
        with tempfile.TemporaryDirectory() as place:
            store = cast("Any", Ids(Path(place), free))
            items = [Item(f"d{number}", text) for number, text in enumerate(passages)]
            seconds = taken(lambda: index(free, store, items, chunk_tokens=chunk_tokens))  # noqa: B023 - called at once
        print(f"the driver, documents {what}: {size / seconds:,.0f} documents a core-second", flush=True)


def taken(work: Any) -> float:
    """The CPU seconds of `work` in all threads of the process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("size", nargs="?", type=int, default=4000, help="documents")
    asked.add_argument("--only", nargs="*", default=list(WAYS), help="some of the lines")
    asked.add_argument("--rates", action="store_true", help="print the rates that docs/cluster.md plans with")
    asked.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    given = asked.parse_args()
    os.environ.update(QUIET)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    if given.work:
        name, folder, address = given.work
        way, options = WAYS[name], dict(WAYS[name].options)
        way.work(given.size, Path(folder), **options, **({"address": address} if address else {}))
        return
    if given.rates:
        rates(given.size)
        return
    print(f"{given.size:,} documents of {MILLISECONDS} ms; load of this machine before: {os.getloadavg()[0]:.1f}")
    for name in given.only:
        measure(name, given.size)


if __name__ == "__main__":
    main()
