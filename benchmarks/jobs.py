"""Documents per second and memory of `index`, with a model that computes only a hash (`fake:`).

    python benchmarks/jobs.py                       # 10,000 documents
    python benchmarks/jobs.py 10000 100000 1000000  # the last one takes most of an hour
    python benchmarks/jobs.py --file 200            # one file of 200 MB, cut into chunks

Each line is a separate process. A first run indexes the corpus, a second one finds it unchanged. The lines are:

- "engine": a store that keeps nothing, which shows Twofold's own cost
- "folder" and "server": Chroma. A folder's index is in the memory of the writing process, a server's is not.
- "alone": Chroma without Twofold, with the same rows and precomputed vectors, in a folder
- "embed": `twofold embed --output`, with the documents as lines

Peak memory is that of the whole process, including the interpreter. CPU time includes all threads; other programs
disturb it less than wall time.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from twofold import Embedder
from twofold.jobs import Item, index, open_store
from twofold.stores import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.stores import Held
    from twofold.vectors import FloatArray

TEXT = "The keeper of lighthouse {} counts ships. Fog comes in at nine. Nobody answers the radio any more."
WORDS = ["the", "keeper", "counts", "nine", "ships", "before", "fog", "comes", "in", "over", "the", "harbour", "pier"]
MEGABYTE = 1_000_000
CHUNK_TOKENS, BATCH = 256, 1000


class Nothing:
    """A store that keeps only the number of its rows. It implements `Store`."""

    name, keeps_lists = "nothing", True

    def __init__(self, embedder: Embedder) -> None:
        self.rows, self._record = 0, embedder.record().to_json()

    def record(self) -> str:
        return self._record

    def held(self, documents: Sequence[str]) -> list[Held]:
        return []

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        self.rows += len(rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Do nothing: the store is always empty."""

    def count(self) -> int:
        return self.rows


def corpus(size: int) -> Iterator[Item]:
    """Documents of 18 words, each with a field."""
    for number in range(size):
        yield Item(f"docs/{number}.md", TEXT.format(number), {"n": number}, source=f"/corpus/docs/{number}.md")


def file(megabytes: int) -> Iterator[Item]:
    """One large document of paragraphs."""
    paragraphs, length, number = [], 0, 0
    while length < megabytes * MEGABYTE:
        start = number % len(WORDS)
        words = " ".join((WORDS[start:] + WORDS[:start]) * 6)
        paragraphs.append(f"{number} {words}.\n\n")
        length += len(paragraphs[-1])
        number += 1
    text = "".join(paragraphs)
    del paragraphs
    yield Item("file.txt", text, source="/corpus/file.txt")


def work(where: str, size: int, megabytes: int) -> None:
    """Index and print the measurements; runs in a separate process."""
    embedder = Embedder("fake:")
    items = file(megabytes) if megabytes else corpus(size)
    options: dict[str, Any] = {"chunk_tokens": CHUNK_TOKENS} if megabytes else {}
    start, computing = time.perf_counter(), time.process_time()
    if where.startswith("embed:"):
        said = embedded(Path(where.partition(":")[2]), size)
    elif where.startswith("alone:"):
        said = alone(where.partition(":")[2], size)
    elif where.startswith("engine:"):
        said = str(index(embedder, cast("Any", Nothing(embedder)), items, **options))
    else:
        with open_store(where, "docs", embedder) as store:
            said = str(index(embedder, store, items, **options))
    seconds, computing = time.perf_counter() - start, time.process_time() - computing
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    unit = f"{megabytes / seconds:6.2f} MB/s" if megabytes else f"{size / seconds:8,.0f} documents/s"
    done = ", ".join(re.findall(r"(?:added|skipped|rows)=\d+", said))
    print(f"{unit}  {seconds:8.1f} s  {computing:8.1f} s of CPU  {peak:6.0f} MiB  {done}")


def alone(folder: str, size: int) -> str:
    """Write the same rows with Chroma's own client, a thousand at a time."""
    import chromadb

    docs = chromadb.PersistentClient(folder).create_collection("docs", configuration={"hnsw": {"space": "cosine"}})
    random = np.random.default_rng(0)
    for start in range(0, size, BATCH):
        numbers = range(start, min(start + BATCH, size))
        rows = [
            Row(
                id=f"docs/{number}.md",
                document=f"docs/{number}.md",
                text=TEXT.format(number),
                span=(0, len(TEXT)),
                metadata={"n": number},
                digest=f"{number:032}.{number:016}",
                source=f"/corpus/docs/{number}.md",
            )
            for number in numbers
        ]
        docs.upsert(
            ids=[row.id for row in rows],
            embeddings=random.standard_normal((len(rows), 64), dtype=np.float32),
            documents=[row.text for row in rows],
            metadatas=cast("Any", [row.fields() for row in rows]),
        )
    return f"rows={docs.count()}"


def embedded(folder: Path, size: int) -> str:
    """Embed the documents from standard input into a file."""
    from twofold.cli import main as command_line

    lines, output = folder / "lines.txt", folder / "vectors.npy"
    with lines.open("w") as stream:
        stream.writelines(f"{item.text}\n" for item in corpus(size))
    sys.argv = ["twofold", "embed", "--model", "fake:", "--output", str(output)]
    with lines.open() as sys.stdin, suppress(SystemExit):
        command_line()
    return f"rows={len(np.load(output, mmap_mode='r'))}"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of a Chroma server over `folder`."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from support.chroma_server import HOST, chroma_server

    with chroma_server(folder) as port:
        yield f"chroma:http://{HOST}:{port}"


def measure(where: str, size: int, megabytes: int, address: str) -> None:
    """A first run and, if the store keeps anything, a second one."""
    what = f"{megabytes} MB" if megabytes else f"{size:,}"
    for run in ("first", "again") if where in ("folder", "server") else ("first",):
        print(f"{where:7} {what:>10} {run}  ", end="", flush=True)
        command = [sys.executable, __file__, str(size), "--file", str(megabytes), "--work", address]
        subprocess.run(command, check=True)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("sizes", nargs="*", type=int, default=[10_000], help="documents")
    asked.add_argument("--file", type=int, default=0, help="index one file of so many megabytes instead of documents")
    asked.add_argument("--stores", nargs="*", default=["engine", "embed", "alone", "folder", "server"])
    asked.add_argument("--work", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.work:
        work(given.work, given.sizes[0], given.file)
        return
    for size in given.sizes:
        for where in given.stores:
            with tempfile.TemporaryDirectory() as folder:
                if where == "server":
                    with server(Path(folder)) as address:
                        measure(where, size, given.file, address)
                else:
                    schemes = {"folder": f"chroma:{folder}"}
                    measure(where, size, given.file, schemes.get(where, f"{where}:{folder}"))


if __name__ == "__main__":
    main()
