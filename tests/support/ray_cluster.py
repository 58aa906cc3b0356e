"""A Ray cluster of two nodes on this machine, and what is tried on it; `python -m support.ray_cluster` says it in JSON.

It is a process of its own, since a process has one of Daft's runners and one of Ray's clusters.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import faultserver as fs
from twofold import Embedder
from twofold.jobs import Item, index
from twofold.stores import open_collection
from twofold.stores.store import scan_rows
from twofold.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.stores import Store
    from twofold.vectors import FloatArray

SENTENCE = "The keeper of lighthouse {} counts ships. Fog comes in at nine. Nobody answers the radio any more."
ITEMS = [Item(f"d{number}", SENTENCE.format(number), {"n": number}) for number in range(600)]
VARIABLE, KEY = "CLUSTER_TEST_KEY", "jina_canary-of-the-cluster"
QUIET = {
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""A node that is gone is missed within two seconds."""

STORE_BYTES = 80 << 20


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A cluster of two nodes with one core each; the second may be removed."""
    import ray
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    node |= {"no_monitor": True, "include_log_monitor": False}  # two processes fewer
    cluster: Any = Cluster(initialize_head=True, head_node_args={**node, "_system_config": SOON})
    cluster.second = cluster.add_node(**node)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def new_store(embedder: Embedder) -> Store:
    store = MemoryStore("cluster", uuid.uuid4().hex)
    open_collection(store, embedder)
    return store


def rows(store: Store) -> dict[str, Any]:
    return {one.row.id: (one.row, one.vector.tobytes()) for one in store.get([row.id for row in scan_rows(store)])}


def indexed(engine: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """A run through the engine, beside what a local one has written."""
    embedder = Embedder("fake:1ms")
    store = new_store(embedder)
    counts = index(embedder, store, ITEMS, engine=engine)
    return {"added": counts.added, "same": rows(store) == wanted, "again": index(embedder, store, ITEMS).skipped}


def killed(engine: Any, cluster: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """A run in whose middle a node is killed."""
    embedder = Embedder("fake:5ms")
    store, upsert = new_store(embedder), MemoryStore.upsert
    kept: Any = MemoryStore

    def killing(self: MemoryStore, some: Sequence[Any], vectors: FloatArray) -> None:
        upsert(self, some, vectors)
        if cluster.second is not None and self.count() >= len(ITEMS) // 4:
            cluster.remove_node(cluster.second, allow_graceful=False)
            cluster.second = None

    kept.upsert = killing
    try:
        before = engine.processes
        counts = index(embedder, store, ITEMS, engine=engine)
    finally:
        kept.upsert = upsert
    return {"nodes": [before, engine.processes], "added": counts.added, "same": rows(store) == wanted}


def poisoned(engine: Any) -> dict[str, Any]:
    """A hosted model that refuses one document, reached with a key of the nodes' environment."""
    with fs.FaultServer(fs.poison("POISON")) as server:
        embedder = Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key_env=VARIABLE, dimensions=32)
        store = new_store(embedder)
        items = [*ITEMS[:50], Item("bad", "POISON")]
        counts = index(embedder, store, items, engine=engine, on_error="skip")
        keys = {exchange.headers["authorization"] for exchange in server.exchanges}
    return {"added": counts.added, "set_aside": counts.set_aside, "keyed": keys == {f"Bearer {KEY}"}}


def in_ray_data() -> dict[str, Any]:
    """An actor of Ray Data, and a text that is too long."""
    import ray

    from twofold.jobs.distributed import EmbedBatch

    ray.data.DataContext.get_current().enable_progress_bars = False
    embedder, texts = Embedder("fake:"), [item.text for item in ITEMS[:40]]
    data = ray.data.from_items([{"text": text} for text in [*texts, "word " * 600]])
    actors = ray.data.ActorPoolStrategy(size=1)
    mapped = data.map_batches(EmbedBatch, fn_constructor_args=[embedder], compute=actors, batch_size=8).take_all()
    found = {row["text"]: row for row in mapped}
    vectors = embedder.embed_documents(texts)
    return {
        "rows": len(found),
        "same": all((found[text]["vector"] == vector).all() for text, vector in zip(texts, vectors, strict=True)),
        "bad": [row["error"] for row in mapped if row["vector"] is None],
    }


def logged(word: str) -> list[str]:
    """The files that Ray and Daft wrote with `word` in them."""
    folder = Path(tempfile.gettempdir()) / "ray" / "session_latest"
    return [str(file) for file in (folder / "logs").rglob("*") if file.is_file() and word.encode() in file.read_bytes()]


def main() -> None:
    os.environ.update(QUIET, **{VARIABLE: KEY})
    here = new_store(Embedder("fake:"))
    index(Embedder("fake:"), here, ITEMS)
    with two_nodes() as cluster:
        from twofold.jobs.distributed import Engine

        engine = Engine(cluster.address)
        found: dict[str, Any] = {"indexed": indexed(engine, rows(here)), "poisoned": poisoned(engine)}
        found["ray_data"] = in_ray_data()
        found["killed"] = killed(engine, cluster, rows(here))
        found["logged"] = logged(KEY)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
